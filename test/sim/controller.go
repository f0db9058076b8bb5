// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
)

const (
	gardenID = "garden"
	// tombs is the extension's own namespace.
	tombs = "extension"
	// publishedBits is the length that Kubernetes gets.
	publishedBits = 64
)

// wanted is a range, by the name of the reservation.
type wanted struct {
	name string
	key  plan.Key
}

// ranges that shoots want.
var ranges = []wanted{
	{"nodes-ipv6", plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}},
	{"pods-ipv6", plan.Key{Range: keyword.Pods, Family: prefix.IPv6}},
}

// memory is what a process forgets when it dies.
type memory struct {
	sweeper *reservation.Sweeper
	sweeps  int
}

// controller does what pkg/controller/reservation does around the protocol: gather, decide, apply.
type controller struct {
	*task
	api
}

// reserver is the backend. Both seeds share an IPAM, or each has a pool of its own.
func (c controller) reserver() reservation.Reserver {
	if !c.options.own {
		return client{c.task, c.cloud}
	}
	return pool.New(book{c.api}, []reservation.Pool{{
		Name: "pool", Family: prefix.IPv6, Prefixes: c.proc.seed.pools, MinBits: 32, MaxBits: 120,
	}}, func() time.Time { return c.now })
}

func (c controller) protocol(o *object) *reservation.Protocol {
	return &reservation.Protocol{
		Reserver: c.reserver(), Journal: journal{c.api, o}, Owner: o.owner, Seed: c.proc.seed.name,
		Failpoint: func(string) { c.pause() },
	}
}

// gathered is what is known of a shoot's namespace.
type gathered struct {
	reservation.Facts
	namespace string
	uid       string // of the Shoot; empty if there is no Cluster
	infra     map[string]netip.Prefix
	version   int // the Infrastructure's
	published map[string]netip.Prefix
	bits      int
	objects   []object
	amiss     []bool // by range: it did not get on in this run
}

func (c controller) gather(name string) (*gathered, bool) {
	g := &gathered{namespace: name}
	// The reservations first: what is read of the shoot later is not older than they are. Else a process that hangs in between would
	// take the reservations of a new shoot for those of one that is gone.
	for _, o := range c.list() {
		if o.namespace == name {
			g.objects = append(g.objects, o)
		}
	}
	there := false
	c.io(func() {
		if n := c.proc.seed.namespaces[name]; n != nil {
			there = true
			g.NamespaceDeleted = n.NamespaceDeleted
		}
	})
	if !there {
		return nil, false
	}
	c.io(func() {
		if n := c.proc.seed.namespaces[name]; n != nil && n.Infrastructure {
			g.Infrastructure, g.InfrastructureMigrates, g.InfrastructureDeleted = true, n.InfrastructureMigrates, n.InfrastructureDeleted
			g.infra, g.version = clone(n.infra), n.version
		}
	})
	c.io(func() {
		n := c.proc.seed.namespaces[name]
		if n == nil || !n.Cluster {
			return
		}
		g.Cluster, g.ShootMigrates, g.ShootDeleted, g.uid = true, n.ShootMigrates, n.ShootDeleted, n.uid
		if s := c.garden.shoot(n.uid); s != nil {
			g.published, g.bits = clone(s.published), s.bits
		}
	})
	return g, true
}

// reconcile one shoot's namespace.
func (c controller) reconcile(name string) {
	g, ok := c.gather(name)
	if !ok {
		return
	}
	what, why := reservation.Decide(g.Facts)
	c.tracef("%s: %s: %s", c.name, what, why)
	switch what {
	case reservation.Ensure:
		for i := range g.objects {
			if o := &g.objects[i]; o.owner.ShootUID != g.uid {
				c.note(c.release(o))
			}
		}
		for _, r := range ranges[:c.garden.ranges] {
			err := c.ensure(g, r.name, r.key)
			g.amiss = append(g.amiss, err != nil)
			c.note(err)
		}
		c.publish(g)
	case reservation.Release, reservation.Migrate:
		for i := range g.objects {
			o := &g.objects[i]
			if !o.finalizer {
				continue
			}
			if what == reservation.Release {
				c.note(c.release(o))
			} else {
				c.note(c.letGo(o))
			}
		}
	case reservation.Keep:
	}
}

func (c controller) note(err error) {
	if err != nil {
		c.tracef("%s: %s: %v", c.name, reservation.KindOf(err), err)
		c.stats.errors[reservation.KindOf(err)]++
	}
}

func (c controller) ensure(g *gathered, name string, key plan.Key) error {
	o, err := c.intent(g, name)
	if err != nil {
		return err
	}
	ctx := context.Background()
	published, isPublished := g.published[name]
	if !isPublished {
		published, isPublished = g.infra[name] // gardenlet is about to take it over
	}
	request := reservation.Request{Key: key, Scope: plan.Global, Bits: o.bits, Pools: []string{"pool"}, Avoid: c.avoid(g, o)}
	switch reservation.DecideOne(o.record.Phase, o.deleted, isPublished) {
	case reservation.Keep:
		return c.protocol(o).Keep(ctx, o.record)
	case reservation.Restore:
		_, err = c.protocol(o).Restore(ctx, o.record, request, published)
	case reservation.Release:
		return c.release(o)
	default:
		_, err = c.protocol(o).Ensure(ctx, o.record, request)
	}
	return err
}

