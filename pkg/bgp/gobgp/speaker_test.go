// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0
package gobgp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"github.com/osrg/gobgp/v3/pkg/server"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// unreachable is an address of the discard prefix (RFC 6666).
var unreachable = netip.MustParseAddr("100::1")

func desired() bgp.Desired {
	return bgp.Desired{
		ASN: 65001, RouterID: netip.MustParseAddr("192.0.2.2"),
		Peers:          []bgp.Peer{{Address: unreachable, ASN: 65000, Families: []bgp.Family{bgp.IPv6Unicast}}},
		Advertisements: []bgp.Advertisement{{Prefix: netip.MustParsePrefix("2001:db8:2::/80")}},
	}
}

// What GoBGP says, as its version that we build with says it.
func TestReasons(t *testing.T) {
	const peer = "fe80::1%eth0"
	for _, tc := range []struct {
		name, message string
		fields        log.Fields
		want          string
		ends          uint64
	}{
		{"received", "received notification", log.Fields{"Code": uint8(6), "Subcode": uint8(2), "Communicated-Reason": "maintenance"},
			`the peer ended the session: code 6(cease) subcode 2(administrative shutdown) ("maintenance")`, 0},
		{"sent", "sent notification", log.Fields{"Data": packet.NewMessageError(2, 3, nil, "bad ID")},
			"this node ended the session: code 2(open) subcode 3(bad bgp identifier): bad ID", 0},
		{"hold time", "Peer Down", log.Fields{"Reason": "hold-timer-expired"}, "nothing was heard of the peer for the hold time", 1},
		{"broken", "Peer Down", log.Fields{"Reason": "read-failed"}, "the connection was closed or broke", 1},
		{"restart", "Peer Down", log.Fields{"Reason": "graceful-restart"}, "the connection was closed or broke; the peer may be restarting", 1},
		{"unknown", "Peer Down", log.Fields{"Reason": "something"}, "something", 1},
		{"refused", "failed to connect", log.Fields{"Error": &net.OpError{Op: "dial", Err: errors.New("connect: connection refused")}},
			"no connection: connect: connection refused", 0},
		{"no answer", "failed to connect", log.Fields{"Error": &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}},
			"no answer: is the address right, the way there, and the password, if there is one?", 0},
		{"of no interest", "Add a peer configuration", log.Fields{}, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHistory(func() {}, func() {}, func(string) {})
			h.begin(peer)
			tc.fields["Key"] = peer
			h.message(tc.message, tc.fields)
			NewWithT(t).Expect(h.of(peer).reason).To(Equal(tc.want))
			NewWithT(t).Expect(h.of(peer).ends).To(Equal(tc.ends))
			h.forget(peer)
			h.message(tc.message, tc.fields)
			NewWithT(t).Expect(h.of(peer)).To(Equal(past{}), "a peer that is gone is not followed")
		})
	}
	h := newHistory(func() {}, func() {}, func(string) {})
	h.begin(peer)
	h.message("received notification", log.Fields{"Key": peer, "Code": uint8(6), "Subcode": uint8(4)})
	h.message("Peer Down", log.Fields{"Key": peer, "Reason": "notification-received code 6(cease) subcode 4(administrative reset)"})
	NewWithT(t).Expect(h.of(peer).reason).To(Equal("the peer ended the session: code 6(cease) subcode 4(administrative reset)"))
}

func TestAmbiguousPeers(t *testing.T) {
	g := NewWithT(t)
	d := desired()
	one, other := d.Peers[0], d.Peers[0]
	one.Address, other.Address = netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("fe80::1%eth1")
	d.Peers = []bgp.Peer{one, other}
	g.Expect(ambiguous(d.ASN, d.Peers)).To(Succeed())
	d.Peers[1].Import = bgp.ImportAll
	g.Expect(New(Options{}).Apply(context.Background(), d)).To(MatchError(ContainSubstring(
		"peers fe80::1%eth0 and fe80::1%eth1 differ only by their link: import, communities and local preference must be the same")))
}

func TestTimersAndTransport(t *testing.T) {
	g := NewWithT(t)
	p := peerOf(bgp.Peer{Address: netip.MustParseAddr("2001:db8::1"), ASN: 65000, LocalAddress: netip.MustParseAddr("2001:db8::2")}, bgp.GracefulRestart{}, false)
	g.Expect(p.Timers.Config.HoldTime).To(BeEquivalentTo(90))
	g.Expect(p.Timers.Config.KeepaliveInterval).To(BeEquivalentTo(30))
	g.Expect(p.Timers.Config.ConnectRetry).To(BeEquivalentTo(5))
	g.Expect(p.Transport.RemotePort).To(BeEquivalentTo(179))
	g.Expect(p.Transport.LocalAddress).To(Equal("2001:db8::2"))
	g.Expect(p.GracefulRestart).To(BeNil())
	p = peerOf(bgp.Peer{Address: netip.MustParseAddr("fe80::1%eth0"), HoldTime: 3 * time.Second, MultihopTTL: 4}, bgp.GracefulRestart{Enabled: true}, true)
	g.Expect(p.Timers.Config.KeepaliveInterval).To(BeEquivalentTo(1))
	g.Expect(p.Transport.BindInterface).To(Equal("eth0"))
	g.Expect(p.EbgpMultihop.MultihopTtl).To(BeEquivalentTo(4))
	g.Expect(p.GracefulRestart.RestartTime).To(BeEquivalentTo(120))
	g.Expect(p.GracefulRestart.LocalRestarting).To(BeTrue())
}

// Local preference is for internal peers only.
func TestActions(t *testing.T) {
	g := NewWithT(t)
	p := bgp.Peer{ASN: 65001, LocalPreference: 200}
	g.Expect(actionsOf(65001, p).LocalPref).To(HaveField("Value", BeEquivalentTo(200)))
	g.Expect(actionsOf(65000, p)).To(BeNil())
	p.Communities = []bgp.Community{0xFFFFFF01}
	g.Expect(actionsOf(65000, p).Community).To(And(HaveField("Communities", []string{"65535:65281"}), HaveField("Type", api.CommunityAction_ADD)))
}

// Everything at once, for the race detector, and twice over.
func TestUsedByMany(t *testing.T) {
	s := New(Options{})
	ctx := context.Background()
	g := NewWithT(t)
	for range 2 {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				d := desired()
				d.Peers[0].Import = []bgp.Import{bgp.ImportNone, bgp.ImportAll}[i%2]
				d.Peers[0].HoldTime = time.Duration(3+i/4) * time.Second
				g.Expect(s.Apply(ctx, d)).To(Succeed())
				_, err := s.Status(ctx)
				g.Expect(err).NotTo(HaveOccurred())
			})
		}
		all.Wait()
		status, err := s.Status(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(status.Sessions).To(HaveLen(1))
		g.Expect(s.Withdraw(ctx)).To(Succeed())
	}
	g.Expect(s.Withdraw(ctx)).To(Succeed())
	s.Leave()
}

// A context that has ended must not hold up an agent that stops.
func TestWithdrawWithAContextThatHasEnded(t *testing.T) {
	s := New(Options{})
	g := NewWithT(t)
	g.Expect(s.Apply(context.Background(), desired())).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Withdraw(ctx)
	status, err := s.Status(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status.Sessions).To(BeEmpty())
}

// Without it all works, but the first connection takes a second longer.
func TestGoBGPTakesConnections(t *testing.T) {
	NewWithT(t).Expect(accepted(server.NewBgpServer())).NotTo(BeNil(), "has GoBGP another field now?")
}
