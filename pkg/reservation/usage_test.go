// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"net/netip"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func TestUsageOf(t *testing.T) {
	pool := reservation.Pool{Name: "public", MinBits: 62, MaxBits: 64}
	for name, tc := range map[string]struct {
		free []string
		want reservation.Usage
	}{
		"nothing is taken": {
			free: []string{"2001:db8::/62"},
			want: reservation.Usage{Free: 0x4p64, LargestFree: 62, FreePrefixes: map[int]float64{62: 1, 63: 2, 64: 4}},
		},
		"one of four is taken": {
			free: []string{"2001:db8:0:1::/64", "2001:db8:0:2::/63"},
			want: reservation.Usage{Free: 0x3p64, LargestFree: 63, FreePrefixes: map[int]float64{62: 0, 63: 1, 64: 3}},
		},
		"what is left is too small to give": {
			free: []string{"2001:db8::/66"},
			want: reservation.Usage{Free: 0x1p62, LargestFree: 66, FreePrefixes: map[int]float64{62: 0, 63: 0, 64: 0}},
		},
		"full": {want: reservation.Usage{LargestFree: -1, FreePrefixes: map[int]float64{62: 0, 63: 0, 64: 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var free []netip.Prefix
			for _, text := range tc.free {
				free = append(free, netip.MustParsePrefix(text))
			}
			tc.want.Pool, tc.want.Capacity = "public", 0x4p64
			whole := []netip.Prefix{netip.MustParsePrefix("2001:db8::/62")}
			NewWithT(t).Expect(reservation.UsageOf(pool, whole, slices.Values(free))).To(Equal(tc.want))
		})
	}
}
