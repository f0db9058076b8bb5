// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netns"
)

func needsRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and CI=true: it must not be left out")
	}
	t.Skip("LEFT OUT: this test needs root for network namespaces; run: sudo make test-node")
}

// space is a network namespace.
type space struct {
	t      testing.TB
	name   string
	handle netns.NsHandle
}

// spaces counts the namespaces, so that tests beside one another have their own.
var spaces atomic.Int64

func newSpace(t testing.TB, name string) *space {
	t.Helper()
	s := &space{t: t, name: fmt.Sprintf("v6bgp-%d-%d-%s", os.Getpid(), spaces.Add(1), name)}
	run(t, "ip", "netns", "add", s.name)
	t.Cleanup(func() { run(t, "ip", "netns", "delete", s.name) })
	var err error
	if s.handle, err = netns.GetFromName(s.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.handle.Close() })
	s.run("ip", "link", "set", "lo", "up")
	for _, name := range []string{"default", "all"} {
		s.run("sysctl", "-qw", "net.ipv6.conf."+name+".accept_dad=0", "net.ipv6.conf."+name+".forwarding=1")
	}
	return s
}

func run(t testing.TB, command string, args ...string) string {
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

func (s *space) command(name string, args ...string) *exec.Cmd {
	return exec.Command(name, args...) //nolint:gosec // the tests' own commands
}

// within runs f in the namespace; processes that it starts are in it.
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

// link joins two namespaces: eth0 of each gets its addresses.
func link(a, b *space, addressesA, addressesB []string) {
	a.t.Helper()
	linkNamed(a, b, "eth0", "eth0", addressesA, addressesB)
}

func linkNamed(a, b *space, nameA, nameB string, addressesA, addressesB []string) {
	a.t.Helper()
	run(a.t, "ip", "link", "add", nameA, "netns", a.name, "type", "veth", "peer", "name", nameB, "netns", b.name)
	for _, end := range []struct {
		s         *space
		name      string
		addresses []string
	}{{a, nameA, addressesA}, {b, nameB, addressesB}} {
		for _, address := range end.addresses {
			end.s.run("ip", "address", "add", address, "dev", end.name)
		}
		end.s.run("ip", "link", "set", end.name, "up")
	}
}

// routes of the namespace's kernel to a prefix, as iproute2 prints them.
func (s *space) routes(prefix string) string {
	s.t.Helper()
	return strings.TrimSpace(s.run("ip", "-6", "route", "show", "exact", prefix))
}

// router is BIRD in a namespace.
type router struct {
	*space
	socket  string
	process *os.Process
}

// bird starts BIRD, which announces and learns as the configuration says, and writes what it learns into the kernel.
func bird(t testing.TB, s *space, id, protocols string) *router {
	t.Helper()
	return birdWith(t, s, fmt.Sprintf(`
log stderr all;
router id %s;
protocol device { scan time 1; }
protocol kernel { ipv6 { import none; export all; }; merge paths on; }
%s`, id, protocols))
}

// birdWith starts BIRD with a whole configuration.
func birdWith(t testing.TB, s *space, text string) *router {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "bird.conf")
	r := &router{space: s, socket: filepath.Join(dir, "ctl")}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	err := s.within(func() error {
		cmd = exec.Command("bird", "-f", "-c", config, "-s", r.socket) //nolint:gosec // the tests' own command
		cmd.Stdout, cmd.Stderr = testWriter{t, s.name}, testWriter{t, s.name}
		return cmd.Start()
	})
	if err != nil {
		t.Fatalf("starting BIRD: %v; is it installed? hack/prerequisites.sh --install", err)
	}
	r.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	NewWithT(t).Eventually(func() error { _, err := os.Stat(r.socket); return err }).WithTimeout(10 * time.Second).Should(Succeed())
	return r
}

// ask BIRD. That it does not know something is an answer, too.
func (r *router) ask(command ...string) string {
	out, err := exec.Command("birdc", append([]string{"-s", r.socket}, command...)...).CombinedOutput() //nolint:gosec // the tests' own command
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}
