// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

const soon = 20 * time.Second

// The lab: a node and its top-of-rack router on one link.
//
//	node 2001:db8:1::2 (AS 65001) ---- 2001:db8:1::1 router (AS 65000, BIRD)
type lab struct {
	Gomega
	node    *space
	router  *router
	speaker *process
}

func newLab(t *testing.T, neighbor, more string) *lab {
	t.Helper()
	return newLabOf(t, 65000, neighbor, more)
}

func newLabOf(t *testing.T, asn int, neighbor, more string) *lab {
	t.Helper()
	needsRoot(t)
	t.Parallel()
	node, tor := newSpace(t, "node"), newSpace(t, "tor")
	link(node, tor, []string{"2001:db8:1::2/64"}, []string{"2001:db8:1::1/64"})
	return &lab{
		Gomega: NewWithT(t), node: node,
		router: bird(t, tor, "192.0.2.1", `
protocol bgp node {
  local as `+strconv.Itoa(asn)+`;
  neighbor 2001:db8:1::2 as 65001;
  connect retry time 1; error wait time 1,1;
  `+neighbor+`
  ipv6 { import all; export where source = RTS_STATIC; };
}
`+more),
		speaker: start(t, node, "first"),
	}
}

func tor() bgp.Peer {
	return bgp.Peer{
		Address: netip.MustParseAddr("2001:db8:1::1"), ASN: 65000, ConnectRetry: time.Second, HoldTime: 9 * time.Second,
		Families: []bgp.Family{bgp.IPv6Unicast},
	}
}

func desired(peer bgp.Peer, prefixes ...string) bgp.Desired {
	d := bgp.Desired{ASN: 65001, RouterID: netip.MustParseAddr("192.0.2.2"), Peers: []bgp.Peer{peer}}
	for _, p := range prefixes {
		d.Advertisements = append(d.Advertisements, bgp.Advertisement{Prefix: netip.MustParsePrefix(p)})
	}
	return d
}

func (l *lab) established() {
	l.Eventually(func() bgp.SessionState { return l.speaker.status().Sessions[0].State }).WithTimeout(soon).Should(Equal(bgp.Established))
}

func TestAnnouncesAndWithdraws(t *testing.T) {
	l := newLab(t, "", "")
	l.speaker.apply(desired(tor(), "2001:db8:2::/80"))
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).
		Should(ContainSubstring("via 2001:db8:1::2 dev eth0"))

	l.speaker.apply(desired(tor(), "2001:db8:2::/80", "2001:db8:3::/64"))
	l.Eventually(func() string { return l.router.routes("2001:db8:3::/64") }).WithTimeout(soon).ShouldNot(BeEmpty())

	l.speaker.apply(desired(tor(), "2001:db8:3::/64"))
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(BeEmpty())
	l.Expect(l.router.routes("2001:db8:3::/64")).NotTo(BeEmpty())
	l.Expect(l.speaker.status().Sessions[0].Flaps).To(BeZero(), "a change of routes ends no session")
}

func TestListensNowhereUnasked(t *testing.T) {
	l := newLab(t, "", "")
	l.speaker.apply(desired(tor(), "2001:db8:2::/80"))
	l.established()
	l.Expect(l.node.run("ss", "-Hltn")).To(BeEmpty(), "neither BGP's port nor gRPC")
}

func TestPassword(t *testing.T) {
	l := newLab(t, `password "right";`, "")
	wrong := tor()
	wrong.Password = "wrong"
	l.speaker.apply(desired(wrong, "2001:db8:2::/80"))
	l.Consistently(func() bgp.SessionState { return l.speaker.status().Sessions[0].State }).WithTimeout(3 * time.Second).ShouldNot(Equal(bgp.Established))

	right := tor()
	right.Password = "right"
	l.speaker.apply(desired(right, "2001:db8:2::/80"))
	l.established()
}

func TestCommunities(t *testing.T) {
	l := newLab(t, "", "")
	d := desired(tor(), "2001:db8:2::/80")
	d.Advertisements[0].Communities = []bgp.Community{65000<<16 | 100, 0xFFFFFF01}
	l.speaker.apply(d)
	l.Eventually(func() string { return l.router.ask("show", "route", "2001:db8:2::/80", "all") }).WithTimeout(soon).
		Should(ContainSubstring("BGP.community: (65000,100) (65535,65281)"))
}

