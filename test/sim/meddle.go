// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"time"
)

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

// restore brings an old etcd back. Its extension starts anew, as all that had a watch does, and
// its operator has it collect garbage in dry runs only for a while. What has moved to another seed since,
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
	on.backup, on.careful = nil, true
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
