// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// inKernel is all that the kernel of a node knows of its tunnel.
func (n *node) inKernel(t testing.TB, tunnel string) string {
	t.Helper()
	own := func(out string) string { // what was learned, as others' solicitations, comes and goes
		return strings.Join(slices.DeleteFunc(lines(out), func(l string) bool { return strings.Contains(l, "STALE") }), "\n")
	}
	return strings.Join([]string{
		n.ip(t, "-d", "link", "show", tunnel), n.ip(t, "addr", "show", tunnel), own(n.run(t, "bridge", "fdb", "show", "dev", tunnel)),
		own(n.ip(t, "-6", "neigh", "show", "dev", tunnel)), n.ip(t, "route", "show", "dev", tunnel), n.ip(t, "-6", "route", "show", "dev", tunnel),
	}, "\n")
}

// TestARestartLosesNoPacketOfTunnels, nor does it touch anything of them.
func TestARestartLosesNoPacketOfTunnels(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v4: true}, agentconfig.EncapsulationAlways)
	pods := s.pods(t)
	var ends []func() (int, int)
	for i, to := range pods[2].addrs(t) {
		g.Eventually(func() (string, error) { return pods[0].ask(t, to) }, "5s").Should(Equal(pods[0].addrs(t)[i].String()))
		ends = append(ends, pods[0].stream(t, to))
	}
	before := s.nodes[0].inKernel(t, "v6vxlan4")
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, n := range s.nodes {
			_ = n.signal(signal)
		}
		for _, n := range s.nodes {
			n.start()
			n.ready()
		}
	}
	for _, end := range ends {
		sent, received := end()
		g.Expect(received).To(Equal(sent))
		g.Expect(sent).To(BeNumerically(">", 20))
	}
	g.Expect(s.nodes[0].inKernel(t, "v6vxlan4")).To(Equal(before))
}

// TestTamperedTunnelsAreRepaired: each case spoils the tunnel of n1, which looks the same as before soon after.
func TestTamperedTunnelsAreRepaired(t *testing.T) {
	needsRoot(t)
	s := newSite(t, underlay{v4: true}, agentconfig.EncapsulationAlways)
	n := s.nodes[0]
	pods := s.pods(t)
	fdb := strings.Fields(lines(n.run(t, "bridge", "fdb", "show", "dev", "v6vxlan4"))[0])[0]
	neighbour := strings.Fields(n.ip(t, "-6", "neigh", "show", "dev", "v6vxlan4", "nud", "permanent"))[0]
	before := n.inKernel(t, "v6vxlan4")
	for what, command := range map[string]string{
		"a forwarding entry deleted":    "bridge fdb del " + fdb + " dev v6vxlan4",
		"a forwarding entry redirected": "bridge fdb replace " + fdb + " dev v6vxlan4 dst 10.60.0.99",
		"a foreign forwarding entry":    "bridge fdb add 02:00:00:00:00:99 dev v6vxlan4 dst 10.60.0.99",
		"a neighbour deleted":           "ip -6 neigh del " + neighbour + " dev v6vxlan4",
		"an address deleted":            "ip addr del 10.96.1.0/32 dev v6vxlan4",
		"the MTU changed":               "ip link set v6vxlan4 mtu 1300",
		"the MAC changed":               "ip link set v6vxlan4 address 02:00:00:00:00:99",
		"switched off":                  "ip link set v6vxlan4 down",
		"a route deleted":               "ip -6 route del fd00:10::3:0:0/96",
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			args := strings.Fields(command)
			repairs := func() int { return strings.Count(n.logged(), "brought the node to its desired state") }
			done := repairs()
			n.run(t, args[0], args[1:]...)
			g.Eventually(repairs, "10s", "20ms").Should(BeNumerically(">", done))
			g.Eventually(func() string { return n.inKernel(t, "v6vxlan4") }, "10s", "50ms").Should(Equal(before))
		})
	}
	t.Run("the interface deleted", func(t *testing.T) {
		g := NewWithT(t)
		n.ip(t, "link", "del", "v6vxlan4")
		for i, to := range pods[2].addrs(t) {
			g.Eventually(func() (string, error) { return pods[0].ask(t, to) }, "10s", "50ms").Should(Equal(pods[0].addrs(t)[i].String()))
		}
	})
	t.Run("the interface made by someone else", func(t *testing.T) {
		g := NewWithT(t)
		_ = n.signal(syscall.SIGKILL)
		n.ip(t, "link", "del", "v6vxlan4")
		n.ip(t, "link", "add", "v6vxlan4", "type", "veth", "peer", "name", "other")
		n.start()
		for i, to := range pods[2].addrs(t) {
			g.Eventually(func() (string, error) { return pods[0].ask(t, to) }, "10s", "50ms").Should(Equal(pods[0].addrs(t)[i].String()))
		}
	})
}

