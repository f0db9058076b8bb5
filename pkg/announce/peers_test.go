// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package announce_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

var v6 = []bgp.Family{bgp.IPv6Unicast}

func TestPeers(t *testing.T) {
	for name, tc := range map[string]struct {
		peers    []announce.Peer
		want     []bgp.Peer
		problems []string
	}{
		"by address, everything handed on": {
			peers: []announce.Peer{{
				Address: addr("2001:db8::1"), ASN: 65000, Port: 1790, MultihopTTL: 3, PasswordSecret: "tor", HoldTime: 9 * time.Second,
				ConnectRetry: 2 * time.Second, Families: []bgp.Family{bgp.IPv6Unicast, bgp.IPv4Unicast}, Import: bgp.ImportDefault, ImportLimit: 7,
				Communities: []bgp.Community{9, 1, 9}, LocalPreference: 200,
			}},
			want: []bgp.Peer{{
				Address: addr("2001:db8::1"), ASN: 65000, Port: 1790, MultihopTTL: 3, Password: "secret", HoldTime: 9 * time.Second,
				ConnectRetry: 2 * time.Second, Families: []bgp.Family{bgp.IPv4Unicast, bgp.IPv6Unicast}, Import: bgp.ImportDefault, ImportLimit: 7,
				Communities: []bgp.Community{1, 9}, LocalPreference: 200,
			}},
		},
		"by label": {
			peers: []announce.Peer{
				{Address: addr("2001:db8::1"), ASN: 65000, NodeSelector: map[string]string{"rack": "1"}},
				{Address: addr("2001:db8::2"), ASN: 65000, NodeSelector: map[string]string{"rack": "2"}},
				{Address: addr("2001:db8::3"), ASN: 65000, NodeSelector: map[string]string{"row": ""}},
			},
			want: []bgp.Peer{{Address: addr("2001:db8::1"), ASN: 65000, Families: v6}},
		},
		"in the order of their addresses": {
			peers: []announce.Peer{{Address: addr("2001:db8::2"), ASN: 65000}, {Address: addr("2001:db8::1"), ASN: 65001}},
			want:  []bgp.Peer{{Address: addr("2001:db8::1"), ASN: 65001, Families: v6}, {Address: addr("2001:db8::2"), ASN: 65000, Families: v6}},
		},
		"the default gateways, one session a family, of the link with its interface": {
			peers: []announce.Peer{{DefaultGateway: true, ASN: 65000}},
			want: []bgp.Peer{
				{Address: addr("10.0.0.254"), ASN: 65000, Families: []bgp.Family{bgp.IPv4Unicast}},
				{Address: addr("fe80::1%eth0"), ASN: 65000, Families: v6},
			},
		},
		"an address of the link that is the gateway's": {
			peers: []announce.Peer{{Address: addr("fe80::1"), ASN: 65000}},
			want:  []bgp.Peer{{Address: addr("fe80::1%eth0"), ASN: 65000, Families: v6}},
		},
		"an address of the link that is nobody's": {
			peers:    []announce.Peer{{Address: addr("fe80::9"), ASN: 65000}},
			problems: []string{"PeerWithoutInterface: peer fe80::9 is an address of the link: write its interface, as in fe80::9%eth0; there is no session"},
		},
		"no address": {
			peers:    []announce.Peer{{ASN: 65000}},
			problems: []string{"PeerWithoutAddress: a peer of AS 65000 has neither an address nor defaultGateway: there is no session"},
		},
		"password missing": {
			peers: []announce.Peer{{Address: addr("2001:db8::1"), ASN: 65000, PasswordSecret: "gone"}},
			problems: []string{`PasswordMissing: peer 2001:db8::1 has its password in the Secret gone, which is missing or has no key "password": ` +
				"there is no session"},
		},
		"password too long": {
			peers:    []announce.Peer{{Address: addr("2001:db8::1"), ASN: 65000, PasswordSecret: "long"}, {Address: addr("2001:db8::2"), ASN: 65000}},
			want:     []bgp.Peer{{Address: addr("2001:db8::2"), ASN: 65000, Families: v6}},
			problems: []string{"PasswordTooLong: peer 2001:db8::1 has a password of 81 bytes in the Secret long: TCP MD5 takes at most 80; there is no session"},
		},
		"itself": {
			peers:    []announce.Peer{{Address: addr("2001:db8::a"), ASN: 65000}},
			problems: []string{"PeerIsThisNode: peer 2001:db8::a is this node itself: there is no session; a nodeSelector can keep it out"},
		},
		"twice": {
			peers:    []announce.Peer{{Address: addr("2001:db8::1"), ASN: 65000}, {Address: addr("2001:db8::1"), ASN: 65001}},
			want:     []bgp.Peer{{Address: addr("2001:db8::1"), ASN: 65000, Families: v6}},
			problems: []string{"PeerTwice: peer 2001:db8::1 is there twice for this node: the first one counts"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			in := input()
			in.Node.Labels = map[string]string{"rack": "1"}
			in.Config.Peers = tc.peers
			in.Passwords = map[string]string{"tor": "secret", "long": strings.Repeat("x", 81)}
			out := announce.Decide(in)
			g.Expect(out.Desired.Peers).To(Equal(tc.want))
			if tc.problems == nil {
				tc.problems = []string{}
			}
			g.Expect(problems(out)).To(Equal(tc.problems))
			g.Expect(out.Desired.ListenPort).To(BeZero(), "nobody shall connect")
			g.Expect(out.Desired.Validate()).To(Succeed())
		})
	}
}

