// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

func path(g Gomega, neighbor string, attributes ...proto.Message) *api.Path {
	p := &api.Path{NeighborIp: neighbor, SourceAsn: 65000}
	for _, a := range attributes {
		encoded, err := anypb.New(a)
		g.Expect(err).NotTo(HaveOccurred())
		p.Pattrs = append(p.Pattrs, encoded)
	}
	return p
}

func TestNextHops(t *testing.T) {
	for _, c := range []struct {
		what, want string
		attribute  proto.Message
	}{
		{"global", "2001:db8::9", &api.MpReachNLRIAttribute{NextHops: []string{"2001:db8::9"}}},
		{"global and of the link", "2001:db8::9", &api.MpReachNLRIAttribute{NextHops: []string{"2001:db8::9", "fe80::9"}}},
		{"of the link only", "fe80::9", &api.MpReachNLRIAttribute{NextHops: []string{"::", "fe80::9"}}},
		{"none", "fe80::1%eth0", &api.MpReachNLRIAttribute{NextHops: []string{"::"}}},
		{"IPv4", "192.0.2.9", &api.NextHopAttribute{NextHop: "192.0.2.9"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := NewWithT(t)
			r, err := routeOf("2001:db8:1::/48", path(g, "fe80::1%eth0", c.attribute))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(r).To(Equal(bgp.Route{
				Prefix: netip.MustParsePrefix("2001:db8:1::/48"), NextHop: netip.MustParseAddr(c.want), Peer: netip.MustParseAddr("fe80::1%eth0"),
			}))
		})
	}
}

// Routes share packets if nothing but their routers tells them apart.
func TestMerit(t *testing.T) {
	g := NewWithT(t)
	s := New(Options{})
	s.has.ASN = 65001
	sequence := func(asns ...uint32) *api.AsPathAttribute {
		return &api.AsPathAttribute{Segments: []*api.AsSegment{{Type: api.AsSegment_AS_SEQUENCE, Numbers: asns}}}
	}
	base := []proto.Message{sequence(65000, 1), &api.OriginAttribute{}, &api.MultiExitDiscAttribute{Med: 5}}
	is := s.meritOf(path(g, "2001:db8::1", base...))
	g.Expect(s.meritOf(path(g, "2001:db8::2", sequence(65000, 2), &api.MultiExitDiscAttribute{Med: 5}, &api.MpReachNLRIAttribute{NextHops: []string{"::1"}}))).To(Equal(is))
	set := sequence(65000)
	set.Segments = append(set.Segments, &api.AsSegment{Type: api.AsSegment_AS_SET, Numbers: []uint32{1, 2, 3}})
	g.Expect(s.meritOf(path(g, "2001:db8::2", set, &api.MultiExitDiscAttribute{Med: 5}))).To(Equal(is), "a set counts as one")
	for what, other := range map[string]proto.Message{
		"longer": sequence(65000, 1, 2), "local preference": &api.LocalPrefAttribute{LocalPref: 200}, "origin": &api.OriginAttribute{Origin: 2}, "MED": &api.MultiExitDiscAttribute{Med: 6},
	} {
		g.Expect(s.meritOf(path(g, "2001:db8::1", append(base, other)...))).NotTo(Equal(is), what)
	}
	internal := path(g, "2001:db8::1", base...)
	internal.SourceAsn = 65001
	g.Expect(s.meritOf(internal)).NotTo(Equal(is))
}

// What a peer says that nothing is taken from wakes nobody.
func TestWhatMatters(t *testing.T) {
	g := NewWithT(t)
	s := New(Options{})
	s.has.Peers = []bgp.Peer{
		{Address: netip.MustParseAddr("2001:db8::1"), Import: bgp.ImportAll}, {Address: netip.MustParseAddr("2001:db8::2")},
		{Address: netip.MustParseAddr("2001:db8::3"), Import: bgp.ImportNone}, {Address: netip.MustParseAddr("fe80::1%eth0"), Import: bgp.ImportDefault},
	}
	for neighbor, want := range map[string]bool{
		"2001:db8::1": true, "2001:db8::2": false, "2001:db8::3": false, "fe80::1%eth0": true, "fe80::1": true, "<nil>": false, "": false, "2001:db8::9": false,
	} {
		g.Expect(s.matters(path(g, neighbor))).To(Equal(want), neighbor)
	}
}
