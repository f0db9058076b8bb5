// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// sweeps in a row that must see an allocation without an owner before it is freed.
const sweeps = 3

// garbageCollector frees what backends hold for owners that are no more: a controller that died, or lost a race, between a
// shoot's deletion and the backend's answer leaves such behind. It is slow on purpose, and in doubt does nothing.
type garbageCollector struct {
	*kit
	// seen counts the sweeps in a row that saw an allocation without an owner, by backend, owner and prefix.
	seen map[string]int
}

// NeedLeaderElection keeps the sweeps to one process.
func (c *garbageCollector) NeedLeaderElection() bool { return true }

// Start sweeps until the context ends.
func (c *garbageCollector) Start(ctx context.Context) error {
	ticker := time.NewTicker(c.GarbageInterval)
	defer ticker.Stop()
	logger := log.FromContext(ctx).WithName("prefixgarbage")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := c.sweep(ctx); err != nil {
				logger.Error(err, "Sweep failed, nothing more is freed in this one")
			}
		}
	}
}

func (c *garbageCollector) sweep(ctx context.Context) error {
	// First what is held, then who wants it: an owner that comes in between is seen.
	type held struct {
		reserver    reservation.Reserver
		allocations []reservation.Allocation
	}
	var all []held
	for _, reserver := range c.Reservers {
		allocations, err := reserver.List(ctx, c.Config.GardenID)
		if err != nil {
			return fmt.Errorf("listing what %s holds: %w", reserver.Name(), err)
		}
		all = append(all, held{reserver, allocations})
	}
	wanted, err := c.wanted(ctx)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		return nil // an empty seed, or an API server that has forgotten: do nothing
	}

	seen := map[string]int{}
	for _, h := range all {
		for _, a := range h.allocations {
			if wanted[ownerWithoutAttempt(a.Owner)] {
				continue
			}
			id := h.reserver.Name() + " " + a.Owner.Key() + " " + a.Prefix.String()
			seen[id] = c.seen[id] + 1
			if seen[id] < sweeps || c.now().Sub(a.Since) < c.GarbageAge {
				continue
			}
			if err := h.reserver.Release(ctx, a); err != nil {
				return fmt.Errorf("freeing %s, which nobody wants: %w", a.Prefix, err)
			}
			log.FromContext(ctx).Info("Freed a prefix that nobody wants", "prefix", a.Prefix, "backend", h.reserver.Name(), "owner", a.Owner.Key())
			garbageFreed.WithLabelValues(h.reserver.Name()).Inc()
		}
	}
	c.seen = seen
	return nil
}

// wanted are the owners that have a reservation, of whatever phase, anywhere in the seed.
func (c *garbageCollector) wanted(ctx context.Context) (map[reservation.Owner]bool, error) {
	list := &v1alpha1.PrefixReservationList{}
	if err := c.live.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing the PrefixReservations of the seed: %w", err)
	}
	wanted := map[reservation.Owner]bool{}
	for i := range list.Items {
		wanted[ownerWithoutAttempt(ownerOf(&list.Items[i]))] = true
	}
	return wanted, nil
}

func ownerWithoutAttempt(o reservation.Owner) reservation.Owner {
	o.Attempt = 0
	return o
}
