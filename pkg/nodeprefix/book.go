// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
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
	// Prefixes that were recorded with its PodCIDRs.
	Prefixes []netip.Prefix
	// Labels say who gives it its prefix.
	Labels map[string]string
	// LabelsPending: labels are still to come, because nobody has told yet what the node is.
	LabelsPending bool
	// Created is when.
	Created time.Time
	// Report is its AnnotationReportedPrefix, ReportSource its AnnotationPrefixSource.
	Report, ReportSource string
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
	// waiters are the nodes that something stands in the way of, by the name of the node that it belongs to.
	waiters map[string]map[string]bool
	// retry are those of them for whom that has changed.
	retry map[string]bool
}

// space is the state of one range.
type space struct {
	Range
	trie *trie
	// reports are those of nodes that have not got what they report.
	reports *trie
	cursor  netip.Addr
	// counts of the pool by holding, in prefixes given out or kept; brought are nodes' prefixes outside of it.
	counts  [4]int
	brought int
}

// entry is what the book keeps of a node.
type entry struct {
	node   Node
	origin Origin
	report report
	// claim was decided but is not yet seen in the node's PodCIDRs.
	claim *Assignment
	// held are the places in the tries, to be undone when the node changes.
	held []heldBlock
}

type heldBlock struct {
	space *space
	block netip.Prefix
	owner owner
	// reported only, not held.
	reported bool
}

// NewBook makes the book of a cluster without nodes, from a valid configuration.
func NewBook(config Config) *Book {
	b := &Book{config: config, nodes: map[string]*entry{}, waiters: map[string]map[string]bool{}, retry: map[string]bool{}}
	for _, r := range config.Ranges {
		s := &space{
			Range: r, trie: newTrie(r.family(), r.Pool, r.NodeBits), reports: newTrie(r.family(), netip.Prefix{}, r.NodeBits),
			cursor: r.Pool.Addr(),
		}
		if r.HoldsNodes && r.Pool.IsValid() {
			s.hold(netip.PrefixFrom(r.Pool.Addr(), r.NodeBits), owner{by: byRule})
		}
		b.spaces = append(b.spaces, s)
	}
	return b
}

func (s *space) hold(block netip.Prefix, o owner) {
	s.trie.add(block, o)
	s.count(block, o, 1)
}

func (s *space) release(block netip.Prefix, o owner) {
	s.trie.remove(block, o)
	s.count(block, o, -1)
}

func (s *space) count(block netip.Prefix, o owner, by int) {
	switch {
	case s.Pool.IsValid() && s.Pool.Overlaps(block):
		s.counts[o.by] += by
	case o.by == byNode:
		s.brought += by
	}
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
		n.PodCIDRs, n.Prefixes = e.node.PodCIDRs, e.node.Prefixes // they never go away again: this is an older view of the node
	}
	origin := b.config.originOf(n.Labels)
	n.Labels = nil
	switch {
	case e == nil:
		e = &entry{}
		b.nodes[n.Name] = e
	case e.origin == origin && e.node.same(n):
		return replaced // nodes change all the time, mostly in what does not matter here
	}
	e.node, e.origin, e.report = n, origin, report{}
	if i := slices.IndexFunc(b.spaces, func(s *space) bool { return s.reportable(e) }); i >= 0 {
		e.report = b.spaces[i].read(n.Report)
	}
	if len(n.PodCIDRs) > 0 {
		// Whatever it has now is final, Kubernetes lets nobody change it.
		e.claim = nil
	}
	b.book(e)
	return replaced
}

// same tells whether nothing differs that matters here; labels are seen to by the origin.
func (n Node) same(o Node) bool {
	return slices.Equal(n.Addresses, o.Addresses) && slices.Equal(n.PodCIDRs, o.PodCIDRs) && slices.Equal(n.Prefixes, o.Prefixes) &&
		n.LabelsPending == o.LabelsPending && n.Created.Equal(o.Created) && n.Report == o.Report && n.ReportSource == o.ReportSource
}

// reportable: the node brings its prefix of this range.
func (s *space) reportable(e *entry) bool { return e.origin == FromNode && s.family() == prefix.IPv6 }

// Retry are the nodes, in order, that waited for something of another node that has changed since: decide on them again.
func (b *Book) Retry() []string {
	names := slices.Sorted(maps.Keys(b.retry))
	clear(b.retry)
	return names
}

// changed wakes those that wait for something of the node.
func (b *Book) changed(name string) {
	maps.Copy(b.retry, b.waiters[name])
	delete(b.waiters, name)
}

// Delete tells the book that a node is gone. What it held is kept from others until the given time, because the peers of its pods,
// and the pods themselves if only the Node object was deleted, may still use it.
func (b *Book) Delete(name string, quarantineUntil time.Time) (quarantined bool) {
	e := b.nodes[name]
	if e == nil {
		return false
	}
	delete(b.nodes, name)
	b.changed(name)
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
		b.changed(t.Node)
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
	b.changed(e.node.Name)
	hold := func(p netip.Prefix, by holding) {
		for _, s := range b.spaces {
			if block, ok := s.trie.block(p); ok {
				o := owner{by: by, node: e.node.Name}
				s.hold(block, o)
				e.held = append(e.held, heldBlock{space: s, block: block, owner: o})
			}
		}
	}
	prefixes := e.prefixes(b.config)
	for _, p := range prefixes {
		hold(p, byNode)
	}
	for _, a := range e.node.Addresses {
		hold(netip.PrefixFrom(a, a.BitLen()), byAddress)
	}
	if len(prefixes) > 0 {
		return // what it reports beside that is not its
	}
	for _, s := range b.spaces {
		for _, p := range e.report.usable {
			if block, ok := s.reports.block(p); ok {
				o := owner{by: byNode, node: e.node.Name}
				s.reports.add(block, o)
				e.held = append(e.held, heldBlock{space: s, block: block, owner: o, reported: true})
			}
		}
	}
}

func (e *entry) unbook() {
	for _, h := range e.held {
		if h.reported {
			h.space.reports.remove(h.block, h.owner)
		} else {
			h.space.release(h.block, h.owner)
		}
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
		ps = append(ps, c.prefixOf(e, podCIDR))
	}
	return ps
}

// prefixOf is the node prefix that a pod range stands for: what was recorded of a prefix that the node brought, or what is configured for
// its family, else itself.
func (c Config) prefixOf(e *entry, podCIDR netip.Prefix) netip.Prefix {
	for _, r := range c.Ranges {
		if r.family() != prefix.FamilyOf(podCIDR.Addr()) {
			continue
		}
		if e.origin == FromNode && r.family() == prefix.IPv6 {
			for _, p := range e.node.Prefixes {
				if prefix.Covers(p, podCIDR) && p.Bits() >= min(largestReport, r.NodeBits) {
					return p
				}
			}
			return r.NodePrefix(podCIDR)
		}
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
	// Nodes hold this many of the pool, quarantine this many.
	Nodes, Quarantined int
	// Brought are prefixes of nodes that are not of the pool.
	Brought int
}

// Usage of every range, in the order of the configuration.
func (b *Book) Usage() []Usage {
	var us []Usage
	for _, s := range b.spaces {
		us = append(us, Usage{Family: s.Family, Capacity: s.Capacity(), Nodes: s.counts[byNode], Quarantined: s.counts[byQuarantine], Brought: s.brought})
	}
	return us
}