func TestPeersWhoseFamilyThePodsLack(t *testing.T) {
	in := input()
	in.Families = v6
	in.Config.Peers = []announce.Peer{{Address: addr("10.0.0.254"), ASN: 65000}}
	NewWithT(t).Expect(problems(announce.Decide(in))).To(Equal([]string{
		"PeerWithoutFamily: peer 10.0.0.254 carries none of the pods' families by default: name families; there is no session",
	}))
}

// Routers like one address on all of their links.
func TestGatewaysOfTwoLinks(t *testing.T) {
	in := input()
	in.Families = v6
	in.Gateways = []announce.Gateway{{Address: addr("fe80::1"), Interface: "eth1"}, {Address: addr("fe80::1"), Interface: "eth0"}}
	in.Config.Peers = []announce.Peer{{DefaultGateway: true, ASN: 65000}}
	out := announce.Decide(in)
	NewWithT(t).Expect(problems(out)).To(BeEmpty())
	NewWithT(t).Expect(out.Desired.Peers).To(Equal([]bgp.Peer{
		{Address: addr("fe80::1%eth0"), ASN: 65000, Families: v6}, {Address: addr("fe80::1%eth1"), ASN: 65000, Families: v6},
	}))
}

func TestGatewayUnknown(t *testing.T) {
	in := input()
	in.Gateways = in.Gateways[:1]
	in.Config.Peers = []announce.Peer{{DefaultGateway: true, ASN: 65000}}
	out := announce.Decide(in)
	NewWithT(t).Expect(out.Desired.Peers).To(HaveLen(1))
	NewWithT(t).Expect(problems(out)).To(Equal([]string{
		"GatewayUnknown: peer defaultGateway for ipv4-unicast: this node has no default route of that family yet: there is no session",
	}))
}

func TestPassivePeers(t *testing.T) {
	g := NewWithT(t)
	in := input()
	in.Config.Peers[0].Passive = true
	out := announce.Decide(in)
	g.Expect(out.Desired.ListenPort).To(BeEquivalentTo(179))
	g.Expect(out.Desired.ListenAddresses).To(Equal([]netip.Addr{addr("10.0.0.1"), addr("2001:db8::a")}))

	in.Config.Peers = append(in.Config.Peers, announce.Peer{Address: addr("fe80::1%eth0"), ASN: 65000, Passive: true})
	g.Expect(announce.Decide(in).Desired.ListenAddresses).To(BeNil(), "a peer of the link connects to an address of the link")
}