// What BIRD announces: a default route and two others.
const statics = `
protocol static { ipv6; route ::/0 blackhole; route 2001:db8:100::/48 blackhole; route 2001:db8:200::/48 blackhole; }
`

func TestImports(t *testing.T) {
	for _, tc := range []struct {
		what bgp.Import
		want []string
	}{
		{bgp.ImportNone, nil},
		{bgp.ImportDefault, []string{"::/0"}},
		{bgp.ImportAll, []string{"::/0", "2001:db8:100::/48", "2001:db8:200::/48"}},
	} {
		t.Run(string(tc.what), func(t *testing.T) {
			l := newLab(t, "", statics)
			peer := tor()
			peer.Import = tc.what
			l.speaker.apply(desired(peer, "2001:db8:2::/80"))
			l.Eventually(func() uint64 { return l.speaker.status().Sessions[0].Received }).WithTimeout(soon).Should(BeEquivalentTo(3))
			l.Eventually(l.prefixes).WithTimeout(soon).Should(Equal(tc.want))
			for _, r := range l.speaker.status().Routes {
				l.Expect(r.NextHop.String()).To(Equal("2001:db8:1::1"))
			}
		})
	}
}

func (l *lab) prefixes() []string {
	var found []string
	for _, r := range l.speaker.status().Routes {
		found = append(found, r.Prefix.String())
	}
	return found
}

func TestImportLimit(t *testing.T) {
	l := newLab(t, "", statics)
	peer := tor()
	peer.Import, peer.ImportLimit = bgp.ImportAll, 2
	l.speaker.apply(desired(peer, "2001:db8:2::/80"))
	l.Eventually(l.reason).WithTimeout(soon).Should(ContainSubstring("importLimit"))
	l.Expect(l.prefixes()).To(BeEmpty())

	l.router.ask("disable", "static1")
	l.established()
	l.Expect(l.router.routes("2001:db8:2::/80")).NotTo(BeEmpty(), "the router has fewer routes now, and the session is back by itself")
}

// A node between two routers does not carry their traffic.
func TestIsNoTransit(t *testing.T) {
	l := newLab(t, "", statics)
	other := newSpace(t, "other")
	linkNamed(l.node, other, "eth1", "eth0", []string{"2001:db8:9::2/64"}, []string{"2001:db8:9::1/64"})
	second := bird(t, other, "192.0.2.9", `
protocol bgp node {
  local as 65009;
  neighbor 2001:db8:9::2 as 65001;
  ipv6 { import all; export none; };
}
`)
	a, b := tor(), tor()
	a.Import = bgp.ImportAll
	b.Address, b.ASN = netip.MustParseAddr("2001:db8:9::1"), 65009
	d := desired(a, "2001:db8:2::/80")
	d.Peers = append(d.Peers, b)
	l.speaker.apply(d)
	l.Eventually(func() string { return second.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	l.Eventually(l.prefixes).WithTimeout(soon).Should(HaveLen(3))
	l.Consistently(func() string { return second.routes("2001:db8:100::/48") }).WithTimeout(2 * time.Second).Should(BeEmpty())
}

func TestLinkLocalPeer(t *testing.T) {
	needsRoot(t)
	t.Parallel()
	node, torSpace := newSpace(t, "node"), newSpace(t, "tor")
	for _, s := range []*space{node, torSpace} {
		s.run("sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
	}
	link(node, torSpace, []string{"fe80::2/64"}, []string{"fe80::1/64"})
	r := bird(t, torSpace, "192.0.2.1", `
protocol bgp node {
  local fe80::1 as 65000;
  neighbor fe80::2%eth0 as 65001;
  connect retry time 1; error wait time 1,1;
  ipv6 { import all; export none; };
}
`)
	g := NewWithT(t)
	speaker := start(t, node, "first")
	peer := tor()
	peer.Address = netip.MustParseAddr("fe80::1%eth0")
	speaker.apply(desired(peer, "2001:db8:2::/80"))
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(ContainSubstring("via fe80::2 dev eth0"))

	r.ask("restart", "node")
	g.Eventually(func() uint64 { return speaker.status().Sessions[0].Flaps }).WithTimeout(soon).Should(BeEquivalentTo(1), "by its address with the zone")
	peer.Password = "secret"
	g.Expect(speaker.try(desired(peer))).To(MatchError(ContainSubstring("cannot protect a session with a peer of the link by a password")))
}
