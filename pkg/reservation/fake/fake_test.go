// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"errors"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
)

func TestConformance(t *testing.T) {
	reservetest.Run(t, reservetest.Subject{
		New: func(*testing.T) (reservation.Reserver, func() reservation.Reserver) {
			r := fake.New(netip.MustParsePrefix("2001:db8::/48"))
			return r, func() reservation.Reserver { return r }
		},
		Scope: plan.Global, Bits: 64, Foreign: netip.MustParsePrefix("2001:db8:0:ffff::/64"),
		Seeds: func(*testing.T) (a, b reservation.Reserver) {
			r := fake.New(netip.MustParsePrefix("2001:db8::/48"))
			return r.On(reservetest.SeedA), r.On(reservetest.SeedB)
		},
		Full: func(*testing.T) (reservation.Reserver, int) {
			return fake.New(netip.MustParsePrefix("2001:db8::/62")), 4
		},
		Lossy: func(*testing.T) (reservation.Reserver, func()) {
			r := fake.New(netip.MustParsePrefix("2001:db8::/48"))
			return r, func() {
				r.Inject(fake.Allocate, fake.Fault{Err: reservation.Errorf(reservation.Ambiguous, "no answer"), Lost: true})
			}
		},
	})
}

func TestFaults(t *testing.T) {
	g := NewWithT(t)
	r := fake.New(netip.MustParsePrefix("2001:db8::/48"))
	request := reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: 64}
	boom := errors.New("boom")

	r.Inject(fake.Allocate, fake.Fault{Err: boom}, fake.Fault{Err: boom, Lost: true})
	_, err := r.Allocate(t.Context(), reservetest.Owner(1), request)
	g.Expect(err).To(MatchError(boom))
	g.Expect(r.Dump()).To(BeEmpty())
	_, err = r.Allocate(t.Context(), reservetest.Owner(1), request)
	g.Expect(err).To(MatchError(boom))
	g.Expect(r.Dump()).To(Equal("2001:db8::/64 v1/garden-a/uid-1/nodes-ipv6/1\n"))

	r.Lag(1)
	g.Expect(r.Lookup(t.Context(), reservetest.Owner(1))).To(BeEmpty())
	g.Expect(r.Lookup(t.Context(), reservetest.Owner(1))).To(HaveLen(1))
}
