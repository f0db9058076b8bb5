// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// stage of a shoot's life, as gardenlet drives it.
type stage int

const (
	living stage = iota
	deleting
	migrating
	gone
)

// shoot as the garden knows it.
type shoot struct {
	uid, name string
	stage     stage
	step      int
	home      *seed
	target    *seed // of a migration
	ahead     bool  // the target may begin before the home is done
	bits      int
	// published is what the Shoot's status says. It never changes.
	published map[string]netip.Prefix
	// unusedSince is when nobody used the prefixes any more.
	unusedSince time.Time
	// lost are the ranges whose prefix somebody deleted by hand.
	lost map[string]bool
	// forgotten is true if the tombstones were lost with an old backup, or deleted by hand.
	forgotten bool
}

// garden is what outlives a seed.
type garden struct {
	names  []string
	ranges int
	shoots []*shoot
	last   int
}

func (g *garden) shoot(uid string) *shoot {
	for _, s := range g.shoots {
		if s.uid == uid {
			return s
		}
	}
	return nil
}

// named is the shoot that has the name now.
func (g *garden) named(name string) *shoot {
	for _, s := range g.shoots {
		if s.name == name && s.stage != gone {
			return s
		}
	}
	return nil
}

func clone(m map[string]netip.Prefix) map[string]netip.Prefix {
	c := make(map[string]netip.Prefix, len(m))
	maps.Copy(c, m)
	return c
}

func (n *namespace) clone() *namespace {
	c := *n
	c.infra, c.exported = clone(n.infra), slices.Clone(n.exported)
	return &c
}

// create makes a shoot, if the name is free.
func (w *world) create(name string) {
	if w.garden.named(name) != nil {
		return
	}
	w.garden.last++
	s := &shoot{
		uid: fmt.Sprintf("uid-%d", w.garden.last), name: name, home: pick(w, w.seeds), bits: publishedBits,
		published: map[string]netip.Prefix{}, lost: map[string]bool{},
	}
	if s.home.namespaces[name] != nil {
		return // what is left of the former one
	}
	w.garden.shoots = append(w.garden.shoots, s)
	w.settleOn(s, s.home)
	w.tracef("garden: Shoot %s (%s) is created on %s", name, s.uid, s.home.name)
}

// settleOn makes the namespace with Cluster and Infrastructure.
func (w *world) settleOn(s *shoot, on *seed) {
	on.namespaces[s.name] = &namespace{
		Facts: reservation.Facts{Cluster: true, Infrastructure: true}, uid: s.uid, infra: map[string]netip.Prefix{}, version: on.next(),
	}
}

// begin moves a living shoot on to a stage.
func (w *world) begin(s *shoot, to stage) {
	if s == nil || s.stage != living {
		return
	}
	if !w.complete(s) {
		return // somebody has removed a reservation by force, and it is not made anew yet
	}
	s.stage, s.step = to, 0
	if to == migrating {
		s.target = w.seeds[0]
		if s.target == s.home {
			s.target = w.seeds[1]
		}
		if s.target.namespaces[s.name] != nil {
			s.stage = living // the former stay has not been cleared up yet
			return
		}
		s.ahead = w.happens(hastened)
	}
	w.tracef("garden: Shoot %s (%s) is %s", s.name, s.uid, [...]string{"living", "being deleted", "migrating", "gone"}[to])
}

// complete tells whether there is a reservation for all that is published.
func (w *world) complete(s *shoot) bool {
	n := s.home.namespaces[s.name]
	for _, r := range ranges {
		_, copied := s.published[r.name]
		if _, ok := n.infra[r.name]; !ok && !copied {
			continue
		}
		if i, ok := s.home.find(s.name + "/" + r.name); !ok || s.home.objects[i].record.Phase != reservation.Bound {
			return false
		}
	}
	return true
}

// gardenlet takes one step for the shoot.
func (w *world) gardenlet(s *shoot) {
	n := s.home.namespaces[s.name]
	switch s.stage {
	case living:
		w.copyPublished(s, n)
	case deleting:
		w.deleteStep(s, n)
	case migrating:
		w.migrateStep(s, n)
	case gone:
	}
}

// copyPublished takes over what the Infrastructure's status says into the Shoot's, once.
func (w *world) copyPublished(s *shoot, n *namespace) {
	if n == nil || !n.Infrastructure {
		return
	}
	for _, r := range ranges {
		p, ok := n.infra[r.name]
		if !ok {
			continue
		}
		was, before := s.published[r.name]
		switch {
		case !before:
			s.published[r.name] = p
			w.tracef("garden: Shoot %s has %s for %s", s.uid, p, r.name)
			w.checkDisjoint(s, r.name, p)
		case was != p:
			w.violate("the published range %s of %s changes from %s to %s", r.name, s.uid, was, p)
		}
	}
}

