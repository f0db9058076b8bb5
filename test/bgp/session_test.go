// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

func (l *lab) reason() string { return l.speaker.status().Sessions[0].Reason }

func (l *lab) flaps() uint64 { return l.speaker.status().Sessions[0].Flaps }

func TestReasonOfTheRouter(t *testing.T) {
	l := newLab(t, "", "")
	l.speaker.apply(desired(tor(), "2001:db8:2::/80"))
	l.established()
	l.router.ask("disable", "node", `"maintenance"`)
	l.Eventually(l.flaps).WithTimeout(soon).Should(BeEquivalentTo(1))
	l.Expect(l.reason()).To(HavePrefix("the peer ended the session: "))
	l.Expect(l.reason()).To(And(ContainSubstring("shutdown"), ContainSubstring("maintenance")))
	l.Expect(l.speaker.status().Sessions[0].State).NotTo(Equal(bgp.Established))

	l.router.ask("enable", "node")
	l.established()
	l.Expect(l.flaps()).To(BeEquivalentTo(1))
}

func TestReasonOfNoConnection(t *testing.T) {
	l := newLab(t, "", "")
	peer := tor()
	peer.Port = 1790
	l.speaker.apply(desired(peer, "2001:db8:2::/80"))
	l.Eventually(l.reason).WithTimeout(soon).Should(Equal("no connection: connect: connection refused"))
}

// The router lives and says nothing.
func TestHoldTimeExpires(t *testing.T) {
	l := newLab(t, "", "")
	peer := tor()
	peer.HoldTime = 3 * time.Second
	l.speaker.apply(desired(peer, "2001:db8:2::/80"))
	l.established()
	l.Expect(l.router.process.Signal(syscall.SIGSTOP)).To(Succeed())
	l.Eventually(l.flaps).WithTimeout(soon).Should(BeEquivalentTo(1))
	l.Expect(l.reason()).To(ContainSubstring("hold time"))
	l.Expect(l.router.process.Signal(syscall.SIGCONT)).To(Succeed())
	l.established()
}

// Two speakers with one router ID in one autonomous system: the router says no, and we say why.
func TestRouterIDCollision(t *testing.T) {
	l := newLabOf(t, 65001, "", "")
	peer := tor()
	peer.ASN = 65001
	d := desired(peer, "2001:db8:2::/80")
	d.RouterID = netip.MustParseAddr("192.0.2.1")
	l.speaker.apply(d)
	l.Eventually(func() string { return strings.ToLower(l.reason()) }).WithTimeout(soon).Should(ContainSubstring("bgp identifier"))

	d.RouterID = netip.MustParseAddr("192.0.2.2")
	l.speaker.apply(d)
	l.established()
}

func TestPeersOwnCommunitiesAndPreference(t *testing.T) {
	l := newLabOf(t, 65001, "", "")
	peer := tor()
	peer.ASN, peer.Communities, peer.LocalPreference = 65001, []bgp.Community{65000<<16 | 100}, 200
	l.speaker.apply(desired(peer, "2001:db8:2::/80"))
	all := func() string { return l.router.ask("show", "route", "2001:db8:2::/80", "all") }
	l.Eventually(all).WithTimeout(soon).Should(And(ContainSubstring("BGP.local_pref: 200"), ContainSubstring("BGP.community: (65000,100)")))

	peer.Communities, peer.LocalPreference = []bgp.Community{65000<<16 | 7}, 0
	l.speaker.apply(desired(peer, "2001:db8:2::/80"))
	l.Eventually(all).WithTimeout(soon).Should(And(ContainSubstring("BGP.local_pref: 100"), ContainSubstring("BGP.community: (65000,7)")))
	l.Expect(l.flaps()).To(BeZero(), "what a peer is told may change without its session")
}