// TestANodeBehindATunnelGoes, and comes again; the last one takes the tunnel with it.
func TestANodeBehindATunnelGoes(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v6: true}, agentconfig.EncapsulationAlways)
	n, pods := s.nodes[0], s.pods(t)
	end := pods[0].stream(t, pods[1].addr(t))
	view := n.file.View
	fewer := view
	fewer.Peers = slices.Clone(view.Peers[:1])
	fdb := func() []string { return lines(n.run(t, "bridge", "fdb", "show", "dev", "v6vxlan6")) }
	g.Expect(fdb()).To(HaveLen(2))
	for range 3 {
		n.tell(fewer)
		g.Eventually(fdb, "10s", "20ms").Should(ConsistOf(ContainSubstring("dst fd00::12 ")))
		g.Expect(n.ip(t, "-6", "route", "show", "fd00:10::3:0:0/96")).To(BeEmpty())
		g.Expect(n.ip(t, "-6", "neigh", "show", "dev", "v6vxlan6", "nud", "permanent")).NotTo(ContainSubstring("\nfe80"))
		n.tell(view)
		g.Eventually(func() (string, error) { return pods[0].ask(t, pods[2].addr(t)) }, "10s").Should(Equal(pods[0].addr(t).String()))
	}
	sent, received := end()
	g.Expect(received).To(Equal(sent), "the others are not concerned")

	n.tell(viewOf(*view.Own))
	g.Eventually(func() string { return n.ip(t, "link", "show") }, "10s", "20ms").ShouldNot(ContainSubstring("v6vxlan"))
	n.file.View = agent.View{}
	n.tell(view)
	g.Eventually(func() (string, error) { return pods[0].ask(t, pods[1].addr(t)) }, "10s").Should(Equal(pods[0].addr(t).String()))
	n.tell(agent.View{})
	g.Eventually(n.logged, "10s", "20ms").Should(ContainSubstring("NodeUnknown"))
	g.Expect(pods[0].ask(t, pods[1].addr(t))).To(Equal(pods[0].addr(t).String()), "what is not known stays")
}

// TestSwitchedOffTunnelsGo with all that guarded them, and nothing else does.
func TestSwitchedOffTunnelsGo(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v6: true}, agentconfig.EncapsulationCrossSubnet)
	n := s.nodes[0]
	n.ip(t, "link", "add", "vxlan9", "type", "vxlan", "id", "9", "dstport", "4789", "local", "fd00:0::11", "nolearning")
	g.Expect(n.run(t, "nft", "list", "tables")).To(ContainSubstring("ipv6-agent-tunnel"))
	_ = n.signal(syscall.SIGTERM)
	n.file.Config.Encapsulation = nil
	n.start()
	n.ready()
	g.Expect(n.ip(t, "link", "show")).To(And(Not(ContainSubstring("v6vxlan")), ContainSubstring("vxlan9")))
	g.Expect(n.run(t, "nft", "list", "tables")).NotTo(ContainSubstring("ipv6-agent-tunnel"))
	g.Expect(n.logged()).To(ContainSubstring("EVENT PeerNotOnLink: node n3 (fd00:1::13) is behind a router"))
	g.Expect(n.ip(t, "-6", "route", "show", "fd00:10::2:0:0/96")).To(ContainSubstring("via fd00::12 dev eth0"))
}

