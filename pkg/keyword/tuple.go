// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword

import (
	"fmt"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// tuple checks what the values of one range say about each other: rules 1 and 2 of docs/keywords.md.
func (p *parser) tuple(values []parsed) {
	var (
		custom  *parsed
		seen    = map[prefix.Family]*parsed{}
		absent  = map[prefix.Family]*parsed{}
		refused = map[*parsed]bool{}
	)
	fail := func(v *parsed, rule, msg, suggestion string) {
		refused[v] = true
		p.fail(v.pos, v.end, rule, msg, suggestion)
	}
	for i := range values {
		v := &values[i]
		f := v.Family()
		switch {
		case v.Word == "" && !v.CIDR.IsValid(): // was reported
		case v.None():
			if absent[f] != nil {
				fail(v, "twice", fmt.Sprintf("%s is given twice", v.Word), "")
			} else {
				absent[f] = v
			}
		case v.Word == Custom:
			if custom != nil {
				fail(v, "twice", "custom is given twice", "")
			} else {
				custom = v
			}
		case seen[f] != nil:
			fail(v, "one-value-per-family", fmt.Sprintf("%s and %s are both %s values; a range has at most one value a family", seen[f].Value, v.Value, f), "")
		default:
			seen[f] = v
		}
	}
	for _, f := range []prefix.Family{prefix.IPv4, prefix.IPv6} {
		if custom != nil && seen[f] != nil {
			fail(seen[f], "custom-alone", fmt.Sprintf("custom stands alone, or beside nov4 or nov6, not beside %s", seen[f].Value), "")
		}
		if absent[f] != nil && seen[f] != nil && !refused[seen[f]] {
			fail(absent[f], "contradiction", fmt.Sprintf("%s says that the range has no %s, but %s gives it some", absent[f].Word, f, seen[f].Value),
				"leave out one of the two")
		}
	}
	if custom != nil && absent[prefix.IPv4] != nil && absent[prefix.IPv6] != nil {
		fail(custom, "contradiction", "nov4 and nov6 leave no family for custom", "leave out one of the two")
	}
	if custom != nil && absent[prefix.IPv6] != nil && custom.NodePrefix > maxNodePrefixIPv4 {
		fail(custom, "prefix-bounds", fmt.Sprintf("nov6 leaves only IPv4 to custom, and the size of +prefix is then at most /%d, not /%d",
			maxNodePrefixIPv4, custom.NodePrefix), "")
	}
}
