// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
)

// runtimes is how many plugins run at a time: more than any kubelet starts.
const runtimes = 32

// each calls f for every pod, many at a time.
func each(t testing.TB, pods []*pod, f func(*pod) error) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(runtimes)
	for _, p := range pods {
		group.Go(func() error {
			if err := f(p); err != nil {
				return fmt.Errorf("%s: %w", p.id, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (n *node) newPods(t testing.TB, prefix string, count int) []*pod {
	t.Helper()
	var pods []*pod
	for i := range count {
		pods = append(pods, n.newPod(t, fmt.Sprint(prefix, i)))
	}
	return pods
}

// distinct fails if two pods have one address.
func distinct(t testing.TB, pods []*pod) {
	t.Helper()
	owner := map[netip.Addr]string{}
	for _, p := range pods {
		a := p.addr(t)
		if other, ok := owner[a]; ok {
			t.Errorf("%s and %s both have %s", other, p.id, a)
		}
		owner[a] = p.id
	}
}

// TestThousandPods goes beyond gc_thresh3 (1024 for all namespaces together, two entries a pod): permanent neighbours do not count.
func TestThousandPods(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	pods := n.newPods(t, "p", 1000)
	begin := time.Now()
	each(t, pods, func(p *pod) error { return p.try("ADD") })
	t.Logf("1,000 ADD, %d at a time: %s", runtimes, time.Since(begin).Round(time.Millisecond))
	distinct(t, pods)
	g.Expect(n.records(t)).To(HaveLen(1000))
	each(t, pods[:50], func(p *pod) error { return p.try("CHECK") })
	n.echo(t, netip.MustParseAddr("fd00:cafe::11"))
	for _, p := range []*pod{pods[0], pods[500], pods[999]} {
		g.Expect(p.ask(t, netip.MustParseAddr("fd00:cafe::11"))).To(Equal(p.addr(t).String()))
	}
	begin = time.Now()
	each(t, pods, func(p *pod) error { return p.try("DEL") })
	t.Logf("1,000 DEL: %s", time.Since(begin).Round(time.Millisecond))
	g.Expect(n.records(t)).To(BeEmpty())
	g.Expect(n.wires(t)).To(BeEmpty())
}

// TestKilledInTheMiddle kills the agent again and again while pods come and go. Runtimes do what they do: try again after an error.
func TestKilledInTheMiddle(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	stop := make(chan struct{})
	var killer sync.WaitGroup
	var kills atomic.Int64
	killer.Go(func() {
		for i := 0; ; i++ {
			n.ready()
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(50+40*(i%5)) * time.Millisecond): // not a wait: the moment of the kill is the point
			}
			s := os.Signal(syscall.SIGKILL)
			if i%3 == 2 {
				s = syscall.SIGTERM
			}
			_ = n.signal(s)
			n.start()
			kills.Add(1)
		}
	})
	again := func(p *pod, command string) error {
		deadline := time.Now().Add(60 * time.Second)
		for {
			err := p.try(command)
			if err == nil || time.Now().After(deadline) {
				return err
			}
		}
	}
	t.Cleanup(func() { // before the node is taken away
		select {
		case <-stop:
		default:
			close(stop)
			killer.Wait()
		}
	})
	var alive, deleted []*pod
	for round := 0; kills.Load() < 6; round++ {
		pods := n.newPods(t, fmt.Sprintf("r%d-", round), 40)
		each(t, pods, func(p *pod) error { return again(p, "ADD") })
		each(t, pods[:20], func(p *pod) error { return again(p, "DEL") })
		deleted, alive = append(deleted, pods[:20]...), append(alive, pods[20:]...)
	}
	close(stop)
	killer.Wait()
	n.ready()
	t.Logf("%d kills, %d pods", kills.Load(), len(alive)+len(deleted))

	distinct(t, alive)
	each(t, alive, func(p *pod) error { return p.try("CHECK") })
	// A DEL that met no agent succeeded, and left the wire: then the runtime removes the namespace.
	for _, p := range deleted {
		p.remove()
	}
	g.Eventually(func() []string { return n.records(t) }, "15s", "50ms").Should(HaveLen(len(alive)), "no leak")
	each(t, alive, func(p *pod) error { return p.try("DEL") })
	g.Expect(n.records(t)).To(BeEmpty())
	g.Expect(n.wires(t)).To(BeEmpty())
}

// stream sends a packet every 10 ms, until end is called, which says how many of them were sent and answered.
func (s *space) stream(t testing.TB, to netip.Addr) (end func() (sent, received int)) {
	t.Helper()
	conn := s.dial(t, to)
	answers := make(chan int, 1)
	go func() {
		buf, n := make([]byte, 100), 0
		for {
			if _, err := conn.Read(buf); err != nil {
				answers <- n
				return
			}
			n++
		}
	}()
	count := 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, err := conn.Write([]byte("?")); err == nil {
					count++
				}
			}
		}
	}()
	return func() (int, int) {
		close(stop)
		<-stopped
		if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		return count, <-answers
	}
}

// TestARestartLosesNoPacket sends a packet every 10 ms between the pods of two nodes while both agents end, politely and not, and start.
func TestARestartLosesNoPacket(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	_, nodes := cluster(t, v6(), n1(), n2())
	a, b := nodes[0].newPod(t, "a").add(t), nodes[1].newPod(t, "b").add(t)
	b.echo(t, b.addr(t))
	g.Expect(a.ask(t, b.addr(t))).To(Equal(a.addr(t).String()))

	end := a.stream(t, b.addr(t))
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		for _, n := range nodes {
			_ = n.signal(s)
		}
		g.Expect(nodes[0].file.path("net.d/10-ipv6.conflist")).To(BeARegularFile(), "the runtime goes on to know the network")
		for _, n := range nodes {
			n.start()
			n.ready()
		}
	}
	nodes[0].newPod(t, "c").add(t)
	sent, received := end()
	g.Expect(received).To(Equal(sent))
	g.Expect(sent).To(BeNumerically(">", 20))
	t.Logf("%d packets", sent)
	g.Expect(nodes[0].logged()).To(ContainSubstring("recovered"))
	g.Expect(a.try("CHECK")).To(Succeed())
}

func TestSIGTERMEndsWell(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	p := n.newPod(t, "a").add(t)
	g.Expect(n.signal(syscall.SIGTERM)).To(Succeed())
	g.Expect(n.wires(t)).To(Equal([]string{p.hostInterface()}))
	g.Expect(n.ip(t, "-6", "route", "show", "proto", "146")).NotTo(BeEmpty())
	g.Expect(n.records(t)).To(Equal([]string{"a:eth0.json"}))
}
