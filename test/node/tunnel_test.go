// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// site is a router with two subnets: n1 and n2 are in the first, n3 in the second.
type site struct {
	*space
	nodes []*node
}

// underlay of a site: which families its nodes have, and whether IPv6 is switched off on them.
type underlay struct{ v6, v4, off bool }

// newSite starts the agents. Pods are dual-stack, of ranges that the router does not know.
func newSite(t testing.TB, u underlay, mode agentconfig.EncapsulationMode, change ...func(*agentconfig.Config)) *site {
	t.Helper()
	s := &site{space: newSpace(t, "router")}
	s.sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	s.sysctl(t, "net/ipv4/ip_forward", "1")
	for i := range 2 {
		bridge := fmt.Sprint("br", i)
		s.ip(t, "link", "add", bridge, "type", "bridge")
		s.ip(t, "link", "set", bridge, "up")
		s.ip(t, "addr", "add", fmt.Sprintf("fd00:%d::1/64", i), "dev", bridge, "nodad")
		s.ip(t, "addr", "add", fmt.Sprintf("10.60.%d.1/24", i), "dev", bridge)
	}
	cfg := agentconfig.Config{
		RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6", "IPv4"}, NodePrefixLengthIPv6: 96,
		MasqueradeIPv4: true, NonMasqueradeCIDRs: []string{"10.60.0.0/16", "10.96.0.0/16"},
		Encapsulation: &agentconfig.Encapsulation{Mode: mode, VNI: 4096, Port: 4789},
	}
	for _, f := range change {
		f(&cfg)
	}
	var known []agent.Node
	for i, subnet := range []int{0, 0, 1} {
		n := newNode(t, fmt.Sprintf("n%d", i+1), cfg)
		known = append(known, s.plug(t, n, i+1, subnet, u))
		s.nodes = append(s.nodes, n)
	}
	for i, n := range s.nodes {
		n.file.View = viewOf(known[i], slices.Delete(slices.Clone(known), i, i+1)...)
		n.start()
	}
	for _, n := range s.nodes {
		n.ready()
	}
	return s
}

func (s *site) plug(t testing.TB, n *node, number, subnet int, u underlay) agent.Node {
	t.Helper()
	port := fmt.Sprint("port", number)
	s.ip(t, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", n.name)
	s.ip(t, "link", "set", port, "master", fmt.Sprint("br", subnet), "up")
	n.sysctl(t, "net/ipv6/conf/eth0/accept_dad", "0")
	if u.off {
		n.sysctl(t, "net/ipv6/conf/default/disable_ipv6", "1")
		n.sysctl(t, "net/ipv6/conf/eth0/disable_ipv6", "1")
	}
	n.ip(t, "link", "set", "eth0", "up")
	k := agent.Node{Name: n.file.View.Own.Name, PodCIDRs: []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("fd00:10::%d:d000:0/100", number)), netip.MustParsePrefix(fmt.Sprintf("10.96.%d.0/24", number)),
	}}
	if u.v6 {
		n.ip(t, "addr", "add", fmt.Sprintf("fd00:%d::1%d/64", subnet, number), "dev", "eth0", "nodad")
		n.ip(t, "route", "add", "default", "via", fmt.Sprintf("fd00:%d::1", subnet))
		k.Addrs = append(k.Addrs, netip.MustParseAddr(fmt.Sprintf("fd00:%d::1%d", subnet, number)))
	}
	if u.v4 {
		n.ip(t, "addr", "add", fmt.Sprintf("10.60.%d.1%d/24", subnet, number), "dev", "eth0")
		n.ip(t, "route", "add", "default", "via", fmt.Sprintf("10.60.%d.1", subnet))
		k.Addrs = append(k.Addrs, netip.MustParseAddr(fmt.Sprintf("10.60.%d.1%d", subnet, number)))
	}
	return k
}

// pods makes one on each node, which answers on its addresses.
func (s *site) pods(t testing.TB) []*pod {
	t.Helper()
	var out []*pod
	for i, n := range s.nodes {
		p := n.newPod(t, fmt.Sprint("p", i+1)).add(t)
		for _, a := range p.addrs(t) {
			p.echo(t, a)
		}
		out = append(out, p)
	}
	return out
}

