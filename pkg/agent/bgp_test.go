// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
	fakebgp "github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// bgpBench is an agent that speaks BGP, on fakes.
type bgpBench struct {
	*bench
	speaker *fakebgp.Speaker
	// restarting is what the speaker was last made with.
	restarting []bool

	services  []announce.Service
	listed    bool
	passwords map[string]string
	asked     bool
	lost      []Problem
}

func (b *bgpBench) Services() ([]announce.Service, bool) { return b.services, b.listed }
func (b *bgpBench) Passwords() (map[string]string, bool, []Problem) {
	return b.passwords, b.asked, b.lost
}
func (b *bgpBench) Changed() <-chan struct{} { return nil }

// newBGPBench announces the node's prefix and load balancers' addresses to one router, with graceful restart.
func newBGPBench(t *testing.T) *bgpBench {
	t.Helper()
	b := &bgpBench{bench: newBench(t), listed: true, asked: true}
	b.config = agentconfig.Config{
		RoutingMode: agentconfig.BGP, IPFamilies: []string{"IPv6"}, ServiceCIDRs: []string{"2001:db8:100::/112"}, LoadBalancerCIDRs: []string{"2001:db8:5::/112"},
		BGP: &agentconfig.BGPConfig{
			ASN: 65001, GracefulRestartSeconds: 120, Advertise: agentconfig.Advertise{NodePrefixes: true, LoadBalancerIPs: true},
			Peers: []agentconfig.BGPPeer{{Address: "2001:db8::1", ASN: 65000, Import: "All"}},
		},
	}
	b.bgp = &BGP{Services: b, Passwords: b, Speaker: func(restarting bool) bgp.Speaker {
		b.restarting = append(b.restarting, restarting)
		return b.speaker
	}}
	b.restart()
	return b
}

// restart with a new speaker.
func (b *bgpBench) restart() {
	b.t.Helper()
	b.speaker = fakebgp.New()
	b.bench.restart()
}

// lb is a Service with a ready endpoint on another node.
func lb(name, address string) announce.Service {
	return announce.Service{
		Namespace: "default", Name: name, Type: announce.LoadBalancer, ClusterIPs: []netip.Addr{netip.MustParseAddr("2001:db8:100::a")},
		Ingress:   []announce.Ingress{{Address: netip.MustParseAddr(address)}},
		Endpoints: map[bgp.Family]announce.Endpoints{bgp.IPv6Unicast: {Ready: 1}},
	}
}

const announcesPrefix = "peer 2001:db8::1 (AS 65000)\nannounces 2001:db8:0:1::/120\n"

func TestTheNodesPrefixIsAnnouncedOnceTheKernelHasIt(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	own := *b.view.Own
	b.view.Own = nil
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(BeEmpty(), "the node is not known")
	b.view.Own = &own
	b.kernel.Fail("Apply", errors.New("read-only"))
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(BeEmpty(), "forwarding is off")
	b.kernel.Fail("Apply", nil)
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix(announcesPrefix))
	g.Expect(b.speaker.Desired().GracefulRestart).To(Equal(bgp.GracefulRestart{Enabled: true, Time: 2 * time.Minute}))
	g.Expect(b.restarting).To(Equal([]bool{false}))
}

func TestServicesAreAnnouncedAndNotForwarded(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.services = []announce.Service{lb("web", "2001:db8:5::1")}
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix(announcesPrefix + "announces 2001:db8:5::1/128\n"))
	g.Expect(b.kernel.Dump()).To(ContainSubstring("to 2001:db8:5::1/128 unreachable"))
	b.view.Own.Phase = announce.Draining
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix(announcesPrefix), "its pods live")
}

// Routers keep what the process before has announced, until this one has said all that it knows.
func TestARestartedAgentSaysAllOrNothing(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.reconcile(t.Context())
	b.listed = false
	b.restart()
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(BeEmpty(), "the Services are not known")
	b.listed, b.services = true, []announce.Service{lb("web", "2001:db8:5::1")}
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix("announces 2001:db8:5::1/128\n"))
	g.Expect(b.restarting).To(Equal([]bool{false, true}))

	b.listed, b.services = false, nil
	b.restart()
	b.router.born = time.Now().Add(-patience)
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix(announcesPrefix), "the node's own routes would be lost, too")
	g.Expect(b.events).To(ContainElement(HavePrefix("ServicesUnknown: ")))
}

