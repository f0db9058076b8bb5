// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"net/netip"
	"slices"
	"time"
)

// Node is what matters about a node.
type Node struct {
	Name string
	// UID tells a node from one that had its name before.
	UID string
	// Addresses of the node itself, of any family.
	Addresses []netip.Addr
	// PodCIDRs it already has.
	PodCIDRs []netip.Prefix
}

// Assignment is what a node gets, one prefix and one pod range a configured range, in that order.
type Assignment struct {
	Prefixes []netip.Prefix `json:"prefixes"`
	PodCIDRs []netip.Prefix `json:"podCIDRs"`
}

// Book knows every node and who holds which part of the pools. It is a value in memory: it reads no clock and talks to nobody.
// It is not safe for concurrent use, and must not be: two nodes at a time is how prefixes come to overlap.
type Book struct {
	config Config
	spaces []*space
	nodes  map[string]*entry
	tombs  []Tombstone
}

// space is the state of one range.
type space struct {
	Range
	trie   *trie
	cursor netip.Addr
	// counts by holding, in prefixes given out or kept.
	counts [4]int
}

// entry is what the book keeps of a node.
type entry struct {
	node Node
	// claim was decided but is not yet seen in the node's PodCIDRs.
	claim *Assignment
	// held are the places in the tries, to be undone when the node changes.
	held []heldBlock
}

type heldBlock struct {
	space *space
	block netip.Prefix
	owner owner
}

// NewBook makes the book of a cluster without nodes, from a valid configuration.
func NewBook(config Config) *Book {
	b := &Book{config: config, nodes: map[string]*entry{}}
	for _, r := range config.Ranges {
		s := &space{Range: r, trie: newTrie(r.Pool, r.NodeBits), cursor: r.Pool.Addr()}
		if r.HoldsNodes {
			s.hold(netip.PrefixFrom(r.Pool.Addr(), r.NodeBits), owner{by: byRule})
		}
		b.spaces = append(b.spaces, s)
	}
	return b
}

func (s *space) hold(block netip.Prefix, o owner) {
	s.trie.add(block, o)
	s.counts[o.by]++
}

func (s *space) release(block netip.Prefix, o owner) {
	s.trie.remove(block, o)
	s.counts[o.by]--
}

// Set tells the book about a node or a change of it. A node with another UID under the name of a known one means that the known one
// is gone: its prefixes are quarantined until the given time. It reports whether anything changed that others should know of,
// which is exactly that case.
func (b *Book) Set(n Node, quarantineUntil time.Time) (replaced bool) {
	e := b.nodes[n.Name]
	if e != nil && e.node.UID != n.UID {
		b.Delete(n.Name, quarantineUntil)
		e, replaced = nil, true
	}
	if e != nil && len(n.PodCIDRs) == 0 {
		n.PodCIDRs = e.node.PodCIDRs // they never go away again: this is an older view of the node
	}
	switch {
	case e == nil:
		e = &entry{}
		b.nodes[n.Name] = e
	case slices.Equal(e.node.Addresses, n.Addresses) && slices.Equal(e.node.PodCIDRs, n.PodCIDRs):
		return replaced // nodes change all the time, mostly in what does not matter here
	}
	e.node = n
	if len(n.PodCIDRs) > 0 {
		// Whatever it has now is final, Kubernetes lets nobody change it.
		e.claim = nil
	}
	b.book(e)
	return replaced
}

// Delete tells the book that a node is gone. What it held is kept from others until the given time, because the peers of its pods,
// and the pods themselves if only the Node object was deleted, may still use it.
func (b *Book) Delete(name string, quarantineUntil time.Time) (quarantined bool) {
	e := b.nodes[name]
	if e == nil {
		return false
	}
	delete(b.nodes, name)
	e.unbook()
	for _, p := range e.prefixes(b.config) {
		b.Quarantine(Tombstone{Prefix: p, Node: name, Until: quarantineUntil})
		quarantined = true
	}
	return quarantined
}

// Quarantine keeps a prefix from being given out.
func (b *Book) Quarantine(t Tombstone) {
	kept := false
	for _, s := range b.spaces {
		if block, ok := s.trie.block(t.Prefix); ok {
			s.hold(block, t.owner())
			kept = true
		}
	}
	if kept {
		b.tombs = append(b.tombs, t)
	}
}

// Expire ends the quarantines that are over at the given time and tells whether there were any.
func (b *Book) Expire(now time.Time) bool {
	before := len(b.tombs)
	b.tombs = slices.DeleteFunc(b.tombs, func(t Tombstone) bool {
		if t.Until.After(now) {
			return false
		}
		for _, s := range b.spaces {
			if block, ok := s.trie.block(t.Prefix); ok {
				s.release(block, t.owner())
			}
		}
		return true
	})
	return len(b.tombs) < before
}

// NextExpiry is when the next quarantine ends; zero if there is none.
func (b *Book) NextExpiry() (next time.Time) {
	for _, t := range b.tombs {
		if next.IsZero() || t.Until.Before(next) {
			next = t.Until
		}
	}
	return next
}

// book enters the node into the tries anew.
func (b *Book) book(e *entry) {
	e.unbook()
	hold := func(p netip.Prefix, by holding) {
		for _, s := range b.spaces {
			if block, ok := s.trie.block(p); ok {
				o := owner{by: by, node: e.node.Name}
				s.hold(block, o)
				e.held = append(e.held, heldBlock{s, block, o})
			}
		}
	}
	for _, p := range e.prefixes(b.config) {
		hold(p, byNode)
	}
	for _, a := range e.node.Addresses {
		hold(netip.PrefixFrom(a, a.BitLen()), byAddress)
	}
}

func (e *entry) unbook() {
	for _, h := range e.held {
		h.space.release(h.block, h.owner)
	}
	e.held = nil
}

// prefixes of the node: those of its pod ranges, or of its claim.
func (e *entry) prefixes(c Config) []netip.Prefix {
	if e.claim != nil {
		return e.claim.Prefixes
	}
	var ps []netip.Prefix
	for _, podCIDR := range e.node.PodCIDRs {
		ps = append(ps, c.prefixOf(podCIDR))
	}
	return ps
}

// prefixOf is the node prefix that a pod range stands for: what is configured for its family, else itself.
func (c Config) prefixOf(podCIDR netip.Prefix) netip.Prefix {
	for _, r := range c.Ranges {
		if r.Pool.Contains(podCIDR.Addr()) {
			return r.NodePrefix(podCIDR)
		}
	}
	return podCIDR
}

// Usage of a range.
type Usage struct {
	Family string
	// Capacity is the number of prefixes that can be given out at most.
	Capacity float64
	// Nodes hold this many, quarantine this many.
	Nodes, Quarantined int
}

// Usage of every range, in the order of the configuration.
func (b *Book) Usage() []Usage {
	var us []Usage
	for _, s := range b.spaces {
		us = append(us, Usage{Family: s.Family, Capacity: s.Capacity(), Nodes: s.counts[byNode], Quarantined: s.counts[byQuarantine]})
	}
	return us
}