func (w *world) deleteStep(s *shoot, n *namespace) {
	if n == nil {
		w.finish(s)
		return
	}
	switch s.step {
	case 0:
		n.ShootDeleted = true
	case 1:
		n.InfrastructureDeleted = true
	case 2:
		n.Infrastructure, n.infra = false, nil
		if s.unusedSince.IsZero() {
			s.unusedSince = w.now
		}
		w.tracef("garden: nobody uses the prefixes of %s any more", s.uid)
	case 3:
		w.deleteNamespace(s.home, s.name)
	default:
		if w.empty(s.home, s.name) {
			delete(s.home.namespaces, s.name)
			w.finish(s)
		}
		return
	}
	s.step++
}

func (w *world) finish(s *shoot) {
	if s.unusedSince.IsZero() {
		s.unusedSince = w.now
	}
	s.stage = gone
	w.tracef("garden: Shoot %s is gone", s.uid)
}

func (w *world) migrateStep(s *shoot, n *namespace) {
	if n != nil {
		switch s.step {
		case 0:
			w.copyPublished(s, n)
			n.ShootMigrates, n.InfrastructureMigrates = true, true
			n.exported = nil
			for _, o := range s.home.objects {
				if o.namespace == s.name && o.owner.ShootUID == s.uid && o.record.Phase == reservation.Bound {
					n.exported = append(n.exported, o)
				}
			}
		case 1:
			n.Infrastructure, n.infra = false, nil
		case 2:
			w.deleteNamespace(s.home, s.name)
		default:
			if w.empty(s.home, s.name) {
				w.arriveOn(s, n.exported)
				delete(s.home.namespaces, s.name)
				n = nil
			}
		}
		s.step++
		if n != nil && s.ahead && s.step > 1 {
			w.arriveOn(s, n.exported)
		}
	}
	if n == nil {
		w.arriveOn(s, nil)
		w.tracef("garden: Shoot %s (%s) has moved to %s", s.name, s.uid, s.target.name)
		s.home, s.target, s.stage = s.target, nil, living
	}
}

// arriveOn restores the shoot on its new seed: the Infrastructure first, and with luck the Network's state before the
// controller looks.
func (w *world) arriveOn(s *shoot, exported []object) {
	if s.target.namespaces[s.name] == nil {
		w.settleOn(s, s.target)
		w.tracef("garden: Shoot %s (%s) is restored on %s", s.name, s.uid, s.target.name)
	}
	if w.rng.IntN(2) == 0 {
		return // the state comes too late
	}
	for _, o := range exported {
		i, exists := s.target.find(o.key())
		if exists {
			continue
		}
		o.uid, o.version, o.created = s.target.next(), s.target.next(), w.now
		o.finalizer, o.moved, o.deleted = true, false, false
		s.target.objects = slices.Insert(s.target.objects, i, o)
		w.tracef("garden: the state brings %s with %s to %s", o.key(), o.record.Prefix, s.target.name)
	}
}

func (w *world) deleteNamespace(on *seed, name string) {
	on.namespaces[name].NamespaceDeleted = true
	for i := range on.objects {
		if o := &on.objects[i]; o.namespace == name && !o.deleted {
			o.deleted, o.version = true, on.next()
		}
	}
	on.settle()
}

func (w *world) empty(on *seed, name string) bool {
	return !slices.ContainsFunc(on.objects, func(o object) bool { return o.namespace == name })
}

// meddle lets the world around the controllers do something.
func (w *world) meddle() {
	s := w.garden.named(pick(w, w.garden.names))
	on := pick(w, w.seeds)
	switch {
	case s == nil:
		w.create(pick(w, w.garden.names))
	case w.happens(migrated):
		w.begin(s, migrating)
	case w.happens(resized):
		s.bits = 62 + w.rng.IntN(3)
	case w.happens(deletedByUser):
		w.deleteObject(on, false)
	case w.happens(forced):
		w.deleteObject(on, true)
	case w.happens(deletedByHand):
		w.deleteByHand()
	case w.happens(backupRestored):
		w.restore(on)
	case w.happens(timeJumped):
		w.pass()
	case w.happens(crowded):
		w.crowd()
	case w.rng.IntN(40) == 0:
		w.begin(s, deleting)
	case w.rng.IntN(30) == 0:
		w.save(on)
	default:
		w.gardenlet(s)
	}
}

