// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// CheckUpdate reports what an update may not change: the meaning of pods and services, and that of nodes other than to a wider
// CIDR (rule 9). What was reserved for nodes keeps its size, because a reservation cannot grow in place, and so do nodes that pods
// come from, because Gardener published them as the pods range, which is for life. Two texts mean the same if they differ in what is a default or documentation only. A range that was not given
// before may be given.
func CheckUpdate(old, updated keyword.Ranges) error {
	var errs ErrorList
	for _, n := range keyword.Names() {
		was, is := old.Get(n), updated.Get(n)
		if was == nil || sameMeaning(n, was, is) {
			continue
		}
		if is == nil {
			errs = append(errs, Error{Range: n, Rule: RuleUpdate, Msg: fmt.Sprintf("the range was %s and cannot be taken back", was), Suggestion: "write " + was.String()})
			continue
		}
		if n != keyword.Nodes {
			errs = append(errs, errorAt(is, Key{Range: n}, RuleUpdate, fmt.Sprintf("the range was %s, and what it means cannot be changed", was), "write "+was.String()))
			continue
		}
		errs = append(errs, checkNodes(*was, *is, podsFromNodes(old, updated))...)
	}
	return errs.OrNil()
}

func sameMeaning(n keyword.Name, a, b *keyword.Range) bool {
	return a != nil && b != nil && slices.Equal(meaning(n, *a), meaning(n, *b))
}

// meaning is what is left of a range when defaults are filled in and documentation is taken out. nov4 beside custom is no
// documentation: it takes a family away.
func meaning(n keyword.Name, r keyword.Range) []keyword.Value {
	custom := slices.ContainsFunc(r.Values, func(v keyword.Value) bool { return v.Word == keyword.Custom })
	var vs []keyword.Value
	for _, v := range r.Values {
		if v.None() && !custom {
			continue
		}
		if v.Word != keyword.V4Private && !v.CIDR.IsValid() {
			v.Size = v.Effective(n)
		}
		vs = append(vs, v)
	}
	if n != keyword.Services || custom { // the order of services is the order of the Shoot's families, which the others follow
		slices.SortFunc(vs, func(a, b keyword.Value) int { return int(a.Family()) - int(b.Family()) })
	}
	return vs
}

// podsFromNodes tells whether the pods of a family are a part of the nodes' prefixes, and so the cluster's pods range is the nodes
// range.
func podsFromNodes(old, updated keyword.Ranges) func(prefix.Family) bool {
	return func(f prefix.Family) bool {
		for _, pods := range []*keyword.Range{old.Pods, updated.Pods} {
			if pods == nil {
				continue
			}
			if v, ok := pods.Value(f); ok && v.FromNode() {
				return true
			}
		}
		return false
	}
}

func checkNodes(was, is keyword.Range, podsAreNodes func(prefix.Family) bool) ErrorList {
	var errs ErrorList
	for _, f := range []prefix.Family{prefix.IPv6, prefix.IPv4} {
		old, had := was.Value(f)
		if !had {
			continue // another family makes nodes wider
		}
		v, has := is.Value(f)
		var msg string
		switch {
		case has && wider(old, v) && (old.CIDR == v.CIDR || !podsAreNodes(f)):
			continue
		case has && wider(old, v):
			msg = "the range was %s, and the pods come from it; nodes cannot be widened then, because the cluster's pods range cannot be changed"
		case has && resized(old, v):
			msg = "the range was %s, and what was reserved for it keeps its size; only nodes that are a CIDR of one's own may be widened"
		default:
			msg = "the range was %s; nodes may be widened from one CIDR to a larger one, but not be changed otherwise"
		}
		errs = append(errs, errorAt(&is, Key{keyword.Nodes, f}, RuleUpdate, fmt.Sprintf(msg, was), "write "+was.String()))
	}
	return errs
}

// wider tells whether everything that old asked for is in what the new value asks for. Words have to ask for the same: what was
// reserved for them, or drawn, stays as it is.
func wider(old, v keyword.Value) bool {
	if old.NodePrefix != v.NodePrefix || old.Word != v.Word {
		return false
	}
	if old.CIDR.IsValid() {
		return prefix.Covers(v.CIDR, old.CIDR)
	}
	return v.Effective(keyword.Nodes) == old.Effective(keyword.Nodes)
}

// resized tells whether the same is reserved, in another size.
func resized(old, v keyword.Value) bool {
	return !old.CIDR.IsValid() && old.Word == v.Word && old.Effective(keyword.Nodes) != v.Effective(keyword.Nodes)
}
