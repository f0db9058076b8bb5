// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// quarantineReconciler gives back the prefixes of tombstones whose time is over. What the tombstones that somebody deleted stood
// for is the garbage collector's.
type quarantineReconciler struct {
	*kit
}

// Reconcile looks at one tombstone.
func (r *quarantineReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	tombstone := &v1alpha1.PrefixReservation{}
	if err := r.live.Get(ctx, request.NamespacedName, tombstone); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if err := r.dropFinalizer(ctx, tombstone); err != nil { // earlier versions gave them one
		return reconcile.Result{}, err
	}
	if tombstone.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if tombstone.Status.Phase != v1alpha1.PhaseQuarantined {
		return r.unfinished(ctx, tombstone)
	}
	heirs, err := r.heirs(ctx, tombstone)
	if err != nil {
		return reconcile.Result{}, err
	}
	until := tombstone.Status.QuarantinedUntil
	switch reservation.Judge(r.now(), ptr.Deref(until, metav1.Time{}).Time, heirs...) {
	case reservation.Vanish:
		log.FromContext(ctx).Info("The shoot is back, the tombstone goes", "prefix", tombstone.Status.Allocated)
		return reconcile.Result{}, r.removeTombstone(ctx, tombstone)
	case reservation.End:
		return result(r.end(ctx, tombstone))
	case reservation.Stay:
	}
	switch {
	case until == nil:
		return reconcile.Result{}, nil // until somebody deletes it
	case until.After(r.now()):
		return reconcile.Result{RequeueAfter: until.Sub(r.now())}, nil
	}
	return reconcile.Result{RequeueAfter: waitAgain}, nil // its heirs wake it earlier
}

// unfinished is a tombstone without a status. Usually that is about to be written; if it is not, whoever made it died, and the
// reservation that it was made of still says what is held, or was removed by force, and then the garbage collector comes.
func (r *quarantineReconciler) unfinished(ctx context.Context, tombstone *v1alpha1.PrefixReservation) (reconcile.Result, error) {
	if left := r.GarbageAge - r.now().Sub(tombstone.CreationTimestamp.Time); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	// Not if its status comes in between.
	return reconcile.Result{}, r.removeTombstone(ctx, tombstone)
}

// heirs are the phases of the living reservations for the same range of the same shoot, of whatever attempt: of a shoot that moved
// away and came back, or of one whose reservation was deleted before it was bound.
func (r *quarantineReconciler) heirs(ctx context.Context, tombstone *v1alpha1.PrefixReservation) ([]reservation.Phase, error) {
	list := &v1alpha1.PrefixReservationList{}
	if err := r.client.List(ctx, list, client.MatchingFields{holderField: holderOf(tombstone).Key()}); err != nil {
		return nil, fmt.Errorf("listing the PrefixReservations of %s: %w", holderOf(tombstone).Key(), err)
	}
	var heirs []reservation.Phase
	for i := range list.Items {
		other := &list.Items[i]
		if other.Namespace == r.Namespace {
			continue
		}
		if err := r.live.Get(ctx, client.ObjectKeyFromObject(other), other); err != nil {
			if apierrors.IsNotFound(err) {
				continue
			}
			return nil, fmt.Errorf("reading PrefixReservation %s: %w", client.ObjectKeyFromObject(other), err)
		}
		// One that is marked, or without the finalizer, is what a migration leaves behind: it holds nothing.
		_, moved := other.Annotations[v1alpha1.AnnotationMoved]
		if hasFinalizer(other) && !moved && holderOf(other) == holderOf(tombstone) {
			heirs = append(heirs, reservation.Phase(other.Status.Phase))
		}
	}
	return heirs, nil
}

// tombstonesOf the range of the shoot that the reservation is for, as the cache knows them. One that it does not know yet comes by
// itself.
func (k *kit) tombstonesOf(ctx context.Context, res *v1alpha1.PrefixReservation) []reconcile.Request {
	list := &v1alpha1.PrefixReservationList{}
	if err := k.client.List(ctx, list, client.InNamespace(k.Namespace), client.MatchingFields{holderField: holderOf(res).Key()}); err != nil {
		log.FromContext(ctx).Error(err, "Cannot find the tombstones of a reservation", "reservation", client.ObjectKeyFromObject(res))
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

func (r *quarantineReconciler) end(ctx context.Context, tombstone *v1alpha1.PrefixReservation) error {
	record, err := recordOf(tombstone)
	if err != nil {
		return err
	}
	if record.Backend != "" {
		held, err := r.openNamed(record.Backend, tenant{})
		if err == nil {
			err = r.protocol(held.reserver, tombstone).FinishRelease(ctx, record)
		}
		if err != nil {
			if kind := reservation.KindOf(err); kind.Failed() {
				r.event(tombstone, corev1.EventTypeWarning, "ReleaseFailed", "Release", "%s cannot be given back: %v", record.Prefix, err)
			}
			return fmt.Errorf("ending the quarantine of %s: %w", record.Prefix, err)
		}
	}
	log.FromContext(ctx).Info("The quarantine is over", "prefix", tombstone.Status.Allocated, "shoot", tombstone.Spec.Owner.Shoot)
	return r.removeTombstone(ctx, tombstone)
}
