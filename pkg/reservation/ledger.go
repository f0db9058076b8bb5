// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Entry of a Ledger.
type Entry struct {
	Prefix netip.Prefix `json:"prefix"`
	// Owner is an Owner's Key.
	Owner string `json:"owner"`
	// ID of the allocation: for a pool its name.
	ID    string    `json:"id,omitempty"`
	Since time.Time `json:"since"`
}

func (e Entry) allocation() (Allocation, error) {
	owner, err := ParseOwner(e.Owner)
	if err != nil {
		return Allocation{}, fmt.Errorf("ledger entry %s: %w", e.Prefix, err)
	}
	return Allocation{Owner: owner, ID: e.ID, Prefix: e.Prefix, Since: e.Since}, nil
}

// Ledger is the book of the backends that have no IPAM service behind them: who holds which prefix. Its entries never
// overlap, and every change is made by comparing and swapping the whole (see Store), from which follows that no two owners
// ever hold the same address, whatever runs beside it. docs/decisions/0001-prefix-ledger.md says why it is built so.
type Ledger struct {
	entries []Entry // sorted by prefix, pairwise disjoint
}

// Entries in the order of their prefixes.
func (l *Ledger) Entries() []Entry { return slices.Clone(l.entries) }

// Prefixes that are held, sorted.
func (l *Ledger) Prefixes() []netip.Prefix {
	held := make([]netip.Prefix, len(l.entries))
	for i, e := range l.entries {
		held[i] = e.Prefix
	}
	return held
}

// Overlapping returns an entry that has an address in common with p.
func (l *Ledger) Overlapping(p netip.Prefix) (Entry, bool) {
	// Prefixes nest or are disjoint, and the entries are disjoint: only the neighbours of p's place can overlap it.
	at := l.place(p)
	for _, i := range []int{at - 1, at} {
		if i >= 0 && i < len(l.entries) && l.entries[i].Prefix.Overlaps(p) {
			return l.entries[i], true
		}
	}
	return Entry{}, false
}

func (l *Ledger) place(p netip.Prefix) int {
	return sort.Search(len(l.entries), func(i int) bool { return prefix.Compare(l.entries[i].Prefix, p) >= 0 })
}

// Add an entry, unless it overlaps another: then the error is of kind Conflict.
func (l *Ledger) Add(e Entry) error {
	if !e.Prefix.IsValid() || e.Prefix != e.Prefix.Masked() {
		return Errorf(Invalid, "%s is not a canonical prefix", e.Prefix)
	}
	if other, overlaps := l.Overlapping(e.Prefix); overlaps {
		return Errorf(Conflict, "%s overlaps %s, which %s holds", e.Prefix, other.Prefix, other.Owner)
	}
	l.entries = slices.Insert(l.entries, l.place(e.Prefix), e)
	return nil
}

// Remove the entry of this prefix, if there is one and it is the owner's.
func (l *Ledger) Remove(p netip.Prefix, owner string) error {
	at := l.place(p)
	if at == len(l.entries) || l.entries[at].Prefix != p {
		return nil
	}
	if holder := l.entries[at].Owner; holder != owner {
		return Errorf(Conflict, "%s is held by %s, not by %s", p, holder, owner)
	}
	l.entries = slices.Delete(l.entries, at, at+1)
	return nil
}

// HeldBy returns the allocations whose owner satisfies the predicate, the oldest first.
func (l *Ledger) HeldBy(match func(Owner) bool) ([]Allocation, error) {
	var held []Allocation
	for _, e := range l.entries {
		a, err := e.allocation()
		if err != nil {
			return nil, err
		}
		if match(a.Owner) {
			held = append(held, a)
		}
	}
	slices.SortStableFunc(held, oldest)
	return held, nil
}

// Claim adds an entry for an allocation, or does nothing if its owner has that very one.
func (l *Ledger) Claim(a Allocation) error {
	if e, overlaps := l.Overlapping(a.Prefix); overlaps && e.Prefix == a.Prefix && e.Owner == a.Owner.Key() {
		return nil
	}
	return l.Add(Entry{Prefix: a.Prefix, Owner: a.Owner.Key(), ID: a.ID, Since: a.Since})
}

// MarshalJSON writes the entries.
func (l *Ledger) MarshalJSON() ([]byte, error) { return json.Marshal(l.entries) }

// UnmarshalJSON reads the entries and refuses a book that is broken: overlapping entries mean that somebody wrote into it.
func (l *Ledger) UnmarshalJSON(data []byte) error {
	var entries []Entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b Entry) int { return prefix.Compare(a.Prefix, b.Prefix) })
	for i, e := range entries {
		if !e.Prefix.IsValid() || e.Prefix != e.Prefix.Masked() {
			return fmt.Errorf("ledger entry %q of %s is not a canonical prefix", e.Prefix, e.Owner)
		}
		if i > 0 && entries[i-1].Prefix.Overlaps(e.Prefix) {
			return fmt.Errorf("ledger entries %s of %s and %s of %s overlap", entries[i-1].Prefix, entries[i-1].Owner, e.Prefix, e.Owner)
		}
	}
	l.entries = entries
	return nil
}

// Clone is a copy that shares nothing.
func (l *Ledger) Clone() *Ledger { return &Ledger{entries: slices.Clone(l.entries)} }

// Equal tells whether both have the same entries.
func (l *Ledger) Equal(other *Ledger) bool {
	return slices.EqualFunc(l.entries, other.entries, func(a, b Entry) bool {
		return a.Prefix == b.Prefix && a.Owner == b.Owner && a.ID == b.ID && a.Since.Equal(b.Since)
	})
}

// Store keeps a Ledger where all processes see the same one.
type Store interface {
	// Read returns the ledger as it is now, not as a cache remembers it.
	Read(context.Context) (*Ledger, error)
	// Update reads the ledger, lets change work on it and stores the result if nobody else stored one in between; else it
	// starts anew. What change returns ends the update. A change that changes nothing stores nothing.
	Update(ctx context.Context, change func(*Ledger) error) error
}

// Usage tells how full a pool is.
type Usage struct {
	Pool string
	// Capacity and Free are numbers of addresses; floating point because they do not fit an integer.
	Capacity, Free float64
	// LargestFree is the length of the largest prefix that can still be cut, -1 if nothing is left.
	LargestFree int
	// FreePrefixes are the numbers of prefixes that could still be cut if all free space went to prefixes of that length, by
	// length in bits. A backend that cannot tell leaves it empty.
	FreePrefixes map[int]float64
}

// Meter is a Reserver that can tell how full it is.
type Meter interface {
	Usage(context.Context) ([]Usage, error)
}
