// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package prefix

import (
	"cmp"
	"math/bits"
	"net/netip"
	"sort"
)

// key is a prefix as a trie compares it: the highest bit of an address of either family is bit 0 of at, and all behind the
// first n bits is zero.
type key struct {
	at  uint128
	n   uint8
	is4 bool
}

func keyOf(p netip.Prefix) key {
	p = p.Masked()
	k := key{at: fromAddr(p.Addr()), n: uint8(p.Bits()), is4: p.Addr().Is4()} //nolint:gosec // a valid prefix has 0 to 128 bits
	if k.is4 {
		k.at = k.at.shl(128 - 32)
	}
	return k
}

func (k key) prefix() netip.Prefix {
	at := k.at
	if k.is4 {
		at = at.shr(128 - 32)
	}
	return netip.PrefixFrom(at.addr(k.is4), int(k.n))
}

// side is bit number i: which half of a prefix of length i the key lies in.
func (k key) side(i uint8) int {
	if i < 64 {
		return int(k.at.hi >> (63 - i) & 1)
	}
	return int(k.at.lo >> (127 - i) & 1)
}

// parent is what the key's first n bits say.
func (k key) parent(n uint8) key {
	k.at, k.n = k.at.and(ones(128).shl(128-int(n))), n
	return k
}

// sibling is the other half of the parent of length n-1 than the one the key lies in.
func (k key) sibling(n uint8) key {
	k = k.parent(n)
	k.at = k.at.xor(uint128{lo: 1}.shl(128 - int(n)))
	return k
}

// compare orders as Compare does.
func compare(a, b key) int {
	if a.is4 != b.is4 {
		if a.is4 {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.at.hi, b.at.hi), cmp.Compare(a.at.lo, b.at.lo), cmp.Compare(a.n, b.n))
}

func (k key) covers(l key) bool { return k.n <= l.n && common(k, l) == k.n }

// common is the length of the longest prefix that covers both.
func common(a, b key) uint8 {
	x := a.at.xor(b.at)
	same := 128
	switch {
	case x.hi != 0:
		same = bits.LeadingZeros64(x.hi)
	case x.lo != 0:
		same = 64 + bits.LeadingZeros64(x.lo)
	}
	return min(uint8(same), a.n, b.n) //nolint:gosec // 0 to 128
}

// lengths is a set of prefix lengths from 1 to 128; length n is bit n-1.
type lengths uint128

// between are the lengths from a to b; none if b is smaller.
func between(a, b uint8) lengths {
	if b < a {
		return lengths{}
	}
	return lengths(ones(int(b)).xor(ones(int(a) - 1)))
}

func (l lengths) union(m lengths) lengths { return lengths{hi: l.hi | m.hi, lo: l.lo | m.lo} }

func (l lengths) has(n uint8) bool { return uint128(l).shr(int(n)-1).lo&1 != 0 }

// longest of the set that is not longer than n; 0 if there is none.
func (l lengths) longest(n uint8) uint8 {
	l = lengths(uint128(l).and(ones(int(n))))
	if l.hi != 0 {
		return uint8(64 + bits.Len64(l.hi)) //nolint:gosec // 65 to 128
	}
	return uint8(bits.Len64(l.lo)) //nolint:gosec // 0 to 64
}

// edge leads to a part of a trie: to an item, to a fork, or, if both are nil, to nothing.
type edge[V comparable] struct {
	item *Item[V]
	fork *fork[V]
}

// fork is where keys part, or where one key covers others. Nothing of it changes once it is made: a trie is changed by making
// anew what lies between its root and the change, so that whoever holds the root from before still sees what was there then.
type fork[V comparable] struct {
	key
	// half leads to what is in either half of key. Both lead somewhere, unless there is an own item.
	half [2]edge[V]
	// own is the item of key itself.
	own *Item[V]
	// free are the lengths of the maximal prefixes in key that no item overlaps.
	free lengths
}

func newFork[V comparable](k key, half [2]edge[V], own *Item[V]) edge[V] {
	f := &fork[V]{key: k, half: half, own: own}
	if own == nil {
		f.free = half[0].freeIn(k.n + 1).union(half[1].freeIn(k.n + 1))
	}
	return edge[V]{fork: f}
}

