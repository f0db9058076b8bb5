// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// chance is something that may happen at a step, or to a call. Each can be switched off, to shrink a failing run.
type chance int

const (
	crash          chance = iota // a process dies, between two calls or within one
	hung                         // a worker hangs for minutes, between two calls or within one
	requestLost                  // a call of the IPAM never arrives
	replyLost                    // the IPAM does it, the answer is lost
	requestLate                  // the caller gives up, then the IPAM does it
	throttled                    // the IPAM does nothing and says so
	unauthorized                 // a token has rotated
	pageFailed                   // a page of a list fails
	lagging                      // a list does not show the latest changes
	inUse                        // the IPAM refuses to delete for now
	apiRequestLost               // a write never reaches the API server
	apiReplyLost                 // the API server stores it, the answer is lost
	apiForgot                    // the API server lists nothing
	stale                        // a cache is not refreshed
	deletedByHand                // somebody deletes an allocation in the IPAM
	forced                       // somebody removes a reservation by force
	deletedByUser                // somebody deletes a reservation
	backupRestored               // the etcd of a seed is restored from an old backup
	migrated                     // a shoot moves to the other seed
	hastened                     // the other seed begins before the first is done
	resized                      // a shoot asks for another size
	crowded                      // strangers take room in the pool
	timeJumped                   // hours go by
	chances
)

var chanceNames = [chances]string{
	"crash", "hung", "request lost", "reply lost", "request late", "throttled", "unauthorized", "page failed", "list lags", "in use",
	"API request lost", "API reply lost", "API lists nothing", "stale cache", "deleted by hand", "removed by force", "deleted by user", "backup restored",
	"migration", "migration hastened", "resized", "crowded", "hours passed",
}

func (c chance) String() string { return chanceNames[c] }

// killed unwinds the call stack of a process that dies.
type killed struct{}

// process is one replica of the extension on a seed. Its memory is lost when it dies.
type process struct {
	seed  *seed
	index int
	tasks []*task
	cache []object // what it believes to be the seed's reservations
	memory
}

// task is one goroutine of a process, of which one at a time runs in the whole world.
type task struct {
	*world
	proc  *process
	name  string
	yield func(struct{}) bool
	next  func() (struct{}, bool)
	stop  func()
	// asleep is until when it hangs.
	asleep time.Time
	// sweeping is true if it collects garbage, the process's so many'th time, and dry if it must not free anything.
	sweeping, dry bool
	sweeps        int
	looked        map[reservation.Owner]bool // whose prefixes it has seen all of
	seen          map[netip.Prefix]bool      // what it has seen, or claimed, since it asked last
	stored        bool                       // it has stored its record since it looked last
}

// world is all there is in one run.
type world struct {
	rng     *rand.Rand
	options options
	now     time.Time
	garden  garden
	seeds   []*seed
	procs   []*process
	cloud   *cloud
	late    []func() // requests on their way to the IPAM
	calm    bool
	stats   *stats

	trace      []string
	told       map[string]bool // what has been traced since it is calm
	violations []string
}

// options of a run are drawn from its seed.
type options struct {
	// Own is true if each seed has a pool of its own; else both share an IPAM service.
	own bool
	// Tokens is true if the IPAM remembers keys of idempotency, also of what has been released.
	tokens bool
	// Claimable is true if the IPAM gives out a certain prefix.
	claimable bool
	// Wider is true if the IPAM gives more than was asked for.
	wider bool
	// Quarantine is on.
	quarantine bool
	// Overlap is true if the first prefixes of the pool are in use by the seeds.
	overlap bool
	// Steps of chaos.
	steps int
	// Off are the chances that are switched off.
	off [chances]bool
	// Odds that a chance comes, by 1,000.
	odds [chances]int
	// Traced is true if the trace is kept.
	traced bool
}

func (o options) String() string {
	return fmt.Sprintf("own=%t tokens=%t claimable=%t wider=%t quarantine=%t overlap=%t steps=%d",
		o.own, o.tokens, o.claimable, o.wider, o.quarantine, o.overlap, o.steps)
}

const (
	quarantine = 24 * time.Hour
	grace      = time.Hour
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// happens draws. It draws also if the chance is switched off, so that the rest of the run stays as alike as can be.
func (w *world) happens(c chance) bool {
	if w.calm {
		return false
	}
	hit := w.rng.IntN(1000) < w.options.odds[c]
	if !hit || w.options.off[c] {
		return false
	}
	w.stats.chances[c]++
	return true
}

func (w *world) tracef(format string, args ...any) {
	if !w.options.traced {
		return
	}
	text := fmt.Sprintf(format, args...)
	if w.calm {
		if w.told[text] {
			return
		}
		w.told[text] = true
	}
	w.trace = append(w.trace, w.now.Format("02T15:04:05 ")+text)
}

func (w *world) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.tracef("VIOLATION: %s", text)
	w.violations = append(w.violations, text)
}

func pick[T any](w *world, from []T) T { return from[w.rng.IntN(len(from))] }

// spawn starts a task of the process, up to its first call.
func (w *world) spawn(p *process, name string, body func(*task)) {
	t := &task{world: w, proc: p, name: fmt.Sprintf("%s/%d %s", p.seed.name, p.index, name), looked: map[reservation.Owner]bool{}, seen: map[netip.Prefix]bool{}}
	if w.calm {
		t.yield = func(struct{}) bool { return true }
		body(t)
		return
	}
	for _, other := range p.tasks {
		if other.name == t.name {
			return // a work queue gives a name to one worker at a time
		}
	}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(killed); !ok {
					panic(r)
				}
			}
		}()
		t.yield = yield
		body(t)
	})
	p.tasks = append(p.tasks, t)
	w.resume(t)
}

// resume runs a task up to its next call.
func (w *world) resume(t *task) {
	if _, more := t.next(); !more {
		t.proc.tasks = slices.DeleteFunc(t.proc.tasks, func(other *task) bool { return other == t })
	}
}

// pause lets the others run; the process may die meanwhile.
func (t *task) pause() {
	if !t.yield(struct{}{}) {
		panic(killed{})
	}
}

// io is one call: others run before it, and between what it does and its answer.
func (t *task) io(do func()) {
	t.pause()
	do()
	t.pause()
}

// kill ends a process; it starts again with nothing in its memory.
func (w *world) kill(p *process) {
	w.tracef("%s/%d dies", p.seed.name, p.index)
	tasks := p.tasks
	p.tasks = nil
	for _, t := range tasks {
		t.stop()
	}
	p.memory, p.cache = memory{}, nil
}

// drain lets all tasks come to their end, or kills them: before hours go by, every call has been answered or has timed out.
func (w *world) drain() {
	for _, p := range w.procs {
		for i := 0; len(p.tasks) > 0; i++ {
			if i > 500 {
				w.kill(p)
				break
			}
			w.resume(p.tasks[0])
		}
	}
	for len(w.late) > 0 {
		w.arrive()
	}
}

// arrive lets the oldest request that was on its way reach the IPAM.
func (w *world) arrive() {
	first := w.late[0]
	w.late = w.late[1:]
	first()
}

func child(p netip.Prefix) netip.Prefix { return netip.PrefixFrom(p.Addr(), publishedBits) }
