// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package pool_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
)

// BenchmarkAllocate is one prefix taken and given back, of a pool from which that many are held. The ledger is in memory: what the
// API server adds is not in it.
func BenchmarkAllocate(b *testing.B) {
	for _, held := range []int{1000, 5000} {
		b.Run(fmt.Sprint(held, " held"), func(b *testing.B) {
			store := fake.NewStore()
			r := pool.New(store, []reservation.Pool{{Name: "a", Prefixes: prefixes("2001:db8::/40"), MinBits: 40, MaxBits: 120}}, time.Now)
			fill := func(ledger *reservation.Ledger) error {
				for i := range held {
					p := netip.MustParsePrefix(fmt.Sprintf("2001:db8:0:%x::/64", i))
					if err := ledger.Claim(reservation.Allocation{Owner: reservetest.Owner(i), ID: "a", Prefix: p, Since: time.Unix(0, 0)}); err != nil {
						return err
					}
				}
				return nil
			}
			if err := store.Update(b.Context(), fill); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				a, err := r.Allocate(b.Context(), reservetest.Owner(held), request(64))
				if err != nil {
					b.Fatal(err)
				}
				if err := r.Release(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
