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

// Verdict is what to do about a node.
type Verdict string

// The verdicts.
const (
	// Keep: the node has its pod ranges. Nothing is to be written but the prefix, for people.
	Keep Verdict = "Keep"
	// Assign: the assignment is claimed in the book. Write the journal, then the node.
	Assign Verdict = "Assign"
	// Wait: nothing can be given now.
	Wait Verdict = "Wait"
	// Unknown: the book knows no such node.
	Unknown Verdict = "Unknown"
)

// Reason of a verdict or problem, in CamelCase, for conditions, events and metrics.
type Reason string

// The reasons.
const (
	ReasonAssigned           Reason = "Assigned"
	ReasonAwaitingAddress    Reason = "AwaitingAddress"
	ReasonCIDRNotAvailable   Reason = "CIDRNotAvailable" // the word of Kubernetes' own node IPAM
	ReasonFamiliesDiffer     Reason = "PodCIDRFamiliesDiffer"
	ReasonOutsidePool        Reason = "PodCIDROutsidePool"
	ReasonLengthDiffers      Reason = "PodCIDRLengthDiffers"
	ReasonOverlap            Reason = "PodCIDROverlap"
	ReasonHoldsNodeAddress   Reason = "PodCIDRHoldsNodeAddress"
	ReasonForeignAddressHeld Reason = "PrefixHoldsOtherNode"
	// Of nodes that bring their own prefix.
	ReasonAwaitingReport Reason = "AwaitingReportedPrefix"
	ReasonNoReport       Reason = "NoReportedPrefix"
	ReasonReportInvalid  Reason = "ReportedPrefixInvalid"
	ReasonReportOverlap  Reason = "ReportedPrefixOverlap"
	ReasonReportChanged  Reason = "ReportedPrefixChanged"
	ReasonReportLost     Reason = "ReportedPrefixLost"
	ReasonOutsideWithin  Reason = "PodCIDROutsideClusterPrefixes"
	ReasonAwaitingLabels Reason = "AwaitingLabels"
	ReasonAwaitingOthers Reason = "AwaitingPodCIDRs"
)

// Problem is something wrong with the pod ranges that a node already has. Nobody can change them; a person has to replace the node.
type Problem struct {
	Reason  Reason
	Message string
}

// Usual tells that every node begins like that: nobody needs to be told.
func (r Reason) Usual() bool {
	return r == ReasonAwaitingAddress || r == ReasonAwaitingReport || r == ReasonAwaitingLabels || r == ReasonAwaitingOthers
}

// Decision about one node.
type Decision struct {
	Verdict    Verdict
	Assignment Assignment
	// Reason and Message of Wait.
	Reason  Reason
	Message string
	// Problems of Keep.
	Problems []Problem
}

// For decides about a node. What it assigns is claimed from then on: the next For of any node sees it taken.
func (b *Book) For(name string) Decision {
	e := b.nodes[name]
	switch {
	case e == nil:
		return Decision{Verdict: Unknown}
	case len(e.node.PodCIDRs) > 0:
		a := Assignment{Prefixes: e.prefixes(b.config), PodCIDRs: e.node.PodCIDRs}
		return Decision{Verdict: Keep, Assignment: a, Problems: b.problems(e)}
	case e.claim != nil:
		return Decision{Verdict: Assign, Assignment: *e.claim}
	case e.node.LabelsPending && b.config.selects():
		return Decision{Verdict: Wait, Reason: ReasonAwaitingLabels, Message: "the node's labels, which say where its prefix comes from, are still to come"}
	case e.origin == FromElsewhere:
		return Decision{Verdict: Wait, Reason: ReasonAwaitingOthers, Message: "somebody else writes this node's pod ranges"}
	case len(e.node.Addresses) == 0 && (e.origin == FromNode || b.holdsNodes()):
		return Decision{Verdict: Wait, Reason: ReasonAwaitingAddress, Message: "the node has no address yet, and its prefix must not hold one"}
	}
	return b.claim(e)
}

func (b *Book) holdsNodes() bool {
	return slices.ContainsFunc(b.config.Ranges, func(r Range) bool { return r.HoldsNodes })
}

// claim takes a prefix of every range, or none at all: the one that the node brings, or the next free one.
func (b *Book) claim(e *entry) Decision {
	var a Assignment
	for _, s := range b.spaces {
		take := s.cut
		if s.reportable(e) {
			take = func(e *entry) (netip.Prefix, netip.Prefix, Decision) { return b.bring(e, s) }
		}
		p, podCIDR, wait := take(e)
		if wait.Verdict == Wait {
			return wait
		}
		a.Prefixes = append(a.Prefixes, p)
		a.PodCIDRs = append(a.PodCIDRs, podCIDR)
	}
	for i, s := range b.spaces {
		if s.reportable(e) {
			continue
		}
		s.cursor = s.Pool.Addr()
		if next, ok := prefix.Next(a.Prefixes[i]); ok && s.Pool.Contains(next.Addr()) {
			s.cursor = next.Addr()
		}
	}
	e.claim = &a
	b.book(e)
	return Decision{Verdict: Assign, Assignment: a}
}

