// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
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
