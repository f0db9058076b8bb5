// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const otherGarden = "v1/other/"

// seedNetwork is what pools overlap that were configured without care.
var seedNetwork = netip.MustParsePrefix("2001:db8::/63")

// stats count what happened.
type stats struct {
	runs    int
	calls   int
	freed   int // by the collection of garbage
	bound   int
	chances [chances]int
	errors  map[reservation.Kind]int
}

func newStats() *stats { return &stats{errors: map[reservation.Kind]int{}} }

func (s *stats) add(o *stats) {
	s.runs += o.runs
	s.calls += o.calls
	s.freed += o.freed
	s.bound += o.bound
	for i, n := range o.chances {
		s.chances[i] += n
	}
	for k, n := range o.errors {
		s.errors[k] += n
	}
}

// draw the options of a run. Some runs are mild, some are wild; in most of them a few kinds of fault prevail.
func draw(rng *rand.Rand) options {
	coin := func(of int) bool { return rng.IntN(of) == 0 }
	o := options{
		own: coin(4), tokens: coin(3), claimable: !coin(4), wider: coin(5), quarantine: !coin(5), overlap: coin(6), steps: 150 + rng.IntN(450),
	}
	usual := [chances]int{
		crash: 4, hung: 15, requestLost: 20, replyLost: 20, requestLate: 15, throttled: 15, unauthorized: 5, pageFailed: 20, lagging: 40, inUse: 50,
		apiRequestLost: 10, apiReplyLost: 10, apiForgot: 100, stale: 300, deletedByHand: 5, forced: 4, deletedByUser: 8, backupRestored: 8, migrated: 12,
		hastened: 200, resized: 10, crowded: 10, timeJumped: 15,
	}
	for c := range usual {
		switch rng.IntN(5) {
		case 0: // never
		case 1:
			o.odds[c] = 3 * usual[c]
		default:
			o.odds[c] = usual[c]
		}
	}
	return o
}

// change adjusts the options of a run before it begins.
type change func(*options)

// run simulates the world once. The same seed and changes give the same run.
func run(seed uint64, changes ...change) *world {
	rng := newRand(seed)
	w := &world{rng: rng, options: draw(rng), now: epoch, told: map[string]bool{}, stats: newStats()}
	for _, c := range changes {
		c(&w.options)
	}
	w.stats.runs = 1
	w.build()
	w.tracef("seed %d: %s", seed, w.options)
	for range w.options.steps {
		w.step()
		if len(w.violations) > 0 {
			return w // what comes after may be its consequence
		}
	}
	w.settle()
	return w
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6970763667617264)) }

func (w *world) build() {
	w.garden = garden{names: []string{"a", "b"}, ranges: 1 + w.rng.IntN(2)}
	whole := netip.MustParsePrefix([]string{"2001:db8::/61", "2001:db8::/60", "2001:db8::/58"}[w.rng.IntN(3)])
	w.cloud = &cloud{world: w, whole: whole, quota: 6 + w.rng.IntN(12), tokens: map[string]*item{}}
	for i, name := range []string{"seed-a", "seed-b"} {
		s := &seed{
			name: name, namespaces: map[string]*namespace{}, ledger: &reservation.Ledger{},
			pools: []netip.Prefix{netip.MustParsePrefix([]string{"2001:db8::/61", "2001:db8:0:8::/61"}[i])},
		}
		w.seeds = append(w.seeds, s)
		for replica := range 2 {
			w.procs = append(w.procs, &process{seed: s, index: replica})
		}
	}
	// What is not ours: somebody's, and another garden's.
	for i, key := range []string{stranger, otherGarden + "uid-1/nodes-ipv6/1"} {
		if p, ok := w.cloud.lowest(64); ok && w.rng.IntN(2) == 0 {
			w.cloud.add(p, key, w.seeds[i].name)
		}
	}
}

// step lets one of the many things happen that may happen now.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
	if len(w.late) > 0 && w.rng.IntN(20) == 0 {
		w.arrive()
	}
	p := pick(w, w.procs)
	if w.happens(crash) {
		w.kill(p)
	}
	if !w.happens(stale) {
		p.cache = slices.Clone(p.seed.objects)
	}
	switch roll := w.rng.IntN(100); {
	case roll < 72:
		w.advance()
	case roll < 84:
		w.start(p)
	default:
		w.meddle()
	}
}

// advance lets one task go on, a few calls at once: who was at it mostly stays at it.
func (w *world) advance() {
	var all []*task
	for _, p := range w.procs {
		for _, t := range p.tasks {
			if !t.asleep.After(w.now) {
				all = append(all, t)
			}
		}
	}
	if len(all) == 0 {
		w.start(pick(w, w.procs))
		return
	}
	t := pick(w, all)
	for range 1 + w.rng.IntN(6) {
		if !slices.Contains(t.proc.tasks, t) {
			return
		}
		w.stats.calls++
		w.resume(t)
	}
	if !t.stored && w.happens(hung) {
		t.asleep = w.now.Add(time.Duration(w.rng.IntN(300)) * time.Second)
	}
}

// start gives a process something to do.
func (w *world) start(p *process) {
	switch roll := w.rng.IntN(10); {
	case roll < 7:
		w.startReconcile(p, pick(w, w.garden.names))
	case roll < 9:
		for _, o := range p.seed.objects {
			if o.namespace == tombs && w.rng.IntN(2) == 0 {
				key := o.key()
				w.spawn(p, "tombstone "+key, func(t *task) { controller{t, api{t}}.tombstone(key) })
				return
			}
		}
	case p.index == 0 || w.rng.IntN(10) == 0: // there may be two leaders for a moment
		w.startSweep(p)
	}
}

func (w *world) startSweep(p *process) {
	dry := w.rng.IntN(8) == 0
	w.spawn(p, "sweep", func(t *task) { controller{t, api{t}}.sweep(dry) })
}

func (w *world) startReconcile(p *process, name string) {
	w.spawn(p, "reconcile "+name, func(t *task) { controller{t, api{t}}.reconcile(name) })
}

// summary of the counts, for people.
func (s *stats) summary() string {
	text := ""
	for i, n := range s.chances {
		if chance(i) != crash && n > 0 {
			text += fmt.Sprintf("  %-20s %d\n", chance(i), n)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.errors)) {
		text += fmt.Sprintf("  error %-14s %d\n", k, s.errors[k])
	}
	return text + fmt.Sprintf("  freed as garbage     %d\n", s.freed)
}