// TestTheGuardOfTunnels: a packet that a stranger wraps enters no pod, nor does one that claims to come from a node and comes from a pod.
func TestTheGuardOfTunnels(t *testing.T) {
	needsRoot(t)
	for name, u := range map[string]underlay{"IPv6": {v6: true}, "IPv4": {v4: true}} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := newSite(t, u, agentconfig.EncapsulationAlways)
			pods := s.pods(t)
			g.Eventually(func() (string, error) { return pods[2].ask(t, pods[0].addr(t)) }, "5s").Should(Equal(pods[2].addr(t).String()))
			node := s.nodes[0].file.View.Own.Addrs[0]
			mac := strings.Fields(s.nodes[0].ip(t, "-o", "link", "show", map[bool]string{true: "v6vxlan6", false: "v6vxlan4"}[u.v6]))
			inside := pods[0].capture(t, "eth0")
			wrapped := func(text string) []byte {
				return vxlan(t, 4096, mac[slices.Index(mac, "link/ether")+1], pods[2].addr(t), pods[0].addr(t), text)
			}
			// The far node itself is believed: this is what the others are measured by.
			s.nodes[2].throw(t, node, wrapped("by a node"))
			g.Eventually(func() [][]byte { return inside.with("by a node") }, "5s", "10ms").ShouldNot(BeEmpty())
			s.throw(t, node, wrapped("by a stranger"))
			pods[0].throw(t, node, wrapped("by a pod"))
			pods[1].throw(t, node, wrapped("by a pod of another node"))
			s.nodes[2].throw(t, node, wrapped("by a node again"))
			g.Eventually(func() [][]byte { return inside.with("by a node again") }, "5s", "10ms").ShouldNot(BeEmpty())
			for _, text := range []string{"by a stranger", "by a pod"} {
				g.Expect(slices.DeleteFunc(inside.with(text), func(f []byte) bool { return kind(f) == "vxlan over "+name })).To(BeEmpty(), "%s", text)
			}
			g.Expect(s.nodes[0].run(t, "nft", "list", "table", "inet", "ipv6-agent-tunnel")).To(MatchRegexp("saddr != @nodes. counter packets [1-9]"))
		})
	}
}

// throw sends a UDP packet to the tunnels' port.
func (s *space) throw(t testing.TB, to netip.Addr, payload []byte) {
	t.Helper()
	if _, err := s.dialPort(t, netip.AddrPortFrom(to, 4789)).Write(payload); err != nil {
		t.Fatal(err)
	}
}

// vxlan wraps a UDP packet without a checksum's care: whether it enters the pod's link is the question.
func vxlan(t testing.TB, vni uint32, mac string, from, to netip.Addr, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	b.Write([]byte{0x08, 0, 0, 0, byte(vni >> 16), byte(vni >> 8), byte(vni), 0})
	for _, octet := range strings.Split(mac, ":") {
		var x byte
		if _, err := fmt.Sscanf(octet, "%02x", &x); err != nil {
			t.Fatal(err)
		}
		b.WriteByte(x)
	}
	b.Write([]byte{2, 0, 0, 0, 0, 9, unix.ETH_P_IPV6 >> 8, unix.ETH_P_IPV6 & 0xff})
	size := 8 + len(text)
	b.Write([]byte{0x60, 0, 0, 0, byte(size >> 8), byte(size), unix.IPPROTO_UDP, 64})
	src, dst := from.As16(), to.As16()
	b.Write(src[:])
	b.Write(dst[:])
	b.Write([]byte{0, 99, 0, 99, byte(size >> 8), byte(size), 0xff, 0xff})
	b.WriteString(text)
	return b.Bytes()
}

// TestTheModeChanges node by node, so that one end wraps and the other does not for a while: no packet is lost.
func TestTheModeChanges(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	s := newSite(t, underlay{v6: true, v4: true}, agentconfig.EncapsulationAlways)
	pods := s.pods(t)
	var ends []func() (int, int)
	for _, to := range []*pod{pods[1], pods[2]} {
		for i, a := range to.addrs(t) {
			g.Eventually(func() (string, error) { return pods[0].ask(t, a) }, "5s").Should(Equal(pods[0].addrs(t)[i].String()))
			ends = append(ends, pods[0].stream(t, a))
		}
	}
	for _, mode := range []agentconfig.EncapsulationMode{agentconfig.EncapsulationCrossSubnet, agentconfig.EncapsulationAlways} {
		for _, n := range s.nodes {
			_ = n.signal(syscall.SIGTERM)
			n.file.Config.Encapsulation.Mode = mode
			n.start()
			n.ready()
			device := map[agentconfig.EncapsulationMode]string{agentconfig.EncapsulationCrossSubnet: "dev eth0", agentconfig.EncapsulationAlways: "dev v6vxlan6"}[mode]
			if other := map[*node]string{s.nodes[0]: "fd00:10::2:0:0/96", s.nodes[1]: "fd00:10::1:0:0/96"}[n]; other != "" {
				g.Expect(n.ip(t, "-6", "route", "show", other)).To(ContainSubstring(device))
			}
		}
	}
	for _, end := range ends {
		sent, received := end()
		g.Expect(received).To(Equal(sent))
		g.Expect(sent).To(BeNumerically(">", 20))
	}
}
