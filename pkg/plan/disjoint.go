// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"net/netip"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// reservedByGardener are ranges that Gardener keeps for itself in every shoot
// (github.com/gardener/gardener, docs/usage/networking/shoot_networking.md).
var reservedByGardener = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("fd8f:6d53:b97a:1::/96"), "the VPN"},
	{netip.MustParsePrefix("fd30:1319:f1e:230b::1/128"), "the node-local DNS"},
	{netip.MustParsePrefix("240.0.0.0/8"), "the mapping of kube-apiserver"},
	{netip.MustParsePrefix("241.0.0.0/8"), "the mapping of the seed's pods"},
	{netip.MustParsePrefix("242.0.0.0/8"), "the mapping of the shoot's nodes"},
	{netip.MustParsePrefix("243.0.0.0/8"), "the mapping of the shoot's services"},
	{netip.MustParsePrefix("244.0.0.0/8"), "the mapping of the shoot's pods"},
}

// known are the prefixes of the shoot that are known so far: the fixed ones, what is reserved, and the supernet.
func (p Plan) known(reserved map[Key]netip.Prefix) map[Key]netip.Prefix {
	known := map[Key]netip.Prefix{}
	maps.Copy(known, reserved)
	maps.Copy(known, p.Fixed)
	if s := p.PodSupernet; s.IsValid() {
		k := Key{keyword.Pods, prefix.FamilyOf(s.Addr())}
		if _, ok := known[k]; !ok {
			known[k] = s
		}
	}
	return known
}

// conflicts are the places where known prefixes overlap what they must not: rule 6.
func (p Plan) conflicts(known, adopted map[Key]netip.Prefix) ErrorList {
	var errs ErrorList
	var before []Key
	for _, n := range keyword.Names() {
		for _, f := range []prefix.Family{prefix.IPv6, prefix.IPv4} {
			k := Key{n, f}
			own, ok := known[k]
			if !ok {
				continue
			}
			fail := func(format string, args ...any) {
				errs = append(errs, errorAt(p.Ranges.Get(n), k, RuleDisjoint, fmt.Sprintf("%s overlaps ", own)+fmt.Sprintf(format, args...), "choose another range"))
			}
			for _, other := range before {
				if own.Overlaps(known[other]) && !p.mayNest(k, other) && (!p.brought(k, adopted) || !p.brought(other, adopted)) {
					fail("the range of %s, %s", other.Range, known[other])
				}
			}
			before = append(before, k)
			for _, r := range reservedByGardener {
				if own.Overlaps(r.prefix) {
					fail("%s, which Gardener keeps for %s", r.prefix, r.what)
				}
			}
			if f == prefix.IPv4 { // Gardener maps IPv4 shoots that overlap with the seed
				continue
			}
			for _, s := range p.SeedNetworks {
				if own.Overlaps(s) {
					fail("the Seed's network %s", s)
				}
			}
		}
	}
	return errs
}

// brought tells whether the infrastructure provider brings the range. How those that it brings lie to one another is its own
// business: AWS sets a part of a subnet, and so of the nodes' range, aside for the services.
func (p Plan) brought(k Key, adopted map[Key]netip.Prefix) bool {
	if _, own := p.Fixed[k]; own {
		return false
	}
	if _, ok := adopted[k]; ok {
		return true
	}
	r := p.Ranges.Get(k.Range)
	if r == nil {
		return true
	}
	v, ok := r.Value(k.Family)
	return ok && v.Word == keyword.Custom
}

// mayNest tells whether two ranges may overlap: pods are a part of nodes if they come from the nodes' own prefixes, and whoever
// brings pods that are custom decides that for himself.
func (p Plan) mayNest(k, other Key) bool {
	if k.Range != keyword.Pods || other.Range != keyword.Nodes {
		return false
	}
	for _, r := range p.NodeRanges {
		if r.Family == k.Family {
			return r.From == keyword.Nodes || r.Custom
		}
	}
	return p.Ranges.Pods == nil
}
