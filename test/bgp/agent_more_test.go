// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// Without any router, nodes tell each other.
func TestAgentsInAMesh(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	cfg := bgpConfig()
	cfg.BGP.Peers, cfg.BGP.NodeMesh = nil, true
	one, two := newSpace(t, "one"), newSpace(t, "two")
	link(one, two, []string{"2001:db8:1::2/64"}, []string{"2001:db8:1::3/64"})
	a := newAgent(t, one, cfg, []string{"2001:db8:1::2"}, []string{"2001:db8:2:1::/80"})
	b := newAgent(t, two, cfg, []string{"2001:db8:1::3"}, []string{"2001:db8:2:2::/80"})
	a.start()
	b.start()
	g.Eventually(func() string { return one.routes("2001:db8:2:2::/80") }).WithTimeout(soon).Should(ContainSubstring("via 2001:db8:1::3 dev eth0 proto 148"))
	g.Eventually(func() string { return two.routes("2001:db8:2:1::/80") }).WithTimeout(soon).Should(ContainSubstring("via 2001:db8:1::2 dev eth0 proto 148"))
	g.Expect(one.routes("2001:db8:2:1::/80")).To(HavePrefix("unreachable"), "its own")
}

// The peer is whatever the default route leads to, here an address of the link that a router advertised. The router's routes come with
// that as their next hop.
func TestAgentsPeerIsTheGateway(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	node, tor := newSpace(t, "node"), newSpace(t, "tor")
	for _, s := range []*space{node, tor} {
		s.run("sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
	}
	link(node, tor, []string{"fe80::2/64", "2001:db8:1::2/64"}, []string{"fe80::1/64", "2001:db8:1::1/64"})
	r := bird(t, tor, "192.0.2.1", `
protocol bgp node {
  local fe80::1 as 65000;
  neighbor fe80::2%eth0 as 65001;
  connect retry time 1; error wait time 1,1;
  ipv6 { import all; export where source = RTS_STATIC; };
}
protocol static { ipv6; route 2001:db8:400::/48 blackhole; route 2001:db8:2::/81 blackhole; route 2001:db8:77::/64 blackhole; }
`)
	linkNamed(node, newSpace(t, "storage"), "eth1", "eth0", []string{"2001:db8:77::2/64"}, []string{"2001:db8:77::1/64"})
	cfg := bgpConfig()
	cfg.BGP.Peers = []agentconfig.BGPPeer{{DefaultGateway: true, ASN: 65000, Import: "All", HoldTimeSeconds: 9}}
	a := newAgent(t, node, cfg, []string{"2001:db8:1::2"}, []string{"2001:db8:2::/80"})
	a.start()
	g.Eventually(a.events).WithTimeout(soon).Should(ContainSubstring("GatewayUnknown: peer defaultGateway for ipv6-unicast: this node has no default route of that family yet"))
	node.run("ip", "route", "add", "default", "via", "fe80::1", "dev", "eth0")
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(ContainSubstring("dev eth0 proto bird"))
	g.Eventually(func() string { return node.routes("2001:db8:400::/48") }).WithTimeout(soon).Should(ContainSubstring("via fe80::1 dev eth0 proto 148"))
	g.Expect(node.routes("2001:db8:2::/81")).To(BeEmpty(), "it would take the node's own pods away")
	g.Expect(node.routes("2001:db8:77::/64")).To(HavePrefix("2001:db8:77::/64 dev eth1 proto kernel"), "it would take a link away")
	g.Eventually(a.events).WithTimeout(soon).Should(And(ContainSubstring("BGPRouteRefused: 2 routes of BGP peers are not used: 2001:db8:2::/81, told by fe80::1"),
		ContainSubstring("2001:db8:77::/64, told by fe80::1%eth0, lies in the prefix of a link of this node")))
}
