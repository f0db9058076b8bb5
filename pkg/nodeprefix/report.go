// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// largestReport is the length of the largest prefix that a node may report, unless nodes are to have larger ones: no site gets more
// (RFC 6177), and a node that lies must not keep all others from their prefixes.
const largestReport = 48

// report is what a node says of itself, as far as the configuration allows it.
type report struct {
	// all are the prefixes as reported; usable those of them that the node may have if nobody else has them, in the order reported.
	all, usable []netip.Prefix
	// refused says why others are not usable.
	refused string
}

// originOf the prefix of a node with these labels.
func (c Config) originOf(labels map[string]string) Origin {
	for _, s := range c.Sources {
		if s.matches(labels) {
			return s.Origin
		}
	}
	return FromPool
}

// Origin of the prefix of a node; empty if the book does not know the node.
func (b *Book) Origin(name string) Origin {
	if e := b.nodes[name]; e != nil {
		return e.origin
	}
	return ""
}

func (s Source) matches(labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if has, ok := labels[k]; !ok || has != v {
			return false
		}
	}
	return true
}

// selects tells whether a node's labels matter.
func (c Config) selects() bool {
	return slices.ContainsFunc(c.Sources, func(s Source) bool { return len(s.MatchLabels) > 0 })
}

// read what a node reports.
func (r Range) read(text string) report {
	var rep report
	if text == "" {
		return rep
	}
	const most = 2048 // nobody has so many
	if len(text) > most {
		rep.refused = fmt.Sprintf("its list of prefixes has %d bytes: want at most %d", len(text), most)
		return rep
	}
	all, err := nodesource.ParseList(text)
	if err != nil {
		rep.refused = oneLine(err.Error())
		return rep
	}
	rep.all = all
	var refused []string
	for _, p := range all {
		if err := r.allows(p); err != nil {
			refused = append(refused, err.Error())
			continue
		}
		rep.usable = append(rep.usable, p)
	}
	rep.refused = oneLine(strings.Join(refused, "\n"))
	return rep
}

// allows says what is wrong with a prefix that a node brings, whoever else has it.
func (r Range) allows(p netip.Prefix) error {
	if prefix.FamilyOf(p.Addr()) != prefix.IPv6 {
		return fmt.Errorf("prefix %s is not IPv6: nodes report IPv6 prefixes only", p)
	}
	if largest := min(largestReport, r.NodeBits); p.Bits() < largest {
		return fmt.Errorf("prefix %s is too large for one node: want a /%d or smaller", p, largest)
	}
	return nodesource.Rule{Within: r.Within, MaxBits: r.NodeBits, Scope: r.scope()}.Check(p)
}

func (r Range) scope() nodesource.Scope {
	switch r.Scope {
	case ScopeGlobal:
		return nodesource.Global
	case ScopeUniqueLocal:
		return nodesource.Private
	}
	return ""
}

// bring takes the first prefix that the node reports and may have; the verdict is Wait if there is none.
func (b *Book) bring(e *entry, s *space) (p, podCIDR netip.Prefix, wait Decision) {
	switch {
	case e.node.Report == "" && e.node.ReportSource == "":
		return p, podCIDR, Decision{Verdict: Wait, Reason: ReasonAwaitingReport, Message: "the node has not reported a prefix yet"}
	case e.node.Report == "":
		return p, podCIDR, Decision{Verdict: Wait, Reason: ReasonNoReport, Message: "the node has no prefix to report: " + shorten(e.node.ReportSource)}
	case len(e.report.usable) == 0:
		return p, podCIDR, Decision{Verdict: Wait, Reason: ReasonReportInvalid, Message: "the node reports what it cannot have: " + e.report.refused}
	}
	for _, candidate := range e.report.usable {
		podCIDR, refused := b.admit(e, s, candidate)
		if refused.Reason == "" {
			return candidate, podCIDR, Decision{}
		}
		if wait.Reason == "" {
			wait = Decision{Verdict: Wait, Reason: refused.Reason}
		} else {
			wait.Message += "; "
		}
		wait.Message += refused.Message
	}
	if e.report.refused != "" {
		wait.Message += "; " + e.report.refused
	}
	return netip.Prefix{}, netip.Prefix{}, wait
}

