// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"slices"
)

// Bury remembers, outside of the reservation, what is held for an owner who is gone: the tombstone. The prefix stays held by
// the owner until the tombstone's time is over. It is idempotent.
type Bury func(context.Context, Record) error

// GiveBack gives up a reservation. What is held is buried; without a Bury it is given back at once, and so is what was never
// bound. Then the reservation may go.
func (p *Protocol) GiveBack(ctx context.Context, record Record, bury Bury) error {
	if record.Attempt == 0 {
		return nil // nobody was asked yet
	}
	record, err := p.BeginRelease(ctx, record)
	if err != nil {
		return err
	}
	if bury == nil || !record.Prefix.IsValid() {
		return p.FinishRelease(ctx, record)
	}
	if err := p.clear(ctx, record); err != nil {
		return err
	}
	return bury(ctx, record)
}

// LetGo gives up a reservation whose owner lives on under another seed: nothing is released. What this seed still holds is
// buried; what the other seed has taken over is its own.
func (p *Protocol) LetGo(ctx context.Context, record Record, bury Bury) error {
	if record.Attempt == 0 {
		return nil // nobody was asked yet
	}
	found, err := p.held(ctx, record)
	if err != nil {
		return err
	}
	ours := slices.DeleteFunc(found, p.foreign)
	if len(ours) == 0 && record.Prefix.IsValid() {
		a, _, err := p.otherAttempt(ctx, record, record.Prefix)
		if err != nil {
			return err
		}
		if a.Prefix.IsValid() && !p.foreign(a) {
			ours, record.Attempt = []Allocation{a}, a.Owner.Attempt
		}
	}
	if len(ours) == 0 {
		return nil
	}
	left, ok := recorded(ours, record.Prefix)
	if !ok {
		left = slices.MinFunc(ours, oldest)
	}
	record.ID, record.Prefix = left.ID, left.Prefix
	return bury(ctx, record)
}

// Needed tells whether the tombstone of an owner who was let go still keeps anything: no more when another seed has taken the
// prefix over, or given it back.
func (p *Protocol) Needed(ctx context.Context, record Record) (bool, error) {
	found, err := p.held(ctx, record)
	if err != nil {
		return true, err
	}
	_, ours := recorded(slices.DeleteFunc(found, p.foreign), record.Prefix)
	return ours, nil
}

// BeginRelease stores that the reservation is being given back. Whatever an allocation that was under way has left behind is
// found and recorded first, so that what follows knows what to give back. Afterwards Prefix is what is held, if anything.
func (p *Protocol) BeginRelease(ctx context.Context, record Record) (Record, error) {
	next := record
	found, err := p.held(ctx, record)
	if err != nil {
		return record, err
	}
	keep, ok := recorded(found, record.Prefix)
	switch {
	case ok && record.Phase == Bound:
	case record.Phase != Bound:
		if !ok && len(found) > 0 {
			keep = slices.MinFunc(found, oldest)
		}
		next.ID, next.Prefix = keep.ID, keep.Prefix
	default:
		// An imported record may count attempts otherwise than a former stay on this seed did.
		a, _, err := p.otherAttempt(ctx, record, record.Prefix)
		if err != nil {
			return record, err
		}
		if a.Prefix.IsValid() && !p.foreign(a) {
			next.Attempt, next.ID = a.Owner.Attempt, a.ID
		}
	}
	next.Phase = Releasing
	if next == record {
		return record, nil
	}
	if err := p.Journal.Save(ctx, next); err != nil {
		return record, fmt.Errorf("storing phase %s: %w", Releasing, err)
	}
	return next, nil
}

// FinishRelease gives back everything that the backend holds for the owner under this seed, and is done when it holds nothing
// any more, seen twice. What another seed has taken over stays.
func (p *Protocol) FinishRelease(ctx context.Context, record Record) error {
	if err := p.clear(ctx, record); err != nil {
		return err
	}
	for range 2 {
		found, err := p.held(ctx, record)
		if err != nil {
			return err
		}
		if err := p.free(ctx, record, found); err != nil {
			return err
		}
	}
	found, err := p.held(ctx, record)
	if err != nil {
		return err
	}
	if left := slices.DeleteFunc(found, p.foreign); len(left) > 0 {
		return Errorf(Retry, "%s still holds %s after its release", p.Reserver.Name(), left[0].Prefix)
	}
	return nil
}