func TestANodeThatBootedDoesNotWait(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.listed = false
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix(announcesPrefix))
	g.Expect(b.events).To(BeEmpty())
}

func TestPasswordsReachTheSpeakerAndNobodyElse(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.config.BGP.Peers[0].PasswordSecret = "tor"
	b.asked = false
	b.restart()
	b.reconcile(t.Context())
	g.Expect(b.speaker.Desired().Peers).To(BeEmpty())
	g.Expect(b.events).To(BeEmpty(), "nobody has looked yet")
	b.asked = true
	b.reconcile(t.Context())
	g.Expect(b.events).To(ConsistOf(HavePrefix("PasswordMissing: peer 2001:db8::1 has its password in the Secret tor")))
	b.passwords = map[string]string{"tor": "hush"}
	b.reconcile(t.Context())
	g.Expect(b.speaker.Desired().Peers[0].Password).To(Equal("hush"))
	b.lost = []Problem{{Reason: "PasswordMissing", Message: "the Secret was deleted"}}
	b.reconcile(t.Context())
	g.Expect(b.events).To(ContainElement("PasswordMissing: the Secret was deleted"))
	g.Expect(strings.Join(b.events, " ") + b.speaker.Dump() + b.scrape()).NotTo(ContainSubstring("hush"))
}

func (b *bgpBench) scrape() string {
	w := httptest.NewRecorder()
	b.mux().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestImportedRoutesReachTheKernel(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.kernel.OnLink = prefixesOf("2001:db8::/64")
	b.reconcile(t.Context())
	b.speaker.Tell(told("::/0", "2001:db8::1", "2001:db8::1"), told("::/0", "2001:db8::2", "2001:db8::2"), told("2001:db8:0:1::/121", "2001:db8::1", "2001:db8::1"))
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(ContainSubstring("route ::/0 via 2001:db8::1 dev eth0 and via 2001:db8::2 dev eth0 proto 148"))
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring("/121"))
	g.Expect(b.events).To(ConsistOf(HavePrefix("BGPRouteRefused: 1 routes of BGP peers are not used: 2001:db8:0:1::/121, told by 2001:db8::1, lies in this node's own prefix")))

	before := b.kernel.Dump()
	b.restart()
	b.speaker.Fail(errors.New("address in use"))
	b.reconcile(t.Context())
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(Equal(before), "nobody was asked yet")
	b.speaker.Fail(nil)
	b.speaker.Session("2001:db8::1", bgp.Session{State: bgp.Connecting, Since: time.Now()})
	b.reconcile(t.Context())
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(Equal(before), "the peer has told nothing yet")
	g.Expect(b.router.next(time.Hour)).To(Equal(time.Second))
	b.speaker.Session("2001:db8::1", bgp.Session{State: bgp.Established, Since: time.Now(), Told: true})
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring("proto 148"), "it has told all, and that is nothing")
}

// What lies in a prefix that the infrastructure gave the node is left out, too, and people are told.
func TestRoutesIntoTheReportedPrefixAreRefused(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.view.Own.Annotations = map[string]string{nodeprefix.AnnotationReportedPrefix: "2001:db8::/56"}
	b.kernel.OnLink = prefixesOf("2001:db8::/64")
	b.reconcile(t.Context())
	b.speaker.Tell(told("2001:db8:0:9::/64", "2001:db8::1", "2001:db8::1"))
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring("2001:db8:0:9::/64"))
	g.Expect(b.events).To(ContainElement(HaveSuffix("2001:db8:0:9::/64, told by 2001:db8::1, lies in this node's own prefix")))
}

