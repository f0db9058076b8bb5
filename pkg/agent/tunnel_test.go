// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// ways of a decision: which prefixes go by which tunnel or link, and what is wrong.
func ways(d Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mtu %d\n", d.MTU)
	ends := map[netip.Addr]netip.Addr{}
	for _, v := range d.State.Tunnels {
		fmt.Fprintf(&b, "%s from %s %v\n", v.Name, v.Local, v.Addrs)
		for i, e := range v.FDB {
			ends[v.Neighbours[i].Addr] = e.Remote
		}
	}
	for _, r := range d.State.Routes {
		switch remote, tunnel := ends[r.Via]; {
		case r.Type == dataplane.Unreachable:
		case tunnel:
			fmt.Fprintf(&b, "%s by %s to %s\n", r.Dst, r.Device, remote)
		default:
			fmt.Fprintf(&b, "%s by %s to %s\n", r.Dst, r.Device, r.Via)
		}
	}
	for _, p := range d.Problems {
		fmt.Fprintf(&b, "%s blocking=%t: %s\n", p.Reason, p.Blocking, p.Message)
	}
	return b.String()
}

func dualNode(number int, addr ...string) Node {
	return Node{Name: fmt.Sprint("n", number), Addrs: addrs(addr...), PodCIDRs: prefixesOf(fmt.Sprintf("2001:db8:0:%d::d000:0/100", number), fmt.Sprintf("10.96.%d.0/24", number))}
}

func TestTunnelsAreDecided(t *testing.T) {
	always := agentconfig.Config{
		RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6", "IPv4"}, NodePrefixLengthIPv6: 96,
		Encapsulation: &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationAlways, VNI: 4096, Port: 4789},
	}
	cross := always
	cross.Encapsulation = &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationCrossSubnet, VNI: 4096, Port: 4789}
	routed := cross
	routed.RoutingMode = agentconfig.Routed
	fixed := always
	fixed.MTU = 1400
	link := map[netip.Addr]Way{}
	for _, a := range addrs("10.0.0.2", "2001:db8::2", "10.0.1.3", "2001:db8:1::3") {
		link[a] = Way{Device: "eth0", OnLink: !strings.HasSuffix(a.String(), "3")}
	}
	four, six, both := dualNode(1, "10.0.0.1"), dualNode(1, "2001:db8::1"), dualNode(1, "10.0.0.1", "2001:db8::1")
	for _, c := range []struct {
		what   string
		cfg    agentconfig.Config
		own    Node
		peers  []Node
		uplink int
		want   string
	}{
		{"always, over IPv4", always, four, []Node{dualNode(2, "10.0.0.2"), dualNode(3, "10.0.1.3")}, 1500, `
mtu 1450
v6vxlan4 from 10.0.0.1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by v6vxlan4 to 10.0.0.2
10.96.3.0/24 by v6vxlan4 to 10.0.1.3
2001:db8:0:2::/96 by v6vxlan4 to 10.0.0.2
2001:db8:0:3::/96 by v6vxlan4 to 10.0.1.3
`},
		{"both nodes have both families: IPv6", always, both, []Node{dualNode(2, "10.0.0.2", "2001:db8::2")}, 9000, `
mtu 8930
v6vxlan6 from 2001:db8::1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by v6vxlan6 to 2001:db8::2
2001:db8:0:2::/96 by v6vxlan6 to 2001:db8::2
`},
		{"peers of one family each", always, both, []Node{dualNode(2, "10.0.0.2"), dualNode(3, "2001:db8:1::3")}, 1500, `
mtu 1430
v6vxlan6 from 2001:db8::1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
v6vxlan4 from 10.0.0.1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by v6vxlan4 to 10.0.0.2
10.96.3.0/24 by v6vxlan6 to 2001:db8:1::3
2001:db8:0:2::/96 by v6vxlan4 to 10.0.0.2
2001:db8:0:3::/96 by v6vxlan6 to 2001:db8:1::3
`},
		{"no common family", always, six, []Node{dualNode(2, "10.0.0.2")}, 1500, `
mtu 1430
TunnelFailed blocking=false: node n2 has the addresses [10.0.0.2] and this node [2001:db8::1]: without a common family there is no tunnel for 2001:db8:0:2::/96
TunnelFailed blocking=false: node n2 has the addresses [10.0.0.2] and this node [2001:db8::1]: without a common family there is no tunnel for 10.96.2.0/24
`},
		{"across subnets: a neighbour, and one behind a router", cross, both, []Node{dualNode(2, "10.0.0.2", "2001:db8::2"), dualNode(3, "10.0.1.3", "2001:db8:1::3")}, 1500, `
mtu 1430
v6vxlan6 from 2001:db8::1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by eth0 to 10.0.0.2
10.96.3.0/24 by v6vxlan6 to 2001:db8:1::3
2001:db8:0:2::/96 by eth0 to 2001:db8::2
2001:db8:0:3::/96 by v6vxlan6 to 2001:db8:1::3
`},
		{"across subnets: a family that the nodes lack", cross, four, []Node{dualNode(2, "10.0.0.2")}, 1500, `
mtu 1450
v6vxlan4 from 10.0.0.1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by eth0 to 10.0.0.2
2001:db8:0:2::/96 by v6vxlan4 to 10.0.0.2
`},
		{"across subnets, and the infrastructure routes from outside", routed, four, []Node{dualNode(2, "10.0.0.2"), dualNode(3, "10.0.1.3")}, 1500, `
mtu 1450
v6vxlan4 from 10.0.0.1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by eth0 to 10.0.0.2
10.96.3.0/24 by v6vxlan4 to 10.0.1.3
2001:db8:0:2::/96 by v6vxlan4 to 10.0.0.2
2001:db8:0:3::/96 by v6vxlan4 to 10.0.1.3
`},
		{"nobody else yet, and an MTU that was asked for", fixed, both, nil, 1500, `
mtu 1400
`},
		{"a node whose addresses are not known yet", always, dualNode(1), []Node{dualNode(2, "10.0.0.2")}, 1500, `
mtu 1430
TunnelFailed blocking=false: node n2 has the addresses [10.0.0.2] and this node []: without a common family there is no tunnel for 2001:db8:0:2::/96
TunnelFailed blocking=false: node n2 has the addresses [10.0.0.2] and this node []: without a common family there is no tunnel for 10.96.2.0/24
`},
		{"a link too narrow for IPv6 in a tunnel", always, four, nil, 1300, `
mtu 1250
TunnelMTUTooSmall blocking=true: the uplink eth0 has an MTU of 1300: encapsulation leaves 1250 of it, and IPv6 needs 1280; give the link an MTU of at least 1330
`},
		{"the peer's address in its prefix, and in its pod range", always, six, []Node{dualNode(2, "2001:db8:0:2::2"), dualNode(3, "2001:db8:0:3::d000:3")}, 1500, `
mtu 1430
v6vxlan6 from 2001:db8::1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by v6vxlan6 to 2001:db8:0:2::2
10.96.3.0/24 by v6vxlan6 to 2001:db8:0:3::d000:3
2001:db8:0:2::d000:0/100 by v6vxlan6 to 2001:db8:0:2::2
TunnelFailed blocking=false: node n3 has its own address 2001:db8:0:3::d000:3 in its pod range 2001:db8:0:3::d000:0/100, which therefore cannot be reached through a tunnel
`},
		{"a range claimed twice", always, four, []Node{dualNode(2, "10.0.0.2"), {Name: "n9", Addrs: addrs("10.0.0.9"), PodCIDRs: prefixesOf("10.96.2.0/24", "10.96.1.0/25")}}, 1500, `
mtu 1450
v6vxlan4 from 10.0.0.1 [2001:db8:0:1::d000:0/128 10.96.1.0/32]
10.96.2.0/24 by v6vxlan4 to 10.0.0.9
2001:db8:0:2::/96 by v6vxlan4 to 10.0.0.2
PrefixClaimedTwice blocking=false: node n9 claims 10.96.1.0/25, which overlaps this node's pod range 10.96.1.0/24
PrefixClaimedTwice blocking=false: nodes n2 and n9 claim overlapping prefixes, 10.96.2.0/24 and 10.96.2.0/24
`},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := Facts{Uplink: dataplane.Uplink{Name: "eth0", MTU: c.uplink}, Ways: link}
			NewWithT(t).Expect("\n" + ways(Decide(c.cfg, View{Own: &c.own, Peers: c.peers}, f))).To(Equal(c.want))
		})
	}
}

