// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// surroundings are what an imported route must not touch.
type surroundings struct {
	// own prefixes of the node, its pod ranges among them.
	own []netip.Prefix
	// connected are the prefixes of the node's links.
	connected []netip.Prefix
	// services are the ranges of cluster IPs.
	services []netip.Prefix
	// ways to the next hops.
	ways map[netip.Addr]Way
}

// refused tells why a route must not be in the kernel, or nothing. What is less specific than a prefix of the node's own does no harm.
func (s surroundings) refused(p netip.Prefix) string {
	covers := func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }
	switch a := p.Addr(); {
	case p.Bits() == 0:
		return ""
	case !a.IsGlobalUnicast() || a.Is4In6():
		return "is no range that packets are routed to"
	case slices.ContainsFunc(s.own, covers):
		return "lies in this node's own prefix"
	case slices.ContainsFunc(s.services, covers):
		return "lies in the range of services"
	case slices.ContainsFunc(s.connected, covers):
		return "lies in the prefix of a link of this node"
	}
	return ""
}

// importedOf groups the routes that peers told of by prefix. What is not sane is left out and told of, the others stand.
func importedOf(routes []bgp.Route, s surroundings) ([]dataplane.Imported, []Problem) {
	byPrefix := map[netip.Prefix][]dataplane.Hop{}
	var refused []string
	for _, r := range routes {
		why := s.refused(r.Prefix)
		hop, ok := s.hop(r)
		switch {
		case why != "":
		case !ok:
			why = fmt.Sprintf("has the next hop %s, which is on no link of this node", r.NextHop)
		default:
			if p := r.Prefix.Masked(); !slices.Contains(byPrefix[p], hop) {
				byPrefix[p] = append(byPrefix[p], hop)
			}
			continue
		}
		refused = append(refused, fmt.Sprintf("%s, told by %s, %s", r.Prefix, r.Peer, why))
	}
	out := make([]dataplane.Imported, 0, len(byPrefix))
	for p, hops := range byPrefix {
		slices.SortFunc(hops, func(a, b dataplane.Hop) int { return cmp.Or(a.Via.Compare(b.Via), cmp.Compare(a.Device, b.Device)) })
		out = append(out, dataplane.Imported{Dst: p, Hops: hops})
	}
	slices.SortFunc(out, func(a, b dataplane.Imported) int {
		return cmp.Or(a.Dst.Addr().Compare(b.Dst.Addr()), cmp.Compare(a.Dst.Bits(), b.Dst.Bits()))
	})
	if len(refused) == 0 {
		return out, nil
	}
	slices.Sort(refused)
	refused = slices.Compact(refused)
	return out, []Problem{{Reason: ReasonRouteRefused, Message: fmt.Sprintf("%d routes of BGP peers are not used: %s", len(refused), strings.Join(firstFew(refused), "; "))}}
}

// hop that a route leads to. One of the link has its peer's interface.
func (s surroundings) hop(r bgp.Route) (dataplane.Hop, bool) {
	via := r.NextHop.WithZone("")
	if via.Is6() && via.IsLinkLocalUnicast() {
		device := cmp.Or(r.NextHop.Zone(), r.Peer.Zone())
		return dataplane.Hop{Via: via, Device: device}, device != ""
	}
	way := s.ways[via]
	return dataplane.Hop{Via: via, Device: way.Device}, way.Err == nil && way.OnLink && way.Device != ""
}
