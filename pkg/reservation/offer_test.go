// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// offers as an operator may have configured them: a pool of his own, two clouds, and unique local prefixes.
func offers() []reservation.Offer {
	return []reservation.Offer{
		{Backend: "pool", Type: "pool", Scope: plan.Global, Keeps: true, Pools: []reservation.Pool{
			{Name: "public", Family: prefix.IPv6, MinBits: 56, MaxBits: 64, Selector: reservation.Selector{ProviderTypes: []string{"metal"}}},
		}},
		{
			Backend: "neutron", Type: "openstack", Scope: plan.Global, Named: true,
			Selector: reservation.Selector{ProviderTypes: []string{"openstack"}, Regions: []string{"eu-1", "eu-2"}},
			Pools: []reservation.Pool{
				{Name: "services", Family: prefix.IPv6, MinBits: 108, MaxBits: 112, Selector: reservation.Selector{Ranges: []keyword.Name{keyword.Services}}},
				{Name: "large", Family: prefix.IPv6, MinBits: 48, MaxBits: 56},
				{Name: "small", Family: prefix.IPv6, MinBits: 64, MaxBits: 64},
				{Name: "old", Family: prefix.IPv4, MinBits: 16, MaxBits: 24},
			},
		},
		{Backend: "vpc", Type: "aws", Scope: plan.Global, Selector: reservation.Selector{ProviderTypes: []string{"aws"}}, Pools: []reservation.Pool{
			{Name: "top", Family: prefix.IPv6, MinBits: 44, MaxBits: 60},
			{Name: "test", Family: prefix.IPv6, MinBits: 44, MaxBits: 60, Named: true},
		}},
		{Backend: "ula", Type: "ula", Scope: plan.Private, Family: prefix.IPv6, Named: true},
	}
}

func TestChoose(t *testing.T) {
	openstack := reservation.Place{ProviderType: "openstack", Region: "eu-1", Seed: "seed-a"}
	aws := reservation.Place{ProviderType: "aws", Region: "eu-west-1", Seed: "seed-a"}
	for name, tc := range map[string]struct {
		place   reservation.Place
		request reservation.Request
		backend string
		pools   []string
		kind    reservation.Kind
		why     string
	}{
		"by provider, all pools that fit, in order": {
			place: openstack, request: reservation.Request{Bits: 64}, backend: "neutron", pools: []string{"large", "small"},
		},
		"large enough": {place: openstack, request: reservation.Request{Bits: 50}, backend: "neutron", pools: []string{"large"}},
		"a pool for one range only": {
			place: openstack, request: reservation.Request{Key: plan.Key{Range: keyword.Services}, Bits: 108}, backend: "neutron",
			pools: []string{"services", "large", "small"},
		},
		"another provider":    {place: aws, request: reservation.Request{Bits: 56}, backend: "vpc", pools: []string{"top", "test"}},
		"no pools, by family": {place: aws, request: reservation.Request{Scope: plan.Private, Bits: 64}, backend: "ula"},
		"the backend it names": {
			place: openstack, request: reservation.Request{Bits: 64, Backend: "neutron"}, backend: "neutron", pools: []string{"large", "small"},
		},
		"the pool it names":             {place: openstack, request: reservation.Request{Bits: 64, Pool: "small"}, backend: "neutron", pools: []string{"small"}},
		"the only pool it may name":     {place: aws, request: reservation.Request{Bits: 56, Pool: "test"}, backend: "vpc", pools: []string{"test"}},
		"of a backend what it may name": {place: aws, request: reservation.Request{Bits: 56, Backend: "vpc"}, backend: "vpc", pools: []string{"test"}},
		"a pool it may not name": {
			place: aws, request: reservation.Request{Bits: 56, Backend: "vpc", Pool: "top"}, kind: reservation.Invalid,
			why: "no IPAM backend serves a /56 (IPv6, Global) for nodes: pool: it was not asked for; neutron: it was not asked for; " +
				"vpc: pool top: shoots may not name it (shootsMayName); pool test: it was not asked for",
		},
		"nothing here": {
			place: reservation.Place{ProviderType: "openstack", Region: "us-1"}, request: reservation.Request{Bits: 64}, kind: reservation.Wait,
			why: `no IPAM backend serves a /64 (IPv6, Global) for nodes: pool: pool public: it is for provider type metal, not "openstack"; ` +
				`neutron: it is for region eu-1, eu-2, not "us-1"; vpc: it is for provider type aws, not "openstack"`,
		},
		"too large": {
			place: openstack, request: reservation.Request{Bits: 40}, kind: reservation.Wait,
			why: `no IPAM backend serves a /40 (IPv6, Global) for nodes: pool: pool public: it gives nothing larger than a /56; ` +
				`neutron: pool services: it gives nothing larger than a /108; pool large: it gives nothing larger than a /48; ` +
				`pool small: it gives nothing larger than a /64; pool old: it has IPv4 prefixes; vpc: it is for provider type aws, not "openstack"`,
		},
		"another family": {
			place: aws, request: reservation.Request{Key: plan.Key{Family: prefix.IPv4}, Scope: plan.Private, Bits: 16}, kind: reservation.Wait,
			why: "no IPAM backend serves a /16 (IPv4, Private) for nodes: ula: it gives IPv6 prefixes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := tc.request
			if r.Range == "" {
				r.Range = keyword.Nodes
			}
			if r.Family == 0 {
				r.Family = prefix.IPv6
			}
			if r.Scope == "" {
				r.Scope = plan.Global
			}
			offer, chosen, err := reservation.Choose(offers(), tc.place, r)
			if tc.why != "" {
				g.Expect(err).To(MatchError(tc.why))
				g.Expect(reservation.KindOf(err)).To(Equal(tc.kind))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(offer.Backend).To(Equal(tc.backend))
			g.Expect(chosen.Pools).To(Equal(tc.pools))
			chosen.Pools = nil
			g.Expect(chosen).To(Equal(r), "only the pools are filled in")
		})
	}
}

func TestChooseOfNothing(t *testing.T) {
	g := NewWithT(t)
	_, _, err := reservation.Choose(nil, reservation.Place{}, request)
	g.Expect(err).To(MatchError("no IPAM backend serves a /64 (IPv6, Global) for nodes: none is configured"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Wait))
}
