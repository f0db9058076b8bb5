// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"net/netip"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

func TestConformance(t *testing.T) {
	reservetest.Run(t, reservetest.Subject{
		New: func(t *testing.T) (reservation.Reserver, func() reservation.Reserver) {
			w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
			return w.reserver(t, seed), func() reservation.Reserver { return w.reserver(t, seed) }
		},
		Scope: plan.Global, Bits: 64, Pools: []string{"pool-a"}, Many: 8,
		Foreign: netip.MustParsePrefix("2001:db8:0:77::/64"),
		Seeds: func(t *testing.T) (a, b reservation.Reserver) {
			w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
			return w.reserver(t, reservetest.SeedA), w.reserver(t, reservetest.SeedB)
		},
		Full: func(t *testing.T) (reservation.Reserver, int) {
			w := newWorld(t, "2001:db8::/63", neutron.PoolOptions{})
			return w.reserver(t, seed), 2
		},
		Lossy: func(t *testing.T) (reservation.Reserver, func()) {
			w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
			return w.reserver(t, seed), func() {
				w.network.Next(faultproxy.Match{Method: "POST", Path: "/subnets$"}, faultproxy.Fault{Cut: true})
			}
		},
	})
}