func TestImportChangesWithoutTheSession(t *testing.T) {
	l := newLab(t, "", statics)
	peer := tor()
	l.speaker.apply(desired(peer, "2001:db8:2::/80"))
	l.Eventually(func() uint64 { return l.speaker.status().Sessions[0].Received }).WithTimeout(soon).Should(BeEquivalentTo(3))
	for _, step := range []struct {
		what bgp.Import
		want int
	}{{bgp.ImportAll, 3}, {bgp.ImportDefault, 1}, {bgp.ImportNone, 0}} {
		peer.Import = step.what
		l.speaker.apply(desired(peer, "2001:db8:2::/80"))
		l.Eventually(l.prefixes).WithTimeout(soon).Should(HaveLen(step.want), string(step.what))
	}
	l.Expect(l.flaps()).To(BeZero())
}

// Whoever loops on Changed must not be woken by what it did itself.
func TestChangedIsOfOthers(t *testing.T) {
	l := newLab(t, "", statics)
	peer := tor()
	peer.Import = bgp.ImportAll
	l.speaker.apply(desired(peer))
	l.Eventually(l.prefixes).WithTimeout(soon).Should(HaveLen(3))
	changed := func() bool {
		a, err := l.speaker.order(order{})
		l.Expect(err).NotTo(HaveOccurred())
		return a.Changed
	}
	l.Eventually(func() bool { return l.speaker.status().Sessions[0].Told }).WithTimeout(soon).Should(BeTrue())
	l.Eventually(changed).WithTimeout(soon).Should(BeFalse())
	l.speaker.apply(desired(peer, "2001:db8:2::/80"))
	l.Consistently(changed).WithTimeout(time.Second).Should(BeFalse())
	l.router.ask("disable", "static1")
	l.Eventually(changed).WithTimeout(soon).Should(BeTrue())
}

func TestApplyAfterWithdraw(t *testing.T) {
	l := newLab(t, "", "")
	l.speaker.apply(desired(tor(), "2001:db8:2::/80"))
	l.established()
	_, err := l.speaker.order(order{Withdraw: true})
	l.Expect(err).NotTo(HaveOccurred())
	_, err = l.speaker.order(order{Withdraw: true})
	l.Expect(err).NotTo(HaveOccurred(), "twice does nothing")
	l.Expect(l.speaker.status().Sessions).To(BeEmpty())
	l.speaker.apply(desired(tor(), "2001:db8:2::/80"))
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
}

