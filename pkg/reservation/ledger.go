// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Ledger is the book of the backends that have no IPAM service behind them: who holds which prefix. Its entries never
// overlap, and every change is made by comparing and swapping the whole (see Store), from which follows that no two owners
// ever hold the same address, whatever runs beside it. docs/decisions/0001-prefix-ledger.md says why it is built so.
//
// Changing it and copying it cost the same for ten entries and for a hundred thousand. The zero Ledger is empty. Dates of
// entries are kept to the second.
type Ledger struct {
	entries prefix.Set[holding]
	shoots  *shelf
}

// NewLedger makes a ledger of all its entries at once, or says which of them it would refuse.
func NewLedger(all []Allocation) (*Ledger, error) {
	entries := make([]*entry, len(all))
	for i, a := range all {
		if err := valid(a); err != nil {
			return nil, err
		}
		entries[i] = prefix.NewItem(a.Prefix, hold(a))
	}
	l := &Ledger{entries: prefix.NewSet(entries), shoots: newShelf(entries)} // the entries are sorted now
	for i, e := range entries[min(1, len(entries)):] {
		if before := entries[i]; before.Prefix().Overlaps(e.Prefix()) {
			return nil, conflict(e.Prefix(), before)
		}
	}
	return l, nil
}

// Len is the number of entries.
func (l *Ledger) Len() int { return l.entries.Len() }

// All entries, in the order of their prefixes.
func (l *Ledger) All() iter.Seq[Allocation] {
	return func(yield func(Allocation) bool) {
		for e := range l.entries.All() {
			if !yield(allocation(e)) {
				return
			}
		}
	}
}

// Overlapping returns an entry that has an address in common with p.
func (l *Ledger) Overlapping(p netip.Prefix) (Allocation, bool) {
	e, ok := l.entries.Overlapping(p)
	if !ok {
		return Allocation{}, false
	}
	return allocation(e), true
}

// BestFit is the place for a prefix of the given length in one of whole that overlaps nothing that is held or to be avoided: in
// the smallest free space that is large enough, so that large ones stay whole, and there the lowest. Space is the length of
// that free prefix: the longer, the better the fit.
func (l *Ledger) BestFit(whole []netip.Prefix, bits int, avoid Avoid) (fit netip.Prefix, space int, ok bool) {
	taken := l.entries
	for {
		fit, space = netip.Prefix{}, -1
		for _, w := range whole {
			if free, ok := taken.BestFit(w, bits); ok && free.Bits() > space {
				fit, space = netip.PrefixFrom(free.Addr(), bits), free.Bits()
			}
		}
		if space < 0 || avoid == nil {
			return fit, space, space >= 0
		}
		other, overlaps := avoid(fit)
		if !overlaps {
			return fit, space, true
		}
		if !other.Overlaps(fit) {
			other = fit // whatever was answered, the same is not tried again
		}
		taken.Insert(prefix.NewItem(other, holding{}))
	}
}

// Free are the prefixes in whole of which nobody holds an address, as few and as large as can be.
func (l *Ledger) Free(whole netip.Prefix) iter.Seq[netip.Prefix] { return l.entries.Free(whole) }

// Add an entry, unless it overlaps another: then the error is of kind Conflict.
func (l *Ledger) Add(a Allocation) error {
	if err := valid(a); err != nil {
		return err
	}
	if other, overlaps := l.entries.Overlapping(a.Prefix); overlaps {
		return conflict(a.Prefix, other)
	}
	e := prefix.NewItem(a.Prefix, hold(a))
	l.entries.Insert(e)
	l.shoots = l.shoots.with(e, e.Value.hash(), 0)
	return nil
}

func conflict(p netip.Prefix, other *entry) error {
	return Errorf(Conflict, "%s overlaps %s, which %s holds", p, other.Prefix(), other.Value.owner().Key())
}

