// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
)

// batch of calls that are measured together.
const batch = 1000

// ours measures the backend pool, from a request with its owner to the entry in the ledger, each owner a shoot of its own.
func ours(held, batches int) figures {
	ctx := context.Background()
	before := heap()
	r := pool.New(fake.NewStore(), []reservation.Pool{{
		Name: "public", Family: prefix.IPv6, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, MinBits: 48, MaxBits: 64,
	}}, time.Now)
	next := 0
	request := reservation.Request{
		Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: 64, Pools: []string{"public"},
	}
	take := func() reservation.Allocation {
		next++
		owner := reservation.Owner{
			GardenID: "3f0b1c2d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", ShootUID: fmt.Sprintf("a7e0c2f4-1b2c-4d3e-8f90-%012x", next), Range: "nodes-ipv6", Attempt: 1,
		}
		a, err := r.Allocate(ctx, owner, request)
		check(err)
		return a
	}
	live := make([]reservation.Allocation, held)
	for i := range live {
		live[i] = take()
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // each run the same
	random.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })

	var allocate, release []time.Duration
	for range batches {
		some := live[random.IntN(len(live)-batch):][:batch]
		begin := spent()
		for _, a := range some {
			check(r.Release(ctx, a))
		}
		release = append(release, (spent()-begin)/batch)
		begin = spent()
		for i := range some {
			some[i] = take()
		}
		allocate = append(allocate, (spent()-begin)/batch)
	}

	begin := spent()
	again, err := reservation.NewLedger(live)
	check(err)
	start := spent() - begin
	if again.Len() != held {
		log.Fatalf("prefixes: %d entries of %d", again.Len(), held)
	}
	clear(live)
	live = nil
	_ = live
	bytes := (heap() - before) / float64(held)
	runtime.KeepAlive(r)
	return figures{"allocate": middle(allocate), "release": middle(release), "start": float64(start), "bytes": bytes}
}

func middle(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2])
}

func heap() float64 {
	runtime.GC()
	runtime.GC() // what the first one found to be weakly held only
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// spent is the processor time of this process, garbage collection included: unlike the clock's it does not tell of what else the
// machine does.
func spent() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func check(err error) {
	if err != nil {
		log.Fatalln("prefixes:", err)
	}
}
