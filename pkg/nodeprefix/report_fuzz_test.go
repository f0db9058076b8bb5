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

// mixedModel does the naive way what the book does for nodes that bring their prefixes beside nodes of the pool and of others: it looks
// at every node for every question.
type mixedModel struct {
	r      nodeprefix.Range
	cursor int
	nodes  map[string]*mixedNode
	tombs  []nodeprefix.Tombstone
}

type mixedNode struct {
	nodeprefix.Node
	origin  nodeprefix.Origin
	reports []netip.Prefix
	// held: claimed, or written.
	held []netip.Prefix
}

const mixedNodes = 9

func mixedConfig() nodeprefix.Config {
	c := config(nodeprefix.Range{Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:0:1000::/52"), NodeBits: 56, PodBits: 58, PodChild: -1,
		Within: []netip.Prefix{netip.MustParsePrefix("2001:db8::/51")}})
	c.Sources = []nodeprefix.Source{
		{Origin: nodeprefix.FromPool, MatchLabels: map[string]string{"at": "0"}},
		{Origin: nodeprefix.FromElsewhere, MatchLabels: map[string]string{"at": "1"}},
		{Origin: nodeprefix.FromNode},
	}
	return c
}

// newNode: a third of pool nodes, few of others, the rest brings its own; the lower the number, the older.
func (m *mixedModel) newNode(number int, address byte) *mixedNode {
	at := min(number%5, 2)
	origin := []nodeprefix.Origin{nodeprefix.FromPool, nodeprefix.FromElsewhere, nodeprefix.FromNode}[at]
	name := fmt.Sprint("node-", number)
	return &mixedNode{origin: origin, Node: nodeprefix.Node{
		Name: name, UID: name, Created: noon.Add(time.Duration(number/2) * time.Second), Labels: map[string]string{"at": fmt.Sprint(at)},
		Addresses: addrs(fmt.Sprintf("2001:db8:0:%x00::1", address%64)),
	}}
}

// report one or two prefixes in or around what the cluster may use.
func (n *mixedNode) report(arg byte) {
	p := func(arg byte) netip.Prefix {
		return netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x00::", arg%48)), 51+int(arg>>4)%7).Masked()
	}
	n.reports = []netip.Prefix{p(arg)}
	if other := p(arg * 37); other != n.reports[0] {
		n.reports = append(n.reports, other)
	}
	n.Report = ""
	for i, r := range n.reports {
		if i > 0 {
			n.Report += ","
		}
		n.Report += r.String()
	}
}

func (m *mixedModel) usable(p netip.Prefix) bool {
	return p.Bits() <= m.r.NodeBits && slices.ContainsFunc(m.r.Within, func(w netip.Prefix) bool { return w.Bits() <= p.Bits() && w.Overlaps(p) })
}

// taken says why the node cannot have the prefix.
func (m *mixedModel) taken(by *mixedNode, p netip.Prefix) nodeprefix.Reason {
	for _, o := range m.nodes {
		if o.Name != by.Name && slices.ContainsFunc(o.held, p.Overlaps) {
			return nodeprefix.ReasonReportOverlap
		}
	}
	for _, t := range m.tombs {
		if t.Prefix.Overlaps(p) && (by.origin != nodeprefix.FromNode || t.Node != by.Name) {
			return nodeprefix.ReasonReportOverlap
		}
	}
	for _, o := range m.nodes {
		if slices.ContainsFunc(o.Addresses, p.Contains) && (o.Name != by.Name || by.origin != nodeprefix.FromNode) {
			return nodeprefix.ReasonForeignAddressHeld
		}
	}
	if by.origin != nodeprefix.FromNode {
		return ""
	}
	for _, o := range m.nodes {
		older := o.Created.Before(by.Created) || o.Created.Equal(by.Created) && o.Name < by.Name
		if o.origin == nodeprefix.FromNode && len(o.held) == 0 && older &&
			slices.ContainsFunc(o.reports, func(q netip.Prefix) bool { return m.usable(q) && q.Overlaps(p) }) {
			return nodeprefix.ReasonReportOverlap
		}
	}
	return ""
}

// decide and hold.
func (m *mixedModel) decide(n *mixedNode) (netip.Prefix, nodeprefix.Reason) {
	if len(n.held) > 0 {
		return n.held[0], ""
	}
	switch n.origin {
	case nodeprefix.FromElsewhere:
		return netip.Prefix{}, nodeprefix.ReasonAwaitingOthers
	case nodeprefix.FromPool:
		for i := range 16 {
			at := (m.cursor + i) % 16
			p := netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1%x00::", at)), 56)
			if m.taken(n, p) == "" {
				m.cursor = (at + 1) % 16
				n.held = []netip.Prefix{p}
				return p, ""
			}
		}
		return netip.Prefix{}, nodeprefix.ReasonCIDRNotAvailable
	}
	if n.Report == "" {
		return netip.Prefix{}, nodeprefix.ReasonAwaitingReport
	}
	first := nodeprefix.ReasonReportInvalid
	for _, p := range n.reports {
		if !m.usable(p) {
			continue
		}
		reason := m.taken(n, p)
		if reason == "" {
			n.held = []netip.Prefix{p}
			return p, ""
		}
		if first == nodeprefix.ReasonReportInvalid {
			first = reason
		}
	}
	return netip.Prefix{}, first
}

