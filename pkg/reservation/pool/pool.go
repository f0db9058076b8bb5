// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package pool reserves global prefixes from an operator's own: the pools of the component's configuration. There is no IPAM
// service behind it; a ledger keeps who holds what.
package pool

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go4.org/netipx"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Name of the backend.
const Name = "pool"

// Reserver hands out the operator's prefixes. The ID of an allocation is the pool's name.
type Reserver struct {
	reservation.LedgerBackend
	pools []source
}

// source is a pool, and its prefixes as few and as large as can be: two halves of one prefix are one place to cut from.
type source struct {
	reservation.Pool
	whole []netip.Prefix
}

var (
	_ reservation.Reserver = &Reserver{}
	_ reservation.Meter    = &Reserver{}
)

// New makes a Reserver over the pools; store is the one ledger of all pools of a seed.
func New(store reservation.Store, pools []reservation.Pool, now func() time.Time) *Reserver {
	r := &Reserver{LedgerBackend: reservation.LedgerBackend{Store: store, Now: now}}
	for _, pool := range pools {
		r.pools = append(r.pools, source{Pool: pool, whole: join(pool.Prefixes)})
	}
	return r
}

func join(prefixes []netip.Prefix) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	set, err := b.IPSet()
	if err != nil { // of a prefix that is none: the configuration is validated before
		return prefixes
	}
	return set.Prefixes()
}

// Name of the backend.
func (r *Reserver) Name() string { return Name }

// Allocate takes the best fit: from the smallest free space that is large enough, in whichever of the request's pools it is, so
// that large spaces stay whole. It never gives one owner two prefixes.
func (r *Reserver) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	candidates, err := r.candidates(request)
	if err != nil {
		return reservation.Allocation{}, err
	}
	return r.Take(ctx, owner, func(ledger *reservation.Ledger) (reservation.Allocation, error) {
		best, space := reservation.Allocation{}, -1
		for _, pool := range candidates {
			fit, from, ok := ledger.BestFit(pool.whole, min(request.Bits, pool.MaxBits), request.Avoid)
			if ok && from > space {
				best, space = reservation.Allocation{ID: pool.Name, Prefix: fit}, from
			}
		}
		if space < 0 {
			return best, reservation.Errorf(reservation.Exhausted,
				"no room for %s: %s; give the pool another prefix, or release some", request, describe(candidates))
		}
		return best, nil
	})
}

// candidates are the pools that the request names, in the order in which it does.
func (r *Reserver) candidates(request reservation.Request) ([]source, error) {
	var fitting []source
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

func describe(pools []source) string {
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
	usages := make([]reservation.Usage, 0, len(r.pools))
	for _, pool := range r.pools {
		usages = append(usages, pool.usage(ledger))
	}
	return usages, nil
}

func (s source) usage(ledger *reservation.Ledger) reservation.Usage {
	return reservation.UsageOf(s.Pool, s.whole, func(yield func(netip.Prefix) bool) {
		for _, whole := range s.whole {
			for p := range ledger.Free(whole) {
				if !yield(p) {
					return
				}
			}
		}
	})
}
