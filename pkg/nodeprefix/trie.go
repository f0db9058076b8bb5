// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// holding says why a prefix is not free.
type holding uint8

const (
	// byNode: it is, or is about to become, a node's prefix.
	byNode holding = iota
	// byAddress: a node has an address in it.
	byAddress
	// byQuarantine: the node it belonged to is gone, but what knew it may not know that yet.
	byQuarantine
	// byRule: the first prefix of a range that nodes live in.
	byRule
)

// owner of a prefix. A prefix has several owners if something went wrong, or if a node's address lies in it.
type owner struct {
	by   holding
	node string
}

// trie records who owns which part of a family's addresses. Its root is all of them, every level halves them, no entry is longer than
// bits. Finding the next free prefix and finding overlaps take a walk of at most bits steps, however many nodes there are.
type trie struct {
	family prefix.Family
	// pool is where free prefixes are looked for; the zero value if they never are.
	pool netip.Prefix
	bits int
	root *branch
}

type branch struct {
	owners []owner
	half   [2]*branch
	// full: no prefix of the trie's length is free here.
	full bool
}

func newTrie(family prefix.Family, pool netip.Prefix, bits int) *trie {
	return &trie{family: family, pool: pool, bits: bits}
}

// block is the entry for p: p itself, or what covers it if p is longer than an entry may be. False: it is of another family.
func (t *trie) block(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() || prefix.FamilyOf(p.Addr()) != t.family {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(p.Addr(), min(p.Bits(), t.bits)).Masked(), true
}

// add makes o an owner of p. Every add needs a remove of its own.
func (t *trie) add(p netip.Prefix, o owner) {
	t.root = t.change(t.root, 0, p, func(owners []owner) []owner { return append(owners, o) })
}

func (t *trie) remove(p netip.Prefix, o owner) {
	t.root = t.change(t.root, 0, p, func(owners []owner) []owner {
		if i := slices.Index(owners, o); i >= 0 {
			return slices.Delete(owners, i, i+1)
		}
		return owners
	})
}

// change applies f to the owners of p in the subtree b, which stands at the given depth, and returns the subtree; nil if empty.
func (t *trie) change(b *branch, depth int, p netip.Prefix, f func([]owner) []owner) *branch {
	if b == nil {
		b = &branch{}
	}
	if depth == p.Bits() {
		b.owners = f(b.owners)
	} else {
		side := bitAt(p.Addr(), depth)
		b.half[side] = t.change(b.half[side], depth+1, p, f)
	}
	if len(b.owners) == 0 && b.half[0] == nil && b.half[1] == nil {
		return nil
	}
	b.full = len(b.owners) > 0 || isFull(b.half[0]) && isFull(b.half[1])
	return b
}

func isFull(b *branch) bool { return b != nil && b.full }

// owners calls f with every owner of a prefix that overlaps p.
func (t *trie) owners(p netip.Prefix, f func(owner)) {
	b := t.root
	for depth := 0; b != nil && depth < p.Bits(); depth++ {
		for _, o := range b.owners {
			f(o)
		}
		b = b.half[bitAt(p.Addr(), depth)]
	}
	b.each(f)
}

func (b *branch) each(f func(owner)) {
	if b == nil {
		return
	}
	for _, o := range b.owners {
		f(o)
	}
	b.half[0].each(f)
	b.half[1].each(f)
}

// next is the first free prefix of the pool that does not begin before from; the search goes on at the pool's beginning when it reaches
// its end.
func (t *trie) next(from netip.Addr) (netip.Prefix, bool) {
	if !t.pool.IsValid() {
		return netip.Prefix{}, false
	}
	if !from.IsValid() || !t.pool.Contains(from) {
		from = t.pool.Addr()
	}
	b := t.root
	for depth := 0; b != nil && depth < t.pool.Bits(); depth++ {
		if len(b.owners) > 0 {
			return netip.Prefix{}, false // somebody holds more than the pool
		}
		b = b.half[bitAt(t.pool.Addr(), depth)]
	}
	if p, ok := t.find(b, t.pool, from); ok {
		return p, true
	}
	return t.find(b, t.pool, t.pool.Addr())
}

func (t *trie) find(b *branch, at netip.Prefix, from netip.Addr) (netip.Prefix, bool) {
	if isFull(b) || prefix.Last(at).Less(from) {
		return netip.Prefix{}, false
	}
	if at.Bits() == t.bits {
		return at, !at.Addr().Less(from)
	}
	if b == nil && !at.Addr().Less(from) {
		return netip.PrefixFrom(at.Addr(), t.bits), true
	}
	for side := range 2 {
		half, err := prefix.Child(at, at.Bits()+1, side)
		if err != nil {
			return netip.Prefix{}, false // can't be: at is shorter than t.bits
		}
		var below *branch
		if b != nil {
			below = b.half[side]
		}
		if p, ok := t.find(below, half, from); ok {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// bitAt is the bit of a at the given depth, 0 being the highest.
func bitAt(a netip.Addr, depth int) int {
	if a.Is4() {
		depth += 96
	}
	b := a.As16()
	return int(b[depth/8] >> (7 - depth%8) & 1)
}
