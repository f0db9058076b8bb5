// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package pool_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
)

// These measure a pool of which many prefixes are held. The ledger is in memory: what the API server adds is not in it.

var sizes = []int{1_000, 10_000, 100_000}

// benchOwner is a shoot of its own each: real UIDs, no two entries that share anything.
func benchOwner(i int) reservation.Owner {
	return reservation.Owner{
		GardenID: "3f0b1c2d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", ShootUID: fmt.Sprintf("a7e0c2f4-1b2c-4d3e-8f90-%012x", i), Range: "nodes-ipv6", Attempt: 1,
	}
}

// full returns a pool from which n /64 are held, in a space with holes: of what was taken first a tenth was given back.
func full(tb testing.TB, n int) (*pool.Reserver, []reservation.Allocation) {
	tb.Helper()
	r := pool.New(fake.NewStore(), []reservation.Pool{
		{Name: "a", Family: prefix.IPv6, Prefixes: prefixes("2001:db8::/32"), MinBits: 48, MaxBits: 64},
	}, func() time.Time { return time.Unix(1_790_000_000, 0) })
	var live []reservation.Allocation
	for i := range n + n/9 {
		a, err := r.Allocate(tb.Context(), benchOwner(i), request(64))
		if err != nil {
			tb.Fatal(err)
		}
		live = append(live, a)
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
	for _, a := range live[n:] {
		if err := r.Release(tb.Context(), a); err != nil {
			tb.Fatal(err)
		}
	}
	return r, live[:n]
}

func bySize(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n, " held"), func(b *testing.B) { run(b, n) })
	}
}

// BenchmarkAllocate is one more prefix, of another length each time. What was allocated is given back outside of the time.
func BenchmarkAllocate(b *testing.B) {
	bySize(b, func(b *testing.B, n int) {
		r, _ := full(b, n)
		b.ReportAllocs()
		b.ResetTimer()
		const batch = 100
		for done := 0; done < b.N; done += batch {
			var got []reservation.Allocation
			for i := range min(batch, b.N-done) {
				a, err := r.Allocate(b.Context(), benchOwner(1_000_000+i), request(64-i%8))
				if err != nil {
					b.Fatal(err)
				}
				got = append(got, a)
			}
			b.StopTimer()
			for _, a := range got {
				if err := r.Release(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
	})
}

// BenchmarkRelease gives a prefix back, another one each time. Outside of the time it is claimed again.
func BenchmarkRelease(b *testing.B) {
	bySize(b, func(b *testing.B, n int) {
		r, live := full(b, n)
		b.ReportAllocs()
		b.ResetTimer()
		const batch = 100
		for done := 0; done < b.N; done += batch {
			some := live[done%n : min(done%n+min(batch, b.N-done), n)]
			for _, a := range some {
				if err := r.Release(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			for _, a := range some {
				if err := r.Claim(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
	})
}

// BenchmarkStart makes the ledger of a list of all that is held, in no order, as after a start.
func BenchmarkStart(b *testing.B) {
	bySize(b, func(b *testing.B, n int) {
		_, live := full(b, n)
		for b.Loop() {
			if _, err := reservation.NewLedger(live); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMemory is what the ledger of n prefixes occupies once nothing else is left.
func BenchmarkMemory(b *testing.B) {
	bySize(b, func(b *testing.B, n int) {
		for b.Loop() {
			before := heap()
			r, _ := full(b, n)
			after := heap()
			b.ReportMetric((after-before)/float64(n), "B/reservation")
			runtime.KeepAlive(r)
		}
	})
}

func heap() float64 {
	runtime.GC()
	runtime.GC() // what the first one found to be weakly held only
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
