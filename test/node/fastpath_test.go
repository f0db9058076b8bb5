// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	bpflink "github.com/cilium/ebpf/link"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// firewall tracks connections, translates Services as kube-proxy does, drops what it takes for invalid as many nodes do, and counts what it sees.
func (n *node) firewall(t testing.TB, services map[string]netip.Addr) {
	t.Helper()
	var dnat strings.Builder
	for service, backend := range services {
		fmt.Fprintf(&dnat, "ip6 daddr %s meta l4proto { tcp, udp } dnat to %s\n", service, backend)
	}
	rules := filepath.Join(t.TempDir(), "rules")
	err := os.WriteFile(rules, fmt.Appendf(nil, `table ip6 test {
		counter forwarded {}
		chain in { type nat hook prerouting priority dstnat; %[1]s }
		chain out { type nat hook output priority -100; %[1]s }
		chain rules {}
		chain forward { type filter hook forward priority 0; meta l4proto { tcp, udp } counter name forwarded; ct state invalid drop; jump rules; }
	}`, dnat.String()), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	n.run(t, "nft", "-f", rules)
}

// forwarded is how many packets the firewall saw.
func (n *node) forwarded(t testing.TB) int {
	t.Helper()
	fields := strings.Fields(n.run(t, "nft", "list", "counter", "ip6", "test", "forwarded"))
	for i, f := range fields {
		if f == "packets" {
			count, err := strconv.Atoi(fields[i+1])
			if err != nil {
				t.Fatal(err)
			}
			return count
		}
	}
	t.Fatalf("no counter in %v", fields)
	return 0
}

// echoTCP answers every connection to port 7 with what it says, until the test ends.
func (s *space) echoTCP(t testing.TB, a netip.Addr) {
	t.Helper()
	var l *net.TCPListener
	err := s.within(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 7)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // the other side tells
				_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			}()
		}
	}()
}

// dialTCP connects to port 7.
func (s *space) dialTCP(to netip.Addr, patience time.Duration) (c net.Conn, err error) {
	err = s.within(func() error {
		c, err = net.DialTimeout("tcp", netip.AddrPortFrom(to, 7).String(), patience)
		return err
	})
	return c, err
}

// exchanges is how often talk asks.
const exchanges = 20

// talk has an answer for each question, or fails.
func talk(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	buffer := make([]byte, 100)
	for range exchanges {
		if _, err := c.Write([]byte("?")); err != nil {
			return err
		}
		if _, err := c.Read(buffer); err != nil {
			return err
		}
	}
	return nil
}

// seen is how many packets of a talk the firewall sees; it must not fail.
func (n *node) seen(t testing.TB, c net.Conn) int {
	t.Helper()
	before := n.forwarded(t)
	if err := talk(c); err != nil {
		t.Fatalf("%s with %s: %v", c.LocalAddr(), c.RemoteAddr(), err)
	}
	return n.forwarded(t) - before
}

