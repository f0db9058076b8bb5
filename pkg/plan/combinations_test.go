// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// TestCombinations builds every combination of values and facts and checks what must be true of every plan that is made.
func TestCombinations(t *testing.T) {
	nodes := []string{"-", "v6global", "v6global/64+prefix/96", "v6private+prefix/120", "v4private", "v4private+prefix/24,v6global+prefix/80", "custom",
		"custom+prefix/28", "custom+prefix/96,nov4", "2001:db8::/48", "2001:db8::/48+prefix/64,10.0.0.0/8", "nov4,nov6", "v6global/30"}
	pods := []string{"-", "v6global", "v6global/32", "v6private", "v4private", "v6fromNode", "v6fromNode/124", "v4fromNode,v6fromNode", "v6fromNode,v4private",
		"custom", "custom,nov6", "2001:db8:1::/56", "10.1.0.0/16,2001:db8:1::/124", "nov6"}
	services := []string{"-", "v6global", "v6private", "v4private", "v4private,v6global/120", "v6private,v4private", "custom", "custom,nov4", "2001:db8:2::/64", "nov6"}
	built, refused := 0, 0
	for _, n := range nodes {
		for _, p := range pods {
			for _, s := range services {
				for _, facts := range []plan.Facts{
					{},
					{NetworkType: "calico", NodeMaskIPv6: 80},
					{Encapsulation: plan.EncapsulationAlways, PodSupernet: pfx("2001:db8:ff::/48"), NodeMaskIPv4: 26},
				} {
					text := n + " " + p + " " + s
					made, err := plan.Build(ranges(t, text), facts)
					if err != nil {
						refused++
						if len(rules(err)) == 0 {
							t.Fatalf("%s: %v is no list of broken rules", text, err)
						}
						continue
					}
					built++
					if problem := invalid(made); problem != "" {
						t.Errorf("%s with %+v: %s: %+v", text, facts, problem, made)
					}
				}
			}
		}
	}
	if built < 500 || refused < 500 {
		t.Errorf("%d plans and %d errors: the combinations do not test both", built, refused)
	}
}

// invalid says what of a plan cannot be, "" if nothing.
func invalid(p plan.Plan) string {
	if len(p.IPFamilies) == 0 || len(p.IPFamilies) > 2 {
		return "families"
	}
	if p.NodeMaskIPv6 != 0 && (p.NodeMaskIPv6 < 64 || p.NodeMaskIPv6 > 124) {
		return "node mask"
	}
	for _, r := range p.Requests {
		if r.PublishedBits < r.Bits || r.Scope == "" || r.Family != prefix.IPv6 || r.Range == keyword.Services && r.PublishedBits < 112 {
			return fmt.Sprintf("request %+v", r)
		}
		if _, ok := p.Fixed[r.Key]; ok {
			return fmt.Sprintf("%v is both reserved and fixed", r.Key)
		}
	}
	for _, r := range p.NodeRanges {
		switch {
		case r.PodBits < r.NodeBits, r.NodeBits > r.Family.Bits(), r.PodBits > r.Family.Bits():
			return fmt.Sprintf("node range %+v", r)
		case r.From == keyword.Nodes && r.PodBits == r.NodeBits:
			return fmt.Sprintf("node range %+v leaves the node no address", r)
		}
		if _, ok := p.Capacity[r.Family]; !ok {
			return "no capacity"
		}
	}
	for _, f := range p.IPFamilies {
		if !slices.ContainsFunc(p.NodeRanges, func(r plan.NodeRange) bool { return r.Family == f }) {
			return "services have a family that no pod has"
		}
	}
	published, err := p.Publish(nil)
	if err != nil {
		return err.Error()
	}
	for _, f := range p.IPFamilies {
		for _, n := range []keyword.Name{keyword.Pods, keyword.Services} {
			known := slices.ContainsFunc(published.Of(n), func(c netip.Prefix) bool { return prefix.FamilyOf(c.Addr()) == f })
			if known == slices.Contains(published.Missing, plan.Key{Range: n, Family: f}) {
				return fmt.Sprintf("%s %s is published: %v, and missing: %v", n, f, known, !known)
			}
		}
	}
	return ""
}
