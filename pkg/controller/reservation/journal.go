// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// journal stores the protocol's record in the status of a PrefixReservation. The API server refuses the write if the object
// has changed since object was read.
type journal struct {
	kit    *kit
	object *v1alpha1.PrefixReservation
}

var _ reservation.Journal = &journal{}

// Save stores the record and what people want to read beside it.
func (j *journal) Save(ctx context.Context, record reservation.Record) error {
	next := j.object.DeepCopy()
	status := &next.Status
	status.Phase = v1alpha1.ReservationPhase(record.Phase)
	status.Backend, status.ID, status.Attempt = record.Backend, record.ID, int32(record.Attempt) //nolint:gosec // counts attempts
	status.Allocated = ""
	if record.Prefix.IsValid() {
		status.Allocated = record.Prefix.String()
	}
	switch record.Phase {
	case reservation.Bound:
		published, err := publishedPart(&next.Spec, record)
		if err != nil {
			return err
		}
		status.Published = published.String()
		message := fmt.Sprintf("%s holds %s", record.Backend, record.Prefix)
		setBound(next, metav1.ConditionTrue, "Bound", message)
		if record.Backend != backendAdopted {
			setHeld(next, metav1.ConditionTrue, reasonVerified, message)
		}
	case reservation.Allocating:
		setBound(next, metav1.ConditionFalse, "Allocating", fmt.Sprintf("asking %s for a /%d", record.Backend, next.Spec.PrefixLength))
	case reservation.Releasing:
		setBound(next, metav1.ConditionFalse, "Releasing", "the shoot is gone, the prefix is being given back")
	case reservation.Pending:
	}
	if err := j.kit.client.Status().Update(ctx, next); err != nil {
		return err
	}
	before := j.object.Status.Phase
	*j.object = *next
	if record.Phase == reservation.Bound && before != v1alpha1.PhaseBound { // the protocol also stores what it knows, to find out whether it is out of date
		j.kit.event(next, corev1.EventTypeNormal, "Bound", "Reserve", "%s holds %s, of which %s is published", record.Backend, record.Prefix, status.Published)
		observeBound(next, j.kit.now())
	}
	return nil
}

// publishedPart is what Kubernetes gets of a prefix: the first child of the length asked for; an adopted range whole, since the
// nodes live anywhere in it.
func publishedPart(spec *v1alpha1.PrefixReservationSpec, record reservation.Record) (netip.Prefix, error) {
	if record.Backend == backendAdopted {
		return record.Prefix, nil
	}
	return prefix.Child(record.Prefix, max(int(spec.PublishedLength), record.Prefix.Bits()), 0)
}

// recordOf reads the protocol's record back. Failed is no phase of the protocol: the work goes on where it was.
func recordOf(r *v1alpha1.PrefixReservation) (reservation.Record, error) {
	record := reservation.Record{
		Phase: reservation.Phase(r.Status.Phase), Backend: r.Status.Backend, ID: r.Status.ID, Attempt: int(r.Status.Attempt),
	}
	switch r.Status.Phase {
	case v1alpha1.PhaseFailed, v1alpha1.PhasePending, "":
		record.Phase = reservation.Pending
		if record.Attempt > 0 {
			record.Phase = reservation.Allocating
		}
	case v1alpha1.PhaseAllocating, v1alpha1.PhaseBound, v1alpha1.PhaseReleasing, v1alpha1.PhaseQuarantined:
	}
	if r.Status.Allocated != "" {
		allocated, err := netip.ParsePrefix(r.Status.Allocated)
		if err != nil {
			return record, fmt.Errorf("PrefixReservation %s: status.allocated: %w", client.ObjectKeyFromObject(r), err)
		}
		record.Prefix = allocated
	}
	return record, nil
}

// updateStatus writes the status of next where it differs from object's, which is then next. Only what changed is written: the write wakes
// us. It says whether it has.
func (k *kit) updateStatus(ctx context.Context, object, next *v1alpha1.PrefixReservation) (bool, error) {
	if equality.Semantic.DeepEqual(next.Status, object.Status) {
		return false, nil
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err := k.client.Status().Update(ctx, next); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return false, nil // somebody else got on; the next run sees
		}
		return false, fmt.Errorf("storing the status of %s: %w", next.Name, err)
	}
	*object = *next
	return true, nil
}

func setBound(r *v1alpha1.PrefixReservation, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionBound, Status: status, Reason: reason, Message: message, ObservedGeneration: r.Generation,
	})
}

func hasFinalizer(r *v1alpha1.PrefixReservation) bool {
	for _, f := range r.Finalizers {
		if f == v1alpha1.FinalizerReservation {
			return true
		}
	}
	return false
}