// programs is how many programs are at an interface.
func (n *node) programs(t testing.TB, device string) int {
	t.Helper()
	var count int
	err := n.within(func() error {
		i, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		r, err := bpflink.QueryPrograms(bpflink.QueryOptions{Target: i.Index, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			count = len(r.Programs)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// quick is two nodes with a fast path; a and c are on the first, b on the second.
type quick struct {
	nodes   []*node
	a, b, c *pod
}

const remote, local = "fd00:30::b", "fd00:30::c"

func newQuick(t testing.TB) *quick {
	t.Helper()
	cfg := v6()
	cfg.FastPath = true
	_, nodes := cluster(t, cfg, n1(), n2())
	q := &quick{nodes: nodes, a: nodes[0].newPod(t, "a").add(t), b: nodes[1].newPod(t, "b").add(t), c: nodes[0].newPod(t, "c").add(t)}
	for _, p := range []*pod{q.b, q.c} {
		p.echo(t, p.addr(t))
		p.echoTCP(t, p.addr(t))
	}
	for _, n := range nodes {
		n.firewall(t, map[string]netip.Addr{remote: q.b.addr(t), local: q.c.addr(t)})
	}
	return q
}

// connect connects a with an address by both protocols.
func (q *quick) connect(t testing.TB, to netip.Addr) map[string]net.Conn {
	t.Helper()
	tcp, err := q.a.dialTCP(to, 5*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	return map[string]net.Conn{"TCP": tcp, "UDP": q.a.dial(t, to)}
}

func TestFastPath(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	q := newQuick(t)
	for name, to := range map[string]netip.Addr{"on another node": q.b.addr(t), "on the same node": q.c.addr(t)} {
		for protocol, c := range q.connect(t, to) {
			for _, n := range q.nodes {
				g.Eventually(func() int { return n.seen(t, c) }, "10s", "20ms").Should(BeZero(), "%s to a pod %s, on %s", protocol, name, n.name)
			}
		}
	}
}

// TestFastPathAndServices: answers of a translated connection must be translated back, so none of its packets may pass by.
func TestFastPathAndServices(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	q := newQuick(t)
	for _, service := range []string{remote, local} {
		plain := map[string]netip.Addr{remote: q.b.addr(t), local: q.c.addr(t)}[service]
		direct := q.connect(t, plain)
		translated := q.connect(t, netip.MustParseAddr(service))
		for protocol := range direct {
			g.Eventually(func() int { return q.nodes[0].seen(t, direct[protocol]) }, "10s", "20ms").Should(BeZero(), "the fast path is there")
			g.Expect(talk(translated[protocol])).To(Succeed())
			g.Expect(q.nodes[0].seen(t, translated[protocol])).To(BeNumerically(">=", 2*exchanges), "%s to %s", protocol, service)
			g.Expect(translated[protocol].RemoteAddr().String()).To(Equal("["+service+"]:7"), "the answers came from the Service")
		}
	}
	// A node port: a pod of one node asks the address of the other, which translates and keeps the pod's address.
	port := "fd00:cafe::12"
	q.nodes[1].run(t, "nft", "add", "rule", "ip6", "test", "in", "ip6", "daddr", port, "meta", "l4proto", "{", "tcp,", "udp", "}", "dnat", "to", q.b.addr(t).String())
	for protocol, c := range q.connect(t, netip.MustParseAddr(port)) {
		g.Expect(talk(c)).To(Succeed())
		g.Expect(q.nodes[1].seen(t, c)).To(BeNumerically(">=", 2*exchanges), protocol)
	}
}

// TestFastPathLeavesErrorsToTheStack: packets that cannot be forwarded are answered.
func TestFastPathLeavesErrorsToTheStack(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	q := newQuick(t)
	n := q.nodes[0]
	conns := q.connect(t, q.b.addr(t))
	for _, c := range conns {
		g.Eventually(func() int { return n.seen(t, c) }, "10s", "20ms").Should(BeZero())
	}
	udp := conns["UDP"].(*net.UDPConn)
	raw, err := udp.SyscallConn()
	g.Expect(err).NotTo(HaveOccurred())
	option := func(name, value int) {
		t.Helper()
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, name, value) })
		g.Expect([]error{err, failed}).To(HaveEach(BeNil()))
	}
	option(unix.IPV6_RECVERR, 1)
	option(unix.IPV6_UNICAST_HOPS, 1)
	_, err = udp.Write([]byte("?"))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = udp.Read(make([]byte, 10))
	g.Expect(err).To(MatchError(syscall.EHOSTUNREACH), "time exceeded")
	option(unix.IPV6_UNICAST_HOPS, 64)

	// The way gets narrower than the pods know.
	for _, n := range q.nodes {
		n.ip(t, "link", "set", "eth0", "mtu", "1400")
	}
	tcp := conns["TCP"]
	g.Expect(tcp.SetDeadline(time.Now().Add(20 * time.Second))).To(Succeed())
	sent := bytes.Repeat([]byte("0123456789"), 30_000)
	go func() { _, _ = tcp.Write(sent) }()
	received := make([]byte, len(sent))
	_, err = io.ReadFull(tcp, received)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(bytes.Equal(received, sent)).To(BeTrue())
	g.Expect(q.a.ip(t, "-6", "route", "get", q.b.addr(t).String())).To(ContainSubstring("mtu 1400"), "packet too big")
}

// TestFastPathAndPolicy: what the firewall refuses never gets on the fast path, and nobody takes another's connection there.
func TestFastPathAndPolicy(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	q := newQuick(t)
	n := q.nodes[0]
	conns := q.connect(t, q.b.addr(t))
	for _, c := range conns {
		g.Eventually(func() int { return n.seen(t, c) }, "10s", "20ms").Should(BeZero())
	}

	// c says that it is a, in a's own connection.
	port := conns["UDP"].LocalAddr().(*net.UDPAddr).AddrPort()
	q.c.ip(t, "addr", "add", q.a.addr(t).String()+"/128", "dev", "lo", "nodad")
	var spoofed *net.UDPConn
	g.Expect(q.c.within(func() (err error) {
		spoofed, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(port), net.UDPAddrFromAddrPort(netip.AddrPortFrom(q.b.addr(t), 7)))
		return err
	})).To(Succeed())
	t.Cleanup(func() { _ = spoofed.Close() })
	before := n.forwarded(t)
	_, err := spoofed.Write([]byte("?"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(n.forwarded(t)).To(Equal(before+1), "the firewall sees it")

	// Nobody answers: the firewall has said yes to one direction only.
	oneWay := q.a.dialPort(t, netip.AddrPortFrom(q.b.addr(t), 9))
	before = n.forwarded(t)
	for range exchanges {
		_, _ = oneWay.Write([]byte("?")) // the port is unreachable, which the next call is told
	}
	g.Expect(n.forwarded(t)-before).To(BeNumerically(">=", exchanges/2), "one that was not answered")

	n.run(t, "nft", "add", "rule", "ip6", "test", "rules", "ip6", "daddr", q.b.addr(t).String(), "ct", "state", "new", "drop")
	_, err = q.a.dialTCP(q.b.addr(t), 300*time.Millisecond)
	g.Expect(err).To(Satisfy(os.IsTimeout))
	for _, c := range conns {
		g.Expect(talk(c)).To(Succeed(), "what was allowed goes on")
	}
}

// TestFastPathEndsWithTheAgent: connections go on, on their ordinary way, and nothing is left behind.
func TestFastPathEndsWithTheAgent(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	q := newQuick(t)
	n := q.nodes[0]
	conns := q.connect(t, q.b.addr(t))
	served := func() {
		t.Helper()
		for _, c := range conns {
			g.Eventually(func() int { return n.seen(t, c) }, "10s", "20ms").Should(BeZero())
		}
	}
	served()
	g.Expect([]int{n.programs(t, "eth0"), n.programs(t, q.a.hostInterface())}).To(Equal([]int{1, 1}))
	// Enough that what the firewall remembers of the connection's window is long past.
	tcp := conns["TCP"]
	g.Expect(tcp.SetDeadline(time.Now().Add(20 * time.Second))).To(Succeed())
	go func() { _, _ = tcp.Write(make([]byte, 50<<20)) }()
	_, err := io.CopyN(io.Discard, tcp, 50<<20)
	g.Expect(err).NotTo(HaveOccurred())

	for _, s := range []os.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		_ = n.signal(s)
		g.Eventually(func() []int { return []int{n.programs(t, "eth0"), n.programs(t, q.a.hostInterface())} }, "5s", "10ms").Should(Equal([]int{0, 0}))
		for protocol, c := range conns {
			g.Expect(n.seen(t, c)).To(BeNumerically(">=", 2*exchanges), "%s after %s", protocol, s)
		}
		n.start()
		n.ready()
		served()
	}

	g.Expect(q.c.try("DEL")).To(Succeed())
	d := n.newPod(t, "d").add(t)
	d.echoTCP(t, d.addr(t))
	for protocol, c := range map[string]net.Conn{"TCP": q.connect(t, d.addr(t))["TCP"]} {
		g.Eventually(func() int { return n.seen(t, c) }, "10s", "20ms").Should(BeZero(), protocol)
	}
	_ = tcp.Close()
	g.Eventually(func() string { return n.tracked(t) }, "5s", "20ms").ShouldNot(ContainSubstring(" ESTABLISHED src="+q.a.addr(t).String()+" dst="+q.b.addr(t).String()),
		"the firewall learns of a connection's end")
}

// tracked are the connections that the kernel tracks, with addresses as people write them.
func (n *node) tracked(t testing.TB) string {
	t.Helper()
	var out string
	err := n.within(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/nf_conntrack")
		fields := strings.Fields(string(b))
		for i, f := range fields {
			if k, v, ok := strings.Cut(f, "="); ok {
				if a, err := netip.ParseAddr(v); err == nil {
					fields[i] = k + "=" + a.String()
				}
			}
		}
		out = strings.Join(fields, " ")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
