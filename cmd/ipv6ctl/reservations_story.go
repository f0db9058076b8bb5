// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	gardenextensions "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// backendAdopted is the backend of a range that the infrastructure provider brought.
const backendAdopted = infrastructure.BackendAdopted

// story is a reservation and all around it that its fate depends on.
type story struct {
	*v1alpha1.PrefixReservation
	// infra and shoot are nil if there is none; namespace if it is gone.
	namespace *corev1.Namespace
	infra     *gardenextensions.Infrastructure
	shoot     *gardencorev1beta1.Shoot
	// others are the reservations of the same shoot and range in other namespaces.
	others []v1alpha1.PrefixReservation
	events []corev1.Event
	now    time.Time
}

// gather reads the reservation and all around it.
func (s *seed) gather(ctx context.Context, key client.ObjectKey) (*story, error) {
	st := &story{PrefixReservation: &v1alpha1.PrefixReservation{}, now: time.Now()}
	doing := fmt.Sprintf("reading PrefixReservation %s", key)
	if err := s.Get(ctx, key, st.PrefixReservation); err != nil {
		if apierrors.IsNotFound(err) && !unknownKind(err) {
			return nil, inputError{fmt.Errorf("there is no PrefixReservation %s; ipv6ctl reservations list names those that there are", key)}
		}
		return nil, s.failed(doing, err)
	}
	namespace := &corev1.Namespace{}
	switch err := s.Get(ctx, client.ObjectKey{Name: key.Namespace}, namespace); {
	case err == nil:
		st.namespace = namespace
	case !apierrors.IsNotFound(err):
		return nil, s.failed("reading namespace "+key.Namespace, err)
	}
	if err := s.gatherShoot(ctx, st); err != nil {
		return nil, err
	}
	all := &v1alpha1.PrefixReservationList{}
	if err := s.List(ctx, all); err != nil {
		return nil, s.failed("listing the PrefixReservations", err)
	}
	for _, other := range all.Items {
		if other.UID != st.UID && other.Spec.Owner.ShootUID == st.Spec.Owner.ShootUID && infrastructure.NameOf(&other.Spec) == infrastructure.NameOf(&st.Spec) {
			st.others = append(st.others, other)
		}
	}
	events := &corev1.EventList{}
	err := s.List(ctx, events, client.InNamespace(key.Namespace), client.MatchingFields{"involvedObject.uid": string(st.UID)})
	if err != nil && !apierrors.IsForbidden(err) { // they only help
		return nil, s.failed("listing the events of "+key.Namespace, err)
	}
	st.events = events.Items
	slices.SortStableFunc(st.events, func(a, b corev1.Event) int { return when(a).Compare(when(b)) })
	return st, nil
}

// gatherShoot reads what Gardener has of the shoot in the namespace.
func (s *seed) gatherShoot(ctx context.Context, st *story) error {
	infras := &gardenextensions.InfrastructureList{}
	if err := s.List(ctx, infras, client.InNamespace(st.Namespace)); err != nil {
		return s.failed("listing the Infrastructures of "+st.Namespace, err)
	}
	if len(infras.Items) > 0 {
		st.infra = &infras.Items[0]
	}
	cluster := &gardenextensions.Cluster{}
	if err := s.Get(ctx, client.ObjectKey{Name: st.Namespace}, cluster); err != nil {
		if apierrors.IsNotFound(err) && !unknownKind(err) {
			return nil
		}
		return s.failed("reading Cluster "+st.Namespace, err)
	}
	shoot := &gardencorev1beta1.Shoot{}
	if err := json.Unmarshal(cluster.Spec.Shoot.Raw, shoot); err != nil {
		return fmt.Errorf("reading Cluster %s: its Shoot: %w", st.Namespace, err)
	}
	st.shoot = shoot
	return nil
}

// facts are what the controller decides upon, too.
func (st *story) facts() reservation.Facts {
	f := reservation.Facts{NamespaceDeleted: st.namespace == nil || st.namespace.DeletionTimestamp != nil}
	if st.infra != nil {
		f.Infrastructure, f.InfrastructureMigrates = true, infrastructure.Migrating(st.infra)
		f.InfrastructureDeleted = st.infra.DeletionTimestamp != nil
	}
	if st.shoot != nil {
		f.Cluster, f.ShootDeleted = true, st.shoot.DeletionTimestamp != nil
		last := st.shoot.Status.LastOperation
		f.ShootMigrates = last != nil && last.Type == gardencorev1beta1.LastOperationTypeMigrate
	}
	return f
}

// former tells whether the shoot of the namespace is another one than the reservation is for: one that had the name before.
func (st *story) former() bool {
	return st.shoot != nil && infrastructure.UID(st.shoot) != st.Spec.Owner.ShootUID
}

// tombstone tells whether the reservation only remembers what was released, or left behind.
func (st *story) tombstone() bool {
	return st.Status.Phase == v1alpha1.PhaseQuarantined || strings.HasPrefix(st.Name, v1alpha1.TombstonePrefix)
}

// heir is the living reservation that holds what a tombstone stands for; nil if there is none.
func (st *story) heir() *v1alpha1.PrefixReservation {
	for i := range st.others {
		other := &st.others[i]
		_, moved := other.Annotations[v1alpha1.AnnotationMoved]
		if other.Namespace != st.Namespace && !moved && slices.Contains(other.Finalizers, v1alpha1.FinalizerReservation) &&
			other.Status.Phase != v1alpha1.PhaseReleasing && infrastructure.OwnerOf(other) == infrastructure.OwnerOf(st.PrefixReservation) {
			return other
		}
	}
	return nil
}

// phaseOf is the phase as people see it.
func phaseOf(r *v1alpha1.PrefixReservation) string {
	_, marked := r.Annotations[v1alpha1.AnnotationMoved]
	if marked || r.Status.Phase == v1alpha1.PhaseQuarantined && r.Status.QuarantinedUntil == nil {
		return phaseMoved
	}
	return cmp.Or(string(r.Status.Phase), string(v1alpha1.PhasePending))
}

func condition(r *v1alpha1.PrefixReservation, kind string) *metav1.Condition {
	return meta.FindStatusCondition(r.Status.Conditions, kind)
}

// when an event was last seen; those of events.k8s.io have only the time of the first.
func when(e corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
