// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package pool reserves global prefixes from an operator's own: the pools of the component's configuration. There is no IPAM
// service behind it; a ledger keeps who holds what.
package pool

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Name of the backend.
const Name = "pool"

// Reserver hands out the operator's prefixes. The ID of an allocation is the pool's name.
type Reserver struct {
	reservation.LedgerBackend
	pools []reservation.Pool
}

var (
	_ reservation.Reserver = &Reserver{}
	_ reservation.Meter    = &Reserver{}
)

// New makes a Reserver over the pools; store is the one ledger of all pools of a seed.
func New(store reservation.Store, pools []reservation.Pool, now func() time.Time) *Reserver {
	return &Reserver{LedgerBackend: reservation.LedgerBackend{Store: store, Now: now}, pools: pools}
}

// Name of the backend.
func (r *Reserver) Name() string { return Name }

// Allocate takes the best fit: from the smallest free space that is large enough, in whichever pool it is, so that large
// spaces stay whole. It never gives one owner two prefixes.
func (r *Reserver) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	candidates, err := r.candidates(request)
	if err != nil {
		return reservation.Allocation{}, err
	}
	return r.Take(ctx, owner, func(ledger *reservation.Ledger) (reservation.Allocation, error) {
		return r.bestFit(ledger, candidates, request)
	})
}

func (r *Reserver) bestFit(ledger *reservation.Ledger, candidates []reservation.Pool, request reservation.Request) (reservation.Allocation, error) {
	var (
		best  reservation.Allocation
		space = -1 // the length of the free prefix that best is cut from: the longer, the better the fit
		used  = ledger.Prefixes()
	)
	for _, pool := range candidates {
		free, err := prefix.Free(pool.Prefixes, used)
		if err != nil {
			return best, fmt.Errorf("finding the free space of pool %s: %w", pool.Name, err)
		}
		cut, ok := prefix.BestFit(free, min(request.Bits, pool.MaxBits))
		if !ok {
			continue
		}
		if from := around(free, cut); from > space {
			best, space = reservation.Allocation{ID: pool.Name, Prefix: cut}, from
		}
	}
	if space < 0 {
		return best, reservation.Errorf(reservation.Exhausted,
			"no room for %s: %s; give the pool another prefix, or release some", request, describe(candidates))
	}
	return best, nil
}

// around is the length of the free prefix that p lies in.
func around(free []netip.Prefix, p netip.Prefix) int {
	for _, f := range free {
		if prefix.Covers(f, p) {
			return f.Bits()
		}
	}
	return -1
}

// candidates are the pools that the request names, in the order in which it does.
func (r *Reserver) candidates(request reservation.Request) ([]reservation.Pool, error) {
	var fitting []reservation.Pool
	for _, name := range request.Pools {
		for _, pool := range r.pools {
			if pool.Name == name && pool.Family == request.Family && pool.MinBits <= request.Bits {
				fitting = append(fitting, pool)
			}
		}
	}
	if len(fitting) == 0 {
		return nil, reservation.Errorf(reservation.Invalid, "no pool fits %s: there are %s", request, describe(r.pools))
	}
	return fitting, nil
}

func describe(pools []reservation.Pool) string {
	texts := make([]string, len(pools))
	for i, pool := range pools {
		prefixes := make([]string, len(pool.Prefixes))
		for j, p := range pool.Prefixes {
			prefixes[j] = p.String()
		}
		texts[i] = fmt.Sprintf("pool %s (%s; /%d to /%d each)", pool.Name, strings.Join(prefixes, ", "), pool.MinBits, pool.MaxBits)
	}
	return strings.Join(texts, ", ")
}

// Claim enters an allocation into the ledger, also one that lies in no pool: a control plane that came from another seed
// brings such a prefix, and here too nobody else may get it.
func (r *Reserver) Claim(ctx context.Context, allocation reservation.Allocation) error {
	if allocation.ID == "" {
		allocation.ID = r.poolOf(allocation.Prefix)
	}
	return r.LedgerBackend.Claim(ctx, allocation)
}

// poolOf is the name of the pool that a prefix lies in, empty if it lies in none.
func (r *Reserver) poolOf(p netip.Prefix) string {
	for _, pool := range r.pools {
		for _, whole := range pool.Prefixes {
			if prefix.Covers(whole, p) {
				return pool.Name
			}
		}
	}
	return ""
}

// Usage tells how full each pool is.
func (r *Reserver) Usage(ctx context.Context) ([]reservation.Usage, error) {
	ledger, err := r.Store.Read(ctx)
	if err != nil {
		return nil, err
	}
	used := ledger.Prefixes()
	usages := make([]reservation.Usage, 0, len(r.pools))
	for _, pool := range r.pools {
		free, err := prefix.Free(pool.Prefixes, used)
		if err != nil {
			return nil, fmt.Errorf("finding the free space of pool %s: %w", pool.Name, err)
		}
		usage := reservation.Usage{Pool: pool.Name, LargestFree: -1}
		for _, p := range pool.Prefixes {
			usage.Capacity += addresses(p)
		}
		for _, p := range free {
			usage.Free += addresses(p)
			if usage.LargestFree < 0 || p.Bits() < usage.LargestFree {
				usage.LargestFree = p.Bits()
			}
		}
		usages = append(usages, usage)
	}
	return usages, nil
}

func addresses(p netip.Prefix) float64 { return math.Ldexp(1, p.Addr().BitLen()-p.Bits()) }