func TestTheEnd(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*bgpBench)
		want   string
	}{
		{"a rollout", func(*bgpBench) {}, "leave"},
		{"the node drains", func(b *bgpBench) { b.view.Own.Phase = announce.Draining }, "withdraw all"},
		{"the node was deleted", func(b *bgpBench) { b.view = View{Known: true} }, "withdraw all"},
		{"the API server is away", func(b *bgpBench) { b.view = View{} }, "leave"},
		{"without graceful restart", func(b *bgpBench) { b.router.config.GracefulRestart.Enabled = false }, "withdraw all"},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := NewWithT(t)
			b := newBGPBench(t)
			b.reconcile(t.Context())
			b.speaker.Done()
			c.change(b)
			g.Expect(b.router.stop(b.View())).To(Succeed())
			g.Expect(b.speaker.Done()).To(Equal(c.want))
		})
	}
	b := newBGPBench(t)
	NewWithT(t).Expect(b.router.stop(b.View())).To(Succeed(), "it never spoke")
}

func TestASessionThatStaysDownIsToldOf(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.speaker.Session("2001:db8::1", bgp.Session{State: bgp.Connecting, Since: time.Now().Add(-59 * time.Second), Reason: "no connection: refused"})
	b.reconcile(t.Context())
	g.Expect(b.events).To(BeEmpty(), "routers restart")
	g.Expect(b.router.next(time.Hour)).To(BeNumerically("~", time.Second, time.Second))
	b.speaker.Session("2001:db8::1", bgp.Session{State: bgp.Connecting, Since: time.Now().Add(-time.Minute), Reason: "no connection: refused"})
	b.reconcile(t.Context())
	b.reconcile(t.Context())
	g.Expect(b.events).To(Equal([]string{"BGPSessionDown: the BGP session with 2001:db8::1 (AS 65000) is down: no connection: refused"}))
	g.Expect(b.Ready()).To(Succeed(), "pods can start: what the node has is not less for that")
	g.Expect(b.scrape()).To(And(ContainSubstring(`ipv6_agent_bgp_session_up{peer="2001:db8::1"} 0`), ContainSubstring(`ipv6_agent_problems{reason="BGPSessionDown"} 1`)))
	b.speaker.Session("2001:db8::1", bgp.Session{State: bgp.Established, Since: time.Now(), Flaps: 3, Received: 5, Accepted: 4, Advertised: 1})
	b.reconcile(t.Context())
	g.Expect(b.scrape()).To(And(
		ContainSubstring(`ipv6_agent_bgp_session_up{peer="2001:db8::1"} 1`), ContainSubstring(`ipv6_agent_bgp_session_flaps_total{peer="2001:db8::1"} 3`),
		ContainSubstring(`ipv6_agent_bgp_session_routes{peer="2001:db8::1",state="received"} 5`),
		ContainSubstring(`ipv6_agent_bgp_session_routes{peer="2001:db8::1",state="accepted"} 4`),
		ContainSubstring("ipv6_agent_bgp_announced_prefixes 1"), ContainSubstring("ipv6_agent_bgp_imported_routes 0")))
}

// A Node that is made anew has no podCIDRs for a moment; its pods live.
func TestRangesThatTheNodeLostStayAnnounced(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.reconcile(t.Context())
	bare := nodeNamed("n1", "2001:db8::11")
	b.view.Own = &bare
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix(announcesPrefix))
	b.view.Peers = []Node{nodeNamed("n2", "2001:db8::12", "2001:db8:0:1::/120")}
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).NotTo(ContainSubstring("announces"), "it is another node's now")
}

func TestAFailureToSpeakIsTriedAgain(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.speaker.Fail(errors.New("address in use"))
	b.reconcile(t.Context())
	g.Expect(b.events).To(Equal([]string{"BGPSpeakerFailed: address in use"}))
	g.Expect(b.unsettled()).To(BeTrue())
	g.Expect(b.Ready()).To(Succeed())
	b.speaker.Fail(nil)
	b.reconcile(t.Context())
	g.Expect(b.unsettled()).To(BeFalse())
}

