// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package podip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Allocator hands out addresses. It holds every record in memory; the store is written outside of its lock, so that the writes of
// different attachments do not wait for each other.
type Allocator struct {
	store Store

	mu       sync.Mutex
	records  map[Key]Record
	busy     map[Key]bool // keys whose record is being written or removed; their addresses count as used
	used     map[netip.Addr]Key
	last     map[bool]netip.Addr // by Is4: the address given out last
	ranges   []*ipRange
	sequence uint64
}

// Open reads the store and drops, durably, each record that is not live: what was allocated but never wired, and what lost its
// wire while nobody watched (a reboot, a DEL while the agent was away). live is asked once a record.
//
// A *DamagedError comes with an allocator that works on what could be read.
func Open(ctx context.Context, store Store, live func(Record) bool) (*Allocator, error) {
	records, damage := store.Load(ctx)
	if damaged := (*DamagedError)(nil); damage != nil && !errors.As(damage, &damaged) {
		return nil, fmt.Errorf("load the addresses in use: %w", damage)
	}
	a := &Allocator{store: store, records: map[Key]Record{}, busy: map[Key]bool{}, used: map[netip.Addr]Key{}, last: map[bool]netip.Addr{}}
	slices.SortFunc(records, func(x, y Record) int { return cmp.Compare(x.Sequence, y.Sequence) })
	for _, r := range records {
		a.remember(r)
		if !live(r) {
			if err := store.Delete(ctx, r.Key); err != nil {
				return nil, fmt.Errorf("drop the stale record of %s: %w", r.Key, err)
			}
			continue
		}
		if err := a.free(r); err != nil {
			return nil, fmt.Errorf("load the addresses in use: %w", err)
		}
		a.hold(r)
	}
	return a, damage
}

// SetRanges says which ranges to allocate from, at most one a family, in the order that an attachment's addresses shall have, and which
// addresses never to give out. Records keep what they hold, inside the ranges or not.
func (a *Allocator) SetRanges(prefixes []netip.Prefix, reserved []netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ranges []*ipRange
	for _, p := range prefixes {
		r, err := newRange(p, reserved, a.last[p.Addr().Is4()])
		if err != nil {
			return err
		}
		for _, other := range ranges {
			if other.prefix.Addr().Is4() == p.Addr().Is4() {
				return fmt.Errorf("pod ranges %s and %s are of one family", other.prefix, p)
			}
		}
		ranges = append(ranges, r)
	}
	a.ranges = ranges
	return nil
}

// Claim is what is asked for.
type Claim struct {
	Key
	// Network, Pod and MTU are kept with the record.
	Network, Pod string
	MTU          int
}

// Allocate gives an attachment one address out of each range. An attachment that holds addresses keeps them.
func (a *Allocator) Allocate(ctx context.Context, c Claim) (Record, error) {
	if err := c.Validate(); err != nil {
		return Record{}, err
	}
	r, held, err := a.reserve(c)
	if err != nil || held {
		return r, err
	}
	return r, a.write(ctx, r)
}

// reserve picks addresses and holds them in memory, the key marked busy.
func (a *Allocator) reserve(c Claim) (r Record, held bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy[c.Key] {
		return Record{}, false, fmt.Errorf("allocate for %s: %w", c.Key, ErrBusy)
	}
	if r, ok := a.records[c.Key]; ok {
		return r, true, nil
	}
	if len(a.ranges) == 0 {
		return Record{}, false, fmt.Errorf("allocate for %s: %w", c.Key, ErrNoRange)
	}
	addrs := make([]netip.Addr, 0, len(a.ranges))
	for _, rng := range a.ranges {
		addr, err := rng.next(a.used)
		if err != nil {
			return Record{}, false, fmt.Errorf("allocate for %s: %w", c.Key, err)
		}
		addrs = append(addrs, addr)
	}
	for i, rng := range a.ranges {
		rng.cursor = addrs[i]
	}
	r = Record{Key: c.Key, Network: c.Network, Pod: c.Pod, MTU: c.MTU, Addrs: addrs, Sequence: a.sequence + 1}
	a.remember(r)
	a.hold(r)
	a.busy[c.Key] = true
	return r, false, nil
}

