// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// annotationMoved marks a reservation that is being let go, so that its tombstone is not taken for that of a shoot which came
// back.
const annotationMoved = "ipv6.networking.extensions.gardener.cloud/moved"

// migrate lets go of the reservations without giving the prefixes back: the shoot lives on with them under another seed. What
// this seed's backends hold stays held, and a tombstone without an end says so: who knows that the shoot is gone from this
// world deletes it by hand.
func (k *kit) migrate(ctx context.Context, objects []*v1alpha1.PrefixReservation) error {
	var errs []error
	for _, object := range objects {
		if err := k.letGo(ctx, object); err != nil {
			errs = append(errs, fmt.Errorf("letting go of PrefixReservation %s: %w", client.ObjectKeyFromObject(object), err))
		}
	}
	return errors.Join(errs...)
}

func (k *kit) letGo(ctx context.Context, object *v1alpha1.PrefixReservation) error {
	record, err := recordOf(object)
	if err != nil {
		return err
	}
	before := object.DeepCopy()
	metav1.SetMetaDataAnnotation(&object.ObjectMeta, annotationMoved, "true")
	if err := k.client.Patch(ctx, object, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("marking: %w", err)
	}
	reserver, ok := reservation.Named(k.Reservers, record.Backend)
	if ok && record.Attempt > 0 {
		held, err := reserver.Lookup(ctx, ownerOf(object))
		if err != nil {
			return fmt.Errorf("looking up what %s holds: %w", record.Backend, err)
		}
		if len(held) > 0 {
			left := object.DeepCopy()
			left.Status.ID, left.Status.Allocated = held[0].ID, held[0].Prefix.String()
			if err := k.bury(ctx, left, nil, "the shoot has moved to another seed and still uses the prefix"); err != nil {
				return err
			}
		}
	}
	return k.dropFinalizer(ctx, object)
}
