// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// balance looks at what a change of a seed's ledger gives and frees.
func (t *task) balance(before, next *reservation.Ledger) {
	freed, taken := before.Diff(next)
	for _, a := range freed {
		t.tracef("%s: the pool takes %s back from %s", t.name, a.Prefix, a.Owner.Key())
		t.freed(t, a.Owner.Key(), a.Seed, a.Prefix, a.Since)
	}
	for _, a := range taken {
		t.tracef("%s: the pool gives %s to %s", t.name, a.Prefix, a.Owner.Key())
		t.taken(t, a.Owner.Key(), a.Prefix)
	}
}

// freed checks what a controller gives back.
func (w *world) freed(t *task, key, seed string, p netip.Prefix, since time.Time) {
	owner, err := reservation.ParseOwner(key)
	switch {
	case t.dry:
		w.violate("%s frees %s of %s in a dry run", t.name, p, key)
	case err != nil || owner.GardenID != gardenID:
		w.violate("%s frees %s, which bears no mark of ours but %q", t.name, p, key)
	case seed != "" && seed != t.proc.seed.name:
		w.violate("%s frees %s of %s, which %s holds", t.name, p, key, seed)
	}
	if t.sweeping && (t.sweeps < 3 || w.now.Sub(since) < grace) {
		w.violate("%s frees %s of %s after %d sweeps, %s old", t.name, p, key, t.sweeps, w.now.Sub(since))
	}
	w.checkUnused(t, "frees", owner.ShootUID, p, true)
}

// taken checks what an owner is given: nobody else may use it, or have used it until lately.
func (w *world) taken(t *task, key string, p netip.Prefix) {
	owner, _ := reservation.ParseOwner(key)
	w.checkUnused(t, "is given", owner.ShootUID, p, false)
}

// checkBound wants that nothing is bound on the word of an answer alone, nor what bears the other seed's mark.
func (w *world) checkBound(t *task, p netip.Prefix) {
	if w.options.own {
		return
	}
	if !t.seen[p] {
		w.violate("%s binds %s without having seen it", t.name, p)
	}
	for _, i := range w.cloud.items {
		if s := w.garden.shoot(i.owner.ShootUID); i.held() && i.prefix == p && i.seed != t.proc.seed.name && s != nil && s.home == t.proc.seed && s.stage == living {
			w.violate("%s binds %s, which bears the mark of %s", t.name, p, i.seed)
		}
	}
}

// checkUnused wants that no published range overlaps p, nor one that is in quarantine. Only the owner of a range may be given it
// again.
func (w *world) checkUnused(t *task, what, uid string, p netip.Prefix, own bool) {
	for _, s := range w.garden.shoots {
		for _, r := range ranges {
			used, ok := s.published[r.name]
			switch {
			case !ok || !used.Overlaps(p) || s.lost[r.name] || s.uid == uid && !own || w.elsewhere(t, s, p, uid):
			case s.unusedSince.IsZero():
				w.violate("%s %s %s, but %s uses %s", t.name, what, p, s.uid, used)
			case w.options.quarantine && !s.forgotten && w.now.Sub(s.unusedSince) < quarantine:
				w.violate("%s %s %s, but it is in quarantine: %s used %s until lately", t.name, what, p, s.uid, used)
			}
		}
	}
}

// elsewhere tells whether the ledger of the task's seed has nothing to say about the use of a prefix: it is none of its own pool,
// and the shoot that uses it is not on this seed.
func (w *world) elsewhere(t *task, s *shoot, p netip.Prefix, uid string) bool {
	on := t.proc.seed
	return w.options.own && !slices.ContainsFunc(on.pools, p.Overlaps) && (s.uid != uid || s.home != on || !s.unusedSince.IsZero())
}

// checkDisjoint wants that a range which is published now overlaps none that is in use.
func (w *world) checkDisjoint(s *shoot, name string, p netip.Prefix) {
	for _, other := range w.garden.shoots {
		for _, r := range ranges {
			used, ok := other.published[r.name]
			if !ok || !used.Overlaps(p) || other == s && r.name == name || !other.unusedSince.IsZero() || other.lost[r.name] || s.lost[name] {
				continue
			}
			w.violate("%s is published for %s, but %s uses %s", p, s.uid, other.uid, used)
		}
	}
}

// settle ends the chaos: no more faults, shoots come to the end of what they are at, and the controllers run until nothing
// changes any more, through the quarantines and enough sweeps.
func (w *world) settle() {
	w.drain()
	w.calm = true
	w.cloud.quota, w.cloud.whole = 1<<20, netip.MustParsePrefix("2001:db8::/52") // whoever ran out of room gets more
	for i, s := range w.seeds {
		s.pools = append(s.pools, netip.MustParsePrefix([]string{"2001:db8:1::/52", "2001:db8:2::/52"}[i]))
	}
	for _, i := range w.cloud.items {
		if i.key == stranger {
			i.gone = w.now
		}
	}
	const rounds = 28
	for round := range rounds {
		w.now = w.now.Add(3 * time.Hour)
		for _, on := range w.seeds {
			on.careful = on.careful && round < 6
		}
		for _, s := range w.garden.shoots {
			for range 3 {
				w.gardenlet(s)
			}
		}
		for _, p := range w.procs {
			w.calmRound(p)
		}
		if round%4 == 3 && round < rounds-5 {
			w.operator()
		}
	}
	w.checkCalm()
}

