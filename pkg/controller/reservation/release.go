// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// release gives back the reservations; one that cannot be given back does not keep the others.
func (k *kit) release(ctx context.Context, t tenant, objects []*v1alpha1.PrefixReservation) error {
	var errs []error
	for _, object := range objects {
		if err := k.releaseOne(ctx, t, object); err != nil {
			errs = append(errs, fmt.Errorf("releasing PrefixReservation %s: %w", client.ObjectKeyFromObject(object), err))
		}
	}
	return errors.Join(errs...)
}

// releaseOne gives back one reservation. Its prefix stays with its owner in the backend until the quarantine is over; what
// remembers that is a tombstone in the extension's own namespace, for the shoot's goes away. Only then the object may go. If it
// cannot be given back the object stays, and says why.
func (k *kit) releaseOne(ctx context.Context, t tenant, object *v1alpha1.PrefixReservation) error {
	if hasFinalizer(object) {
		err := k.giveBack(ctx, t, object)
		switch {
		case err != nil && t.forced && k.givenUp(object, err):
			k.event(object, corev1.EventTypeWarning, "LeftBehind", "Release",
				"the Shoot is deleted by force, and %s cannot be given back (%v): its owner must free it in %s", object.Status.Allocated, err, object.Status.Backend)
		case err != nil:
			return errors.Join(err, k.reportRelease(ctx, object, err))
		}
	}
	k.fail(reservation.BeforeFinalizer)
	return k.remove(ctx, object)
}

// givenUp tells whether a Shoot that is deleted by force shall go without giving back what it holds: at once if only a person could
// help, and after a while, too, if a service of the shoot's account says nothing of use, for often nothing is left of it by then. What
// is left behind in the operator's account is the garbage collector's.
func (k *kit) givenUp(object *v1alpha1.PrefixReservation, err error) bool {
	if reservation.KindOf(err).Failed() {
		return true
	}
	b, ok := k.accounts.find(object.Status.Backend)
	bound := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionBound)
	return ok && b.PerShoot && bound != nil && bound.Status == metav1.ConditionFalse && k.now().Sub(bound.LastTransitionTime.Time) > forcedPatience
}

func (k *kit) giveBack(ctx context.Context, t tenant, object *v1alpha1.PrefixReservation) error {
	record, err := recordOf(object)
	if err != nil {
		return err
	}
	if record.Backend == backendAdopted || record.Attempt == 0 {
		return nil // not ours to give, or nobody was asked yet
	}
	held, err := k.openNamed(record.Backend, t)
	if err != nil {
		return err
	}
	var bury reservation.Bury
	if !held.PerShoot && k.quarantine() > 0 {
		// In a shoot's own account nobody could end the quarantine: the credentials go with the shoot.
		until := metav1.NewTime(k.now().Add(k.quarantine()))
		bury = func(ctx context.Context, record reservation.Record) error {
			return k.bury(ctx, object, record, &until, "the shoot is gone")
		}
	}
	return k.protocol(held.reserver, object).GiveBack(ctx, record, bury)
}

// reportRelease writes into the reservation why it cannot be given back.
func (k *kit) reportRelease(ctx context.Context, object *v1alpha1.PrefixReservation, cause error) error {
	kind, next := reservation.KindOf(cause), object.DeepCopy()
	setBound(next, metav1.ConditionFalse, string(kind), "the shoot is gone, but the prefix cannot be given back: "+cause.Error())
	told, err := k.updateStatus(ctx, object, next)
	if told && kind.Failed() {
		k.event(object, corev1.EventTypeWarning, "ReleaseFailed", "Release", "%s cannot be given back: %v", object.Status.Allocated, cause)
	}
	return err
}

// bury makes the tombstone of a reservation. A second call begins its time anew, and makes another version of it: whoever is about to
// delete what it was, because its owner was back, must not. It bears no finalizer: what keeps the prefix is the backend's entry, and when a seed is taken down the namespace has to go although nobody is left to
// take a finalizer away. Whose tombstone is gone has no owner any more, and the garbage collector frees it.
func (k *kit) bury(ctx context.Context, object *v1alpha1.PrefixReservation, record reservation.Record, until *metav1.Time, why string) error {
	tombstone := &v1alpha1.PrefixReservation{
		ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: tombstoneName(object)},
		Spec:       object.Spec,
	}
	if err := k.client.Create(ctx, tombstone); err != nil {
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating the tombstone: %w", err)
		}
		if err := k.live.Get(ctx, client.ObjectKeyFromObject(tombstone), tombstone); err != nil {
			return fmt.Errorf("reading the tombstone: %w", err)
		}
	}
	conditions := tombstone.Status.Conditions
	tombstone.Status = *object.Status.DeepCopy()
	tombstone.Status.ID, tombstone.Status.Allocated = record.ID, record.Prefix.String()
	tombstone.Status.Phase, tombstone.Status.Conditions, tombstone.Status.QuarantinedUntil = v1alpha1.PhaseQuarantined, conditions, until
	// A write that changes nothing would leave the version: the transition is that into this rest.
	meta.RemoveStatusCondition(&tombstone.Status.Conditions, v1alpha1.ConditionBound)
	setBound(tombstone, metav1.ConditionFalse, "Quarantined", why)
	if err := k.client.Status().Update(ctx, tombstone); err != nil {
		return fmt.Errorf("writing the tombstone: %w", err)
	}
	return nil
}

func tombstoneName(object *v1alpha1.PrefixReservation) string {
	return v1alpha1.TombstonePrefix + infrastructure.OwnerOf(object).Hash()
}

// removeTombstone deletes this very tombstone, if it is still as it was read: the shoot may have left again meanwhile.
func (k *kit) removeTombstone(ctx context.Context, tombstone *v1alpha1.PrefixReservation) error {
	exactly := client.Preconditions{UID: &tombstone.UID, ResourceVersion: &tombstone.ResourceVersion}
	if err := k.client.Delete(ctx, tombstone, exactly); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the tombstone: %w", err)
	}
	return nil
}

// remove deletes the object and takes its finalizer away.
func (k *kit) remove(ctx context.Context, object *v1alpha1.PrefixReservation) error {
	if object.DeletionTimestamp == nil {
		// The precondition keeps us from deleting a later object of the same name.
		err := k.client.Delete(ctx, object, client.Preconditions{UID: &object.UID})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting: %w", err)
		}
	}
	return k.dropFinalizer(ctx, object)
}

func (k *kit) dropFinalizer(ctx context.Context, object *v1alpha1.PrefixReservation) error {
	if !controllerutil.RemoveFinalizer(object, v1alpha1.FinalizerReservation) {
		return nil
	}
	err := k.patchMeta(ctx, object, map[string]any{"finalizers": object.Finalizers})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer: %w", err)
	}
	return nil
}

// patchMeta merges fields into this very object's metadata: the UID is a precondition, so that a later object of the same name is
// left alone.
func (k *kit) patchMeta(ctx context.Context, object *v1alpha1.PrefixReservation, fields map[string]any) error {
	fields["uid"] = object.UID
	patch, err := json.Marshal(map[string]any{"metadata": fields})
	if err != nil {
		return err
	}
	return k.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
}
