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
	"slices"
)

// Phase is where a reservation stands in the protocol. The values are those of the PrefixReservation's status.
type Phase string

// The phases of the protocol.
const (
	Pending    Phase = "Pending"
	Allocating Phase = "Allocating"
	Bound      Phase = "Bound"
	Releasing  Phase = "Releasing"
)

// Record is what is remembered of a reservation across crashes.
type Record struct {
	Phase Phase
	// Backend that was asked, by name.
	Backend string
	// ID and Prefix of the allocation, once known.
	ID     string
	Prefix netip.Prefix
	// Attempt of the owner, from 1.
	Attempt int
}

// Journal persists a Record before the protocol goes on. Save must fail with an error if somebody else has changed what is
// stored since it was last read or saved here; that is what keeps two controllers apart.
type Journal interface {
	Save(context.Context, Record) error
}

// Points of the protocol at which a process may die. Tests kill it there.
const (
	AfterIntent     = "F1"  // the intent is stored, nothing else
	AfterAllocating = "F2"  // it is stored that a call may be under way, nothing was called yet
	AfterAllocate   = "F5"  // the backend has allocated and answered, the answer is not stored
	BeforeBind      = "F7"  // everything is checked, Bound is about to be stored
	BeforeFinalizer = "F18" // the prefix is released or in quarantine, the intent's finalizer is still there
)

// tries is how many prefixes in a row may be of no use before the reservation fails for the time being.
const tries = 5

// Protocol drives one reservation, crash-safe: after a death at any point the next run finishes what was begun, with one
// prefix held and none lost. The steps are those of docs/decisions/0002-crash-safe-reservations.md.
type Protocol struct {
	Reserver Reserver
	Journal  Journal
	// Owner without its attempt, which is the Record's.
	Owner Owner
	// Seed on which this runs. What a backend marks as another seed's is taken over when it is bound, and never released.
	Seed string
	// Failpoint is called at the points above; nil does nothing.
	Failpoint func(point string)
}

// Ensure takes a reservation from Pending or Allocating to Bound and returns what is now stored. It calls the backend's
// Allocate at most once a run. What is bound stays as it is, whatever the request now says.
func (p *Protocol) Ensure(ctx context.Context, record Record, request Request) (Record, error) {
	if record.Phase == Bound {
		return record, nil
	}
	record, err := p.begin(ctx, record, request)
	if err != nil {
		return record, err
	}
	p.fail(AfterAllocating)

	record, allocation, err := p.one(ctx, record)
	if err != nil {
		return record, err
	}
	if !allocation.Prefix.IsValid() {
		if record, allocation, err = p.allocate(ctx, record, request); err != nil {
			return record, err
		}
	}
	if err := request.Accepts(allocation.Prefix); err != nil {
		return p.reject(ctx, record, err)
	}
	if err := p.clear(ctx, record); err != nil {
		return record, err
	}
	return p.bind(ctx, record, allocation)
}

// begin stores that a call may be under way.
func (p *Protocol) begin(ctx context.Context, record Record, request Request) (Record, error) {
	switch record.Phase {
	case Releasing:
		return record, Errorf(Wait, "an earlier prefix for %s is still being released", request.Range)
	case Allocating:
		return record, nil
	case Pending, Bound:
	}
	next := Record{Phase: Allocating, Backend: p.Reserver.Name(), Attempt: max(record.Attempt, 1)}
	if err := p.Journal.Save(ctx, next); err != nil {
		return record, fmt.Errorf("storing phase %s: %w", Allocating, err)
	}
	return next, nil
}

// allocate calls the backend and looks at what it has afterwards: the answer alone does not tell whether another process
// allocated at the same time.
func (p *Protocol) allocate(ctx context.Context, record Record, request Request) (Record, Allocation, error) {
	allocation, err := p.Reserver.Allocate(ctx, p.owner(record), request)
	if err != nil {
		err = fmt.Errorf("asking %s: %w", p.Reserver.Name(), err)
		if kind := KindOf(err); kind == Exhausted || kind == Quota {
			// What earlier attempts were refused is held until something better is found. There is nothing better.
			return record, Allocation{}, errors.Join(err, p.clear(ctx, record))
		}
		return record, Allocation{}, err
	}
	p.fail(AfterAllocate)

	record, seen, err := p.one(ctx, record)
	if err != nil {
		return record, Allocation{}, err
	}
	if !seen.Prefix.IsValid() {
		// Either the list lags, or a key of idempotency brought back what has long been released. The next run claims it.
		next := record
		next.ID, next.Prefix = allocation.ID, allocation.Prefix
		if err := p.Journal.Save(ctx, next); err != nil {
			return record, Allocation{}, fmt.Errorf("storing that %s was allocated: %w", allocation.Prefix, err)
		}
		return next, Allocation{}, Errorf(Retry, "%s was allocated but does not show up in %s yet", allocation.Prefix, p.Reserver.Name())
	}
	return record, seen, nil
}

// one looks up what the backend holds for the owner. Of several it keeps the recorded one, else the oldest, and frees the
// others. The choice is stored before anything is freed: so no other process binds what this one frees.
func (p *Protocol) one(ctx context.Context, record Record) (Record, Allocation, error) {
	found, err := p.held(ctx, record)
	if err != nil {
		return record, Allocation{}, err
	}
	keep, chosen := recorded(found, record.Prefix)
	switch {
	case !chosen && record.Phase == Allocating && record.Prefix.IsValid():
		return p.reclaim(ctx, record)
	case len(found) == 0:
		return record, Allocation{}, nil
	case !chosen:
		keep = slices.MinFunc(found, oldest)
	}
	if len(found) == 1 {
		return record, keep, nil
	}
	next := record
	next.ID, next.Prefix = keep.ID, keep.Prefix
	if err := p.freeOthers(ctx, next, found, keep.Prefix); err != nil {
		return record, Allocation{}, err
	}
	return next, keep, nil
}

