// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Error is a rule that the ranges break. Its text is the canonical one.
type Error = keyword.Error

// ErrorList is every rule that the ranges break.
type ErrorList = keyword.ErrorList

// The rules across values and ranges that Error.Rule names, numbered as in docs/keywords.md.
const (
	RuleFromNode   = "from-node"   // 3
	RuleIPFamilies = "ip-families" // 4
	RuleFamilies   = "families"    // 5
	RuleDisjoint   = "disjoint"    // 6
	RuleNodeMask   = "node-mask"   // 7
	RuleUpdate     = "update"      // 9
	RuleULASpace   = "ula-space"
	RuleSupernet   = "pod-supernet"
	RuleReserved   = "reserved"
)

// errorAt makes an error that marks the value of the family in the range, or the whole range if it has none.
func errorAt(r *keyword.Range, k Key, rule, msg, suggestion string) Error {
	e := Error{Range: k.Range, Rule: rule, Msg: msg, Suggestion: suggestion}
	if r == nil {
		return e
	}
	e.Text = r.String()
	e.End = len(e.Text)
	texts := make([]string, 0, len(r.Values))
	for _, v := range r.Values {
		if own, ok := r.Value(k.Family); ok && own == v {
			e.Pos = len(strings.Join(append(texts, ""), ","))
			e.End = e.Pos + len(v.String())
			return e
		}
		texts = append(texts, v.String())
	}
	return e
}

func (b *builder) at(k Key, rule, msg, suggestion string) Error {
	return errorAt(b.plan.Ranges.Get(k.Range), k, rule, msg, suggestion)
}

func joinFamilies(fs []prefix.Family) string {
	texts := make([]string, 0, len(fs))
	for _, f := range fs {
		texts = append(texts, f.String())
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
