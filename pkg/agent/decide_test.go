// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

func addrs(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func prefixesOf(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func nodeNamed(name, addr string, ranges ...string) Node {
	return Node{Name: name, Addrs: addrs(addr), PodCIDRs: prefixesOf(ranges...)}
}

// text is a decision, one line a thing.
func text(d Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ranges %v reserved %v mtu %d\n", d.Ranges, d.Reserved, d.MTU)
	for _, r := range d.State.Routes {
		fmt.Fprintln(&b, r)
	}
	if d.Keep && d.State.KeepRoutes {
		fmt.Fprintln(&b, "routes and masquerading stay")
	}
	if d.Masquerade != nil {
		fmt.Fprintf(&b, "masquerade %v except %v\n", d.Masquerade.Sources, d.Masquerade.Except)
	}
	for _, p := range d.Problems {
		fmt.Fprintf(&b, "%s blocking=%t: %s\n", p.Reason, p.Blocking, p.Message)
	}
	return b.String()
}

func TestDecide(t *testing.T) {
	v6 := agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96}
	routed := v6
	routed.RoutingMode = agentconfig.Routed
	pool := v6
	pool.NodePrefixLengthIPv6 = 0
	dual := v6
	dual.IPFamilies, dual.MasqueradeIPv4, dual.NonMasqueradeCIDRs, dual.MTU = []string{"IPv4", "IPv6"}, true, []string{"10.250.0.0/16"}, 1400

	own := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::d000:0/100")
	given := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::d000:0/100")
	given.Annotations = map[string]string{nodeprefix.AnnotationReportedPrefix: "2001:db8:0:1::/80,2001:db8:0:9::/80"}
	dualOwn := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::d000:0/100", "10.96.1.0/24")
	uplink := dataplane.Uplink{Name: "eth0", MTU: 1500}
	near := func(s ...string) map[netip.Addr]Way {
		ways := map[netip.Addr]Way{}
		for _, a := range addrs(s...) {
			ways[a] = Way{Device: "eth0", OnLink: true}
		}
		return ways
	}
	for _, c := range []struct {
		what string
		cfg  agentconfig.Config
		view View
		f    Facts
		want string
	}{
		{"an unknown node", v6, View{}, Facts{}, `
ranges [] reserved [] mtu 1500
routes and masquerading stay
NodeUnknown blocking=true: the API server does not know this node yet
`},
		{"no pod range yet", v6, View{Own: &Node{Name: "n1"}}, Facts{}, `
ranges [] reserved [] mtu 1500
NoPodRange blocking=true: Node.spec.podCIDRs has no IPv6 range yet; ipv6-ipam-controller in the shoot's control plane writes it, or, where nodes are custom, whoever addresses them
`},
		{"one family's range is missing", dual, View{Own: &own}, Facts{}, `
ranges [] reserved [] mtu 1400
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
NoPodRange blocking=true: Node.spec.podCIDRs has no IPv4 range yet; ipv6-ipam-controller in the shoot's control plane writes it, or, where nodes are custom, whoever addresses them
`},
		{"a node of its own", v6, View{Own: &own}, Facts{Addrs: addrs("2001:db8::11")}, `
ranges [2001:db8:0:1::d000:0/100] reserved [2001:db8::11] mtu 1500
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
`},
		{"a node whose infrastructure gave it more than it was asked for, and something else", routed, View{Own: &given}, Facts{}, `
ranges [2001:db8:0:1::d000:0/100] reserved [] mtu 1500
unreachable 2001:db8:0:1::/80 proto 146 metric 65535
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
`},
		{
			"a peer on the link", v6, View{Own: &own, Peers: []Node{nodeNamed("n2", "2001:db8::12", "2001:db8:0:2::d000:0/100")}},
			Facts{Ways: near("2001:db8::12")}, `
ranges [2001:db8:0:1::d000:0/100] reserved [] mtu 1500
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
2001:db8:0:2::/96 via 2001:db8::12 dev eth0 proto 146 metric 146 onlink
`},
		{
			"nodes without prefixes of their own", pool, View{Own: &own, Peers: []Node{nodeNamed("n2", "2001:db8::12", "2001:db8:0:2::/100")}},
			Facts{Ways: near("2001:db8::12")}, `
ranges [2001:db8:0:1::d000:0/100] reserved [] mtu 1500
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
2001:db8:0:2::/100 via 2001:db8::12 dev eth0 proto 146 metric 146 onlink
`},
		{
			"the infrastructure routes", routed, View{Own: &own, Peers: []Node{nodeNamed("n2", "2001:db8::12", "2001:db8:0:2::d000:0/100")}},
			Facts{Ways: near("2001:db8::12")}, `
ranges [2001:db8:0:1::d000:0/100] reserved [] mtu 1500
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
`},
		{
			"peers that cannot be reached", v6, View{Own: &own, Peers: []Node{
				nodeNamed("far", "2001:db8:ffff::1", "2001:db8:0:2::d000:0/100"),
				nodeNamed("v4", "10.0.0.2", "2001:db8:0:3::d000:0/100"),
				nodeNamed("new", "2001:db8::12"),
			}},
			Facts{Ways: map[netip.Addr]Way{addrs("2001:db8:ffff::1")[0]: {Device: "eth0"}}}, `
ranges [2001:db8:0:1::d000:0/100] reserved [] mtu 1500
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
PeerNotOnLink blocking=false: node far (2001:db8:ffff::1) is behind a router; routing mode Direct needs the nodes on one link
PeerNotOnLink blocking=false: node v4 has no address to reach its prefix 2001:db8:0:3::/96 by
`},
		{
			"prefixes claimed twice", v6, View{Own: &own, Peers: []Node{
				nodeNamed("n2", "2001:db8::12", "2001:db8:0:1::a000:0/100"),
				nodeNamed("n3", "2001:db8::13", "2001:db8:0:3::d000:0/100"),
				nodeNamed("n4", "2001:db8::14", "2001:db8:0:3::d000:0/100"),
			}},
			Facts{Ways: near("2001:db8::12", "2001:db8::13", "2001:db8::14")}, `
ranges [2001:db8:0:1::d000:0/100] reserved [] mtu 1500
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
2001:db8:0:3::/96 via 2001:db8::13 dev eth0 proto 146 metric 146 onlink
PrefixClaimedTwice blocking=false: node n2 claims 2001:db8:0:1::/96, which overlaps this node's pod range 2001:db8:0:1::d000:0/100
PrefixClaimedTwice blocking=false: nodes n3 and n4 claim overlapping prefixes, 2001:db8:0:3::/96 and 2001:db8:0:3::/96
`},
		{"the node's address in its pod range", v6, View{Own: &own}, Facts{Addrs: addrs("2001:db8:0:1::d000:5")}, `
ranges [2001:db8:0:1::d000:0/100] reserved [2001:db8:0:1::d000:5] mtu 1500
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
NodeAddressInPodRange blocking=false: the node's own address 2001:db8:0:1::d000:5 lies in its pod range 2001:db8:0:1::d000:0/100; no pod will get it
`},
		{"dual-stack, in the order of the families", dual, View{Own: &dualOwn}, Facts{}, `
ranges [10.96.1.0/24 2001:db8:0:1::d000:0/100] reserved [] mtu 1400
unreachable 10.96.1.0/24 proto 146 metric 65535
unreachable 2001:db8:0:1::/96 proto 146 metric 65535
unreachable 2001:db8:0:1::d000:0/100 proto 146 metric 65535
masquerade [10.96.1.0/24] except [10.96.1.0/24 10.250.0.0/16]
`},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.f.Uplink = uplink
			NewWithT(t).Expect("\n" + text(Decide(c.cfg, c.view, c.f))).To(Equal(c.want))
		})
	}
}
