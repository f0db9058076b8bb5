// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// hop is a way of a route.
type hop struct {
	Gateway   netip.Addr
	Interface string
}

// String is as ip(8) writes it, without the interface where the address says enough.
func (h hop) String() string {
	if !h.Gateway.IsValid() {
		return "unnumbered on " + h.Interface
	}

	if h.Gateway.IsLinkLocalUnicast() {
		return h.Gateway.String() + "%" + h.Interface
	}

	return h.Gateway.String()
}

// kernelRoutes are the IPv6 routes in the host's kernel that lead over other hosts, with all of their ways.
func kernelRoutes(ctx context.Context, host *machine.Host) (map[netip.Prefix][]hop, error) {
	out, err := host.Run(ctx, "ip", "-6", "-json", "route", "show")
	if err != nil {
		return nil, err
	}

	return parseRoutes(out)
}

func parseRoutes(out string) (map[netip.Prefix][]hop, error) {
	type way struct {
		Gateway netip.Addr `json:"gateway"`
		Dev     string     `json:"dev"`
	}

	var list []struct {
		way
		Dst      string `json:"dst"`
		Nexthops []way  `json:"nexthops"`
	}

	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}

	routes := map[netip.Prefix][]hop{}

	for _, item := range list {
		text := item.Dst
		if text == "default" {
			text = "::/0"
		} else if !strings.Contains(text, "/") {
			text += "/128"
		}

		dst, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("routes: %w", err)
		}

		for _, w := range append(item.Nexthops, item.way) {
			if w.Gateway.IsValid() {
				routes[dst] = append(routes[dst], hop{w.Gateway, w.Dev})
			}
		}

		slices.SortFunc(routes[dst], func(a, b hop) int { return strings.Compare(a.String(), b.String()) })
	}

	return routes, nil
}
