// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// inUse is a range that Kubernetes already has.
type inUse struct {
	published netip.Prefix
	// reported tells whether the infrastructure provider reports this very range.
	reported bool
}

// restore binds a reservation to the range that Kubernetes already has: that of a control plane which comes from another seed,
// or whose reservations were lost. Nothing else may be published for it, whatever the provider reports now and whatever the
// pools would give.
func (r *shootReconciler) restore(
	ctx context.Context, p plan.Plan, object *v1alpha1.PrefixReservation, record reservation.Record, request reservation.Request, used inUse,
) error {
	request.Avoid = nil // it is in use: what it overlaps is no reason to take another one
	reserver, ok, err := r.keeperFor(record, request)
	if err != nil {
		return err
	}
	if ok {
		held, err := reserver.Lookup(ctx, ownerOf(object))
		if err != nil {
			return fmt.Errorf("looking up what %s holds: %w", reserver.Name(), err)
		}
		if len(held) > 0 {
			return r.rebind(ctx, object, record, request, reserver, used.published)
		}
	}

	whole, cut := origin(&object.Spec, used.published)
	if !cut || used.reported {
		if err := p.Adoptable(request.Key, used.published); err != nil {
			return reservation.Errorf(reservation.Invalid, "%s is published for this shoot, but does not do: %w", used.published, err)
		}
		return (&journal{r.kit, object}).Save(ctx, reservation.Record{Phase: reservation.Bound, Backend: backendAdopted, Prefix: used.published})
	}
	if !ok {
		return reservation.Errorf(reservation.Invalid, "%s is published for this shoot, but no backend keeps %s prefixes", used.published, request.Scope)
	}
	if err := request.Accepts(whole); err != nil {
		return reservation.Errorf(reservation.Invalid, "%s is published for this shoot, but does not do: %w", used.published, err)
	}
	if err := reserver.Claim(ctx, reservation.Allocation{Owner: ownerOf(object), Prefix: whole}); err != nil {
		return fmt.Errorf("%s is already published for this shoot: %w", used.published, err)
	}
	return r.rebind(ctx, object, record, request, reserver, used.published)
}

// rebind binds what the backend holds for the owner, provided that what is published stays what it is.
func (r *shootReconciler) rebind(
	ctx context.Context, object *v1alpha1.PrefixReservation, record reservation.Record, request reservation.Request,
	reserver reservation.Reserver, published netip.Prefix,
) error {
	held, err := reserver.Lookup(ctx, ownerOf(object))
	if err != nil {
		return fmt.Errorf("looking up what %s holds: %w", reserver.Name(), err)
	}
	for _, a := range held {
		part, err := publishedPart(&object.Spec, reservation.Record{Backend: reserver.Name(), Prefix: a.Prefix})
		if err != nil || part != published {
			return reservation.Errorf(reservation.Conflict, "%s is published for this shoot, but %s holds %s for it", published, reserver.Name(), a.Prefix)
		}
	}
	_, err = r.protocol(reserver, object).Ensure(ctx, record, request)
	return err
}

// keeperFor is the backend that was asked before, else the one that keeps prefixes of the kind, also where it has none to give.
func (r *shootReconciler) keeperFor(record reservation.Record, request reservation.Request) (reservation.Reserver, bool, error) {
	if record.Backend == "" {
		reserver, ok := reservation.SelectKeeper(r.Reservers, request)
		return reserver, ok, nil
	}
	reserver, ok := reservation.Named(r.Reservers, record.Backend)
	if !ok {
		return nil, false, reservation.Errorf(reservation.Invalid, "backend %q, which was asked for the prefix, is not configured any more", record.Backend)
	}
	return reserver, true, nil
}

// origin is the prefix that a published range was cut from. It is false if no backend can have given it: of what backends give,
// the first child of the length asked for is published, whereas what a provider reports is published as it is.
func origin(spec *v1alpha1.PrefixReservationSpec, published netip.Prefix) (netip.Prefix, bool) {
	if published.Bits() != int(spec.PublishedLength) {
		return netip.Prefix{}, false
	}
	whole, err := prefix.Parent(published, min(int(spec.PrefixLength), published.Bits()))
	return whole, err == nil && whole.Addr() == published.Addr()
}