func (m *mixedModel) remove(name string, until time.Time) {
	if n := m.nodes[name]; n != nil {
		for _, p := range n.held {
			m.tombs = append(m.tombs, nodeprefix.Tombstone{Prefix: p, Node: name, Until: until})
		}
		delete(m.nodes, name)
	}
}

// FuzzReports lets nodes of all kinds come, report, be written, go and be restored in any order, and compares every decision with the
// model's. The model does not know of waiting nodes being woken, so that the book is held to it: whoever could have a prefix now was
// told to try again.
func FuzzReports(f *testing.F) {
	f.Add([]byte{0, 2, 1, 0x52, 0, 3, 1, 0x53, 2, 2, 3, 2, 5, 0, 0, 4, 1, 0x34})
	f.Add([]byte{0, 2, 0, 3, 0, 4, 1, 0x52, 1, 0x63, 1, 0x54, 4, 2, 6, 200, 1, 0x53})
	f.Add([]byte{0, 0, 0, 1, 0, 5, 3, 0x41, 1, 0x22, 2, 0, 5, 0, 4, 0, 6, 100})
	f.Fuzz(func(t *testing.T, ops []byte) {
		c := mixedConfig()
		b := nodeprefix.NewBook(c)
		m := &mixedModel{r: c.Ranges[0], nodes: map[string]*mixedNode{}}
		now := noon
		waiting := map[string]bool{}
		for i := 0; i+1 < len(ops); i += 2 {
			arg := ops[i+1]
			number := int(arg % mixedNodes)
			name := fmt.Sprint("node-", number)
			n, until := m.nodes[name], now.Add(time.Minute)
			switch ops[i] % 7 {
			case 0: // comes
				if n == nil {
					m.nodes[name] = m.newNode(number, arg)
					b.Set(m.nodes[name].Node, until)
				}
			case 1: // reports
				if n != nil {
					n.report(arg)
					b.Set(n.Node, until)
				}
			case 2: // what was assigned has been written
				if d := b.For(name); d.Verdict == nodeprefix.Assign {
					m.same(t, d, n)
					n.PodCIDRs, n.Prefixes = d.Assignment.PodCIDRs, d.Assignment.Prefixes
					b.Set(n.Node, until)
				}
			case 3: // somebody else writes
				if n != nil && n.origin == nodeprefix.FromElsewhere && len(n.PodCIDRs) == 0 {
					p := netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x00::", arg%64)), 56)
					n.PodCIDRs, n.held = []netip.Prefix{p}, []netip.Prefix{p}
					b.Set(n.Node, until)
				}
			case 4:
				m.remove(name, until)
				b.Delete(name, until)
			case 5: // the process dies and another takes over
				b = restored(t, b, c, m, until)
				waiting = map[string]bool{}
			case 6:
				now = now.Add(time.Duration(arg) * time.Second)
				b.Expire(now)
				m.tombs = slices.DeleteFunc(m.tombs, func(t nodeprefix.Tombstone) bool { return !t.Until.After(now) })
			}
			m.check(t, b, name, waiting)
		}
	})
}

func restored(t *testing.T, b *nodeprefix.Book, c nodeprefix.Config, m *mixedModel, until time.Time) *nodeprefix.Book {
	t.Helper()
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
		nodes = append(nodes, n.Node)
	}
	return nodeprefix.Restore(c, j, nodes, until)
}

// same: the decision is the model's.
func (m *mixedModel) same(t *testing.T, d nodeprefix.Decision, n *mixedNode) {
	t.Helper()
	p, reason := m.decide(n)
	if d.Reason != reason || reason == "" && d.Assignment.Prefixes[0] != p {
		t.Fatalf("%s (%s) reports %q: want %s %s, got %+v", n.Name, n.origin, n.Report, p, reason, d)
	}
	if reason == "" && len(n.PodCIDRs) == 0 && (!p.Overlaps(d.Assignment.PodCIDRs[0]) || slices.ContainsFunc(n.Addresses, d.Assignment.PodCIDRs[0].Contains)) {
		t.Fatalf("%s: pod range %s of %s holds an address of the node, %s, or is none of it", n.Name, d.Assignment.PodCIDRs[0], p, n.Addresses)
	}
}

// check the node, and those that were told to try again; nobody else's lot may have changed for the better.
func (m *mixedModel) check(t *testing.T, b *nodeprefix.Book, name string, waiting map[string]bool) {
	t.Helper()
	for queue := []string{name}; len(queue) > 0; queue = append(queue[1:], b.Retry()...) {
		n := m.nodes[queue[0]]
		delete(waiting, queue[0])
		if n == nil {
			continue
		}
		d := b.For(n.Name)
		m.same(t, d, n)
		waiting[n.Name] = d.Reason == nodeprefix.ReasonReportOverlap || d.Reason == nodeprefix.ReasonForeignAddressHeld
	}
	for other, waits := range waiting {
		n := m.nodes[other]
		if !waits || n == nil {
			continue
		}
		for _, p := range n.reports {
			if m.usable(p) && m.taken(n, p) == "" {
				t.Fatalf("%s could have %s and was not told to try again", other, p)
			}
		}
	}
}
