// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// The tests here run this binary as an agent that allocates and releases, and kill it. What it has been told to be done must be so
// after the next start, and nothing may be held that is neither done nor under way.
const (
	crashDirEnv  = "PODIP_CRASH_DIR"
	crashStepEnv = "PODIP_CRASH_STEP"
)

var crashRange = netip.MustParsePrefix("2001:db8::/120")

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		if err := live(dir, os.Getenv(crashStepEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// live says "+ key address" when an allocation is done, "- key" before a release is begun and "= key" when it is done. It dies at the
// step that it is told, "step:n" being its n-th time.
func live(dir, step string) error {
	s, err := New(dir)
	if err != nil {
		return err
	}
	if name, count, ok := strings.Cut(step, ":"); ok {
		var left int
		if _, err := fmt.Sscan(count, &left); err != nil {
			return err
		}
		s.step = func(is string) {
			if is != name {
				return
			}
			if left--; left == 0 {
				self, _ := os.FindProcess(os.Getpid())
				_ = self.Kill()
				select {}
			}
		}
	}
	a, err := openOn(s, func(podip.Record) bool { return true })
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(os.Stdout, 0)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...); _ = out.Flush() }
	say("ready\n")
	var held []podip.Key
	for _, r := range a.Records() {
		held = append(held, r.Key)
	}
	for i := 0; ; i++ {
		if len(held) > 20 || len(held) > 0 && rand.N(3) == 0 { //nolint:gosec // a test
			j := rand.N(len(held)) //nolint:gosec // a test
			k := held[j]
			held = append(held[:j], held[j+1:]...)
			say("- %s\n", k)
			if err := a.Release(context.Background(), k); err != nil {
				return err
			}
			say("= %s\n", k)
			continue
		}
		k := podip.Key{ContainerID: fmt.Sprintf("p%d-%d", os.Getpid(), i), Interface: "eth0"}
		r, err := a.Allocate(context.Background(), podip.Claim{Key: k})
		if err != nil {
			return err
		}
		say("+ %s %s\n", k, r.Addrs[0])
		held = append(held, k)
	}
}

func openOn(s podip.Store, live func(podip.Record) bool) (*podip.Allocator, error) {
	a, err := podip.Open(context.Background(), s, live)
	if err != nil {
		return nil, err
	}
	return a, a.SetRanges([]netip.Prefix{crashRange}, nil)
}

// history is what the world was told.
type history struct {
	held      map[string]string // key → address
	releasing map[string]bool   // began to be released, and may be
}

// hear reads what an agent said. A last line that was cut off does not count: nobody was told.
func (h *history) hear(said []byte) {
	h.releasing = map[string]bool{}
	for line := range strings.Lines(string(said)) {
		f := strings.Fields(line)
		switch {
		case !strings.HasSuffix(line, "\n"):
		case f[0] == "+":
			h.held[f[1]] = f[2]
		case f[0] == "-":
			h.releasing[f[1]] = true
		case f[0] == "=":
			delete(h.held, f[1])
			delete(h.releasing, f[1])
		}
	}
}

// verify opens the store as the next agent does, compares, and drops what nobody was told of, as the next agent does.
func (h *history) verify(t *testing.T, dir string) {
	t.Helper()
	g := NewWithT(t)
	s := mustNew(t, dir)
	defer s.Close() //nolint:errcheck // a test
	records, err := s.Load(t.Context())
	g.Expect(err).NotTo(HaveOccurred(), "no crash damages a record")
	stored, owner, untold := map[string]string{}, map[netip.Addr]string{}, 0
	for _, r := range records {
		g.Expect(owner).NotTo(HaveKey(r.Addrs[0]), "double address")
		owner[r.Addrs[0]] = r.String()
		stored[r.String()] = r.Addrs[0].String()
		if _, ok := h.held[r.String()]; !ok {
			untold++
		}
	}
	g.Expect(untold).To(BeNumerically("<=", 1), "at most the one allocation that was under way")
	for k, addr := range h.held {
		if h.releasing[k] {
			if _, ok := stored[k]; !ok {
				delete(h.held, k)
				continue
			}
		}
		g.Expect(stored).To(HaveKeyWithValue(k, addr), "lost")
	}
	a, err := openOn(s, func(r podip.Record) bool { _, ok := h.held[r.String()]; return ok })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Usage()[0].Used).To(BeEquivalentTo(len(h.held)), "leak")
	g.Expect(s.Dump()).To(HaveLen(len(h.held)), "no file is left behind")
}

// TestKilledAtEveryStep dies between any two system calls of a write or removal, early and late in a life.
func TestKilledAtEveryStep(t *testing.T) {
	dir, h := t.TempDir(), history{held: map[string]string{}}
	for _, step := range []string{"created", "written", "synced", "renamed", "durable", "removed"} {
		for _, count := range []int{1, 2, 7} {
			said := run(t, dir, fmt.Sprintf("%s:%d", step, count), func(*exec.Cmd) {})
			h.hear(said)
			h.verify(t, dir)
		}
	}
}

// TestKilledAtAnyMoment kills from outside, hundreds of times, on one store.
func TestKilledAtAnyMoment(t *testing.T) {
	times := 300
	if testing.Short() {
		times = 30
	}
	dir, h := t.TempDir(), history{held: map[string]string{}}
	done := 0
	for range times {
		said := run(t, dir, "", func(cmd *exec.Cmd) {
			time.Sleep(rand.N(15 * time.Millisecond)) //nolint:gosec // not a wait: the moment of the kill is the point
			_ = cmd.Process.Kill()
		})
		done += bytes.Count(said, []byte("\n"))
		h.hear(said)
		h.verify(t, dir)
	}
	if done < times {
		t.Errorf("the agents did %d things in %d lives; the kills come too early to test anything", done, times)
	}
	t.Logf("%d lives, %d things done", times, done)
}

// run starts an agent, calls kill once it works, and returns what it said after it has died.
func run(t *testing.T, dir, step string, kill func(*exec.Cmd)) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe) //nolint:gosec // this binary
	cmd.Env = append(os.Environ(), crashDirEnv+"="+dir, crashStepEnv+"="+step)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err == nil && line == "ready\n" {
		kill(cmd)
	}
	var said bytes.Buffer
	if _, err := said.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the agent ended by itself: %v\n%s", err, errs.String())
	}
	return said.Bytes()
}