func TestOnePeerIsReplacedAndTheOtherStays(t *testing.T) {
	l := newLab(t, "", "")
	other := newSpace(t, "other")
	linkNamed(l.node, other, "eth1", "eth0", []string{"2001:db8:9::2/64"}, []string{"2001:db8:9::1/64"})
	second := bird(t, other, "192.0.2.9", `
protocol bgp node {
  local as 65009;
  neighbor 2001:db8:9::2 as 65001;
  connect retry time 1; error wait time 1,1;
  ipv6 { import all; export none; };
}
`)
	b := tor()
	b.Address, b.ASN = netip.MustParseAddr("2001:db8:9::1"), 65009
	d := desired(tor(), "2001:db8:2::/80")
	d.Peers = append(d.Peers, b)
	l.speaker.apply(d)
	l.established()
	l.Eventually(func() string { return second.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	monitor := follow(t, l.router.space)

	d.Peers[1].HoldTime = 30 * time.Second
	l.speaker.apply(d)
	l.Eventually(func() bgp.SessionState { return l.speaker.status().Sessions[1].State }).WithTimeout(soon).Should(Equal(bgp.Established))
	d.Peers = d.Peers[:1]
	l.speaker.apply(d)
	l.Eventually(func() string { return second.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(BeEmpty())
	l.Expect(l.flaps()).To(BeZero())
	l.Expect(monitor()).NotTo(ContainSubstring("2001:db8:2::/80"), "what happened to the first router's route")
}

// The router connects; we listen. The password belongs to the socket that listens, and must go with the peer.
func TestPassivePeerAndItsPassword(t *testing.T) {
	l := newLab(t, `password "old";`, "")
	d := desired(tor(), "2001:db8:2::/80")
	d.ListenPort, d.ListenAddresses = 179, []netip.Addr{netip.MustParseAddr("2001:db8:1::2")}
	d.Peers[0].Passive, d.Peers[0].Password = true, "new"
	l.speaker.apply(d)
	l.Consistently(func() bgp.SessionState { return l.speaker.status().Sessions[0].State }).WithTimeout(2 * time.Second).ShouldNot(Equal(bgp.Established))
	d.Peers[0].Password = "old"
	l.speaker.apply(d)
	l.established()
	l.Expect(strings.TrimSpace(l.node.run("ss", "-Hltn"))).To(ContainSubstring("[2001:db8:1::2]:179"))
	l.Expect(strings.Count(l.node.run("ss", "-Hltn"), "LISTEN")).To(Equal(1))
}

func TestPassivePeerLosesItsPassword(t *testing.T) {
	l := newLab(t, "", "")
	d := desired(tor(), "2001:db8:2::/80")
	d.ListenPort = 179
	d.Peers[0].Passive, d.Peers[0].Password = true, "secret"
	l.speaker.apply(d)
	d.Peers[0].Password = ""
	l.speaker.apply(d)
	l.established()
}

// Both connect at once: one connection remains, and again after an end.
func TestConnectionsCollide(t *testing.T) {
	l := newLab(t, "", "")
	d := desired(tor(), "2001:db8:2::/80")
	d.ListenPort = 179
	l.speaker.apply(d)
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	l.router.ask("restart", "node")
	l.Eventually(l.flaps).WithTimeout(soon).Should(BeEquivalentTo(1))
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	l.established()
}

// An address that is not there yet costs no session that is.
func TestAddressToListenOnIsMissing(t *testing.T) {
	l := newLab(t, "", "")
	d := desired(tor(), "2001:db8:2::/80")
	l.speaker.apply(d)
	l.established()
	d.ListenPort, d.ListenAddresses = 179, []netip.Addr{netip.MustParseAddr("2001:db8:1::99")}
	l.Expect(l.speaker.try(d)).To(MatchError(ContainSubstring("cannot assign requested address")))
	l.Expect(l.flaps()).To(BeZero())
	l.established()
	l.node.run("ip", "address", "add", "2001:db8:1::99/128", "dev", "lo")
	l.speaker.apply(d)
	l.established()
	d.RouterID = netip.MustParseAddr("192.0.2.3")
	l.speaker.apply(d)
	l.established()
}

// RFC 8950: IPv4 prefixes over a session of IPv6, with a next hop of IPv6.
func TestIPv4OverIPv6(t *testing.T) {
	l := newLab(t, "ipv4 { import all; export none; extended next hop on; };", "protocol kernel { ipv4 { import none; export all; }; }")
	peer := tor()
	peer.Families = []bgp.Family{bgp.IPv6Unicast, bgp.IPv4Unicast}
	d := desired(peer, "2001:db8:2::/80", "100.64.1.0/24")
	l.speaker.apply(d)
	l.Eventually(func() string { return l.router.run("ip", "-4", "route", "show", "exact", "100.64.1.0/24") }).WithTimeout(soon).
		Should(ContainSubstring("via inet6 2001:db8:1::2 dev eth0"))
	l.Expect(l.router.routes("2001:db8:2::/80")).NotTo(BeEmpty())
}

// Only the families asked for are negotiated, also without graceful restart.
func TestFamiliesAreExplicit(t *testing.T) {
	l := newLab(t, "", "")
	l.speaker.apply(desired(tor(), "2001:db8:2::/80"))
	l.established()
	l.Expect(l.router.ask("show", "protocols", "all", "node")).To(MatchRegexp(`(?s)Neighbor capabilities.*AF announced: ipv6\n`))
}
