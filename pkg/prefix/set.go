// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package prefix

import (
	"iter"
	"net/netip"
	"slices"
	"sort"
)

// Set is a set of prefixes, each with a value, that finds what overlaps a prefix, and the best place for a new one, in as many
// steps as the prefix has bits at most, however large it is. Its prefixes may nest. The zero Set is empty.
//
// A copy of a Set costs nothing and lives on by itself: a change of one is not seen in the other. Both share what they have in
// common.
type Set[V comparable] struct {
	v4, v6 edge[V]
	len    int
}

// Item of a Set. It never changes.
type Item[V comparable] struct {
	key
	Value V
}

// NewItem makes an item for a valid prefix.
func NewItem[V comparable](p netip.Prefix, value V) *Item[V] {
	return &Item[V]{key: keyOf(p), Value: value}
}

// Prefix of the item, masked.
func (i *Item[V]) Prefix() netip.Prefix { return i.prefix() }

// NewSet makes a Set of many items at once, which is several times faster than to insert them. Of several with one prefix one
// remains. It sorts the slice.
func NewSet[V comparable](items []*Item[V]) Set[V] {
	slices.SortFunc(items, func(a, b *Item[V]) int { return compare(a.key, b.key) })
	v6 := sort.Search(len(items), func(i int) bool { return !items[i].is4 })
	v4, n4 := build(items[:v6])
	rest, n6 := build(items[v6:])
	return Set[V]{v4: v4, v6: rest, len: n4 + n6}
}

func (s *Set[V]) root(k key) *edge[V] {
	if k.is4 {
		return &s.v4
	}
	return &s.v6
}

// Len is the number of items.
func (s *Set[V]) Len() int { return s.len }

// Insert an item. It takes the place of one with the same prefix.
func (s *Set[V]) Insert(item *Item[V]) {
	if _, found := s.Get(item.Prefix()); !found {
		s.len++
	}
	root := s.root(item.key)
	*root = root.insert(item)
}

// Delete the item with this prefix; false if there is none.
func (s *Set[V]) Delete(p netip.Prefix) bool {
	k := keyOf(p)
	root := s.root(k)
	rest, found := root.remove(k)
	if found {
		*root = rest
		s.len--
	}
	return found
}

// Get returns the item with this prefix.
func (s *Set[V]) Get(p netip.Prefix) (*Item[V], bool) {
	k := keyOf(p)
	for e := *s.root(k); !e.empty() && e.key().covers(k); {
		if e.key().n == k.n {
			return e.own(), e.own() != nil
		}
		e = e.halves()[k.side(e.key().n)]
	}
	return nil, false
}

// Overlapping returns an item that overlaps p: the shortest that covers it, else the first that it covers.
func (s *Set[V]) Overlapping(p netip.Prefix) (*Item[V], bool) {
	k := keyOf(p)
	below, around := s.root(k).within(k)
	switch {
	case around != nil:
		return around, true
	case below.empty():
		return nil, false
	}
	return below.first(), true
}

// All items: IPv4 first, in the order of Compare.
func (s *Set[V]) All() iter.Seq[*Item[V]] {
	return func(yield func(*Item[V]) bool) {
		_ = s.v4.all(yield) && s.v6.all(yield)
	}
}

// Diff calls removed for each item that is in s and not in next, and added for each that is in next and not in s; an item whose
// value differs is both. It costs no more than what was done to make one of the other.
func (s *Set[V]) Diff(next *Set[V], removed, added func(*Item[V])) {
	d := differ[V]{removed: removed, added: added}
	d.edges(s.v4, next.v4)
	d.edges(s.v6, next.v6)
}

type differ[V comparable] struct{ removed, added func(*Item[V]) }

func (d differ[V]) edges(a, b edge[V]) {
	switch {
	case a == b: // shared, or both lead to nothing
	case a.empty():
		b.all(each(d.added))
	case b.empty():
		a.all(each(d.removed))
	case a.key() == b.key():
		d.items(a.own(), b.own())
		for side := range 2 {
			d.edges(a.halves()[side], b.halves()[side])
		}
	case a.key().covers(b.key()):
		d.items(a.own(), nil)
		side := b.key().side(a.key().n)
		d.edges(a.halves()[side], b)
		d.edges(a.halves()[1-side], edge[V]{})
	case b.key().covers(a.key()):
		d.items(nil, b.own())
		side := a.key().side(b.key().n)
		d.edges(a, b.halves()[side])
		d.edges(edge[V]{}, b.halves()[1-side])
	default:
		a.all(each(d.removed))
		b.all(each(d.added))
	}
}

func (d differ[V]) items(a, b *Item[V]) {
	if a != nil && b != nil && a.Value == b.Value {
		return
	}
	if a != nil {
		d.removed(a)
	}
	if b != nil {
		d.added(b)
	}
}

func each[V comparable](f func(*Item[V])) func(*Item[V]) bool {
	return func(i *Item[V]) bool {
		f(i)
		return true
	}
}

// BestFit is the free prefix in whole from which one of the given length is best cut: the smallest that is large enough, so that
// large ones stay whole. Among equals the lowest. False: none is large enough.
func (s *Set[V]) BestFit(whole netip.Prefix, bits int) (netip.Prefix, bool) {
	if !whole.IsValid() || bits < whole.Bits() || bits > whole.Addr().BitLen() {
		return netip.Prefix{}, false
	}
	k := keyOf(whole)
	e, around := s.root(k).within(k)
	switch {
	case around != nil:
		return netip.Prefix{}, false
	case e.empty():
		return k.prefix(), true
	}
	n := e.freeIn(k.n).longest(uint8(bits)) //nolint:gosec // not longer than an address, as was just seen
	if n == 0 {
		return netip.Prefix{}, false
	}
	// Free prefixes beside an edge are at most as long as the key it leads to, those below it longer.
	for n > e.key().n {
		half := e.fork.half
		if half[0].freeIn(e.key().n + 1).has(n) {
			e = half[0]
		} else {
			e = half[1]
		}
	}
	return e.key().sibling(n).prefix(), true
}

// Free are the prefixes in whole that no item overlaps, as few and as large as can be, in order.
func (s *Set[V]) Free(whole netip.Prefix) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		k := keyOf(whole)
		if e, around := s.root(k).within(k); around == nil {
			free(e, k, yield)
		}
	}
}

// free yields what is free in k, of which all items are behind the edge.
func free[V comparable](e edge[V], k key, yield func(netip.Prefix) bool) bool {
	if e.empty() {
		return yield(k.prefix())
	}
	at := e.key()
	for n := k.n + 1; n <= at.n; n++ {
		if at.side(n-1) == 1 && !yield(at.sibling(n).prefix()) {
			return false
		}
	}
	if e.own() == nil {
		for side := range 2 {
			below := e.fork.half[side]
			if !free(below, below.key().parent(at.n+1), yield) {
				return false
			}
		}
	}
	for n := at.n; n > k.n; n-- {
		if at.side(n-1) == 0 && !yield(at.sibling(n).prefix()) {
			return false
		}
	}
	return true
}
