// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objectipam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// How long to wait for the service's controller.
const (
	// Patience is how long an answer is waited for. After that the object stays, and the next run finds it. It is short, for
	// whoever waits keeps others waiting, also those who want something of another service.
	Patience = 4 * time.Second
	// Settle is how long a controller gets before what it says of a pool is believed to be a refusal: it may not have seen yet
	// what was released a moment ago.
	Settle = 2 * time.Second
)

// Reserver is a reservation.Reserver over a Service.
type Reserver struct {
	BackendName string
	Service     Service
	Pools       []reservation.Pool
	Home        reservation.Home
	// Distrust makes it look after every answer whether somebody else got the same: for a service whose controller can be behind
	// its own writes. A prefix that the service has not chosen itself is always looked after.
	Distrust bool
	// Patience and Settle replace the constants if they are not 0.
	Patience, Settle time.Duration
}

var _ reservation.Reserver = &Reserver{}

// Name of the backend.
func (r *Reserver) Name() string { return r.BackendName }

// Lookup returns the owner's object. One that was not answered yet holds nothing, but may at any moment: its answer is awaited,
// and if the service refuses it, it is withdrawn. One that is being deleted is an error: what it holds is neither ours nor free.
func (r *Reserver) Lookup(ctx context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	ctx, cancel := r.Bounded(ctx)
	defer cancel()
	object, err := r.find(ctx, owner)
	if err != nil || object == nil {
		return nil, err
	}
	object, err = r.await(ctx, owner, object)
	if errors.As(err, &withdrawn{}) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []reservation.Allocation{object.allocation(owner)}, nil
}

// List returns what bears the mark of the garden.
func (r *Reserver) List(ctx context.Context, gardenID string) ([]reservation.Allocation, error) {
	ctx, cancel := r.Bounded(ctx)
	defer cancel()
	objects, err := r.Service.List(ctx, LabelGarden, GardenValue(gardenID))
	if err != nil {
		return nil, Classify(err, "listing what "+r.BackendName+" holds")
	}
	var found []reservation.Allocation
	for _, o := range objects {
		// What is marked in another way was not marked by us; what goes is not held any more, and what waits not yet.
		if owner, ok := o.owner(); ok && owner.GardenID == gardenID && o.Name == Name(owner) && !o.Deleting && o.Prefix.IsValid() {
			found = append(found, o.allocation(owner))
		}
	}
	return found, nil
}

// Allocate creates an object that asks, or takes up the one that an earlier run has created, and waits for the answer. When
// the time is over the error is of kind Ambiguous, and the object stays.
func (r *Reserver) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	pools, err := r.chosen(request)
	if err != nil {
		return reservation.Allocation{}, err
	}
	ctx, cancel := r.Bounded(ctx)
	defer cancel()

	var full []string
	note := func(err error) bool {
		if reservation.KindOf(err) != reservation.Exhausted {
			return false
		}
		full = append(full, err.Error())
		return true
	}
	earlier, err := r.find(ctx, owner)
	if err != nil {
		return reservation.Allocation{}, err
	}
	if earlier != nil {
		object, err := r.await(ctx, owner, earlier)
		if err == nil && r.Distrust {
			err = r.undisputed(ctx, object, true)
		}
		if !note(err) {
			return r.settled(object, owner, err)
		}
		full = nil // it is asked again below, with the others
	}
	for _, pool := range pools {
		object, err := r.from(ctx, owner, request, pool)
		if !note(err) {
			return r.settled(object, owner, err)
		}
	}
	return reservation.Allocation{}, reservation.Errorf(reservation.Exhausted, "no room for %s: %s", request, strings.Join(full, "; "))
}

func (r *Reserver) settled(object *Object, owner reservation.Owner, err error) (reservation.Allocation, error) {
	if err != nil {
		return reservation.Allocation{}, err
	}
	return object.allocation(owner), nil
}

// chosen are the pools of the request, in its order.
func (r *Reserver) chosen(request reservation.Request) ([]reservation.Pool, error) {
	if len(request.Pools) == 0 {
		return r.Pools, nil
	}
	pools := make([]reservation.Pool, 0, len(request.Pools))
	for _, name := range request.Pools {
		at := slices.IndexFunc(r.Pools, func(p reservation.Pool) bool { return p.Name == name })
		if at < 0 {
			return nil, reservation.Errorf(reservation.Invalid, "%s has no pool %q", r.BackendName, name)
		}
		pools = append(pools, r.Pools[at])
	}
	return pools, nil
}

