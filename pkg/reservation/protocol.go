// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"context"
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

// Protocol drives one reservation, crash-safe: after a death at any point the next run finishes what was begun, with one
// prefix held and none lost. The steps are those of docs/decisions/0002-crash-safe-reservations.md.
type Protocol struct {
	Reserver Reserver
	Journal  Journal
	// Owner without its attempt, which is the Record's.
	Owner Owner
	// Failpoint is called at the points above; nil does nothing.
	Failpoint func(point string)
}

// Ensure takes a reservation from Pending or Allocating to Bound and returns what is now stored. It calls the backend's
// Allocate at most once a run.
func (p *Protocol) Ensure(ctx context.Context, record Record, request Request) (Record, error) {
	switch record.Phase {
	case Bound:
		return record, nil
	case Releasing:
		return record, Errorf(Wait, "an earlier prefix for %s is still being released", request.Range)
	case Allocating:
	default:
		next := Record{Phase: Allocating, Backend: p.Reserver.Name(), Attempt: max(record.Attempt, 1)}
		if err := p.Journal.Save(ctx, next); err != nil {
			return record, fmt.Errorf("storing phase %s: %w", Allocating, err)
		}
		record = next
	}
	p.fail(AfterAllocating)

	allocation, err := p.one(ctx, record)
	if err != nil {
		return record, err
	}
	if !allocation.Prefix.IsValid() {
		if allocation, err = p.allocate(ctx, record, request); err != nil {
			return record, err
		}
	}
	return p.bind(ctx, record, request, allocation)
}

// allocate calls the backend and looks at what it has afterwards: the answer alone does not tell whether another process
// allocated at the same time.
func (p *Protocol) allocate(ctx context.Context, record Record, request Request) (Allocation, error) {
	allocation, err := p.Reserver.Allocate(ctx, p.owner(record), request)
	if err != nil {
		return Allocation{}, fmt.Errorf("asking %s: %w", p.Reserver.Name(), err)
	}
	p.fail(AfterAllocate)

	seen, err := p.one(ctx, record)
	if err != nil {
		return Allocation{}, err
	}
	if !seen.Prefix.IsValid() {
		return Allocation{}, Errorf(Retry, "%s was allocated but does not show up in %s yet", allocation.Prefix, p.Reserver.Name())
	}
	return seen, nil
}

// one looks up what the backend holds for the owner. Of several it keeps the recorded one, else the oldest, and frees the
// others: every process that looks decides alike.
func (p *Protocol) one(ctx context.Context, record Record) (Allocation, error) {
	found, err := p.Reserver.Lookup(ctx, p.owner(record))
	if err != nil {
		return Allocation{}, fmt.Errorf("looking up %s in %s: %w", p.owner(record).Key(), p.Reserver.Name(), err)
	}
	if len(found) == 0 {
		return Allocation{}, nil
	}
	keep := slices.MinFunc(found, oldest)
	for _, a := range found {
		if a.ID == record.ID && a.Prefix == record.Prefix {
			keep = a
		}
	}
	for _, a := range found {
		if a.ID == keep.ID && a.Prefix == keep.Prefix {
			continue
		}
		if err := p.Reserver.Release(ctx, a); err != nil {
			return Allocation{}, fmt.Errorf("releasing the superfluous %s: %w", a.Prefix, err)
		}
	}
	return keep, nil
}

func oldest(a, b Allocation) int {
	return cmp.Or(a.Since.Compare(b.Since), a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.ID, b.ID))
}

// bind accepts the allocation, or gives it back and starts a new attempt.
func (p *Protocol) bind(ctx context.Context, record Record, request Request, allocation Allocation) (Record, error) {
	if err := request.Accepts(allocation.Prefix); err != nil {
		return p.reject(ctx, record, allocation, err)
	}
	p.fail(BeforeBind)
	bound := record
	bound.Phase, bound.ID, bound.Prefix = Bound, allocation.ID, allocation.Prefix
	if err := p.Journal.Save(ctx, bound); err != nil {
		return record, fmt.Errorf("storing that %s is bound: %w", allocation.Prefix, err)
	}
	return bound, nil
}

func (p *Protocol) reject(ctx context.Context, record Record, allocation Allocation, why error) (Record, error) {
	if err := p.Reserver.Release(ctx, allocation); err != nil {
		return record, fmt.Errorf("releasing %s, which is of no use (%w): %w", allocation.Prefix, why, err)
	}
	next := record
	next.Attempt++
	if err := p.Journal.Save(ctx, next); err != nil {
		return record, fmt.Errorf("storing attempt %d: %w", next.Attempt, err)
	}
	return next, Errorf(Retry, "%s gave a prefix that is of no use: %w", p.Reserver.Name(), why)
}

// BeginRelease stores that the reservation is being given back. Whatever an allocation that was under way has left behind is
// found and recorded first, so that what follows knows what to give back. Afterwards Prefix is what is held, if anything.
func (p *Protocol) BeginRelease(ctx context.Context, record Record) (Record, error) {
	next := record
	next.Phase = Releasing
	if record.Phase == Allocating || record.Phase == Releasing {
		allocation, err := p.one(ctx, record)
		if err != nil {
			return record, err
		}
		next.ID, next.Prefix = allocation.ID, allocation.Prefix
	}
	if next == record {
		return record, nil
	}
	if err := p.Journal.Save(ctx, next); err != nil {
		return record, fmt.Errorf("storing phase %s: %w", Releasing, err)
	}
	return next, nil
}

// FinishRelease gives back everything that the backend holds for the owner, and is done when it holds nothing any more, seen
// twice.
func (p *Protocol) FinishRelease(ctx context.Context, record Record) error {
	owner := p.owner(record)
	for range 2 {
		found, err := p.Reserver.Lookup(ctx, owner)
		if err != nil {
			return fmt.Errorf("looking up %s in %s: %w", owner.Key(), p.Reserver.Name(), err)
		}
		for _, a := range found {
			if err := p.Reserver.Release(ctx, a); err != nil {
				return fmt.Errorf("releasing %s: %w", a.Prefix, err)
			}
		}
	}
	left, err := p.Reserver.Lookup(ctx, owner)
	switch {
	case err != nil:
		return fmt.Errorf("looking up %s in %s: %w", owner.Key(), p.Reserver.Name(), err)
	case len(left) > 0:
		return Errorf(Retry, "%s still holds %s after its release", p.Reserver.Name(), left[0].Prefix)
	}
	return nil
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
