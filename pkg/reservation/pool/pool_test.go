// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package pool_test

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
)

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, text := range texts {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

func request(bits int, pools ...string) reservation.Request {
	if len(pools) == 0 {
		pools = []string{"a"}
	}
	return reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: bits, Pools: pools}
}

func TestConformance(t *testing.T) {
	pools := []reservation.Pool{{Name: "public", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/48"), MinBits: 48, MaxBits: 120}}
	reservetest.Run(t, reservetest.Subject{
		New: func(*testing.T) (reservation.Reserver, func() reservation.Reserver) {
			store := fake.NewStore()
			again := func() reservation.Reserver { return pool.New(store, pools, time.Now) }
			return again(), again
		},
		Scope: plan.Global, Bits: 64, Pools: []string{"public"}, Foreign: netip.MustParsePrefix("2001:db8:0:ffff::/64"),
	})
}

//	 :0:0        :0:1         :0:2           :0:3        ...
//	|############|#...........|..............|...........
//	 held /64     held /96     free
//
// A /96 goes beside the /96, a /64 behind, so that the space of :0:1 is used up before another is broken.
func TestBestFit(t *testing.T) {
	g := NewWithT(t)
	r := pool.New(fake.NewStore(), []reservation.Pool{{Name: "a", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/56"), MinBits: 56, MaxBits: 120}}, time.Now)
	var got []string
	for i, bits := range []int{64, 96, 64, 96} {
		a, err := r.Allocate(t.Context(), reservetest.Owner(i), request(bits))
		g.Expect(err).NotTo(HaveOccurred())
		got = append(got, a.Prefix.String())
	}
	g.Expect(got).To(Equal([]string{"2001:db8::/64", "2001:db8:0:1::/96", "2001:db8:0:2::/64", "2001:db8:0:1:0:1::/96"}))
}

func TestBestFitAmongPools(t *testing.T) {
	g := NewWithT(t)
	r := pool.New(fake.NewStore(), []reservation.Pool{
		{Name: "large", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/32"), MinBits: 32, MaxBits: 120},
		{Name: "small", Family: prefix.IPv6, Prefixes: prefixes("2001:db9::/62"), MinBits: 62, MaxBits: 120},
	}, time.Now)
	a, err := r.Allocate(t.Context(), reservetest.Owner(1), request(64, "large", "small"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]string{a.ID, a.Prefix.String()}).To(Equal([]string{"small", "2001:db9::/64"}))
	a, err = r.Allocate(t.Context(), reservetest.Owner(2), request(60, "large", "small"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]string{a.ID, a.Prefix.String()}).To(Equal([]string{"large", "2001:db8::/60"}))

	a, err = r.Allocate(t.Context(), reservetest.Owner(3), request(64, "large"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.ID).To(Equal("large"))
}

func TestLengths(t *testing.T) {
	g := NewWithT(t)
	r := pool.New(fake.NewStore(), []reservation.Pool{{Name: "a", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/48"), MinBits: 52, MaxBits: 64}}, time.Now)

	a, err := r.Allocate(t.Context(), reservetest.Owner(1), request(112))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")), "a request longer than the pool's longest gets the longest")

	_, err = r.Allocate(t.Context(), reservetest.Owner(2), request(50))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("no pool fits a /50 (IPv6, Global) for nodes: there are pool a (2001:db8::/48; /52 to /64 each)"))
}

func TestExhausted(t *testing.T) {
	g := NewWithT(t)
	r := pool.New(fake.NewStore(), []reservation.Pool{{Name: "a", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/63"), MinBits: 63, MaxBits: 120}}, time.Now)
	for i := range 2 {
		_, err := r.Allocate(t.Context(), reservetest.Owner(i), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := r.Allocate(t.Context(), reservetest.Owner(3), request(64))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Exhausted))
	g.Expect(err).To(MatchError(
		"no room for a /64 (IPv6, Global) for nodes: pool a (2001:db8::/63; /63 to /120 each); give the pool another prefix, or release some"))
	again, err := r.Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred(), "an owner that has a prefix gets the same again, also from a full pool")
	g.Expect(again.Prefix).To(Equal(netip.MustParsePrefix("2001:db8:0:1::/64")))
}

func TestUsage(t *testing.T) {
	g := NewWithT(t)
	r := pool.New(fake.NewStore(), []reservation.Pool{{Name: "a", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/112"), MinBits: 112, MaxBits: 120}}, time.Now)
	_, err := r.Allocate(t.Context(), reservetest.Owner(1), request(120))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.Usage(t.Context())).To(Equal([]reservation.Usage{{
		Pool: "a", Capacity: 65536, Free: 65536 - 256, LargestFree: 113,
		FreePrefixes: map[int]float64{112: 0, 113: 1, 114: 3, 115: 7, 116: 15, 117: 31, 118: 63, 119: 127, 120: 255},
	}}))
}

// Two prefixes of a pool that are halves of one are that one.
func TestAdjacentPrefixes(t *testing.T) {
	g := NewWithT(t)
	r := pool.New(fake.NewStore(), []reservation.Pool{
		{Name: "a", Family: prefix.IPv6, Prefixes: prefixes("2001:db8:1::/48", "2001:db8::/48"), MinBits: 47, MaxBits: 64},
	}, time.Now)
	a, err := r.Allocate(t.Context(), reservetest.Owner(1), request(47))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/47")))
	g.Expect(r.Usage(t.Context())).To(HaveExactElements(HaveField("LargestFree", -1)))
}

func TestIPv4(t *testing.T) {
	g := NewWithT(t)
	r := pool.New(fake.NewStore(), []reservation.Pool{
		{Name: "six", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/48"), MinBits: 16, MaxBits: 64},
		{Name: "four", Family: prefix.IPv4, Prefixes: prefixes("10.0.0.0/8"), MinBits: 16, MaxBits: 28},
	}, time.Now)
	ask := request(24, "six", "four")
	ask.Family = prefix.IPv4
	for i, want := range []string{"10.0.0.0/24", "10.0.1.0/24"} {
		a, err := r.Allocate(t.Context(), reservetest.Owner(i), ask)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect([]string{a.ID, a.Prefix.String()}).To(Equal([]string{"four", want}))
	}
}
