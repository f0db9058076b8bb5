// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// State is what Network.status.state carries to another seed: the reservations that are bound, in the order of their names, so
// that equal reservations give equal bytes.
func State(reservations []v1alpha1.PrefixReservation) ([]byte, error) {
	state := &v1alpha1.NetworkState{}
	for i := range reservations {
		r := &reservations[i]
		if r.Status.Phase != v1alpha1.PhaseBound {
			continue
		}
		status := r.Status.DeepCopy()
		status.Conditions = nil
		state.Reservations = append(state.Reservations, v1alpha1.ReservationState{Name: r.Name, Spec: r.Spec, Status: *status})
	}
	slices.SortFunc(state.Reservations, func(a, b v1alpha1.ReservationState) int { return cmp.Compare(a.Name, b.Name) })
	raw, err := helper.EncodeNetworkState(state)
	if err != nil {
		return nil, fmt.Errorf("encoding the state of the reservations: %w", err)
	}
	return raw.Raw, nil
}

// Import makes the reservations of a state in the shoot's namespace of this seed, bound as they were. What is bound here
// already stays as it is: gardenlet restores the Infrastructure before the Network, and so the controller has by then taken
// back what the Shoot's status says is published. The backends of this seed learn of the prefixes from the controller.
func Import(ctx context.Context, c client.Client, namespace string, state *v1alpha1.NetworkState) error {
	var errs []error
	for i := range state.Reservations {
		if err := importOne(ctx, c, namespace, &state.Reservations[i]); err != nil {
			errs = append(errs, fmt.Errorf("restoring PrefixReservation %s/%s: %w", namespace, state.Reservations[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

func importOne(ctx context.Context, c client.Client, namespace string, state *v1alpha1.ReservationState) error {
	object := &v1alpha1.PrefixReservation{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: state.Name, Finalizers: []string{v1alpha1.FinalizerReservation}},
		Spec:       state.Spec,
	}
	if err := c.Create(ctx, object); err != nil {
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
	}
	if object.Spec.Owner.ShootUID != state.Spec.Owner.ShootUID {
		return fmt.Errorf("it belongs to shoot %s, not to %s", object.Spec.Owner.ShootUID, state.Spec.Owner.ShootUID)
	}
	if phase := object.Status.Phase; phase != "" && phase != v1alpha1.PhasePending && phase != v1alpha1.PhaseFailed {
		return nil
	}
	object.Status = *state.Status.DeepCopy()
	setBound(object, metav1.ConditionTrue, "Restored", fmt.Sprintf("%s holds %s", object.Status.Backend, object.Status.Allocated))
	return c.Status().Update(ctx, object)
}
