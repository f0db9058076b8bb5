// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// GarbageMode says what becomes of prefixes that nobody wants.
type GarbageMode string

// The modes of the collection of garbage.
const (
	// GarbageOn frees it.
	GarbageOn GarbageMode = "on"
	// GarbageDryRun tells of it, in the log and the metrics.
	GarbageDryRun GarbageMode = "dry-run"
	// GarbageOff does not look.
	GarbageOff GarbageMode = "off"
)

// listPage is how many objects are read from the API server at a time.
const listPage = 500

// listTimeout is how long a backend may take to list all that it holds, in however many accounts: what it has not shown by then is
// left alone, and the garbage of the other backends is not.
const listTimeout = 5 * time.Minute

// garbageCollector frees what backends hold for owners that are no more (reservation.Sweeper decides what that is), and removes
// the tombstones of shoots whose new seed has taken their prefixes over.
type garbageCollector struct {
	*kit
	sweeper reservation.Sweeper
	// absent counts the sweeps in a row that saw nothing held of what a moved shoot's tombstone stands for.
	absent map[client.ObjectKey]int
}

func newGarbageCollector(k *kit) *garbageCollector {
	return &garbageCollector{kit: k, absent: map[client.ObjectKey]int{}, sweeper: reservation.Sweeper{
		Home:  reservation.Home{GardenID: k.Config.GardenID, Seed: k.Config.SeedName},
		Grace: k.GarbageAge, Sweeps: max(sweeps, int(k.GarbageAge/k.GarbageInterval)), DryRun: k.Garbage == GarbageDryRun, Now: k.now,
	}}
}

// sweeps in a row that must agree before anything is freed. It takes as long as an allocation must be old, too: a seed whose etcd
// was restored from a backup has forgotten young shoots, until gardenlet makes them anew.
const sweeps = 3

// NeedLeaderElection keeps the sweeps to one process.
func (c *garbageCollector) NeedLeaderElection() bool { return true }

// Start sweeps until the context ends.
func (c *garbageCollector) Start(ctx context.Context) error {
	if c.Garbage == GarbageOff {
		return nil
	}
	ticker := time.NewTicker(c.GarbageInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := c.sweep(ctx); err != nil {
				log.FromContext(ctx).WithName("prefixgarbage").Error(err, "What could not be listed was left alone in this sweep")
			}
		}
	}
}

func (c *garbageCollector) sweep(ctx context.Context) error {
	var (
		errs     []error
		held     []reservation.Reserver
		listings []*listing
	)
	for _, b := range c.accounts.backends {
		reserver, err := c.everywhere(ctx, b)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if reserver == nil {
			continue // no shoot whose credentials could be used
		}
		l := &listing{Reserver: reserver, backend: b}
		listings, held = append(listings, l), append(held, l)
	}
	report, err := c.sweeper.Sweep(ctx, held, c.wanted)
	c.tell(ctx, report)
	for _, l := range listings {
		if buried := c.exhume(ctx, l); buried != nil {
			log.FromContext(ctx).Error(buried, "Cannot remove tombstones of shoots that have moved", "backend", l.Name())
		}
	}
	return errors.Join(append(errs, err)...)
}

// everywhere is the backend in all accounts that there are.
func (c *garbageCollector) everywhere(ctx context.Context, b reservation.Backend) (reservation.Reserver, error) {
	if !b.PerShoot {
		return c.accounts.open(b, tenant{})
	}
	all, err := c.crowd(ctx, b)
	if all == nil {
		return nil, err
	}
	return all, err
}

// tell of what was freed, or would have been.
func (c *garbageCollector) tell(ctx context.Context, report reservation.Report) {
	logger := log.FromContext(ctx).WithName("prefixgarbage")
	for _, g := range report.Freed {
		logger.Info("Freed a prefix that nobody wants", "prefix", g.Prefix, "backend", g.Backend, "owner", g.Owner.Key(), "sweeps", g.Sweeps)
		garbageFreed.WithLabelValues(g.Backend).Inc()
		c.event(remains(c.Namespace, g.Owner), corev1.EventTypeNormal, "GarbageFreed", "Free",
			"%s was held in %s for nobody (%s) and is free now", g.Prefix, g.Backend, g.Owner.Key())
	}
	for _, g := range report.WouldFree {
		logger.Info("Would free a prefix that nobody wants, but for the dry run", "prefix", g.Prefix, "backend", g.Backend, "owner", g.Owner.Key(), "sweeps", g.Sweeps)
	}
	counts := map[string]int{}
	for _, found := range [][]reservation.Garbage{report.WouldFree, report.Waiting} {
		for _, g := range found {
			counts[g.Backend]++
		}
	}
	for _, b := range c.accounts.backends {
		garbageSeen.WithLabelValues(b.Backend).Set(float64(counts[b.Backend]))
	}
}