// admit a prefix that the node reports: nobody else has it, and a part of it is free for pods.
func (b *Book) admit(e *entry, s *space, p netip.Prefix) (podCIDR netip.Prefix, refused Problem) {
	block, _ := s.trie.block(p)
	by := b.others(e, s.trie, block)
	if others := by[byNode]; len(others) > 0 {
		return podCIDR, Problem{ReasonReportOverlap, fmt.Sprintf("reported prefix %s overlaps that of %s", p, list(others))}
	}
	if others := by[byQuarantine]; len(others) > 0 {
		return podCIDR, Problem{ReasonReportOverlap, fmt.Sprintf("reported prefix %s is still in quarantine after %s was deleted", p, list(others))}
	}
	if others := by[byAddress]; len(others) > 0 {
		return podCIDR, Problem{ReasonForeignAddressHeld, fmt.Sprintf("reported prefix %s holds an address of %s", p, list(others))}
	}
	var older []string
	for _, name := range b.others(e, s.reports, block)[byNode] {
		if b.nodes[name].older(e) {
			older = append(older, name)
		}
	}
	if len(older) > 0 {
		return podCIDR, Problem{ReasonReportOverlap, fmt.Sprintf("reported prefix %s is reported by %s, too, which is older", p, list(older))}
	}
	podCIDR, err := s.PartOf(p, e.node.Addresses)
	if err != nil {
		return podCIDR, Problem{ReasonHoldsNodeAddress, err.Error()}
	}
	return podCIDR, Problem{}
}

// older tells which of two nodes comes first where both report one prefix.
func (e *entry) older(than *entry) bool {
	if c := e.node.Created.Compare(than.node.Created); c != 0 {
		return c < 0
	}
	return e.node.Name < than.node.Name
}

// others that own something that overlaps the block, by the kind of it. The node waits for the first of every kind: as long as it is
// there, the answer is the same. See Retry.
func (b *Book) others(e *entry, t *trie, block netip.Prefix) map[holding][]string {
	by, seen := map[holding][]string{}, map[owner]bool{}
	t.owners(block, func(o owner) {
		if o.node == e.node.Name || o.by == byRule || seen[o] {
			return
		}
		seen[o] = true
		if len(by[o.by]) == 0 {
			if b.waiters[o.node] == nil {
				b.waiters[o.node] = map[string]bool{}
			}
			b.waiters[o.node][e.node.Name] = true
		}
		by[o.by] = append(by[o.by], o.node)
	})
	return by
}

// reportProblems of a node that has its pod ranges: what it reports today is not what they were cut from.
func (e *entry) reportProblems(podCIDR netip.Prefix) []Problem {
	n := e.node
	switch {
	case n.Report == "" && n.ReportSource == "":
		return nil // the agent has not said anything yet
	case n.Report == "":
		return []Problem{{ReasonReportLost, fmt.Sprintf("the prefix of pod range %s is not the node's any more: %s", podCIDR, shorten(n.ReportSource))}}
	case len(e.report.all) == 0:
		return []Problem{{ReasonReportInvalid, "the node reports what it cannot have: " + e.report.refused}}
	}
	covers := func(p netip.Prefix) bool { return prefix.Covers(p, podCIDR) }
	if !slices.ContainsFunc(e.report.all, covers) {
		return []Problem{{ReasonReportChanged, fmt.Sprintf(
			"the node reports %s now, and its pod range is %s; pod ranges cannot be changed: replace the node", nodesource.FormatList(e.report.all), podCIDR)}}
	}
	if !slices.ContainsFunc(e.report.usable, covers) {
		return []Problem{{ReasonReportInvalid, "the node reports what it cannot have: " + e.report.refused}}
	}
	return nil
}

// oneLine makes one of an error that joins several.
func oneLine(text string) string { return shorten(strings.ReplaceAll(text, "\n", "; ")) }

// shorten what a node says, which need not be well-meaning, to what fits into an event beside our own words.
func shorten(text string) string {
	const limit = 400
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