// reclaim asks for the prefix that was chosen earlier and is not seen any more. If it cannot be had, the next attempt begins:
// a key of idempotency would bring back the same one for ever.
func (p *Protocol) reclaim(ctx context.Context, record Record) (Record, Allocation, error) {
	chosen := Allocation{Owner: p.owner(record), ID: record.ID, Prefix: record.Prefix}
	err := p.Reserver.Claim(ctx, chosen)
	switch kind := KindOf(err); {
	case err == nil:
		return record, chosen, nil
	case kind != Conflict && kind != Invalid:
		return record, Allocation{}, fmt.Errorf("claiming %s: %w", chosen.Prefix, err)
	}
	next := Record{Phase: record.Phase, Backend: record.Backend, Attempt: record.Attempt + 1}
	if err := p.Journal.Save(ctx, next); err != nil {
		return record, Allocation{}, fmt.Errorf("storing attempt %d: %w", next.Attempt, err)
	}
	return next, Allocation{}, Errorf(Retry, "%s was allocated, but is gone: %w", chosen.Prefix, err)
}

// bind takes over the allocation for this seed and stores it.
func (p *Protocol) bind(ctx context.Context, record Record, allocation Allocation) (Record, error) {
	if p.foreign(allocation) {
		if err := p.take(ctx, record, allocation); err != nil {
			return record, fmt.Errorf("taking over %s from seed %s: %w", allocation.Prefix, allocation.Seed, err)
		}
	}
	p.fail(BeforeBind)
	bound := record
	bound.Phase, bound.ID, bound.Prefix = Bound, allocation.ID, allocation.Prefix
	if err := p.Journal.Save(ctx, bound); err != nil {
		return record, fmt.Errorf("storing that %s is bound: %w", allocation.Prefix, err)
	}
	return bound, nil
}

// reject begins a new attempt. What is of no use stays held until something better is bound, for a backend may hand out at once
// what it gets back; after a few of them all go, and a person has to look.
func (p *Protocol) reject(ctx context.Context, record Record, why error) (Record, error) {
	next := Record{Phase: record.Phase, Backend: record.Backend, Attempt: record.Attempt + 1}
	if err := p.Journal.Save(ctx, next); err != nil {
		return record, fmt.Errorf("storing attempt %d: %w", next.Attempt, err)
	}
	if record.Attempt%tries != 0 {
		return next, Errorf(Retry, "%s gave a prefix that is of no use: %w", p.Reserver.Name(), why)
	}
	if err := p.clear(ctx, next); err != nil {
		return next, err
	}
	return next, Errorf(Exhausted, "%s gave %d prefixes in a row that are of no use, the last because %w: take such out of its pools",
		p.Reserver.Name(), tries, why)
}

// clear gives back what earlier attempts still hold, but for the recorded prefix itself, which a former stay on this seed may have
// left under another attempt. It looks only at the latest of them: those before were cleared then, and
// what comes in later is garbage.
func (p *Protocol) clear(ctx context.Context, record Record) error {
	earlier := record
	for earlier.Attempt = max(1, record.Attempt-2*tries); earlier.Attempt < record.Attempt; earlier.Attempt++ {
		found, err := p.held(ctx, earlier)
		if err != nil {
			return err
		}
		if err := p.freeOthers(ctx, record, found, record.Prefix); err != nil {
			return err
		}
	}
	return nil
}

// freeOthers gives back what is found beside the prefix to keep, and disjoint from it. It was never published, so it needs no
// quarantine.
func (p *Protocol) freeOthers(ctx context.Context, record Record, found []Allocation, keep netip.Prefix) error {
	return p.free(ctx, record, slices.DeleteFunc(slices.Clone(found), func(a Allocation) bool { return a.Prefix.Overlaps(keep) }))
}

// free gives back what was found for the owner and another seed does not hold. The record is stored in between, changed or not:
// that fails if it is out of date, and then what was found may be a successor's, who owns it by the same name.
func (p *Protocol) free(ctx context.Context, record Record, found []Allocation) error {
	ours := slices.DeleteFunc(slices.Clone(found), p.foreign)
	if len(ours) == 0 {
		return nil
	}
	if err := p.Journal.Save(ctx, record); err != nil {
		return fmt.Errorf("storing that %s is about to be released: %w", ours[0].Prefix, err)
	}
	for _, a := range ours {
		if err := p.Reserver.Release(ctx, a); err != nil {
			return fmt.Errorf("releasing %s: %w", a.Prefix, err)
		}
	}
	return nil
}

func (p *Protocol) held(ctx context.Context, record Record) ([]Allocation, error) {
	owner := p.owner(record)
	found, err := p.Reserver.Lookup(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("looking up %s in %s: %w", owner.Key(), p.Reserver.Name(), err)
	}
	return found, nil
}

// foreign tells whether another seed holds the allocation.
func (p *Protocol) foreign(a Allocation) bool {
	return a.Seed != "" && p.Seed != "" && a.Seed != p.Seed
}

func (p *Protocol) owner(record Record) Owner {
	o := p.Owner
	o.Attempt = record.Attempt
	return o
}

func (p *Protocol) fail(point string) {
	if p.Failpoint != nil {
		p.Failpoint(point)
	}
}

func recorded(found []Allocation, prefix netip.Prefix) (Allocation, bool) {
	for _, a := range found {
		if prefix.IsValid() && a.Prefix == prefix {
			return a, true
		}
	}
	return Allocation{}, false
}

func oldest(a, b Allocation) int {
	return cmp.Or(a.Since.Compare(b.Since), a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.ID, b.ID))
}
