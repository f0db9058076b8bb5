// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

func told(prefix, hop, peer string) bgp.Route {
	return bgp.Route{Prefix: netip.MustParsePrefix(prefix), NextHop: netip.MustParseAddr(hop), Peer: netip.MustParseAddr(peer)}
}

func around() surroundings {
	return surroundings{
		own: prefixesOf("2001:db8:0:1::/64", "10.96.1.0/24"), connected: prefixesOf("2001:db8::/64", "192.0.2.0/24"), services: prefixesOf("2001:db8:100::/112"),
		ways: map[netip.Addr]Way{
			netip.MustParseAddr("2001:db8::1"): {Device: "eth0", OnLink: true}, netip.MustParseAddr("2001:db8::2"): {Device: "eth1", OnLink: true},
			netip.MustParseAddr("2001:db8:ffff::1"): {Device: "eth0"},
		},
	}
}

func TestImportedRoutesAreGrouped(t *testing.T) {
	g := NewWithT(t)
	out, problems := importedOf([]bgp.Route{
		told("::/0", "2001:db8::2", "2001:db8::2"), told("::/0", "2001:db8::1", "2001:db8::1"), told("::/0", "2001:db8::1", "2001:db8::9"),
		told("0.0.0.0/0", "2001:db8::1", "2001:db8::1"), told("2001:db8:7::/48", "fe80::1", "fe80::1%eth2"), told("2001:db8:8::/48", "fe80::1%eth3", "fe80::2"),
	}, around())
	g.Expect(problems).To(BeEmpty())
	hop := func(via, device string) dataplane.Hop {
		return dataplane.Hop{Via: netip.MustParseAddr(via), Device: device}
	}
	g.Expect(out).To(Equal([]dataplane.Imported{
		{Dst: netip.MustParsePrefix("0.0.0.0/0"), Hops: []dataplane.Hop{hop("2001:db8::1", "eth0")}},
		{Dst: netip.MustParsePrefix("::/0"), Hops: []dataplane.Hop{hop("2001:db8::1", "eth0"), hop("2001:db8::2", "eth1")}},
		{Dst: netip.MustParsePrefix("2001:db8:7::/48"), Hops: []dataplane.Hop{hop("fe80::1", "eth2")}},
		{Dst: netip.MustParsePrefix("2001:db8:8::/48"), Hops: []dataplane.Hop{hop("fe80::1", "eth3")}},
	}))
}

func TestImportedRoutesAreSane(t *testing.T) {
	for _, c := range []struct{ prefix, hop, why string }{
		{"2001:db8:0:1::/64", "2001:db8::1", "lies in this node's own prefix"},
		{"2001:db8:0:1:8000::/65", "2001:db8::1", "lies in this node's own prefix"},
		{"10.96.1.128/25", "2001:db8::1", "lies in this node's own prefix"},
		{"2001:db8::/64", "2001:db8::1", "lies in the prefix of a link of this node"},
		{"2001:db8::11/128", "2001:db8::1", "lies in the prefix of a link of this node"},
		{"2001:db8:100::/112", "2001:db8::1", "lies in the range of services"},
		{"2001:db8:100::a/128", "2001:db8::1", "lies in the range of services"},
		{"fe80::/10", "2001:db8::1", "is no range that packets are routed to"},
		{"ff00::/8", "2001:db8::1", "is no range that packets are routed to"},
		{"::1/128", "2001:db8::1", "is no range that packets are routed to"},
		{"127.0.0.0/8", "2001:db8::1", "is no range that packets are routed to"},
		{"2001:db8:7::/48", "2001:db8:ffff::1", "has the next hop 2001:db8:ffff::1, which is on no link of this node"},
		{"2001:db8:7::/48", "2001:db8::99", "has the next hop 2001:db8::99, which is on no link of this node"},
		{"2001:db8:7::/48", "fe80::1", "has the next hop fe80::1, which is on no link of this node"},
	} {
		t.Run(c.prefix+" "+c.hop, func(t *testing.T) {
			g := NewWithT(t)
			out, problems := importedOf([]bgp.Route{told(c.prefix, c.hop, "2001:db8::1"), told("2001:db8::/32", "2001:db8::1", "2001:db8::1")}, around())
			g.Expect(out).To(HaveLen(1), "what is less specific does no harm")
			g.Expect(problems).To(Equal([]Problem{{
				Reason: "BGPRouteRefused", Message: "1 routes of BGP peers are not used: " + c.prefix + ", told by 2001:db8::1, " + c.why,
			}}))
		})
	}
}