func (w *world) calmRound(p *process) {
	p.cache = slices.Clone(p.seed.objects)
	for _, name := range w.garden.names {
		w.startReconcile(p, name)
	}
	for _, o := range slices.Clone(p.seed.objects) {
		if o.namespace == tombs {
			w.spawn(p, "tombstone "+o.key(), func(t *task) { controller{t, api{t}}.tombstone(o.key()) })
		}
	}
	if p.index == 0 {
		w.spawn(p, "sweep", func(t *task) { controller{t, api{t}}.sweep(false) })
	}
}

// operator deletes the tombstones without an end of shoots that are gone, or that were restored with something else.
func (w *world) operator() {
	for _, on := range w.seeds {
		for i := range on.objects {
			o := &on.objects[i]
			if o.namespace != tombs || !o.endless {
				continue
			}
			s := w.garden.shoot(o.owner.ShootUID)
			over := !s.unusedSince.IsZero() && w.now.Sub(s.unusedSince) > quarantine
			p, published := s.published[o.owner.Range]
			if over || published && s.stage == living && s.home != on && !p.Overlaps(o.record.Prefix) {
				o.deleted = true
				w.tracef("the operator deletes tombstone %s on %s", o.key(), on.name)
			}
		}
		on.settle()
	}
}

// holding is what somebody has to hold in the end.
type holding struct {
	prefix netip.Prefix
	key    string
}

// checkCalm is what must hold in the end.
func (w *world) checkCalm() {
	for _, on := range w.seeds {
		for _, o := range on.objects {
			s := w.garden.shoot(o.owner.ShootUID)
			if !o.endless && (s.stage != living || s.home != on) {
				w.violate("%s is left on %s, %s", o.key(), on.name, o.record.Phase)
			}
		}
	}
	expected := map[holding]bool{}
	for _, s := range w.garden.shoots {
		switch s.stage {
		case living:
			w.checkLiving(s, expected)
		case deleting, migrating:
			w.violate("%s does not get on: step %d", s.uid, s.step)
		case gone:
		}
	}
	if w.options.own {
		w.checkLedgers(expected)
		return
	}
	for _, i := range w.cloud.items {
		if !i.held() || i.key == stranger || strings.HasPrefix(i.key, otherGarden) {
			continue
		}
		a, _ := i.allocation()
		s := w.garden.shoot(a.Owner.ShootUID)
		if !expected[holding{i.prefix, i.key}] {
			if s.stage == living && s.lost[a.Owner.Range] {
				continue // a person has to act
			}
			w.violate("leaked: %s of %s (%s) since %s", i.prefix, i.key, i.seed, i.since.Format(time.RFC3339))
		} else if i.seed != s.home.name {
			w.violate("%s of %s is marked as %s's, but the shoot is on %s", i.prefix, i.key, i.seed, s.home.name)
		}
	}
	for _, i := range w.cloud.items {
		if strings.HasPrefix(i.key, otherGarden) && !i.held() {
			w.violate("%s of another garden is gone", i.prefix)
		}
	}
}

// checkLiving wants one prefix for each range, held and published.
func (w *world) checkLiving(s *shoot, expected map[holding]bool) {
	for _, r := range ranges[:w.garden.ranges] {
		i, ok := s.home.find(s.name + "/" + r.name)
		if !ok || s.home.objects[i].record.Phase != reservation.Bound {
			if !s.lost[r.name] {
				w.violate("%s has no %s on %s", s.uid, r.name, s.home.name)
			}
			continue
		}
		o := s.home.objects[i]
		owner := o.owner
		owner.Attempt = o.record.Attempt
		if p, ok := s.published[r.name]; (!ok || p != child(o.record.Prefix)) && !s.lost[r.name] {
			w.violate("%s publishes %s for %s, but %s is bound", s.uid, p, r.name, o.record.Prefix)
		}
		held, ok := w.holds(s.home, owner.Key(), o.record.Prefix)
		if !ok && !s.lost[r.name] {
			w.violate("%s of %s is not held", o.record.Prefix, owner.Key())
		}
		expected[holding{held, owner.Key()}] = true
	}
}

// holds returns what the owner holds that the prefix is the first part of.
func (w *world) holds(on *seed, key string, p netip.Prefix) (netip.Prefix, bool) {
	fits := func(held netip.Prefix, by string) bool {
		return by == key && held.Overlaps(p) && held.Addr() == p.Addr()
	}
	if w.options.own {
		for a := range on.ledger.All() {
			if fits(a.Prefix, a.Owner.Key()) {
				return a.Prefix, true
			}
		}
	}
	for _, i := range w.cloud.items {
		if i.held() && fits(i.prefix, i.key) {
			return i.prefix, true
		}
	}
	return p, false
}

// checkLedgers wants nothing in them but what is expected, and what shoots took along to the other seed.
func (w *world) checkLedgers(expected map[holding]bool) {
	for _, on := range w.seeds {
		for a := range on.ledger.All() {
			away := slices.ContainsFunc(on.objects, func(o object) bool {
				return o.endless && o.owner.ShootUID == a.Owner.ShootUID && o.owner.Range == a.Owner.Range
			})
			if !expected[holding{a.Prefix, a.Owner.Key()}] && !away {
				w.violate("leaked on %s: %s of %s", on.name, a.Prefix, a.Owner.Key())
			}
		}
	}
}
