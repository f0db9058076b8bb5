// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// defaultSweeps in a row must see an allocation without an owner before it is freed.
const defaultSweeps = 3

// Sweeper frees what backends hold for owners that are no more: a controller that died, or lost a race, between a shoot's
// deletion and the backend's answer leaves such behind. It is slow on purpose, and in doubt does nothing. It frees only what
// bears the mark of its garden and its seed. Its methods are called by one goroutine.
type Sweeper struct {
	// Home is whose garbage it is. What another seed holds is left alone.
	Home
	// Grace is how long an allocation must have been without an owner, as far as this Sweeper saw: what a shoot has used for a
	// year, and whose reservation somebody removes by force, must have the time to be restored.
	Grace time.Duration
	// Sweeps in a row that must have seen the allocation without an owner; three if zero.
	Sweeps int
	// DryRun frees nothing and reports what would be.
	DryRun bool
	// Now is the clock.
	Now func() time.Time

	seen map[sighting]*track
}

type sighting struct {
	backend string
	owner   Owner
	id      string
	prefix  netip.Prefix
}

// track of an allocation without an owner.
type track struct {
	sweeps int
	since  time.Time // when it was seen first
}

// Garbage is an allocation that nobody wants.
type Garbage struct {
	Backend string
	Allocation
	// Sweeps in a row that have seen it so.
	Sweeps int
}

// Report of a sweep.
type Report struct {
	// Freed are given back.
	Freed []Garbage
	// WouldFree would be, but for the dry run.
	WouldFree []Garbage
	// Waiting have not been garbage for long, or were not seen often enough yet.
	Waiting []Garbage
}

// Wanted returns the owners that have a reservation or a tombstone on this seed, read live. An owner with an attempt stands for
// this one alone: what others have left is garbage. Only what is bound, or buried, is sure of its attempt; for what is under way
// the owner stands without one, that is for all of them.
type Wanted func(context.Context) (map[Owner]bool, error)

// Sweep looks once through what the backends hold. One that cannot be listed is left out, and its sweeps begin anew; what cannot
// be given back is left out, too. The error says so, and the report tells what was done all the same. If nobody is wanted at all, nothing is done:
// an empty seed is less likely than an API server that has forgotten.
func (s *Sweeper) Sweep(ctx context.Context, held []Reserver, wanted Wanted) (Report, error) {
	// First what is held, then who wants it: an owner that comes in between is seen.
	var errs []error
	listed := make([][]Allocation, len(held))
	for i, r := range held {
		allocations, err := r.List(ctx, s.GardenID)
		if err != nil {
			errs = append(errs, fmt.Errorf("listing what %s holds: %w", r.Name(), err))
			continue
		}
		listed[i] = allocations
	}
	owners, err := wanted(ctx)
	if err != nil || len(owners) == 0 {
		return Report{}, errors.Join(append(errs, err)...)
	}

	var report Report
	now, seen := s.Now(), map[sighting]*track{}
	for i, r := range held {
		ripe := s.sort(&report, seen, r, listed[i], owners, now)
		errs = append(errs, s.free(ctx, &report, r, ripe, wanted))
	}
	s.seen = seen
	return report, errors.Join(errs...)
}

func orphaned(owner Owner, wanted map[Owner]bool) bool {
	every := owner
	every.Attempt = 0
	return !wanted[owner] && !wanted[every]
}

// ours tells whether an allocation bears the mark of the garden, and not that of another seed.
func (s *Sweeper) ours(a Allocation) bool {
	return a.Owner.GardenID == s.GardenID && (a.Seed == "" || a.Seed == s.Seed)
}

// sort counts what is seen without an owner and returns what may be freed.
func (s *Sweeper) sort(report *Report, seen map[sighting]*track, r Reserver, allocations []Allocation, owners map[Owner]bool, now time.Time) []Garbage {
	var ripe []Garbage
	for _, a := range allocations {
		if !s.ours(a) || !orphaned(a.Owner, owners) {
			continue
		}
		key := sighting{r.Name(), a.Owner, a.ID, a.Prefix}
		if seen[key] != nil {
			continue // two shoots of one account
		}
		t := s.seen[key]
		if t == nil {
			t = &track{since: now}
		}
		t.sweeps++
		seen[key] = t
		since := t.since
		if a.Since.After(since) {
			since = a.Since
		}
		garbage := Garbage{Backend: r.Name(), Allocation: a, Sweeps: t.sweeps}
		if t.sweeps < cmp.Or(s.Sweeps, defaultSweeps) || now.Sub(since) < s.Grace {
			report.Waiting = append(report.Waiting, garbage)
			continue
		}
		ripe = append(ripe, garbage)
	}
	return ripe
}

// free gives back what is ripe, if a second look agrees: nobody wants it by now, and it is still the same, and this seed's.
func (s *Sweeper) free(ctx context.Context, report *Report, r Reserver, ripe []Garbage, wanted Wanted) error {
	if len(ripe) == 0 {
		return nil
	}
	if s.DryRun {
		report.WouldFree = append(report.WouldFree, ripe...)
		return nil
	}
	owners, err := wanted(ctx)
	if err != nil || len(owners) == 0 {
		return err
	}
	var errs []error
	for _, g := range ripe {
		if !orphaned(g.Owner, owners) {
			continue
		}
		freed, err := s.freeOne(ctx, r, g)
		if err != nil {
			errs = append(errs, fmt.Errorf("freeing %s, which nobody wants, in %s: %w", g.Prefix, r.Name(), err))
		}
		if freed {
			report.Freed = append(report.Freed, g)
		}
	}
	return errors.Join(errs...)
}

func (s *Sweeper) freeOne(ctx context.Context, r Reserver, g Garbage) (bool, error) {
	found, err := r.Lookup(ctx, g.Owner)
	if err != nil {
		return false, err
	}
	a, ok := recorded(found, g.Prefix)
	if !ok || a.ID != g.ID || !s.ours(a) {
		return false, nil // it is gone, or somebody else's by now
	}
	if err := r.Release(ctx, a); err != nil {
		return false, err
	}
	return true, nil
}
