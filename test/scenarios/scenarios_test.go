// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
)

func TestNamesAreUniqueAndManifestsRender(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]bool{"demo": true}

	for _, s := range All() {
		g.Expect(seen).NotTo(HaveKey(s.Name))
		seen[s.Name] = true

		manifest, err := s.Manifest()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(manifest)).To(ContainSubstring("landscape.example/scenario: \"" + s.Name + "\""))
		g.Expect(s.Title).NotTo(BeEmpty(), s.Name)
		g.Expect(s.Checks).NotTo(BeEmpty(), s.Name)

		titles := map[string]bool{}
		for _, check := range s.Checks {
			g.Expect(titles).NotTo(HaveKey(check.Title), s.Name)
			titles[check.Title] = true
		}
	}
}

func TestBIRDsSessions(t *testing.T) {
	g := NewWithT(t)

	found, err := birdSessions(`BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     12:03:06.567  

nodes      BGP        ---        start  12:03:06.567  Passive       
  BGP state:          Passive
    Neighbor range:   3fff:6:0:100::/64

dynbgp1    BGP        ---        up     12:03:22.762  Established   
  BGP state:          Established
    Neighbor address: 3fff:6:0:100::12
    Neighbor AS:      64512
  Channel ipv6
    State:          UP
    Routes:         4 imported, 0 exported, 4 preferred

dynbgp2    BGP        ---        start  12:03:23.279  Connect       
  BGP state:          Connect
    Neighbor address: 3fff:6:0:100::13
`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(Equal([]session{{Peer: netip.MustParseAddr("3fff:6:0:100::12"), Prefixes: 4}}))

	_, err = birdSessions("x\n    Neighbor address: here\n")
	g.Expect(err).To(MatchError(ContainSubstring(`unable to parse IP`)))
}

func TestFRRsSessions(t *testing.T) {
	g := NewWithT(t)

	found, err := frrSessions(`{"as":65000,"peers":{"br-rack-n1":{"state":"Established","pfxRcd":3},"br-rack-n2":{"state":"Idle"}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(Equal([]session{{Interface: "br-rack-n1", Prefixes: 3}}))

	_, err = frrSessions("% Unknown command")
	g.Expect(err).To(MatchError(ContainSubstring("% Unknown command")))
}

func TestRoutesOfAKernel(t *testing.T) {
	g := NewWithT(t)

	routes, err := parseRoutes(`[
{"dst":"2001:db8:5::7","protocol":"bird","nexthops":[{"gateway":"2001:db8:1::12","dev":"br-shoot","weight":1},{"gateway":"2001:db8:1::11","dev":"br-shoot"}]},
{"dst":"2001:db8:2::/64","gateway":"fe80::5","dev":"br-rack-n1"},
{"dst":"default","gateway":"2001:db8::1","dev":"eth0"},
{"dst":"2001:db8:1::/64","dev":"br-shoot","protocol":"kernel"}]`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(routes).To(Equal(map[netip.Prefix][]hop{
		netip.MustParsePrefix("2001:db8:5::7/128"): {
			{netip.MustParseAddr("2001:db8:1::11"), "br-shoot"}, {netip.MustParseAddr("2001:db8:1::12"), "br-shoot"},
		},
		netip.MustParsePrefix("2001:db8:2::/64"): {{netip.MustParseAddr("fe80::5"), "br-rack-n1"}},
		netip.MustParsePrefix("::/0"):            {{netip.MustParseAddr("2001:db8::1"), "eth0"}},
	}))
	g.Expect(routes[netip.MustParsePrefix("2001:db8:2::/64")][0].String()).To(Equal("fe80::5%br-rack-n1"))
}

func TestHolders(t *testing.T) {
	g := NewWithT(t)
	nodes := []node{{name: "n1", address: netip.MustParseAddr("2001:db8::11")}, {name: "n2", address: netip.MustParseAddr("2001:db8::12")}}

	g.Expect(holders(nodes, []hop{
		{netip.MustParseAddr("2001:db8::12"), "br-shoot"}, {netip.MustParseAddr("fe80::7"), "br-rack-n1"}, {netip.MustParseAddr("2001:db8::13"), "br-shoot"},
	})).To(Equal([]string{"n1", "n2", "somebody else: 2001:db8::13"}))
}
