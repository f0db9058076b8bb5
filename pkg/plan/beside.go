// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Overlapped tells what a range overlaps that is to stand beside those of the Shoot, "" if nothing; known are the Shoot's ranges, as far
// as they are known beside the fixed ones. What is reserved for services and not published is free for it, and a podSupernet is no range
// of its own: it merely covers the nodes' prefixes.
func (p Plan) Overlapped(beside netip.Prefix, known map[Key]netip.Prefix) string {
	family := prefix.FamilyOf(beside.Addr())
	for _, n := range keyword.Names() {
		k := Key{n, family}
		own, ok := p.Fixed[k]
		if ok {
			own = PublishedPart(k, own)
		} else if own, ok = known[k]; !ok || n == keyword.Pods && own == p.PodSupernet {
			continue
		}
		if own.Overlaps(beside) {
			return fmt.Sprintf("the range of %s, %s", n, own)
		}
	}
	for _, r := range reservedByGardener {
		if r.prefix.Overlaps(beside) {
			return fmt.Sprintf("%s, which Gardener keeps for %s", r.prefix, r.what)
		}
	}
	if family == prefix.IPv6 { // Gardener maps IPv4 shoots that overlap with the seed
		if s, overlaps := prefix.OverlapsAny(beside, p.SeedNetworks...); overlaps {
			return fmt.Sprintf("the Seed's network %s", s)
		}
	}
	return ""
}