// write makes a held record durable. If that fails, the record must be gone for certain before its addresses are free again; if not
// even that can be had, they stay held, until the next Open finds the record without a wire.
func (a *Allocator) write(ctx context.Context, r Record) error {
	err := a.store.Put(ctx, r)
	drop := false
	if err != nil {
		err = fmt.Errorf("record %s: %w", r.Key, err)
		undo := a.store.Delete(context.WithoutCancel(ctx), r.Key)
		drop = undo == nil
		err = errors.Join(err, undo)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.busy, r.Key)
	if drop {
		a.forget(r)
	}
	return err
}

// Adopt records addresses that an attachment was found to hold, for which the store has no record.
func (a *Allocator) Adopt(ctx context.Context, r Record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if len(r.Addrs) == 0 {
		return fmt.Errorf("adopt %s: no address was found", r.Key)
	}
	a.mu.Lock()
	if _, ok := a.records[r.Key]; ok {
		a.mu.Unlock()
		return fmt.Errorf("adopt %s: %w", r.Key, ErrExists)
	}
	if err := a.free(r); err != nil {
		a.mu.Unlock()
		return fmt.Errorf("adopt: %w", err)
	}
	r.Sequence = a.sequence + 1
	a.remember(r)
	a.hold(r)
	a.busy[r.Key] = true
	a.mu.Unlock()
	return a.write(ctx, r)
}

// Release takes an attachment's addresses back, if it holds any. Its wire must be gone.
func (a *Allocator) Release(ctx context.Context, k Key) error {
	a.mu.Lock()
	if a.busy[k] {
		a.mu.Unlock()
		return fmt.Errorf("release %s: %w", k, ErrBusy)
	}
	r, ok := a.records[k]
	if !ok {
		a.mu.Unlock()
		return nil
	}
	a.busy[k] = true
	a.mu.Unlock()

	err := a.store.Delete(ctx, k)

	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.busy, k)
	if err != nil {
		return fmt.Errorf("release %s: %w", k, err)
	}
	a.forget(r)
	return nil
}

// Get returns what an attachment holds.
func (a *Allocator) Get(k Key) (Record, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.records[k]
	return r, ok
}

// Records returns what is held, in the order of allocation.
func (a *Allocator) Records() []Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Record, 0, len(a.records))
	for _, r := range a.records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y Record) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return out
}

// Usage is the state of one range.
type Usage struct {
	Range netip.Prefix
	// Used and Free count addresses; Free is at most MaxUint64.
	Used, Free uint64
}

// Usage returns the state of each range.
func (a *Allocator) Usage() []Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Usage, 0, len(a.ranges))
	for _, r := range a.ranges {
		u := Usage{Range: r.prefix}
		taken := uint64(0) // without those that are reserved by now
		for addr := range a.used {
			if r.holds(addr) {
				u.Used++
				if !r.reserved[addr] {
					taken++
				}
			}
		}
		u.Free = r.size() - taken
		out = append(out, u)
	}
	return out
}

// free says whether nobody else holds the record's addresses.
func (a *Allocator) free(r Record) error {
	for _, addr := range r.Addrs {
		if k, taken := a.used[addr]; taken {
			return fmt.Errorf("%s of %s is held by %s, too: %w", addr, r.Key, k, ErrInUse)
		}
	}
	return nil
}

func (a *Allocator) hold(r Record) {
	a.records[r.Key] = r
	for _, addr := range r.Addrs {
		a.used[addr] = r.Key
	}
}

func (a *Allocator) forget(r Record) {
	delete(a.records, r.Key)
	for _, addr := range r.Addrs {
		delete(a.used, addr)
	}
}

// remember notes that the record was given out, even if it is no more: it tells where to go on.
func (a *Allocator) remember(r Record) {
	a.sequence = max(a.sequence, r.Sequence)
	for _, addr := range r.Addrs {
		a.last[addr.Is4()] = addr
	}
}
