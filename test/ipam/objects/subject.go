// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
)

// Subject of the conformance suite, given a function that makes places whose pool "first" consists of one prefix.
func Subject(in func(t *testing.T, cidr string) Place) reservetest.Subject {
	const large, small = "2001:db8:a::/56", "2001:db8:b::/62"
	return reservetest.Subject{
		New: func(t *testing.T) (reservation.Reserver, func() reservation.Reserver) {
			p := in(t, large)
			open := func() reservation.Reserver { return p.Reserver(t, Home, Generous, nil) }
			return open(), open
		},
		Scope: plan.Global, Bits: 64, Pools: []string{"first"}, Foreign: netip.MustParsePrefix("2001:db8:a:77::/64"),
		Idempotent: true,
		Seeds: func(t *testing.T) (reservation.Reserver, reservation.Reserver) {
			p := in(t, large)
			open := func(seed string) reservation.Reserver {
				return p.Reserver(t, reservation.Home{GardenID: Home.GardenID, Seed: seed}, Generous, nil)
			}
			return open(reservetest.SeedA), open(reservetest.SeedB)
		},
		Full: func(t *testing.T) (reservation.Reserver, int) {
			return in(t, small).Reserver(t, Home, Generous, nil), 4
		},
		Lossy: func(t *testing.T) (reservation.Reserver, func()) {
			var lose atomic.Bool
			wrap := func(next http.RoundTripper) http.RoundTripper {
				return roundTripper(func(request *http.Request) (*http.Response, error) {
					response, err := next.RoundTrip(request)
					if err != nil || request.Method != http.MethodPost || !lose.CompareAndSwap(true, false) {
						return response, err
					}
					return nil, errors.Join(errors.New("connection lost, says the test"), response.Body.Close())
				})
			}
			return in(t, large).Reserver(t, Home, Generous, wrap), func() { lose.Store(true) }
		},
	}
}
