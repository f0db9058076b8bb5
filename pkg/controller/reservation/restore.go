// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"context"
	"net/netip"
	"slices"

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
	ctx context.Context, t tenant, p plan.Plan, object *v1alpha1.PrefixReservation, record reservation.Record, request reservation.Request, used inUse,
) error {
	holds, ok, err := r.holder(ctx, t, object, record, request)
	if err != nil {
		return err
	}
	whole, cut := origin(&object.Spec, used.published)
	switch {
	case ok && !cut:
		return reservation.Errorf(reservation.Conflict, "%s is published for this shoot, but %s holds a prefix for it that this is no part of", used.published, holds.Backend.Backend)
	case ok:
		if err := r.begin(ctx, t, holds); err != nil {
			return err
		}
		_, err := r.protocol(holds.reserver, object).Restore(ctx, in(holds, record), request, whole)
		return err
	case !cut || used.reported:
		if err := p.Adoptable(request.Key, used.published); err != nil {
			return reservation.Errorf(reservation.Invalid, "%s is published for this shoot, but does not do: %w", used.published, err)
		}
		return (&journal{r.kit, object}).Save(ctx, reservation.Record{
			Phase: reservation.Bound, Backend: backendAdopted, Prefix: used.published, Attempt: record.Attempt,
		})
	}
	return r.claim(ctx, t, object, record, request, whole)
}

// claim takes the prefix that the published range was cut from, in the first backend that can hold it.
func (r *shootReconciler) claim(
	ctx context.Context, t tenant, object *v1alpha1.PrefixReservation, record reservation.Record, request reservation.Request, whole netip.Prefix,
) error {
	refused := reservation.Errorf(reservation.Invalid, "%s is published for this shoot, but no backend keeps %s prefixes", whole, request.Scope)
	for _, b := range claimants(r.candidates(t, record, request), record, whole) {
		opened, err := r.open(b, t)
		if err != nil {
			return err
		}
		if err := r.begin(ctx, t, opened); err != nil {
			return err
		}
		record, err = r.protocol(opened.reserver, object).Restore(ctx, in(opened, record), request, whole)
		if reservation.KindOf(err) != reservation.Invalid {
			return err // done, or to be tried again right there
		}
		refused = err
	}
	return refused
}

// in is the record as the backend has to see it: one that was asked before and does not hold the prefix leaves no trace in it.
func in(b backend, record reservation.Record) reservation.Record {
	if record.Backend == b.Backend.Backend {
		return record
	}
	return reservation.Record{Phase: reservation.Pending, Attempt: record.Attempt}
}

// claimants are the backends that may take the prefix, the likeliest first: the one that was asked before; whose own the prefix
// is; the services; and last those that keep anything.
func claimants(candidates []reservation.Backend, record reservation.Record, whole netip.Prefix) []reservation.Backend {
	rank := func(b reservation.Backend) int {
		switch {
		case b.Backend == record.Backend:
			return 0
		case slices.ContainsFunc(b.Pools, func(p reservation.Pool) bool {
			return slices.ContainsFunc(p.Prefixes, func(cidr netip.Prefix) bool { return prefix.Covers(cidr, whole) })
		}):
			return 1
		case !b.Keeps:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(candidates, func(a, b reservation.Backend) int { return cmp.Compare(rank(a), rank(b)) })
	return candidates
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
