// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// waitAgain is after how long something is looked at again that a watch should have told us of.
const waitAgain = 5 * time.Minute

// shootReconciler reconciles the reservations of one shoot; the request's name is that of its namespace.
type shootReconciler struct {
	*kit
	// told remembers, by the UID of a reservation, of which other size its Shoot was told that it will not get it. An event at every
	// reconciliation would drown the others.
	told sync.Map
	// rounds say when what is bound is verified again.
	rounds rounds
}

// Reconcile gathers, decides and applies.
func (r *shootReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	g, err := r.gather(ctx, request.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	if g == nil {
		r.accounts.forget(request.Name)
		return reconcile.Result{}, nil
	}
	what, why := reservation.Decide(g.facts())
	log.FromContext(ctx).V(1).Info("Decided", "action", what, "reason", why)

	t := r.tenantOf(g)
	switch what {
	case reservation.Ensure:
		err = errors.Join(r.release(ctx, t, g.former()), r.ensure(ctx, g, t))
	case reservation.Release:
		if err = r.release(ctx, t, g.filter(hasFinalizer)); err == nil {
			err = r.leaveShoot(ctx, g, t)
		}
	case reservation.Migrate:
		if err = r.migrate(ctx, t, g.filter(hasFinalizer)); err == nil {
			err = r.leaveShoot(ctx, g, t)
		}
	case reservation.Keep:
		r.warnHeld(g)
	}
	if err == nil && g.recheck > 0 {
		return reconcile.Result{RequeueAfter: g.recheck}, nil
	}
	return result(err)
}

// afterwards is for writing down why something failed, which the end of the reconciliation's time must not keep from people. Who is
// told to stop stops.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	}
	return ctx, func() {}
}

// leaveShoot when nothing is held for it any more.
func (r *shootReconciler) leaveShoot(ctx context.Context, g *gathered, t tenant) error {
	for i := range g.reservations {
		r.rounds.forget(g.reservations[i].UID)
		r.told.Delete(g.reservations[i].UID)
	}
	return r.letSecretGo(ctx, t)
}

// result turns the kind of an error into what to do next. Of several errors the one that wants the earliest retry counts.
func result(err error) (reconcile.Result, error) {
	if err == nil {
		return reconcile.Result{}, nil
	}
	if onlyWaits(err) {
		return reconcile.Result{RequeueAfter: waitAgain}, nil
	}
	return reconcile.Result{}, err
}

func onlyWaits(err error) bool {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			if !onlyWaits(e) {
				return false
			}
		}
		return true
	}
	return reservation.KindOf(err) == reservation.Wait
}

// event records one on the object; about names what it has to do with, if that is something else.
func (k *kit) event(object runtime.Object, kind, reason, action, format string, args ...any) {
	k.recorder.Eventf(object, nil, kind, reason, action, format, args...)
}

// warnHeld tells whoever tried to delete a reservation by hand why it stays.
func (r *shootReconciler) warnHeld(g *gathered) {
	for i := range g.reservations {
		if res := &g.reservations[i]; res.DeletionTimestamp != nil && g.namespace.DeletionTimestamp == nil {
			r.event(res, corev1.EventTypeWarning, "InUse", "Keep", "%s stays reserved: the Infrastructure still exists", res.Status.Allocated)
		}
	}
}