// TestTunnels: every pod reaches every other in both families, and packets at the router's ports show how.
func TestTunnels(t *testing.T) {
	needsRoot(t)
	for _, mode := range []agentconfig.EncapsulationMode{agentconfig.EncapsulationAlways, agentconfig.EncapsulationCrossSubnet} {
		for name, u := range map[string]underlay{"IPv6": {v6: true}, "IPv4": {v4: true}, "both": {v6: true, v4: true}} {
			t.Run(fmt.Sprint(mode, " over ", name), func(t *testing.T) {
				s := newSite(t, u, mode)
				pods := s.pods(t)
				for i, from := range pods {
					port := s.capture(t, fmt.Sprint("port", i+1))
					for j, to := range pods {
						if i == j {
							continue
						}
						for family, a := range to.addrs(t) {
							s.passes(t, port, from, a, from.addrs(t)[family], expected(u, mode, i, j, a))
						}
					}
				}
			})
		}
	}
}

// expected kind of packets between the pods of two nodes.
func expected(u underlay, mode agentconfig.EncapsulationMode, from, to int, a netip.Addr) string {
	near := from < 2 && to < 2
	family := map[bool]string{true: "IPv4", false: "IPv6"}
	if mode == agentconfig.EncapsulationCrossSubnet && near && (a.Is4() && u.v4 || a.Is6() && u.v6) {
		return "native " + family[a.Is4()]
	}
	return "vxlan over " + family[!u.v6]
}

// passes sends a packet of a text of its own, which must arrive with the pod's address, and be seen on the port as that kind only.
func (s *site) passes(t testing.TB, port *capture, from *pod, to, self netip.Addr, want string) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() (string, error) { return from.ask(t, to) }, "5s").Should(Equal(self.String()), "%s to %s", from.id, to)
	text := fmt.Sprintf("from %s to %s", from.id, to)
	_, err := from.dial(t, to).Write([]byte(text))
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() [][]byte { return port.with(text) }, "5s", "5ms").ShouldNot(BeEmpty(), text)
	for _, frame := range port.with(text) {
		g.Expect(kind(frame)).To(Equal(want), text)
	}
}

// TestFullSizedPacketsInTunnels: pods' MTU leaves room for what a tunnel adds, to the byte.
func TestFullSizedPacketsInTunnels(t *testing.T) {
	needsRoot(t)
	for name, c := range map[string]struct {
		u   underlay
		mtu int
	}{"IPv6": {underlay{v6: true}, 1430}, "IPv4": {underlay{v4: true}, 1450}} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := newSite(t, c.u, agentconfig.EncapsulationAlways)
			pods := s.pods(t)
			port := s.capture(t, "port1")
			g.Expect(pods[0].ip(t, "link", "show", "eth0")).To(ContainSubstring(fmt.Sprintf("mtu %d ", c.mtu)))
			for i, to := range pods[2].addrs(t) {
				g.Eventually(func() (string, error) { return pods[0].ask(t, to) }, "5s").Should(Equal(pods[0].addrs(t)[i].String()))
				payload := []byte(fmt.Sprintf("%*s", c.mtu-map[bool]int{true: 28, false: 48}[to.Is4()], "full "+to.String()))
				conn := pods[0].dial(t, to)
				_, err := conn.Write(payload)
				g.Expect(err).NotTo(HaveOccurred())
				g.Eventually(func() [][]byte { return port.with("full " + to.String()) }, "5s", "5ms").ShouldNot(BeEmpty())
				frame := port.with("full " + to.String())[0]
				g.Expect(frame).To(HaveLen(14 + 1500))
				g.Expect(kind(frame)).To(Equal("vxlan over " + name))
				g.Expect(conn.SetReadDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
				g.Expect(conn.Read(make([]byte, 100))).To(BeNumerically(">", 0), "it arrived, and was answered")
			}
		})
	}
}

// TestNarrowLinksUnderTunnels: a link in the middle takes less than the uplinks. Over IPv6 the router says so to the node, and the node to
// the pod; over IPv4 the router divides the packets.
func TestNarrowLinksUnderTunnels(t *testing.T) {
	needsRoot(t)
	for name, u := range map[string]underlay{"IPv6": {v6: true}, "IPv4": {v4: true}} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := newSite(t, u, agentconfig.EncapsulationAlways)
			pods := s.pods(t)
			s.ip(t, "link", "set", "br1", "mtu", "1400")
			s.ip(t, "link", "set", "port3", "mtu", "1400")
			for _, to := range pods[2].addrs(t) {
				g.Expect(transfer(t, pods[0].space, pods[2].space, to, 1<<20)).To(Equal(1 << 20))
			}
			if u.v6 {
				g.Expect(pods[0].ip(t, "route", "get", pods[2].addr(t).String())).To(ContainSubstring("mtu 1330"))
				g.Expect(pods[0].ip(t, "route", "get", pods[2].addrs(t)[1].String())).To(ContainSubstring("mtu 1330"))
			}
		})
	}
}

