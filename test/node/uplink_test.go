// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
)

// TestAPeersAddressInItsOwnPrefix, where clouds put it: the route to the prefix is then the way to its own next hop.
func TestAPeersAddressInItsOwnPrefix(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	second := n2()
	second.ranges = []string{"fd00:cafe::d000:0/100"}
	_, nodes := cluster(t, v6(), n1(), second)
	n := nodes[0]
	for i := range 3 { // each has the agent look again
		view := n.file.View
		own := *view.Own
		own.PodCIDRs = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("fd00:10::%d:d000:0/100", i+3))}
		view.Own = &own
		n.tell(view)
		g.Eventually(func() string { return n.ip(t, "-6", "route", "show", "proto", "146") }, "10s", "20ms").Should(ContainSubstring(fmt.Sprintf("fd00:10::%d:d000:0/100", i+3)))
		g.Expect(n.ip(t, "-6", "route", "show", "fd00:cafe::/96")).To(ContainSubstring("via fd00:cafe::12 dev eth0"))
	}
	g.Expect(n.logged()).NotTo(Or(ContainSubstring("PeerNotOnLink"), ContainSubstring(`deleted="[fd00:cafe`)))
}

// TestSeveralUplinks: a node whose address is on the loopback, and whose default route has two next hops.
func TestSeveralUplinks(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := newNode(t, "n1", v6())
	for _, name := range []string{"eth0", "eth1"} {
		n.ip(t, "link", "add", name, "mtu", "1400", "type", "veth", "peer", "name", "far-"+name)
		n.ip(t, "link", "set", "far-"+name, "up")
		n.ip(t, "link", "set", name, "up")
	}
	n.ip(t, "addr", "add", "fd00:cafe::11/128", "dev", "lo")
	n.ip(t, "-6", "route", "add", "default", "nexthop", "via", "fe80::e", "dev", "eth0", "nexthop", "via", "fe80::f", "dev", "eth1")
	n.file.View = viewOf(agent.Node{Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("fd00:cafe::11")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::/100")}})
	n.start()
	n.ready()
	p := n.newPod(t, "a").add(t)
	g.Expect(p.ip(t, "link", "show", "eth0")).To(ContainSubstring("mtu 1400"))
}
