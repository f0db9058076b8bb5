// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	nl "github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Gateways implements dataplane.Host.
func (k *Kernel) Gateways(context.Context) ([]dataplane.Hop, error) {
	var out []dataplane.Hop
	for _, f := range []int{nl.FAMILY_V6, nl.FAMILY_V4} {
		found, err := dump(func() ([]nl.Route, error) { return nl.RouteListFiltered(f, &nl.Route{}, nl.RT_FILTER_DST) })
		if err != nil {
			return nil, fmt.Errorf("list default routes: %w", err)
		}
		hops, err := hopsOf(best(found))
		if err != nil {
			return nil, err
		}
		out = append(out, hops...)
	}
	return out, nil
}

// best of the default routes that others have made: those of the lowest metric.
func best(routes []nl.Route) []nl.Route {
	routes = slices.DeleteFunc(routes, func(r nl.Route) bool {
		return r.Type != unix.RTN_UNICAST || dataplane.Ours(uint8(r.Protocol))
	})
	if len(routes) == 0 {
		return nil
	}
	lowest := slices.MinFunc(routes, func(a, b nl.Route) int { return cmp.Compare(a.Priority, b.Priority) }).Priority
	return slices.DeleteFunc(routes, func(r nl.Route) bool { return r.Priority != lowest })
}

func hopsOf(routes []nl.Route) ([]dataplane.Hop, error) {
	var out []dataplane.Hop
	for _, r := range routes {
		hops := r.MultiPath
		if len(hops) == 0 {
			hops = []*nl.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Flags: r.Flags}}
		}
		for _, h := range hops {
			if h.Gw == nil || h.Flags&unix.RTNH_F_DEAD != 0 {
				continue
			}
			device, err := nameOf(h.LinkIndex)
			if err != nil {
				return nil, err
			}
			hop := dataplane.Hop{Via: addr(h.Gw), Device: device}
			if device != "" && !slices.Contains(out, hop) {
				out = append(out, hop)
			}
		}
	}
	slices.SortFunc(out, func(a, b dataplane.Hop) int {
		return cmp.Or(a.Via.Compare(b.Via), strings.Compare(a.Device, b.Device))
	})
	return out, nil
}

// Connected implements dataplane.Host.
func (k *Kernel) Connected(context.Context) ([]netip.Prefix, error) {
	var out []netip.Prefix
	names := map[int]string{}
	for _, f := range []int{nl.FAMILY_V6, nl.FAMILY_V4} {
		found, err := dump(func() ([]nl.Route, error) {
			return nl.RouteListFiltered(f, &nl.Route{Table: unix.RT_TABLE_MAIN}, nl.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range found {
			p, ok := connected(r)
			if !ok {
				continue
			}
			if _, ok := names[r.LinkIndex]; !ok {
				if names[r.LinkIndex], err = nameOf(r.LinkIndex); err != nil {
					return nil, err
				}
			}
			if !strings.HasPrefix(names[r.LinkIndex], agentconfig.HostInterfacePrefix) && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// connected tells whether a route is to a link's own prefix.
func connected(r nl.Route) (netip.Prefix, bool) {
	if r.Dst == nil || r.Gw != nil || r.Via != nil || len(r.MultiPath) > 0 || r.Type != unix.RTN_UNICAST || dataplane.Ours(uint8(r.Protocol)) ||
		uint8(r.Protocol) == dataplane.ProtocolPod {
		return netip.Prefix{}, false
	}
	p, ok := netipx.FromStdIPNet(r.Dst)
	return p, ok && p.Bits() > 0 && p.Addr().IsGlobalUnicast()
}