// TestPodsWithALargerMTUThanTheirTunnel are told by their node.
func TestPodsWithALargerMTUThanTheirTunnel(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v6: true}, agentconfig.EncapsulationCrossSubnet, func(c *agentconfig.Config) { c.MTU = 1500 })
	pods := s.pods(t)
	for _, to := range pods[2].addrs(t) {
		g.Expect(transfer(t, pods[0].space, pods[2].space, to, 1<<20)).To(Equal(1 << 20))
		g.Expect(pods[0].ip(t, "route", "get", to.String())).To(ContainSubstring("mtu 1430"))
	}
	g.Expect(transfer(t, pods[0].space, pods[1].space, pods[1].addr(t), 1<<20)).To(Equal(1 << 20))
	g.Expect(pods[0].ip(t, "route", "get", pods[1].addr(t).String())).NotTo(ContainSubstring("mtu"), "on the link there is no tunnel")
}

// transfer sends bytes over TCP and returns how many arrived.
func transfer(t testing.TB, from, to *space, a netip.Addr, size int) (int, error) {
	t.Helper()
	var l net.Listener
	err := to.within(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
		return err
	})
	if err != nil {
		return 0, err
	}
	defer l.Close() //nolint:errcheck // a test
	var conn net.Conn
	err = from.within(func() (err error) {
		conn, err = net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		return err
	})
	if err != nil {
		return 0, err
	}
	go func() {
		_, _ = conn.Write(make([]byte, size))
		_ = conn.Close()
	}()
	in, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer in.Close() //nolint:errcheck // a test
	if err := in.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, in)
	return int(n), err
}

// TestNodesAndTheirPeersPods: a node without a single IPv6 address of its own talks to IPv6 pods of others, and answers for those that
// do not exist.
func TestNodesAndTheirPeersPods(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v4: true}, agentconfig.EncapsulationAlways)
	pods := s.pods(t)
	for _, n := range s.nodes {
		for i, want := range []string{"fd00:10::1:d000:0", "10.96.1.0"} {
			from, err := s.nodes[0].ask(t, pods[2].addrs(t)[i])
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(from).To(Equal(want), "by the tunnel, so that the answer comes by it, too")
		}
		g.Expect(n.ip(t, "-6", "addr", "show", "dev", "eth0", "scope", "global")).To(BeEmpty())
	}
	for _, nobody := range []string{"fd00:10::3:d000:99", "10.96.3.99"} {
		g.Expect(pods[0].connect(netip.MustParseAddr(nobody))).To(Or(MatchError(syscall.EHOSTUNREACH), MatchError(syscall.ENETUNREACH)), "the far node answers at once")
	}
	g.Expect(pods[0].connect(netip.MustParseAddr("2001:db8::1"))).To(MatchError(syscall.ENETUNREACH), "there is no way out by IPv6, and the node says so")
}

// TestANodeWithoutIPv6AndItsOwnPods: kubelet's probes and the pods' answers, before there is any other node and with one.
func TestANodeWithoutIPv6AndItsOwnPods(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v4: true}, agentconfig.EncapsulationAlways)
	n := s.nodes[0]
	p := n.newPod(t, "p").add(t)
	p.echo(t, p.addr(t))
	g.Expect(n.ask(t, p.addr(t))).To(Equal("fd00:10::1:d000:0"))
	n.tell(viewOf(*n.file.View.Own))
	g.Eventually(func() string { return n.ip(t, "link", "show") }, "10s", "20ms").ShouldNot(ContainSubstring("v6vxlan"))
	g.Expect(n.ask(t, p.addr(t))).To(HavePrefix("fe80::1%"), "the wire's own address, which the pod knows as its gateway")
}

// connect tries TCP, which tells of ICMP errors.
func (s *space) connect(to netip.Addr) error {
	return s.within(func() error {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(to, 9).String(), 5*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

// TestIPv6SwitchedOffOnTheNodes: pods have it nonetheless.
func TestIPv6SwitchedOffOnTheNodes(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v4: true, off: true}, agentconfig.EncapsulationAlways)
	pods := s.pods(t)
	for i, to := range pods[2].addrs(t) {
		g.Expect(pods[0].ask(t, to)).To(Equal(pods[0].addrs(t)[i].String()))
	}
}
