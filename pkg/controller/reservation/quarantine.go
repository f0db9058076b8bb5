// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	heir, err := r.heir(ctx, tombstone)
	if err != nil {
		return reconcile.Result{}, err
	}
	if heir != "" {
		log.FromContext(ctx).Info("The shoot is back, the tombstone goes", "prefix", tombstone.Status.Allocated, "reservation", heir)
		return reconcile.Result{}, r.remove(ctx, tombstone)
	}
	until := tombstone.Status.QuarantinedUntil
	if until == nil {
		return reconcile.Result{}, nil // until somebody deletes it
	}
	if left := until.Sub(r.now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	return result(r.end(ctx, tombstone))
}

// unfinished is a tombstone without a status. Usually that is about to be written; if it is not, whoever made it died, and the
// reservation that it was made of still says what is held, or was removed by force, and then the garbage collector comes.
func (r *quarantineReconciler) unfinished(ctx context.Context, tombstone *v1alpha1.PrefixReservation) (reconcile.Result, error) {
	if left := r.GarbageAge - r.now().Sub(tombstone.CreationTimestamp.Time); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	// Not if its status comes in between.
	exactly := client.Preconditions{UID: &tombstone.UID, ResourceVersion: &tombstone.ResourceVersion}
	return reconcile.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, tombstone, exactly))
}

// heir is the living reservation that holds what the tombstone stands for: a shoot that migrated away and came back.
func (r *quarantineReconciler) heir(ctx context.Context, tombstone *v1alpha1.PrefixReservation) (string, error) {
	list := &v1alpha1.PrefixReservationList{}
	if err := r.client.List(ctx, list, client.MatchingFields{holderField: holderOf(tombstone).Key()}); err != nil {
		return "", fmt.Errorf("listing the PrefixReservations of %s: %w", holderOf(tombstone).Key(), err)
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.Namespace == r.Namespace {
			continue
		}
		if err := r.live.Get(ctx, client.ObjectKeyFromObject(other), other); err != nil {
			if apierrors.IsNotFound(err) {
				continue
			}
			return "", fmt.Errorf("reading PrefixReservation %s: %w", client.ObjectKeyFromObject(other), err)
		}
		// A reservation that is marked, or without the finalizer, is what a migration leaves behind: it holds nothing.
		_, moved := other.Annotations[annotationMoved]
		if hasFinalizer(other) && !moved && other.Status.Phase != v1alpha1.PhaseReleasing && ownerOf(other) == ownerOf(tombstone) {
			return client.ObjectKeyFromObject(other).String(), nil
		}
	}
	return "", nil
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
	return r.remove(ctx, tombstone)
}
