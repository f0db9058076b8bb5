// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// model does what the book does the naive way: it keeps every prefix that may not be given out in a list and tries one child of the
// pool after the other against all of them.
type model struct {
	r      nodeprefix.Range
	cursor int
	nodes  map[string]nodeprefix.Node
	given  map[string]netip.Prefix
	tombs  []nodeprefix.Tombstone
}

func (m *model) child(i int) netip.Prefix {
	a := m.r.Pool.Addr().As16()
	a[15] += byte(i << (128 - m.r.NodeBits))
	return netip.PrefixFrom(netip.AddrFrom16(a), m.r.NodeBits)
}

func (m *model) free(p netip.Prefix) bool {
	if m.r.HoldsNodes && p.Contains(m.r.Pool.Addr()) {
		return false
	}
	for _, g := range m.given {
		if g.Overlaps(p) {
			return false
		}
	}
	for _, n := range m.nodes {
		if slices.ContainsFunc(n.Addresses, p.Contains) || slices.ContainsFunc(n.PodCIDRs, p.Overlaps) {
			return false
		}
	}
	return !slices.ContainsFunc(m.tombs, func(t nodeprefix.Tombstone) bool { return t.Prefix.Overlaps(p) })
}

func (m *model) assign(name string) (netip.Prefix, bool) {
	count := 1 << (m.r.NodeBits - m.r.Pool.Bits())
	for i := range count {
		at := (m.cursor + i) % count
		if p := m.child(at); m.free(p) {
			m.cursor = (at + 1) % count
			m.given[name] = p
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func (m *model) remove(name string, until time.Time) {
	if p, ok := m.given[name]; ok {
		m.tombs = append(m.tombs, nodeprefix.Tombstone{Prefix: p, Node: name, Until: until})
	}
	for _, p := range m.nodes[name].PodCIDRs {
		m.tombs = append(m.tombs, nodeprefix.Tombstone{Prefix: m.r.NodePrefix(p), Node: name, Until: until})
	}
	delete(m.given, name)
	delete(m.nodes, name)
}

// FuzzBook lets nodes come, move, go and be restored in any order, and compares every decision with the model's.
func FuzzBook(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 0, 2, 1, 0, 2, 1, 1, 2, 3, 9, 1, 1})
	f.Add([]byte{0x10, 4, 3, 0x47, 0, 5, 1, 5, 5, 0, 1, 6, 6, 0, 2, 5, 4, 40, 1, 6})
	f.Add([]byte{0x11, 0, 1, 1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7, 2, 3, 5, 0, 1, 3, 4, 70, 1, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) == 0 {
			return
		}
		r := nodeprefix.Range{
			Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8::/122"), NodeBits: 125 + int(ops[0]&1), PodBits: 127, PodChild: -1,
			HoldsNodes: ops[0]&0x10 != 0,
		}
		c := config(r)
		b := nodeprefix.NewBook(c)
		m := &model{r: r, nodes: map[string]nodeprefix.Node{}, given: map[string]netip.Prefix{}}
		now := noon
		for i := 1; i+1 < len(ops); i += 2 {
			op, arg := ops[i]%6, ops[i+1]
			name := fmt.Sprint("node-", arg%12)
			until := now.Add(time.Minute)
			switch op {
			case 0, 1: // the node has an address, inside or outside of the pool; then a decision
				n := m.nodes[name]
				if op == 0 || n.Name == "" {
					n = nodeprefix.Node{Name: name, UID: name, PodCIDRs: n.PodCIDRs, Addresses: addrs(fmt.Sprintf("2001:db8::%x", int(arg)*7%96))}
				}
				m.nodes[name] = n
				b.Set(n, until)
				check(t, b, m, name)
			case 2:
				b.Delete(name, until)
				m.remove(name, until)
			case 3: // somebody else writes pod ranges of any length
				n, known := m.nodes[name]
				if _, claimed := m.given[name]; !known || claimed || len(n.PodCIDRs) > 0 {
					continue
				}
				n.PodCIDRs = []netip.Prefix{netip.PrefixFrom(m.child(int(arg)%8).Addr(), 121+int(arg)%7).Masked()}
				m.nodes[name] = n
				b.Set(n, until)
				check(t, b, m, name)
			case 4:
				now = now.Add(time.Duration(arg) * time.Second)
				b.Expire(now)
				m.tombs = slices.DeleteFunc(m.tombs, func(ts nodeprefix.Tombstone) bool { return !ts.Until.After(now) })
			case 5: // the process dies and another takes over
				text, err := nodeprefix.EncodeJournal(b.Journal())
				if err != nil {
					t.Fatal(err)
				}
				j, err := nodeprefix.DecodeJournal(text)
				if err != nil {
					t.Fatal(err)
				}
				var nodes []nodeprefix.Node
				for _, n := range m.nodes {
					nodes = append(nodes, n)
				}
				b = nodeprefix.Restore(c, j, nodes, until)
			}
		}
	})
}

func check(t *testing.T, b *nodeprefix.Book, m *model, name string) {
	t.Helper()
	d := b.For(name)
	n := m.nodes[name]
	if len(n.PodCIDRs) > 0 {
		if d.Verdict != nodeprefix.Keep || !slices.Equal(d.Assignment.PodCIDRs, n.PodCIDRs) {
			t.Fatalf("%s has %v, got %+v", name, n.PodCIDRs, d)
		}
		return
	}
	want, ok := m.given[name]
	if !ok {
		want, ok = m.assign(name)
	}
	if !ok {
		if d.Verdict != nodeprefix.Wait {
			t.Fatalf("%s: nothing is free, got %+v", name, d)
		}
		return
	}
	if d.Verdict != nodeprefix.Assign || d.Assignment.Prefixes[0] != want {
		t.Fatalf("%s: want %s, got %+v", name, want, d)
	}
}
