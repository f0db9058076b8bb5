// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// backend is one that was opened for a shoot.
type backend struct {
	reservation.Backend
	reserver reservation.Reserver
}

// choose the backend for a reservation that is not bound: the one that was asked before, else the first that serves. One that was
// asked, had nothing to give and holds nothing is left for another, if that is whom the configuration now gives the first word.
func (k *kit) choose(
	ctx context.Context, t tenant, object *v1alpha1.PrefixReservation, record reservation.Record, request reservation.Request,
) (backend, reservation.Record, reservation.Request, error) {
	offer, chosen, refused := reservation.Choose(k.accounts.offers(), t.place, request)
	stays := record.Backend != ""
	if stays && refused == nil && offer.Backend != record.Backend && hadNothing(object) {
		_, holds, err := k.holder(ctx, t, object, record, request)
		if err != nil {
			return backend{}, record, request, err
		}
		stays = holds
	}
	if stays {
		asked, ok := k.accounts.find(record.Backend)
		if !ok {
			return backend{}, record, request, notConfigured(record.Backend)
		}
		// What it gave must be found although it may not serve such a request any more: without pools it gives nothing new.
		request.Pools, _ = asked.Serves(t.place, request)
		opened, err := k.open(asked, t)
		return opened, record, request, err
	}
	if refused != nil {
		return backend{}, record, request, refused
	}
	if record.Backend != "" {
		// The next attempt, so that what the one before may still bring is garbage.
		record = reservation.Record{Phase: reservation.Pending, Attempt: record.Attempt + 1}
	}
	first, _ := k.accounts.find(offer.Backend)
	opened, err := k.open(first, t)
	return opened, record, chosen, err
}

func (k *kit) open(b reservation.Backend, t tenant) (backend, error) {
	reserver, err := k.accounts.open(b, t)
	return backend{b, reserver}, err
}

// begin is what has to be before anything is held in the backend.
func (k *kit) begin(ctx context.Context, t tenant, b backend) error {
	if !b.PerShoot {
		return nil
	}
	return k.holdSecret(ctx, t)
}

// openNamed opens the backend of a record.
func (k *kit) openNamed(name string, t tenant) (backend, error) {
	b, ok := k.accounts.find(name)
	if !ok {
		return backend{}, notConfigured(name)
	}
	return k.open(b, t)
}

func notConfigured(name string) error {
	return reservation.Errorf(reservation.Invalid, "backend %q, which was asked for the prefix, is not configured any more", name)
}

// candidates are the backends that may hold a prefix for the reservation although it does not say so: the one it names, those
// that serve such a request, and those that keep what they could not have given.
func (k *kit) candidates(t tenant, record reservation.Record, request reservation.Request) []reservation.Backend {
	var found []reservation.Backend
	for _, b := range k.accounts.backends {
		if b.Scope != request.Scope {
			continue
		}
		if _, why := b.Serves(t.place, request); why == "" || b.Keeps || b.Backend == record.Backend {
			found = append(found, b)
		}
	}
	return found
}

// holder is the candidate that holds something for the reservation, if there is one.
func (k *kit) holder(ctx context.Context, t tenant, object *v1alpha1.PrefixReservation, record reservation.Record, request reservation.Request) (backend, bool, error) {
	if record.Backend != "" && record.Backend != backendAdopted {
		if _, ok := k.accounts.find(record.Backend); !ok {
			return backend{}, false, notConfigured(record.Backend)
		}
	}
	for _, b := range k.candidates(t, record, request) {
		opened, err := k.open(b, t)
		if err != nil {
			return backend{}, false, err
		}
		held, err := opened.reserver.Lookup(ctx, infrastructure.OwnerOf(object))
		if err != nil {
			return backend{}, false, fmt.Errorf("looking up what %s holds: %w", b.Backend, err)
		}
		if len(held) > 0 {
			return opened, true, nil
		}
	}
	return backend{}, false, nil
}

// adoptable tells whether the reservation may still take what the infrastructure provider reports: nobody was asked yet, or who was
// asked had nothing and only a person can change that. A Shoot that names a backend wants that one.
func adoptable(object *v1alpha1.PrefixReservation, record reservation.Record) bool {
	if object.Spec.Backend != "" || object.Spec.Pool != "" {
		return false
	}
	return record.Phase == reservation.Pending || hadNothing(object)
}

// hadNothing tells whether the backend that was asked last said that it has nothing to give.
func hadNothing(object *v1alpha1.PrefixReservation) bool {
	bound := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionBound)
	return bound != nil && slices.Contains([]reservation.Kind{reservation.Exhausted, reservation.Quota, reservation.Invalid, reservation.Wait}, reservation.Kind(bound.Reason))
}

// unserved says why no backend serves, with what the infrastructure provider has to do with it.
func unserved(err error, request reservation.Request, reported netip.Prefix, unfit error) error {
	switch {
	case unfit != nil:
		return reservation.Errorf(reservation.Invalid, "the infrastructure provider reports %s, which does not do: %w; and %w", reported, unfit, err)
	case reservation.KindOf(err) == reservation.Wait:
		return reservation.Errorf(reservation.Wait, "waiting for the infrastructure provider to report an %s range for %s: %w", request.Family, request.Range, err)
	}
	return err
}
