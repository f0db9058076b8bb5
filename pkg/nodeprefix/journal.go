// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Identity of the journal's document.
const (
	JournalAPIVersion = "ipam.ipv6.networking.extensions.gardener.cloud/v1"
	JournalKind       = "IPAMJournal"
)

// maxTombstones bounds the journal, which has to fit into one object of Kubernetes. The oldest are forgotten first; the cursor
// still keeps their prefixes from being given out soon.
const maxTombstones = 5000

// Journal is what has to outlive the process and can't be read off the nodes. It is written before any node is, and only if
// nobody else wrote it since it was read: whoever holds it has the sole right to what it claims.
type Journal struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Cursors are where the search for the next free prefix goes on, by family. Because it goes on and does not begin anew, a
	// prefix that was given up while nobody watched is not given out again soon.
	Cursors map[string]netip.Addr `json:"cursors,omitempty"`
	// Claims were decided, and may or may not have reached their nodes.
	Claims []Claim `json:"claims,omitempty"`
	// Tombstones are prefixes of nodes that are gone.
	Tombstones []Tombstone `json:"tombstones,omitempty"`
}

// Claim is the right of one node to its prefixes.
type Claim struct {
	Node string `json:"node"`
	UID  string `json:"uid"`
	Assignment
}

// Tombstone keeps the prefix of a node that is gone.
type Tombstone struct {
	Prefix netip.Prefix `json:"prefix"`
	Node   string       `json:"node"`
	Until  time.Time    `json:"until"`
}

func (t Tombstone) owner() owner { return owner{by: byQuarantine, node: t.Node} }

// Journal of the book as it is now.
func (b *Book) Journal() Journal {
	j := Journal{APIVersion: JournalAPIVersion, Kind: JournalKind, Cursors: map[string]netip.Addr{}}
	for _, s := range b.spaces {
		if s.cursor.IsValid() {
			j.Cursors[s.Family] = s.cursor
		}
	}
	for _, e := range b.nodes {
		if e.claim != nil {
			j.Claims = append(j.Claims, Claim{Node: e.node.Name, UID: e.node.UID, Assignment: *e.claim})
		}
	}
	slices.SortFunc(j.Claims, func(a, c Claim) int { return strings.Compare(a.Node, c.Node) })
	j.Tombstones = slices.Clone(b.tombs)
	slices.SortStableFunc(j.Tombstones, func(a, c Tombstone) int { return a.Until.Compare(c.Until) })
	if n := len(j.Tombstones) - maxTombstones; n > 0 {
		j.Tombstones = j.Tombstones[n:]
	}
	return j
}

// EncodeJournal prints a journal.
func EncodeJournal(j Journal) (string, error) {
	data, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("encode the IPAM journal: %w", err)
	}
	return string(data), nil
}

// DecodeJournal reads one back. An empty text is the journal of a new cluster.
func DecodeJournal(text string) (Journal, error) {
	if text == "" {
		return Journal{APIVersion: JournalAPIVersion, Kind: JournalKind}, nil
	}
	var j Journal
	if err := decodeStrict([]byte(text), &j); err != nil {
		return Journal{}, fmt.Errorf("decode the IPAM journal: %w", err)
	}
	if j.APIVersion != JournalAPIVersion || j.Kind != JournalKind {
		return Journal{}, fmt.Errorf("decode the IPAM journal: it is %q %q, want %q %q", j.APIVersion, j.Kind, JournalAPIVersion, JournalKind)
	}
	return j, nil
}

// Restore makes the book of a cluster from its journal and all its nodes. The nodes have to be read after the journal. A claim of
// a node that is gone becomes a quarantine until the given time: its write may still be under way.
func Restore(config Config, j Journal, nodes []Node, quarantineUntil time.Time) *Book {
	b := NewBook(config)
	for _, s := range b.spaces {
		if c, ok := j.Cursors[s.Family]; ok && s.Pool.Contains(c) {
			s.cursor = c
		}
	}
	for _, t := range j.Tombstones {
		b.Quarantine(t)
	}
	for _, n := range nodes {
		b.Set(n, quarantineUntil)
	}
	for _, c := range j.Claims {
		b.restoreClaim(c, quarantineUntil)
	}
	return b
}

func (b *Book) restoreClaim(c Claim, quarantineUntil time.Time) {
	e := b.nodes[c.Node]
	alive := e != nil && e.node.UID == c.UID
	if alive && len(e.node.PodCIDRs) > 0 {
		return // fulfilled, or somebody else was faster: either way nothing is left of it
	}
	if alive && b.fits(e, c.Assignment) {
		e.claim = &c.Assignment
		b.book(e)
		return
	}
	for _, p := range c.Prefixes {
		b.Quarantine(Tombstone{Prefix: p, Node: c.Node, Until: quarantineUntil})
	}
}

// fits tells whether the assignment was made under this configuration, or one like it.
func (b *Book) fits(e *entry, a Assignment) bool {
	if e.origin == FromElsewhere || len(a.Prefixes) != len(b.spaces) || len(a.PodCIDRs) != len(b.spaces) {
		return false
	}
	for i, s := range b.spaces {
		p, podCIDR := a.Prefixes[i], a.PodCIDRs[i]
		if podCIDR.Bits() != s.PodBits || !prefix.Covers(p, podCIDR) {
			return false
		}
		if s.reportable(e) {
			if s.allows(p) != nil {
				return false
			}
		} else if !s.Pool.Contains(p.Addr()) || p.Bits() != s.NodeBits {
			return false
		}
	}
	return true
}