// intent is the reservation, which is made if there is none.
func (c controller) intent(g *gathered, name string) (*object, error) {
	for i := range g.objects {
		o := &g.objects[i]
		if o.name != name || o.owner.ShootUID != g.uid {
			continue
		}
		if o.finalizer && !o.moved || o.deleted {
			return o, nil
		}
		return o, c.update(o, func(o *object) { o.finalizer, o.moved = true, false })
	}
	bits := g.bits
	if published, ok := g.published[name]; ok {
		bits = published.Bits() // what is in use tells the size, whatever the Shoot asks for by now
	} else if published, ok := g.infra[name]; ok {
		bits = published.Bits()
	}
	wanted := object{
		namespace: g.namespace, name: name, finalizer: true, bits: bits,
		owner:  reservation.Owner{GardenID: gardenID, ShootUID: g.uid, Range: name},
		record: reservation.Record{Phase: reservation.Pending},
	}
	if err := c.create(&wanted); err != nil {
		return nil, err
	}
	c.pause() // F1
	// The next run goes on, with what it reads then: what this one has read of the shoot may be older than the reservation.
	return nil, reservation.Errorf(reservation.Wait, "the reservation has been made")
}

// avoid is what a cache knows to be in use, and the shoot's own reservations as they were read.
func (c controller) avoid(g *gathered, self *object) reservation.Avoid {
	all := append(slices.Clone(c.proc.cache), g.objects...)
	owner := self.owner
	return func(p netip.Prefix) (netip.Prefix, bool) {
		if c.options.overlap && p.Overlaps(seedNetwork) {
			return seedNetwork, true
		}
		for _, o := range all {
			if o.owner != owner && o.record.Prefix.IsValid() && o.record.Prefix.Overlaps(p) {
				return o.record.Prefix, true
			}
		}
		return netip.Prefix{}, false
	}
}

// publish writes what is bound into the Infrastructure's status, under compare-and-swap.
func (c controller) publish(g *gathered) {
	next, changed := clone(g.infra), false
	for _, o := range g.objects {
		if o.owner.ShootUID != g.uid || o.record.Phase != reservation.Bound {
			continue
		}
		i := slices.IndexFunc(ranges, func(r wanted) bool { return r.name == o.name })
		if _, before := next[o.name]; !before && g.amiss[i] {
			continue // not held for certain: better published later
		}
		if p := child(o.record.Prefix); next[o.name] != p {
			next[o.name], changed = p, true
		}
	}
	if !changed {
		return
	}
	_ = c.write(func() error {
		n := c.proc.seed.namespaces[g.namespace]
		if n == nil || !n.Infrastructure || n.version != g.version {
			return errConflict
		}
		c.tracef("%s: publishes %v", c.name, next)
		n.infra = next
		n.version = c.proc.seed.next()
		return nil
	})
}

func (c controller) release(o *object) error {
	if o.finalizer {
		var bury reservation.Bury
		if c.options.quarantine {
			bury = func(_ context.Context, r reservation.Record) error { return c.bury(o, r, false) }
		}
		if err := c.protocol(o).GiveBack(context.Background(), o.record, bury); err != nil {
			return err
		}
	}
	c.pause() // F18
	return c.drop(o)
}

func (c controller) letGo(o *object) error {
	if !o.moved {
		if err := c.update(o, func(o *object) { o.moved = true }); err != nil {
			return err
		}
	}
	err := c.protocol(o).LetGo(context.Background(), o.record, func(_ context.Context, r reservation.Record) error {
		return c.bury(o, r, true)
	})
	if err != nil {
		return err
	}
	return c.update(o, func(o *object) { o.finalizer = false })
}

// bury makes the tombstone, once; it bears no finalizer.
func (c controller) bury(o *object, r reservation.Record, endless bool) error {
	owner := o.owner
	owner.Attempt = r.Attempt
	tomb := object{namespace: tombs, name: "released-" + owner.ShootUID + "-" + owner.Range + "-" + strconv.Itoa(r.Attempt), owner: o.owner, bits: o.bits}
	if err := c.create(&tomb); err != nil {
		if !errors.Is(err, errExists) {
			return err
		}
		if tomb, err = c.get(tomb.key()); err != nil {
			return err
		}
	}
	next := tomb
	next.record = r
	next.record.Phase = quarantined
	next.endless = endless
	if !endless {
		next.until = c.now.Add(quarantine)
	}
	// Also if nothing changes: whoever is about to delete what it was, because its owner was back, must not.
	return c.update(&tomb, func(o *object) { *o = next })
}

// drop deletes the object and takes its finalizer away.
func (c controller) drop(o *object) error {
	if !o.deleted {
		if err := c.remove(o); err != nil && !errors.Is(err, errNotFound) {
			return err
		}
	}
	if !o.finalizer {
		return nil
	}
	if err := c.update(o, func(o *object) { o.finalizer = false }); err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	return nil
}
