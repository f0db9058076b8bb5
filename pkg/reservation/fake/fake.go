// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package fake is a Reserver in memory that behaves as the meanest real one does: it has no key of idempotency, so two calls
// to Allocate give two prefixes; a released prefix is handed out again at once; and it can be told to fail in the ways that
// real services fail. Dump shows what it holds.
package fake

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Name of the backend.
const Name = "fake"

// Method of the Reserver that a fault is for.
type Method string

// The methods that faults can be injected into.
const (
	Lookup   Method = "Lookup"
	Allocate Method = "Allocate"
	Claim    Method = "Claim"
	Release  Method = "Release"
	List     Method = "List"
)

// Fault is one misbehaviour of one call.
type Fault struct {
	// Err is what the caller gets to see.
	Err error
	// Lost is true if the call took effect all the same: the server has committed and only the reply went missing.
	Lost bool
}

// Reserver in memory, as one seed sees it.
type Reserver struct {
	*state
	seed string
}

// state is what all seeds share.
type state struct {
	mu     sync.Mutex
	whole  netip.Prefix
	held   []reservation.Allocation
	faults map[Method][]Fault
	blind  bool
	hidden int // Lookups and Lists that do not see the latest allocation yet
	clock  time.Time
	calls  map[Method]int
	nextID int
}

var _ reservation.Reserver = &Reserver{}

// New makes a Reserver that hands out parts of one prefix. It marks no seed.
func New(whole netip.Prefix) *Reserver {
	return &Reserver{state: &state{
		whole: whole, faults: map[Method][]Fault{}, calls: map[Method]int{},
		clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}}
}

// On is a Reserver over the same state that marks what it allocates and claims as this seed's.
func (r *Reserver) On(seed string) *Reserver { return &Reserver{state: r.state, seed: seed} }

// Delete strikes out what is held, whoever holds it, as somebody does by hand.
func (r *state) Delete(p netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = slices.DeleteFunc(r.held, func(a reservation.Allocation) bool { return a.Prefix == p })
}

// Inject queues faults for the next calls of a method, one a call.
func (r *state) Inject(method Method, faults ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[method] = append(r.faults[method], faults...)
}

// Lag makes the next n Lookups and Lists miss the latest allocation, as a service does whose lists come from a replica.
func (r *state) Lag(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hidden = n
}

// Blind makes Allocate give also what is to be avoided, as a service does that cannot be told.
func (r *state) Blind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blind = true
}

// Calls is how often a method was called.
func (r *state) Calls(method Method) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[method]
}

// Dump lists what is held, one "prefix owner" a line, sorted by prefix.
func (r *state) Dump() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	owners := map[netip.Prefix]string{}
	var prefixes []netip.Prefix
	for _, a := range r.held {
		prefixes = append(prefixes, a.Prefix)
		owners[a.Prefix] = a.Owner.Key()
	}
	var b strings.Builder
	for _, p := range prefix.Sort(prefixes) {
		fmt.Fprintf(&b, "%s %s\n", p, owners[p])
	}
	return b.String()
}

func (r *state) begin(method Method) (Fault, bool) {
	r.calls[method]++
	r.clock = r.clock.Add(time.Second)
	if queue := r.faults[method]; len(queue) > 0 {
		r.faults[method] = queue[1:]
		return queue[0], queue[0].Err != nil
	}
	return Fault{}, false
}

// Name of the backend.
func (r *Reserver) Name() string { return Name }

// Lookup returns what is held for the owner, the oldest first.
func (r *Reserver) Lookup(_ context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault, failed := r.begin(Lookup); failed {
		return nil, fault.Err
	}
	return r.matching(func(a reservation.Allocation) bool { return a.Owner == owner }), nil
}

// List returns what is held for the garden, the oldest first.
func (r *Reserver) List(_ context.Context, gardenID string) ([]reservation.Allocation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault, failed := r.begin(List); failed {
		return nil, fault.Err
	}
	return r.matching(func(a reservation.Allocation) bool { return a.Owner.GardenID == gardenID }), nil
}

func (r *state) matching(match func(reservation.Allocation) bool) []reservation.Allocation {
	visible := r.held
	if r.hidden > 0 && len(visible) > 0 {
		r.hidden--
		visible = visible[:len(visible)-1]
	}
	var found []reservation.Allocation
	for _, a := range visible {
		if match(a) {
			found = append(found, a)
		}
	}
	return found
}

// Allocate takes the lowest best fit, also if the owner has a prefix already.
func (r *Reserver) Allocate(_ context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fault, failed := r.begin(Allocate)
	if failed && !fault.Lost {
		return reservation.Allocation{}, fault.Err
	}
	if r.blind {
		request.Avoid = nil
	}
	var used []netip.Prefix
	for _, a := range r.held {
		used = append(used, a.Prefix)
	}
	cut, ok, err := request.Cut([]netip.Prefix{r.whole}, used)
	switch {
	case err != nil:
		return reservation.Allocation{}, err
	case request.Bits < r.whole.Bits():
		return reservation.Allocation{}, reservation.Errorf(reservation.Invalid, "%s is more than %s", request, r.whole)
	case !ok:
		return reservation.Allocation{}, reservation.Errorf(reservation.Exhausted, "no room for %s in %s", request, r.whole)
	}
	r.nextID++
	a := reservation.Allocation{Owner: owner, Seed: r.seed, ID: fmt.Sprintf("id-%d", r.nextID), Prefix: cut, Since: r.clock}
	r.held = append(r.held, a)
	if failed {
		return reservation.Allocation{}, fault.Err
	}
	return a, nil
}

// Claim holds the prefix for the owner, under this seed.
func (r *Reserver) Claim(_ context.Context, allocation reservation.Allocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fault, failed := r.begin(Claim)
	if failed && !fault.Lost {
		return fault.Err
	}
	for i, a := range r.held {
		switch {
		case a.Prefix == allocation.Prefix && a.Owner == allocation.Owner:
			r.held[i].Seed = r.seed
			return fault.Err
		case a.Prefix.Overlaps(allocation.Prefix):
			return reservation.Errorf(reservation.Conflict, "%s overlaps %s of %s", allocation.Prefix, a.Prefix, a.Owner.Key())
		}
	}
	r.nextID++
	r.held = append(r.held, reservation.Allocation{
		Owner: allocation.Owner, Seed: r.seed, ID: fmt.Sprintf("id-%d", r.nextID), Prefix: allocation.Prefix, Since: r.clock,
	})
	return fault.Err
}

// Release gives a prefix back.
func (r *Reserver) Release(_ context.Context, allocation reservation.Allocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fault, failed := r.begin(Release)
	if failed && !fault.Lost {
		return fault.Err
	}
	for i, a := range r.held {
		if a.Prefix != allocation.Prefix {
			continue
		}
		if a.Owner != allocation.Owner {
			return reservation.Errorf(reservation.Conflict, "%s is held by %s, not by %s", a.Prefix, a.Owner.Key(), allocation.Owner.Key())
		}
		r.held = append(r.held[:i:i], r.held[i+1:]...)
		break
	}
	return fault.Err
}