// Another socket to listen on is another speaker: every session would end, and routers would delete their routes to this node.
func TestWhoComesAndGoesDoesNotRestartTheSpeaker(t *testing.T) {
	base := func() announce.Input {
		in := input()
		in.Config.NodeMesh, in.Node.Name = true, "b"
		return in
	}
	for name, change := range map[string]func(*announce.Input){
		"the first node whose name is before this one's": func(in *announce.Input) { in.Others[0].Name = "a" },
		"the only other node goes":                       func(in *announce.Input) { in.Others = nil },
		"the node's addresses in another order":          func(in *announce.Input) { slices.Reverse(in.Node.Addresses) },
		"the gateway of a passive peer goes":             func(in *announce.Input) { in.Gateways = nil },
		"the password of a passive peer goes":            func(in *announce.Input) { in.Passwords = nil },
	} {
		t.Run(name, func(t *testing.T) {
			before, after := base(), base()
			for _, in := range []*announce.Input{&before, &after} {
				in.Others[0].Name = "c"
				in.Passwords = map[string]string{"tor": "secret"}
				if strings.Contains(name, "passive") {
					in.Config.NodeMesh = false
					in.Config.Peers = append(in.Config.Peers, announce.Peer{DefaultGateway: true, ASN: 65000, Passive: true, PasswordSecret: "tor"})
				}
			}
			change(&after)
			NewWithT(t).Expect(bgp.Compare(announce.Decide(before).Desired, announce.Decide(after).Desired).Restart).To(BeFalse())
		})
	}
}

func TestNodeMesh(t *testing.T) {
	g := NewWithT(t)
	in := input()
	in.Config.NodeMesh, in.Config.Peers = true, nil
	mesh := func(own, theirs string, f bgp.Family, passive bool) bgp.Peer {
		return bgp.Peer{
			Address: addr(theirs), LocalAddress: addr(own), ASN: 64512, Families: []bgp.Family{f}, Import: bgp.ImportAll, Passive: passive,
		}
	}
	out := announce.Decide(in)
	g.Expect(out.Desired.Peers).To(Equal([]bgp.Peer{
		mesh("10.0.0.1", "10.0.0.2", bgp.IPv4Unicast, false), mesh("2001:db8::a", "2001:db8::b", bgp.IPv6Unicast, false),
	}))

	in.Node, in.Others = in.Others[0], []announce.Node{in.Node}
	out = announce.Decide(in)
	g.Expect(out.Desired.Peers).To(Equal([]bgp.Peer{
		mesh("10.0.0.2", "10.0.0.1", bgp.IPv4Unicast, true), mesh("2001:db8::b", "2001:db8::a", bgp.IPv6Unicast, true),
	}), "one end connects, the other listens")
	g.Expect(out.Desired.ListenPort).To(BeEquivalentTo(179))

	in.Others[0].Addresses = in.Others[0].Addresses[:1]
	g.Expect(problems(announce.Decide(in))).To(ContainElement(
		"PeerWithoutAddress: Node a and this one have no addresses of ipv4-unicast for a session: its routes are not known here"))
}

func TestRouterIDs(t *testing.T) {
	g := NewWithT(t)
	in := input()
	g.Expect(announce.Decide(in).Desired.RouterID).To(Equal(addr("10.0.0.1")))

	in.Others[0].RouterID = addr("10.0.0.1")
	out := announce.Decide(in)
	g.Expect(out.Problems).To(HaveLen(1))
	g.Expect(problems(out)[0]).To(HavePrefix("RouterIDCollision: Node b has the router ID 10.0.0.1, too"))

	in.Node.RouterID = addr("192.0.2.77")
	out = announce.Decide(in)
	g.Expect(out.Desired.RouterID).To(Equal(addr("192.0.2.77")), "what a person says")
	g.Expect(out.Problems).To(BeEmpty())

	in.Node.RouterID, in.Node.Addresses = netip.Addr{}, in.Node.Addresses[:1]
	g.Expect(pfx("240.0.0.0/4").Contains(announce.Decide(in).Desired.RouterID)).To(BeTrue(), "IPv6 only: made of the name")
}
