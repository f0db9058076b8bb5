// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Priorities of the rules of State: right before the main table's (32766), so that rules that people add come first.
const (
	RuleOwn         = 32760
	RuleUnforwarded = 32761
)

// Loopback as a rule's Input stands for packets of the node itself.
const Loopback = "lo"

// Rule is an entry of the routing policy database. It is comparable.
type Rule struct {
	Priority int
	To       netip.Prefix
	// Input is the interface that packets came in by; empty: any, the node's own packets among them.
	Input string
	// Type Unicast has the main table decide.
	Type RouteType
}

// String is like iproute2's.
func (r Rule) String() string {
	s := fmt.Sprintf("%d: to %s", r.Priority, r.To)
	if r.Input != "" {
		s += " iif " + r.Input
	}
	if r.Type == Unreachable {
		return s + " unreachable"
	}
	return s + " lookup main"
}

// MarshalText lets logs show a rule as text.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// unforwarded makes the rules that refuse to forward to a range. A route would not do: packets of the node itself are routed before
// kube-proxy translates them, those that come in by an interface after. One rule would not either: a rule cannot exclude one interface
// and name a destination.
func unforwarded(ranges []netip.Prefix) []Rule {
	var out []Rule
	for _, p := range ranges {
		out = append(out,
			Rule{Priority: RuleOwn, To: p.Masked(), Input: Loopback},
			Rule{Priority: RuleUnforwarded, To: p.Masked(), Type: Unreachable})
	}
	slices.SortFunc(out, compareRules)
	return slices.Compact(out)
}

// diffRules compares the rules that bear our mark with those that shall. What is added is in the order of priorities, what is deleted
// in the reverse one, so that the node's own packets are never refused.
func diffRules(have, want []Rule) (add, del []Rule) {
	for _, r := range want {
		if !slices.Contains(have, r) {
			add = append(add, r)
		}
	}
	for _, r := range have {
		if !slices.Contains(want, r) {
			del = append(del, r)
		}
	}
	slices.SortFunc(add, compareRules)
	slices.SortFunc(del, func(a, b Rule) int { return compareRules(b, a) })
	return add, del
}

func compareRules(a, b Rule) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.To.Addr().Compare(b.To.Addr()), cmp.Compare(a.To.Bits(), b.To.Bits()))
}