// from asks one pool.
func (r *Reserver) from(ctx context.Context, owner reservation.Owner, request reservation.Request, pool reservation.Pool) (*Object, error) {
	bits, err := r.Service.Length(ctx, pool, request.Bits)
	if err != nil {
		return nil, Classify(err, "asking pool "+pool.Name+" for its lengths")
	}
	ask := r.ask(owner, pool)
	ask.Bits = bits
	object, err := r.place(ctx, owner, ask)
	if err != nil || request.Avoid == nil {
		return object, err
	}
	if _, overlaps := request.Avoid(object.Prefix); !overlaps {
		return object, nil
	}
	// The service would give the same again: what it may give is found here.
	if err := r.withdraw(ctx, object); err != nil {
		return nil, err
	}
	space, err := r.Space(ctx, pool)
	if err != nil {
		return nil, err
	}
	request.Bits = bits
	cut, ok, err := request.Cut(space.Whole, space.Prefixes())
	switch {
	case err != nil:
		return nil, reservation.Errorf(reservation.Invalid, "pool %s: %w", pool.Name, err)
	case !ok:
		return nil, reservation.Errorf(reservation.Exhausted, "pool %s: every /%d that is free overlaps something that is in use elsewhere", pool.Name, bits)
	}
	ask.Prefix = cut
	return r.place(ctx, owner, ask)
}

func (r *Reserver) ask(owner reservation.Owner, pool reservation.Pool) Ask {
	return Ask{
		Name:   Name(owner),
		Labels: map[string]string{LabelGarden: GardenValue(owner.GardenID)},
		Annotations: map[string]string{
			AnnotationOwner: owner.Key(),
			AnnotationSeed:  r.Home.Seed,
		},
		Pool: pool,
	}
}

// place creates the object and waits for its answer. If another process was quicker its object is taken.
func (r *Reserver) place(ctx context.Context, owner reservation.Owner, ask Ask) (*Object, error) {
	err := r.Service.Create(ctx, ask)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, classifyWrite(err, fmt.Sprintf("creating %s for pool %s", ask.Name, ask.Pool.Name))
	}
	object, err := r.find(ctx, owner)
	if err != nil {
		return nil, err
	}
	if object == nil {
		return nil, reservation.Errorf(reservation.Retry, "%s was created and is gone again", ask.Name)
	}
	if object, err = r.await(ctx, owner, object); err != nil {
		return nil, err
	}
	if r.Distrust || ask.Prefix.IsValid() {
		return object, r.undisputed(ctx, object, !ask.Prefix.IsValid())
	}
	return object, nil
}

// undisputed makes sure that nobody else got the same at the same time, which a service need not exclude for a prefix that it
// has not chosen itself. It looks after the service has taken note of ours: from then on it gives it to nobody.
func (r *Reserver) undisputed(ctx context.Context, object *Object, chosen bool) error {
	pool, ok := r.pool(object)
	if !ok {
		return nil
	}
	space, err := r.Space(ctx, pool)
	if err != nil {
		return err
	}
	other, overlaps := space.Overlapping(object.Prefix, object.Name)
	if !overlaps {
		return nil
	}
	if err := r.withdraw(ctx, object); err != nil {
		return err
	}
	if !chosen {
		return reservation.Errorf(reservation.Conflict, "%s is held by %s", object.Prefix, other.Holder)
	}
	return reservation.Errorf(reservation.Retry, "%s was given to %s as well; it was given back", object.Prefix, other.Holder)
}

// pool that an object asks; none if it is not configured any more.
func (r *Reserver) pool(object *Object) (reservation.Pool, bool) {
	at := slices.IndexFunc(r.Pools, func(p reservation.Pool) bool { return p.ID == object.Pool })
	if at < 0 {
		return reservation.Pool{}, false
	}
	return r.Pools[at], true
}

// find the owner's object, nil if there is none. An object of that name that is not the owner's is a Conflict.
func (r *Reserver) find(ctx context.Context, owner reservation.Owner) (*Object, error) {
	object, err := r.Service.Get(ctx, Name(owner))
	if err != nil {
		return nil, Classify(err, "reading "+Name(owner))
	}
	if object == nil {
		return nil, nil
	}
	return object, object.belongs(owner)
}

func (o *Object) belongs(owner reservation.Owner) error {
	if have := o.Annotations[AnnotationOwner]; have != owner.Key() {
		return reservation.Errorf(reservation.Conflict, "%s is marked as %q's, not %s's", o.Name, have, owner.Key())
	}
	return nil
}

// Space is what a pool consists of and who has which part of it.
func (r *Reserver) Space(ctx context.Context, pool reservation.Pool) (Space, error) {
	ctx, cancel := r.Bounded(ctx)
	defer cancel()
	space, err := r.Service.Space(ctx, pool)
	return space, Classify(err, "reading what is used of pool "+pool.Name)
}
