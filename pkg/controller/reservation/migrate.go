// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// migrate lets go of the reservations without giving the prefixes back: the shoot lives on with them under another seed. What
// this seed's backends hold stays held, and a tombstone without an end says so until the backend tells that the other seed has
// taken the prefix over. Backends of this seed alone never tell: there, who knows that the shoot is gone from this world deletes
// the tombstone by hand.
func (k *kit) migrate(ctx context.Context, t tenant, objects []*v1alpha1.PrefixReservation) error {
	var errs []error
	for _, object := range objects {
		if err := k.letGo(ctx, t, object); err != nil {
			errs = append(errs, fmt.Errorf("letting go of PrefixReservation %s: %w", client.ObjectKeyFromObject(object), err))
		}
	}
	return errors.Join(errs...)
}

func (k *kit) letGo(ctx context.Context, t tenant, object *v1alpha1.PrefixReservation) error {
	record, err := recordOf(object)
	if err != nil {
		return err
	}
	if err := k.patchMeta(ctx, object, map[string]any{"annotations": map[string]string{v1alpha1.AnnotationMoved: "true"}}); err != nil {
		return fmt.Errorf("marking: %w", err)
	}
	if record.Backend != "" && record.Backend != backendAdopted {
		if err := k.leave(ctx, t, object, record); err != nil {
			return err
		}
	}
	return k.dropFinalizer(ctx, object)
}

// leave what is held behind, in the care of a tombstone. A migration is not held up by a backend that cannot be asked: what is
// bound is known without.
func (k *kit) leave(ctx context.Context, t tenant, object *v1alpha1.PrefixReservation, record reservation.Record) error {
	bury := func(ctx context.Context, record reservation.Record) error {
		return k.bury(ctx, object, record, nil, "the shoot has moved to another seed and still uses the prefix")
	}
	held, err := k.openNamed(record.Backend, t)
	if err == nil {
		err = k.protocol(held.reserver, object).LetGo(ctx, record, bury)
	}
	if reservation.KindOf(err).Failed() && record.Prefix.IsValid() {
		return bury(ctx, record)
	}
	return err
}
