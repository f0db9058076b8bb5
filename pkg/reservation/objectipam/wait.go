// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objectipam

import (
	"cmp"
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// beyond is what a call may take beside waiting for the controller.
const beyond = time.Minute

func (r *Reserver) patience() time.Duration { return cmp.Or(r.Patience, Patience) }

// Bounded limits how long a call may take, whatever the API server does.
func (r *Reserver) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.patience()+beyond)
}

// poll calls done until it says so or fails, for as long as the patience lasts; then it returns false.
func (r *Reserver) poll(ctx context.Context, done func() (bool, error)) (bool, error) {
	end := time.Now().Add(r.patience())
	for pause := 20 * time.Millisecond; ; pause = min(pause*3/2, 500*time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return ok, err
		}
		if time.Now().Add(pause).After(end) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, reservation.Errorf(reservation.Ambiguous, "waiting for the IPAM's controller: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// await waits for the answer to an object. What is refused is withdrawn, so that it is not answered later, unseen.
func (r *Reserver) await(ctx context.Context, owner reservation.Owner, object *Object) (*Object, error) {
	start, uid := time.Now(), object.UID
	answered, err := r.poll(ctx, func() (bool, error) {
		switch {
		case object == nil || object.UID != uid:
			return false, reservation.Errorf(reservation.Retry, "%s was deleted while its answer was awaited", Name(owner))
		case object.Deleting:
			return false, goes(object)
		case object.Prefix.IsValid():
			return true, nil
		case time.Since(start) >= cmp.Or(r.Settle, Settle):
			if err := r.refused(ctx, owner, object); err != nil {
				return false, err
			}
		}
		var err error
		object, err = r.find(ctx, owner)
		return false, err
	})
	switch {
	case err != nil:
		return nil, err
	case !answered:
		return nil, reservation.Errorf(reservation.Ambiguous, "%s has not been answered within %s: is the IPAM's controller running?", Name(owner), r.patience())
	}
	return object, nil
}

// withdrawn is why an object was refused that is gone now.
type withdrawn struct{ error }

// Unwrap gives the kind away.
func (w withdrawn) Unwrap() error { return w.error }

// refused withdraws the object if the service refuses it. The object is deleted as it was before the service was asked: if it
// has been answered since, the deletion fails, and the answer stands.
func (r *Reserver) refused(ctx context.Context, owner reservation.Owner, object *Object) error {
	pool, ok := r.pool(object)
	if !ok {
		return nil // nobody can tell
	}
	fresh, err := r.find(ctx, owner)
	if err != nil || fresh == nil || fresh.UID != object.UID || fresh.Deleting || fresh.Prefix.IsValid() {
		return err
	}
	refusal := Classify(r.Service.Refusal(ctx, *fresh, pool), "pool "+pool.Name)
	switch reservation.KindOf(refusal) {
	case reservation.Exhausted, reservation.Conflict, reservation.Invalid:
	default:
		return refusal
	}
	err = r.withdraw(ctx, fresh)
	switch {
	case apierrors.IsConflict(err):
		return nil
	case err != nil:
		return err
	}
	return withdrawn{refusal}
}

// withdraw deletes an object and waits until it is gone and its prefix free.
func (r *Reserver) withdraw(ctx context.Context, object *Object) error {
	if err := r.Service.Delete(ctx, *object); err != nil && !apierrors.IsNotFound(err) {
		return classifyWrite(err, "deleting "+object.Name)
	}
	gone, err := r.poll(ctx, func() (bool, error) {
		now, err := r.Service.Get(ctx, object.Name)
		return err == nil && (now == nil || now.UID != object.UID), Classify(err, "reading "+object.Name)
	})
	if err == nil && !gone {
		return goes(object)
	}
	return err
}

func goes(object *Object) error {
	return reservation.Errorf(reservation.Retry, "%s is being deleted and still waits for the IPAM's controller", object.Name)
}
