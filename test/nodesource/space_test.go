// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"github.com/vishvananda/netns"
)

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

func matches(want any) types.GomegaMatcher {
	if m, ok := want.(types.GomegaMatcher); ok {
		return m
	}
	return Equal(want)
}

// space is a network namespace.
type space struct {
	t      *testing.T
	name   string
	handle netns.NsHandle
}

// spaces that were made: their names must differ, since tests run side by side.
var spaces atomic.Int64

func newSpace(t *testing.T, name string) *space {
	t.Helper()
	s := &space{t: t, name: fmt.Sprintf("v6src-%d-%d-%s", os.Getpid(), spaces.Add(1), name)}
	run(t, "ip", "netns", "add", s.name)
	t.Cleanup(func() { run(t, "ip", "netns", "delete", s.name) })
	var err error
	if s.handle, err = netns.GetFromName(s.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.handle.Close() })
	s.run("ip", "link", "set", "lo", "up")
	// A node forwards, and so does a router; addresses are there at once.
	s.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=2", "net.ipv6.conf.all.forwarding=1")
	return s
}

func run(t *testing.T, command string, args ...string) string {
	t.Helper()
	out, err := exec.Command(command, args...).CombinedOutput() //nolint:gosec // the tests' own commands
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", command, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *space) run(command string, args ...string) string {
	s.t.Helper()
	return run(s.t, "ip", append([]string{"netns", "exec", s.name, command}, args...)...)
}

// within runs f in the namespace; processes and sockets that it makes are in it.
func (s *space) within(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(s.handle); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// nodeMAC is the hardware address of the node's eth0.
const nodeMAC = "02:00:5e:10:00:01"

// newLink makes a node and whoever serves it, on one link: eth0 of both.
func newLink(t *testing.T) (node, server *space) {
	t.Helper()
	needsRoot(t)
	t.Parallel() // they mostly wait
	node, server = newSpace(t, "node"), newSpace(t, "server")
	run(t, "ip", "link", "add", "eth0", "address", nodeMAC, "netns", node.name, "type", "veth", "peer", "name", "eth0", "netns", server.name)
	for _, s := range []*space{server, node} {
		s.run("ip", "link", "set", "eth0", "up")
	}
	NewWithT(t).Eventually(func() string {
		return node.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "link", "-tentative")
	}).
		WithTimeout(soon).ShouldNot(BeEmpty(), "a link-local address")
	return node, server
}

// testWriter puts what a process writes into the test's log, for as long as there is one.
type testWriter struct {
	t    *testing.T
	name string
}

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(w.name + ": " + strings.TrimSpace(string(p)))
	return len(p), nil
}

// daemon is a program of others in a namespace.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	text strings.Builder
}

func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// launch a program and wait until it says that it is ready.
func launch(s *space, env []string, ready string, command ...string) *daemon {
	s.t.Helper()
	path, err := exec.LookPath(command[0])
	if err != nil {
		path = filepath.Join("/usr/sbin", command[0])
	}
	d := &daemon{t: s.t, cmd: exec.Command(path, command[1:]...)} //nolint:gosec // the tests' own commands
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr = append(os.Environ(), env...), d, d
	if err := s.within(d.cmd.Start); err != nil {
		s.t.Fatalf("starting %s: %v; is it installed? hack/prerequisites.sh --install", command[0], err)
	}
	s.t.Cleanup(func() {
		d.stop()
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", command[0], d.said())
		}
	})
	NewWithT(s.t).Eventually(d.said).WithTimeout(soon).WithPolling(20 * time.Millisecond).Should(ContainSubstring(ready))
	return d
}

// stop the program as its operator would.
func (d *daemon) stop() {
	if d.cmd.ProcessState != nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
}

// capture DHCPv6 on the server's end of the link, as tcpdump prints it.
func capture(s *space) *daemon {
	s.t.Helper()
	return launch(s, nil, "listening on", "tcpdump", "-l", "-n", "-vv", "-i", "eth0", "udp port 546 or udp port 547")
}

// sees waits until a packet like that was captured.
func (d *daemon) sees(packet string) {
	d.t.Helper()
	NewWithT(d.t).Eventually(d.said).WithTimeout(soon).WithPolling(20 * time.Millisecond).Should(ContainSubstring(packet))
}
