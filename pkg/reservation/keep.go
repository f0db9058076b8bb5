// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Keep verifies that the backend still holds what is bound, and mends what came loose: a prefix that the backend has lost is
// claimed again, the very same; one that another seed holds is taken over; what is held beside it is given back. The record stays
// as it is. An error of kind Conflict or Invalid says that the prefix is lost: it is published, so no other may take its place,
// and a person has to act.
//
// It calls the backend once if nothing is amiss.
func (p *Protocol) Keep(ctx context.Context, record Record) error {
	if record.Phase != Bound {
		return Errorf(Invalid, "only what is bound can be kept: the reservation is %s", record.Phase)
	}
	found, err := p.held(ctx, record)
	switch {
	case KindOf(err) == Invalid:
		return Errorf(Retry, "%w", err) // a pool that is gone, or misspelt: that tells nothing of this prefix
	case err != nil:
		return err
	}
	a, ok := recorded(found, record.Prefix)
	if !ok {
		a, ok = covering(found, record.Prefix)
	}
	if !ok {
		a = Allocation{Owner: p.owner(record), ID: record.ID, Prefix: record.Prefix}
	}
	if !ok || p.foreign(a) {
		err := p.take(ctx, record, a)
		if KindOf(err) == Conflict {
			err = p.keepAttempt(ctx, record, err)
		}
		if err != nil {
			err = fmt.Errorf("%s is published, but %s does not hold it for this seed: %w", record.Prefix, p.Reserver.Name(), err)
			if kind := KindOf(err); kind != Conflict && kind != Invalid {
				return err // the record may be out of date
			}
			return errors.Join(err, p.freeOthers(ctx, record, found, a.Prefix))
		}
	}
	return p.freeOthers(ctx, record, found, a.Prefix)
}

// keepAttempt looks whether another attempt of the same owner holds the prefix: a control plane that came back from another seed
// brings the count of attempts from there. Then that attempt is recorded.
func (p *Protocol) keepAttempt(ctx context.Context, record Record, lost error) error {
	a, _, err := p.otherAttempt(ctx, record, record.Prefix)
	if err != nil {
		return err
	}
	if !a.Prefix.IsValid() {
		return lost
	}
	next := record
	next.Attempt = a.Owner.Attempt
	if err := p.Journal.Save(ctx, next); err != nil {
		return fmt.Errorf("storing attempt %d: %w", next.Attempt, err)
	}
	if p.foreign(a) {
		return p.Reserver.Claim(ctx, a)
	}
	return nil
}

// otherAttempt finds which attempt of the owner holds a prefix that begins with whole, and else the attempt after the last one.
func (p *Protocol) otherAttempt(ctx context.Context, record Record, whole netip.Prefix) (Allocation, int, error) {
	listed, err := p.Reserver.List(ctx, p.Owner.GardenID)
	if err != nil {
		return Allocation{}, 0, fmt.Errorf("listing what %s holds: %w", p.Reserver.Name(), err)
	}
	next := record.Attempt
	for _, a := range listed {
		o := a.Owner
		o.Attempt = record.Attempt
		if o != p.owner(record) {
			continue
		}
		if begins(a.Prefix, whole) {
			return a, 0, nil
		}
		next = max(next, a.Owner.Attempt+1)
	}
	return Allocation{}, next, nil
}

// take claims what another seed holds, or nobody. The record is stored before, as it is: that fails if it is out of date, for it
// may be the other seed that is right.
func (p *Protocol) take(ctx context.Context, record Record, a Allocation) error {
	if err := p.Journal.Save(ctx, record); err != nil {
		return fmt.Errorf("storing that %s is about to be claimed: %w", a.Prefix, err)
	}
	return p.Reserver.Claim(ctx, a)
}

// Restore binds a reservation to the prefix of which a range is published already: that of a control plane which comes from
// another seed, or whose reservations were lost. Whole is what the published range was cut from; another length that begins
// there does too. Nothing else is ever bound, and nothing released.
func (p *Protocol) Restore(ctx context.Context, record Record, request Request, whole netip.Prefix) (Record, error) {
	if record.Phase == Bound {
		return record, nil
	}
	if record.Phase == Releasing {
		record.Phase = Pending // an old backup, or somebody was too quick: it is in use
	}
	request.Avoid = nil // it is in use: what it overlaps is no reason to take another one
	request.Bits = max(request.Bits, whole.Bits())
	if err := request.Accepts(whole); err != nil {
		return record, Errorf(Invalid, "%s is published, but does not do: %w", whole, err)
	}
	record, err := p.begin(ctx, record, request)
	if err != nil {
		return record, err
	}
	found, err := p.held(ctx, record)
	if err != nil {
		return record, err
	}
	if a, ok := covering(found, whole); ok {
		return p.bind(ctx, record, a)
	}
	var why error
	if len(found) == 0 {
		if why = p.Reserver.Claim(ctx, Allocation{Owner: p.owner(record), Prefix: whole}); why == nil {
			return p.bindClaimed(ctx, record, whole)
		}
		if KindOf(why) != Conflict {
			return record, fmt.Errorf("claiming %s, which is published: %w", whole, why)
		}
	}
	return p.restoreAttempt(ctx, record, whole, why)
}

func (p *Protocol) bindClaimed(ctx context.Context, record Record, whole netip.Prefix) (Record, error) {
	found, err := p.held(ctx, record)
	if err != nil {
		return record, err
	}
	a, ok := covering(found, whole)
	if !ok {
		return record, Errorf(Retry, "%s was claimed but does not show up in %s yet", whole, p.Reserver.Name())
	}
	return p.bind(ctx, record, a)
}

// restoreAttempt looks whether another attempt of the same owner holds the prefix: who begins anew counts from one, also if
// the former seed, or a younger etcd, had come further. If none does, and this one holds something else, that was never
// published: a shoot has left it behind that moved before, and came back with another. Then the next attempt claims the prefix.
func (p *Protocol) restoreAttempt(ctx context.Context, record Record, whole netip.Prefix, why error) (Record, error) {
	a, attempt, err := p.otherAttempt(ctx, record, whole)
	if err != nil {
		return record, err
	}
	next := record
	next.Attempt, next.ID, next.Prefix = attempt, "", netip.Prefix{}
	if a.Prefix.IsValid() {
		next.Attempt, next.ID, next.Prefix = a.Owner.Attempt, a.ID, a.Prefix
	}
	if !next.Prefix.IsValid() && why != nil {
		return record, fmt.Errorf("%s is published: %w", whole, why)
	}
	if err := p.Journal.Save(ctx, next); err != nil {
		return record, fmt.Errorf("storing attempt %d: %w", next.Attempt, err)
	}
	if !next.Prefix.IsValid() {
		if err := p.Reserver.Claim(ctx, Allocation{Owner: p.owner(next), Prefix: whole}); err != nil {
			return next, fmt.Errorf("claiming %s, which is published: %w", whole, err)
		}
	}
	return p.bindClaimed(ctx, next, whole)
}

func covering(found []Allocation, whole netip.Prefix) (Allocation, bool) {
	for _, a := range found {
		if begins(a.Prefix, whole) {
			return a, true
		}
	}
	return Allocation{}, false
}

// begins tells whether one of them is the first of its length in the other. Both begin with what is published, then: what is cut
// from a prefix for publication is its first part, and nobody is given less than that.
func begins(p, q netip.Prefix) bool { return p.Overlaps(q) && p.Addr() == q.Addr() }