// pass lets hours go by. Before, everything has been looked at a few times, and every call has been answered or has timed out.
func (w *world) pass() {
	w.drain()
	for range 3 {
		for _, p := range w.procs {
			for _, name := range w.garden.names {
				w.startReconcile(p, name)
			}
		}
		w.drain()
	}
	w.tracef("hours go by")
	for range 1 + w.rng.IntN(5) {
		w.now = w.now.Add(time.Duration(w.rng.IntN(4*60)) * time.Minute)
		for _, p := range w.procs {
			if p.index == 0 {
				w.startSweep(p)
			}
		}
		w.drain()
	}
}

func (w *world) deleteObject(on *seed, force bool) {
	if len(on.objects) == 0 {
		return
	}
	if force {
		w.drain() // not while a controller has it in its hands
		if len(on.objects) == 0 {
			return
		}
	}
	o := &on.objects[w.rng.IntN(len(on.objects))]
	if s := w.garden.shoot(o.owner.ShootUID); force && s != nil && s.stage != living {
		return // nobody would make it anew
	}
	if o.namespace == tombs {
		if s := w.garden.shoot(o.owner.ShootUID); s == nil || s.stage != gone && o.endless {
			return // nobody deletes the tombstone of a shoot that lives elsewhere: the documentation forbids it
		} else if s != nil {
			s.forgotten = true
		}
	}
	o.deleted, o.version = true, on.next()
	if force {
		o.finalizer = false
		if s := w.garden.shoot(o.owner.ShootUID); s != nil {
			s.forgotten = true // there may be no time to make it anew, and then nobody remembers to wait
		}
	}
	w.tracef("somebody deletes %s, by force: %t", o.key(), force)
	on.settle()
}

// deleteByHand strikes out an allocation in the IPAM.
func (w *world) deleteByHand() {
	if len(w.cloud.items) == 0 {
		return
	}
	i := pick(w, w.cloud.items)
	if !i.held() || strings.HasPrefix(i.key, otherGarden) {
		return
	}
	i.gone = w.now
	w.tracef("somebody deletes %s of %s in the IPAM", i.prefix, i.key)
	a, _ := i.allocation()
	if s := w.garden.shoot(a.Owner.ShootUID); s != nil {
		s.lost[a.Owner.Range] = true
	}
}

// crowd lets strangers take room, or leave.
func (w *world) crowd() {
	for _, i := range w.cloud.items {
		if i.key == stranger && i.held() && w.rng.IntN(2) == 0 {
			i.gone = w.now
			return
		}
	}
	if p, ok := w.cloud.lowest(64); ok {
		w.cloud.add(p, stranger, "")
	}
}

// save takes a backup of a seed's etcd.
func (w *world) save(on *seed) {
	b := &backup{objects: slices.Clone(on.objects), namespaces: map[string]*namespace{}}
	for name, n := range on.namespaces {
		b.namespaces[name] = n.clone()
	}
	on.backup = b
	w.tracef("the etcd of %s is backed up", on.name)
}

// restore brings an old etcd back. Its extension starts anew, as all that had a watch does. What has moved to another seed since,
// or is gone, its operator takes out; for what was made since, gardenlet makes the Infrastructure again. A seed whose own pool's
// ledger is in that etcd cannot be restored without care, and is not here.
func (w *world) restore(on *seed) {
	b := on.backup
	if b == nil || w.options.own {
		return
	}
	for _, s := range w.garden.shoots {
		if n := b.namespaces[s.name]; s.home == on && s.stage == migrating || n != nil && n.uid == s.uid && n.ShootMigrates {
			return // of the time of a migration: whoever restores that has more to do
		}
	}
	for _, p := range w.procs {
		if p.seed == on {
			w.kill(p)
		}
	}
	w.tracef("the etcd of %s is restored from a backup", on.name)
	on.backup = nil
	on.objects = b.objects
	for i := range on.objects {
		on.objects[i].version = on.next()
	}
	on.namespaces = map[string]*namespace{}
	for _, s := range w.garden.shoots {
		n := b.namespaces[s.name]
		s.forgotten = true // the tombstones may be lost, or be of another time
		switch {
		case s.stage == gone || s.home != on:
			continue
		case n == nil || n.uid != s.uid:
			w.settleOn(s, on)
		default:
			n.version = on.next()
			on.namespaces[s.name] = n
		}
		s.step = 0 // what is under way is done again
		if !s.unusedSince.IsZero() {
			on.namespaces[s.name].Infrastructure = false
		}
	}
	on.objects = slices.DeleteFunc(on.objects, func(o object) bool {
		return o.namespace != tombs && on.namespaces[o.namespace] == nil
	})
}

const stranger = "somebody else's"
