// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objectipam

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Claim makes sure that the owner's object holds the prefix and names our Seed. If there is no object any more, it is made
// anew for this very prefix, if that is free and lies in a pool.
func (r *Reserver) Claim(ctx context.Context, allocation reservation.Allocation) error {
	ctx, cancel := r.Bounded(ctx)
	defer cancel()
	owner := allocation.Owner
	object, err := r.find(ctx, owner)
	if err != nil {
		return err
	}
	if object == nil || object.Incomplete {
		if object, err = r.regain(ctx, owner, allocation.Prefix); err != nil {
			return err
		}
	}
	switch {
	case object.Deleting:
		return goes(object)
	case !object.Prefix.IsValid():
		if object, err = r.await(ctx, owner, object); err != nil {
			return err
		}
	}
	if object.Prefix != allocation.Prefix {
		return reservation.Errorf(reservation.Conflict, "%s holds %s for the owner, not %s", object.Name, object.Prefix, allocation.Prefix)
	}
	if object.Annotations[AnnotationSeed] == r.Home.Seed {
		return nil
	}
	// As it was read: if the other seed has begun to delete it meanwhile, it must not be taken for ours.
	err = r.Service.Annotate(ctx, *object, map[string]string{AnnotationSeed: r.Home.Seed})
	return Classify(err, "marking "+object.Name+" as this seed's")
}

// regain makes an object for a certain prefix.
func (r *Reserver) regain(ctx context.Context, owner reservation.Owner, wanted netip.Prefix) (*Object, error) {
	var reasons []string
	for _, pool := range r.Pools {
		space, err := r.Space(ctx, pool)
		if reservation.KindOf(err) == reservation.Invalid { // it is gone: no reason to give up what lies in another
			reasons = append(reasons, err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(space.Whole, func(p netip.Prefix) bool { return prefix.Covers(p, wanted) }) {
			reasons = append(reasons, fmt.Sprintf("pool %s does not have it", pool.Name))
			continue
		}
		if other, overlaps := space.Overlapping(wanted, Name(owner)); overlaps {
			return nil, reservation.Errorf(reservation.Conflict, "%s is held by %s", wanted, other.Holder)
		}
		bits, err := r.Service.Length(ctx, pool, wanted.Bits())
		if err != nil {
			return nil, Classify(err, "asking pool "+pool.Name+" for its lengths")
		}
		if bits != wanted.Bits() {
			reasons = append(reasons, fmt.Sprintf("pool %s gives a /%d", pool.Name, bits))
			continue
		}
		ask := r.ask(owner, pool)
		ask.Bits, ask.Prefix = bits, wanted
		return r.place(ctx, owner, ask)
	}
	return nil, reservation.Errorf(reservation.Invalid, "%s cannot hold %s: %s", r.BackendName, wanted, strings.Join(reasons, "; "))
}

// Release deletes the object and waits until it is gone. It is deleted as it was read, so that nobody takes it over in between.
func (r *Reserver) Release(ctx context.Context, allocation reservation.Allocation) error {
	ctx, cancel := r.Bounded(ctx)
	defer cancel()
	const tries = 3 // the service's controller writes into it, too
	var err error
	for range tries {
		if err = r.release(ctx, allocation); !apierrors.IsConflict(err) {
			break
		}
	}
	return err
}

func (r *Reserver) release(ctx context.Context, allocation reservation.Allocation) error {
	name := allocation.ID
	if !strings.HasPrefix(name, namePrefix) {
		name = Name(allocation.Owner)
	}
	object, err := r.Service.Get(ctx, name)
	if err != nil {
		return Classify(err, "reading "+name)
	}
	if object == nil {
		return nil
	}
	if err := object.belongs(allocation.Owner); err != nil {
		return err
	}
	if object.Prefix != allocation.Prefix {
		return nil // this one was given back before, and the object is another
	}
	if seed := object.Annotations[AnnotationSeed]; allocation.Seed != "" && seed != allocation.Seed {
		return reservation.Errorf(reservation.Retry, "%s (%s) is not released: seed %s has taken it over", object.Name, object.Prefix, seed)
	}
	return r.withdraw(ctx, object)
}