// TestGuardedNodes: those that send natively today may send wrapped tomorrow.
func TestGuardedNodes(t *testing.T) {
	g := NewWithT(t)
	cfg := agentconfig.Config{IPFamilies: []string{"IPv6"}, Encapsulation: &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationCrossSubnet, VNI: 7, Port: 4790}}
	own := dualNode(1, "10.0.0.1")
	view := View{Own: &own, Peers: []Node{dualNode(2, "2001:db8::2", "10.0.0.2"), dualNode(3, "10.0.0.2")}}
	g.Expect(*Decide(cfg, view, Facts{}).Guarded).To(Equal(dataplane.Guarded{VNI: 7, Port: 4790, Nodes: addrs("10.0.0.2", "2001:db8::2")}))
	cfg.Encapsulation = nil
	g.Expect(Decide(cfg, view, Facts{}).Guarded).To(BeNil())
}

// TestAGuardThatFails keeps new pods off the node while there are tunnels to guard.
func TestAGuardThatFails(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.Guard = b.kernel
	b.Config.Encapsulation = &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationAlways, VNI: 7, Port: 4789}
	b.kernel.Fail("Guard", errors.New("no nft"))
	b.reconcile(t.Context())
	g.Expect(b.events).To(ContainElement("TunnelUnguarded: no nft"))
	g.Expect(b.Ready()).NotTo(Succeed())
	b.kernel.Fail("Guard", nil)
	b.reconcile(t.Context())
	g.Expect(b.Ready()).To(Succeed())
	g.Expect(b.kernel.Dump()).To(ContainSubstring("guard vni 7 port 4789"))

	b.view.Own = nil
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(ContainSubstring("guard vni 7 port 4789"), "what is not known stays")

	b.Config.Encapsulation, b.view.Own = nil, &Node{Name: "n1"}
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring("guard"))
	b.kernel.Fail("Guard", errors.New("no nft"))
	before := len(b.events)
	b.reconcile(t.Context())
	g.Expect(b.events).To(HaveLen(before), "it is asked once only where there are no tunnels")
}
