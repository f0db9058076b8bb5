// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package node tests the agent and its CNI plugin in network namespaces: state in, kernel state out. It needs root. The nodes are
// namespaces with the real agent (all but its informer, which a file stands in for) and the real plugin binary; the pods are namespaces,
// too.
package node_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// plugins is the directory of the binaries that TestMain builds.
var plugins string

func TestMain(m *testing.M) {
	if os.Getenv(agentEnv) != "" {
		if err := runAgent(os.Getenv(agentEnv)); err != nil {
			fmt.Fprintln(os.Stderr, "agent:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(func() int {
		if os.Geteuid() != 0 {
			return m.Run() // every test says that it needs root
		}
		dir, err := os.MkdirTemp("", "ipv6-node-test-")
		if err == nil {
			defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
			plugins = dir
			removeLeftovers()
			err = buildPlugins(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// removeLeftovers removes the namespaces of test processes that were killed.
func removeLeftovers() {
	paths, _ := filepath.Glob("/run/netns/v6test-*") // the pattern is valid
	for _, p := range paths {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(p), "v6test-"), "-")
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			_ = netns.DeleteNamed(filepath.Base(p))
		}
	}
}

func buildPlugins(dir string) error {
	const module = "github.com/containernetworking/plugins/plugins/"
	for _, args := range [][]string{
		{"build", "-o", dir + "/", "../../cmd/ipv6-cni"},
		{"build", "-C", "../../hack/tools/cniplugins", "-o", dir + "/", module + "meta/portmap", module + "main/loopback"},
	} {
		cmd := exec.Command("go", args...) //nolint:gosec // our own arguments
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// needsRoot skips loudly, and fails where skipping would go unseen.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and CI=true: it must not be left out")
	}
	t.Skip("LEFT OUT: this test needs root for network namespaces; run: sudo make test-node")
}

var serial atomic.Int64

// space is a network namespace.
type space struct {
	name   string
	path   string
	handle netns.NsHandle
}

// newSpace makes a namespace with its loopback up, which the test's end removes.
func newSpace(t testing.TB, name string) *space {
	t.Helper()
	s := &space{name: fmt.Sprintf("v6test-%d-%d-%s", os.Getpid(), serial.Add(1), name)}
	s.path = filepath.Join("/run/netns", s.name)
	err := onThread(func() error {
		own, err := netns.Get()
		if err != nil {
			return err
		}
		defer own.Close() //nolint:errcheck // nothing was written
		s.handle, err = netns.NewNamed(s.name)
		if err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			return err
		}
		return netns.Set(own)
	})
	if err != nil {
		t.Fatalf("namespace %s: %v", s.name, err)
	}
	t.Cleanup(s.remove)
	return s
}

func (s *space) remove() {
	if s.handle.IsOpen() {
		_ = s.handle.Close()
		_ = netns.DeleteNamed(s.name)
	}
}

// onThread runs f on a thread of its own, which dies afterwards if f left it elsewhere.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// within runs f in the namespace. Processes and sockets that f starts are in it.
func (s *space) within(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(s.handle); err != nil {
			return fmt.Errorf("enter %s: %w", s.name, err)
		}
		return f()
	})
}

// run runs a command in the namespace and returns what it says.
func (s *space) run(t testing.TB, command string, args ...string) string {
	t.Helper()
	out, err := s.try(command, args...)
	if err != nil {
		t.Fatalf("%s: %s %s: %v\n%s", s.name, command, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *space) try(command string, args ...string) (string, error) {
	var out bytes.Buffer
	err := s.within(func() error {
		cmd := exec.Command(command, args...) //nolint:gosec // the tests' own commands
		cmd.Stdout, cmd.Stderr = &out, &out
		return cmd.Run()
	})
	return out.String(), err
}

// ip is iproute2 in the namespace.
func (s *space) ip(t testing.TB, args ...string) string {
	t.Helper()
	return s.run(t, "ip", args...)
}

// sysctl reads or writes a sysctl of the namespace.
func (s *space) sysctl(t testing.TB, path string, value ...string) string {
	t.Helper()
	var out string
	err := s.within(func() error {
		if len(value) > 0 {
			return os.WriteFile("/proc/sys/"+path, []byte(value[0]), 0)
		}
		b, err := os.ReadFile("/proc/sys/" + path)
		out = strings.TrimSpace(string(b))
		return err
	})
	if err != nil {
		t.Fatalf("sysctl %s %v: %v", path, value, err)
	}
	return out
}