// build makes a trie of sorted items of one family, and counts those that are in it.
func build[V comparable](items []*Item[V]) (edge[V], int) {
	switch len(items) {
	case 0:
		return edge[V]{}, 0
	case 1:
		return edge[V]{item: items[0]}, 1
	}
	if items[0].key == items[1].key {
		return build(items[1:])
	}
	k := items[0].parent(common(items[0].key, items[len(items)-1].key))
	var own *Item[V]
	count := 0
	if items[0].n == k.n {
		own, items, count = items[0], items[1:], 1
	}
	split := sort.Search(len(items), func(i int) bool { return items[i].side(k.n) == 1 })
	low, n := build(items[:split])
	high, m := build(items[split:])
	return newFork(k, [2]edge[V]{low, high}, own), count + n + m
}

func (e edge[V]) empty() bool { return e.item == nil && e.fork == nil }

func (e edge[V]) key() key {
	if e.fork != nil {
		return e.fork.key
	}
	return e.item.key
}

// own is the item of the key that the edge leads to.
func (e edge[V]) own() *Item[V] {
	if e.fork != nil {
		return e.fork.own
	}
	return e.item
}

func (e edge[V]) halves() [2]edge[V] {
	if e.fork != nil {
		return e.fork.half
	}
	return [2]edge[V]{}
}

// freeIn are the lengths of the maximal free prefixes in the prefix of length n that the edge lies in: the siblings that the
// path to it leaves at its sides, and those below.
func (e edge[V]) freeIn(n uint8) lengths {
	free := between(n+1, e.key().n)
	if e.fork != nil {
		free = free.union(e.fork.free)
	}
	return free
}

// insert an item, in the place of one with the same key.
func (e edge[V]) insert(item *Item[V]) edge[V] {
	if e.empty() {
		return edge[V]{item: item}
	}
	k := e.key()
	at := common(k, item.key)
	half := e.halves()
	switch {
	case at == k.n && at == item.n:
		if e.fork == nil {
			return edge[V]{item: item}
		}
		return newFork(k, half, item)
	case at == k.n: // the edge's key covers the item's
		side := item.side(at)
		half[side] = half[side].insert(item)
		return newFork(k, half, e.own())
	case at == item.n: // the other way round
		half = [2]edge[V]{}
		half[k.side(at)] = e
		return newFork(item.key, half, item)
	}
	half[k.side(at)], half[item.side(at)] = e, edge[V]{item: item}
	return newFork(k.parent(at), half, nil)
}

// remove the item with the key; false if there is none.
func (e edge[V]) remove(k key) (edge[V], bool) {
	if e.empty() || !e.key().covers(k) {
		return e, false
	}
	own, half := e.own(), e.halves()
	if e.key().n == k.n {
		if own == nil {
			return e, false
		}
		own = nil
	} else {
		side := k.side(e.key().n)
		below, found := half[side].remove(k)
		if !found {
			return e, false
		}
		half[side] = below
	}
	switch {
	case half[0].empty() && half[1].empty():
		return edge[V]{item: own}, true
	case own == nil && half[0].empty():
		return half[1], true
	case own == nil && half[1].empty():
		return half[0], true
	}
	return newFork(e.key(), half, own), true
}

// within leads to what there is in k: an edge whose key k covers, or one to nothing. If an item covers k that item is returned.
func (e edge[V]) within(k key) (edge[V], *Item[V]) {
	for !e.empty() {
		at := e.key()
		switch {
		case k.covers(at):
			return e, nil
		case !at.covers(k):
			return edge[V]{}, nil
		case e.own() != nil:
			return edge[V]{}, e.own()
		}
		e = e.fork.half[k.side(at.n)]
	}
	return e, nil
}

// first item, in order.
func (e edge[V]) first() *Item[V] {
	for e.own() == nil {
		e = e.fork.half[0]
	}
	return e.own()
}

// all items, in order: one that covers others comes before them.
func (e edge[V]) all(yield func(*Item[V]) bool) bool {
	if e.empty() {
		return true
	}
	if own := e.own(); own != nil && !yield(own) {
		return false
	}
	half := e.halves()
	return half[0].all(yield) && half[1].all(yield)
}