// A user can make any number of Services with addresses that are not theirs.
func TestManyProblemsAreOneEvent(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	for i := range 100 {
		b.services = append(b.services, lb(fmt.Sprint("s", i), "2001:db8::53"))
	}
	b.reconcile(t.Context())
	g.Expect(b.events).To(HaveLen(1))
	g.Expect(b.events[0]).To(And(HavePrefix("AddressNotAllowed: Service default/s0 has the LoadBalancer address"), HaveSuffix("; …")))
}

func TestPeersAtTheGateways(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.config.BGP.Peers[0] = agentconfig.BGPPeer{DefaultGateway: true, ASN: 65000}
	b.restart()
	b.reconcile(t.Context())
	g.Expect(b.events).To(ConsistOf(HavePrefix("GatewayUnknown: ")))
	g.Expect(b.unsettled()).To(BeTrue(), "a default route that comes is no interface that changes")
	b.kernel.GatewaysAre = []dataplane.Hop{{Via: netip.MustParseAddr("fe80::1"), Device: "eth0"}}
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(ContainSubstring("peer fe80::1%eth0 (AS 65000)"))
}

func TestARouterIDOfAPerson(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.view.Peers = []Node{nodeNamed("n2", "192.0.2.1"), nodeNamed("n3", "192.0.2.1")}
	b.view.Own.Annotations = map[string]string{AnnotationRouterID: "192.0.2.1"}
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HavePrefix("AS 65001 router 192.0.2.1\n"))
	g.Expect(b.events).To(ConsistOf(And(HavePrefix("RouterIDCollision: Node n2 has the router ID 192.0.2.1, too"), ContainSubstring("; Node n3 has"))))
	b.view.Own.Annotations[AnnotationRouterID] = "192.0.2.2"
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HavePrefix("AS 65001 router 192.0.2.2\n"))
}

// With another mode there is nothing of all that.
func TestNoBGPWithoutTheMode(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	g.Expect(b.router).To(BeNil())
	g.Expect(b.router.next(time.Hour)).To(Equal(time.Hour))
	b.config.RoutingMode = agentconfig.BGP
	_, err := New(t.Context(), Options{Config: b.config})
	g.Expect(err).To(MatchError("routing mode BGP: nothing that speaks it"))
}

// Add, then announce; withdraw, then delete: between, a packet to the address would go round between the node and its router.
func TestAddressesAreRefusedForLongerThanTheyAreAnnounced(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	const rule = "to 2001:db8:5::1/128 unreachable"
	b.services = []announce.Service{lb("web", "2001:db8:5::1")}
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(ContainSubstring(rule))
	b.services = nil
	b.speaker.Fail(errors.New("not now"))
	for range 2 {
		b.reconcile(t.Context())
		g.Expect(b.kernel.Dump()).To(ContainSubstring(rule), "it is announced still")
	}
	b.speaker.Fail(nil)
	b.reconcile(t.Context())
	g.Expect(b.speaker.Dump()).To(HaveSuffix(announcesPrefix))
	g.Expect(b.kernel.Dump()).To(ContainSubstring(rule), "the router may not have heard yet")
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring("2001:db8:5::1"))
}

// The first look after patience has ended announces: half a minute more, and routers have waited for longer than their restart time.
func TestALookFollowsThePatience(t *testing.T) {
	g := NewWithT(t)
	b := newBGPBench(t)
	b.reconcile(t.Context())
	b.restart()
	b.listed = false
	b.reconcile(t.Context())
	g.Expect(b.router.next(time.Hour)).To(And(BeNumerically(">", 20*time.Second), BeNumerically("<=", patience)))
	b.listed = true
	b.reconcile(t.Context())
	g.Expect(b.router.next(time.Hour)).To(Equal(time.Hour))
}

// hanging is a speaker whose peer does not read.
type hanging struct{ *fakebgp.Speaker }

func (hanging) Apply(ctx context.Context, _ bgp.Desired) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestASpeakerHoldsUpNoNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBGPBench(t)
		b.bgp.Speaker = func(bool) bgp.Speaker { return hanging{fakebgp.New()} }
		b.restart()
		b.reconcile(t.Context())
		g.Expect(b.events).To(ConsistOf("BGPSpeakerFailed: context deadline exceeded"))
		g.Expect(b.Ready()).To(Succeed())
	})
}