// remains stand for a reservation that is no more. Each has a name of its own, or its event would be counted to another's.
func remains(namespace string, owner reservation.Owner) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "PrefixReservation", Namespace: namespace, Name: v1alpha1.TombstonePrefix + owner.Hash(),
	}
}

// wanted are the owners that have a reservation, of whatever phase, anywhere in the seed. What is bound, or buried, is sure of its
// attempt: earlier ones are wanted no more.
func (c *garbageCollector) wanted(ctx context.Context) (map[reservation.Owner]bool, error) {
	wanted := map[reservation.Owner]bool{}
	list := &v1alpha1.PrefixReservationList{}
	for {
		// Read past the cache: in doubt an owner lives.
		if err := c.live.List(ctx, list, client.Limit(listPage), client.Continue(list.Continue)); err != nil {
			return nil, fmt.Errorf("listing the PrefixReservations of the seed: %w", err)
		}
		for i := range list.Items {
			r := &list.Items[i]
			owner := holderOf(r)
			sure := r.Status.Phase == v1alpha1.PhaseBound || r.Status.Phase == v1alpha1.PhaseQuarantined
			if sure && r.Status.Backend != backendAdopted {
				owner = infrastructure.OwnerOf(r)
			}
			wanted[owner] = true
		}
		if list.Continue == "" {
			return wanted, nil
		}
	}
}

// listing remembers what a sweep saw.
type listing struct {
	reservation.Reserver
	backend reservation.Backend
	listed  map[reservation.Owner][]reservation.Allocation
}

// List as the Reserver does it.
func (l *listing) List(ctx context.Context, gardenID string) ([]reservation.Allocation, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	all, err := l.Reserver.List(ctx, gardenID)
	if err == nil {
		l.listed = map[reservation.Owner][]reservation.Allocation{}
		for _, a := range all {
			l.listed[a.Owner] = append(l.listed[a.Owner], a)
		}
	}
	return all, err
}

// exhume removes the tombstones of shoots that moved away as soon as the backend says that another seed has their prefixes, or, in
// an account that is always listed whole, that nobody has them any more.
func (c *garbageCollector) exhume(ctx context.Context, l *listing) error {
	if l.listed == nil || !external(l.backend) || c.Garbage != GarbageOn {
		return nil
	}
	list := &v1alpha1.PrefixReservationList{}
	if err := c.client.List(ctx, list, client.InNamespace(c.Namespace)); err != nil {
		return fmt.Errorf("listing the tombstones: %w", err)
	}
	for i := range list.Items {
		tombstone := &list.Items[i]
		if tombstone.Status.Backend != l.Name() || tombstone.Status.Phase != v1alpha1.PhaseQuarantined || tombstone.Status.QuarantinedUntil != nil {
			continue
		}
		key := client.ObjectKeyFromObject(tombstone)
		why := ""
		switch held := l.listed[infrastructure.OwnerOf(tombstone)]; {
		case len(held) > 0 && allElsewhere(held, c.Config.SeedName):
			why = "another seed holds the prefix: " + held[0].Seed
		case len(held) > 0 || l.backend.PerShoot:
			delete(c.absent, key)
		default:
			if c.absent[key]++; c.absent[key] >= sweeps {
				why = "nobody holds the prefix any more"
			}
		}
		if why == "" {
			continue
		}
		if err := c.removeTombstone(ctx, tombstone); err != nil {
			return err
		}
		delete(c.absent, key)
		log.FromContext(ctx).Info("The tombstone of a shoot that moved goes", "prefix", tombstone.Status.Allocated, "shoot", tombstone.Spec.Owner.Shoot, "reason", why)
	}
	return nil
}

func allElsewhere(held []reservation.Allocation, seed string) bool {
	for _, a := range held {
		if a.Seed == "" || a.Seed == seed {
			return false
		}
	}
	return true
}