// cut the next free prefix; the verdict is Wait if there is none.
func (s *space) cut(e *entry) (p, podCIDR netip.Prefix, wait Decision) {
	p, ok := s.trie.next(s.cursor)
	if !ok {
		return p, podCIDR, Decision{Verdict: Wait, Reason: ReasonCIDRNotAvailable, Message: s.exhausted()}
	}
	podCIDR, err := s.PodRange(p, e.node.Addresses)
	if err != nil {
		return p, podCIDR, Decision{Verdict: Wait, Reason: ReasonHoldsNodeAddress, Message: err.Error()}
	}
	return p, podCIDR, Decision{}
}

func (s *space) exhausted() string {
	text := fmt.Sprintf("no free /%d is left in %s: %d held by nodes", s.NodeBits, s.Pool, s.counts[byNode])
	if n := s.counts[byQuarantine]; n > 0 {
		text += fmt.Sprintf(", %d still in quarantine after their node was deleted", n)
	}
	if n := s.counts[byAddress]; n > 0 && s.HoldsNodes {
		text += ", others hold addresses of nodes"
	}
	return text
}

// problems of the pod ranges that the node has.
func (b *Book) problems(e *entry) []Problem {
	var ps []Problem
	if have, want := families(e.node.PodCIDRs), b.families(); !slices.Equal(have, want) {
		ps = append(ps, Problem{ReasonFamiliesDiffer, fmt.Sprintf("the pod ranges are %s, the cluster's are %s", strings.Join(have, ", "), strings.Join(want, ", "))})
	}
	for _, podCIDR := range e.node.PodCIDRs {
		if a, ok := held(podCIDR, e.node.Addresses); ok {
			ps = append(ps, Problem{ReasonHoldsNodeAddress, fmt.Sprintf("pod range %s holds the node's own address %s", podCIDR, a)})
		}
		i := slices.IndexFunc(b.spaces, func(s *space) bool { return s.family() == prefix.FamilyOf(podCIDR.Addr()) })
		if i < 0 {
			continue // its family was complained of
		}
		s := b.spaces[i]
		if problem := s.misplaced(e, podCIDR); problem.Reason != "" {
			ps = append(ps, problem)
		} else if podCIDR.Bits() != s.PodBits {
			ps = append(ps, Problem{ReasonLengthDiffers, fmt.Sprintf("pod range %s is not a /%d", podCIDR, s.PodBits)})
		}
		if s.reportable(e) {
			ps = append(ps, e.reportProblems(podCIDR)...)
		}
	}
	return append(ps, b.overlaps(e)...)
}

// misplaced says so if the pod range lies where the cluster has none.
func (s *space) misplaced(e *entry, podCIDR netip.Prefix) Problem {
	if e.origin == FromPool || s.family() == prefix.IPv4 {
		if !prefix.Covers(s.Pool, podCIDR) && s.Pool.IsValid() {
			return Problem{ReasonOutsidePool, fmt.Sprintf("pod range %s is outside of %s", podCIDR, s.Pool)}
		}
		return Problem{}
	}
	err := nodesource.Rule{Within: s.Within, Scope: s.scope()}.Check(podCIDR)
	if err != nil {
		return Problem{ReasonOutsideWithin, "pod range: " + oneLine(err.Error())}
	}
	return Problem{}
}

// overlaps of what the node holds with what others hold.
func (b *Book) overlaps(e *entry) []Problem {
	var ps []Problem
	for _, p := range e.prefixes(b.config) {
		var by map[holding][]string
		for _, s := range b.spaces {
			if block, ok := s.trie.block(p); ok {
				by = b.others(e, s.trie, block)
			}
		}
		if others := by[byNode]; len(others) > 0 {
			ps = append(ps, Problem{ReasonOverlap, fmt.Sprintf("prefix %s overlaps that of %s", p, list(others))})
		}
		if others := by[byAddress]; len(others) > 0 {
			ps = append(ps, Problem{ReasonForeignAddressHeld, fmt.Sprintf("prefix %s holds an address of %s", p, list(others))})
		}
	}
	return ps
}

func (b *Book) families() []string {
	var fs []string
	for _, s := range b.spaces {
		fs = append(fs, s.Family)
	}
	return fs
}

func families(ps []netip.Prefix) []string {
	var fs []string
	for _, p := range ps {
		fs = append(fs, prefix.FamilyOf(p.Addr()).String())
	}
	return fs
}

// list names a few of many, in a fixed order.
func list(names []string) string {
	const few = 3
	sorted := slices.Sorted(slices.Values(names))
	if len(sorted) <= few {
		return strings.Join(sorted, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(sorted[:few], ", "), len(sorted)-few)
}
