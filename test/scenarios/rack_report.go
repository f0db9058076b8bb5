// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

// report shows the router's sessions and what it has learnt.
func (r *rack) report(ctx context.Context) ([]show.Table, error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return nil, err
	}

	sessions, err := r.router.sessions(ctx, r.host())
	if err != nil {
		return nil, err
	}

	table := show.Table{Head: []string{"session of " + r.router.name(), "with", "told"}}

	for _, s := range sessions {
		table.Rows = append(table.Rows, []string{
			holder(nodes, s.Peer, s.Interface), hop{s.Peer, s.Interface}.String(), strconv.Itoa(s.Prefixes) + " prefixes",
		})
	}

	slices.SortFunc(table.Rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })

	routes, err := r.reportRoutes(ctx, nodes)

	return []show.Table{table, routes}, err
}

func (r *rack) reportRoutes(ctx context.Context, nodes []node) (show.Table, error) {
	table := show.Table{Head: []string{"the router's route to", "what", "leads over"}}

	routes, err := kernelRoutes(ctx, r.host())
	if err != nil {
		return table, err
	}

	list := make([]netip.Prefix, 0, len(routes))
	for prefix := range routes {
		list = append(list, prefix)
	}

	slices.SortFunc(list, netip.Prefix.Compare)

	for _, prefix := range list {
		if what := r.meaning(prefix, nodes); what != "" {
			table.Rows = append(table.Rows, []string{prefix.String(), what, strings.Join(holders(nodes, routes[prefix]), " | ")})
		}
	}

	return table, nil
}

// meaning of a route that nodes have told, empty for others.
func (r *rack) meaning(prefix netip.Prefix, nodes []node) string {
	for _, n := range nodes {
		if n.prefix() == prefix {
			return "prefix of " + n.name
		}
	}

	switch {
	case prefix == r.services:
		return "all Services"
	case r.services.Contains(prefix.Addr()):
		return "Service with policy Local"
	case loadBalancerPool.Contains(prefix.Addr()):
		return "load balancer"
	}

	return ""
}

// journeys are those of the demo, and the ways from outside to Services.
func (r *rack) journeys(ctx context.Context) ([]show.Journey, error) {
	journeys, err := r.Journeys(ctx)
	if err != nil {
		return nil, err
	}

	cluster, err := r.WorkloadService(ctx)
	if err != nil {
		return nil, err
	}

	balanced, err := r.shopAddress(ctx)
	if err != nil {
		return nil, err
	}

	for _, way := range []struct {
		address netip.Addr
		name    string
	}{{cluster, "Service web by its ClusterIP"}, {balanced, "Service shop by its load balancer's address"}} {
		journey := show.Journey{From: "host outside", To: fmt.Sprintf("%s %s", way.name, way.address), How: "80 calls"}

		callers, err := r.callMany(ctx, way.address.String(), "clientip")
		if err != nil {
			journey.Verdict = err.Error()
			journeys = append(journeys, journey)

			continue
		}

		journey.OK, journey.Seen = true, "of nodes: "+spread(callers)
		journey.Verdict = "spread by the router"

		if own := r.OutsideAddress().String(); callers[own] == manyCalls {
			journey.Seen, journey.Verdict = own, "its own: no NAT"
		}

		journeys = append(journeys, journey)
	}

	return journeys, nil
}