// valid tells whether a ledger can have such an entry.
func valid(a Allocation) error {
	if !a.Prefix.IsValid() || a.Prefix != a.Prefix.Masked() {
		return Errorf(Invalid, "%s is not a canonical prefix", a.Prefix)
	}
	for _, name := range []string{a.Owner.GardenID, a.Owner.ShootUID, a.Owner.Range, a.ID} {
		if strings.ContainsAny(name, " \t\r\n") {
			return Errorf(Invalid, "%s of %q with ID %q: a ledger has no place for blanks in names", a.Prefix, a.Owner.Key(), a.ID)
		}
	}
	return nil
}

// Remove the entry of this prefix, if there is one and it is the owner's.
func (l *Ledger) Remove(p netip.Prefix, owner Owner) error {
	e, ok := l.entries.Get(p)
	if !ok {
		return nil
	}
	if holder := e.Value.owner(); holder != owner {
		return Errorf(Conflict, "%s is held by %s, not by %s", p, holder.Key(), owner.Key())
	}
	l.entries.Delete(p)
	l.shoots = l.shoots.without(e, e.Value.hash(), 0)
	return nil
}

// Claim adds an entry for an allocation, or does nothing if its owner has that very one.
func (l *Ledger) Claim(a Allocation) error {
	if e, ok := l.entries.Get(a.Prefix); ok && e.Value.owner() == a.Owner {
		return nil
	}
	return l.Add(a)
}

// HeldBy returns what is held for the owner, the oldest first.
func (l *Ledger) HeldBy(owner Owner) []Allocation {
	return held(l.ofShoot(owner), func(e *entry) bool { return e.Value.owner() == owner })
}

// HeldByShoot returns what is held for all ranges and attempts of the owner's shoot, the oldest first.
func (l *Ledger) HeldByShoot(owner Owner) []Allocation {
	return held(l.ofShoot(owner), func(e *entry) bool { return e.Value.owner().Shoot() == owner.Shoot() })
}

// ofShoot are the entries of the owner's shoot, and a few others.
func (l *Ledger) ofShoot(owner Owner) iter.Seq[*entry] {
	return slices.Values(l.shoots.of(hold(Allocation{Owner: owner}).hash()))
}

// HeldByGarden returns what is held for all shoots of the garden, the oldest first.
func (l *Ledger) HeldByGarden(gardenID string) []Allocation {
	return held(l.entries.All(), func(e *entry) bool { return e.Value.kind.Value().garden == gardenID })
}

func held(entries iter.Seq[*entry], match func(*entry) bool) []Allocation {
	var held []Allocation
	for e := range entries {
		if match(e) {
			held = append(held, allocation(e))
		}
	}
	slices.SortStableFunc(held, oldest)
	return held
}

// Clone is a copy that lives on by itself. It costs nothing.
func (l *Ledger) Clone() *Ledger {
	clone := *l
	return &clone
}

// Diff returns what must be removed from l, and what must then be added, to make next of it. It costs no more than the changes
// did that made one of the other.
func (l *Ledger) Diff(next *Ledger) (removed, added []Allocation) {
	l.entries.Diff(&next.entries,
		func(e *entry) { removed = append(removed, allocation(e)) },
		func(e *entry) { added = append(added, allocation(e)) })
	return removed, added
}

// Equal tells whether both have the same entries.
func (l *Ledger) Equal(other *Ledger) bool {
	removed, added := l.Diff(other)
	return len(removed) == 0 && len(added) == 0
}

// Store keeps a Ledger where all processes see the same one.
type Store interface {
	// Read returns the ledger as it is now, not as a cache remembers it.
	Read(context.Context) (*Ledger, error)
	// Update lets change work on the ledger as it is now and stores the result if nobody else stored one in between; else it
	// starts anew, so change may be called several times, and by another goroutine, but never after Update has returned. What
	// change returns ends the update. A change that changes nothing stores nothing.
	Update(ctx context.Context, change func(*Ledger) error) error
}

// stampOf is a time as a ledger keeps it.
func stampOf(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
