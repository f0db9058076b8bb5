// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	nl "github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// toKernel converts a route; index finds an interface by its name.
func toKernel(r dataplane.Route, index func(string) (int, error)) (*nl.Route, error) {
	out := &nl.Route{
		Dst:      ipNet(r.Dst),
		Family:   family(r.Dst.Addr()),
		Table:    unix.RT_TABLE_MAIN,
		Priority: r.Metric,
		Protocol: nl.RouteProtocol(r.Protocol),
		Type:     unix.RTN_UNICAST,
	}
	switch r.Type {
	case dataplane.Unicast:
	case dataplane.Unreachable:
		out.Type = unix.RTN_UNREACHABLE
		return out, nil
	default:
		return nil, fmt.Errorf("route %s: unknown type %d", r, r.Type)
	}
	hops := append([]dataplane.Hop{{Via: r.Via, Device: r.Device}}, r.More...)
	for _, h := range hops {
		hop, err := toHop(h, r, index)
		if err != nil {
			return nil, err
		}
		out.MultiPath = append(out.MultiPath, hop)
	}
	if first := out.MultiPath[0]; len(hops) == 1 {
		out.MultiPath, out.LinkIndex, out.Gw, out.Via, out.Flags = nil, first.LinkIndex, first.Gw, first.Via, first.Flags
	}
	if !r.Via.IsValid() && r.Dst.Addr().Is4() {
		out.Scope = nl.SCOPE_LINK
	}
	return out, nil
}

func toHop(h dataplane.Hop, r dataplane.Route, index func(string) (int, error)) (*nl.NexthopInfo, error) {
	i, err := index(h.Device)
	if err != nil {
		return nil, fmt.Errorf("route %s: %w", r, err)
	}
	out := &nl.NexthopInfo{LinkIndex: i}
	switch {
	case !h.Via.IsValid():
	case h.Via.Is4() == r.Dst.Addr().Is4():
		out.Gw = net.IP(h.Via.AsSlice())
	default: // IPv4 by way of IPv6 (RFC 8950)
		out.Via = &nl.Via{AddrFamily: family(h.Via), Addr: net.IP(h.Via.AsSlice())}
	}
	if r.OnLink {
		out.Flags |= int(nl.FLAG_ONLINK)
	}
	return out, nil
}

// fromKernel is the inverse of toKernel; name finds an interface's name by its index.
func fromKernel(k nl.Route, name func(int) (string, error)) (dataplane.Route, error) {
	r := dataplane.Route{Metric: k.Priority, Protocol: uint8(k.Protocol)}
	switch {
	case k.Dst != nil:
		p, ok := netipx.FromStdIPNet(k.Dst)
		if !ok {
			return r, fmt.Errorf("route to %s: not a prefix", k.Dst)
		}
		r.Dst = p
	case k.Family == nl.FAMILY_V4:
		r.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	default:
		r.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if k.Type == unix.RTN_UNREACHABLE {
		r.Type = dataplane.Unreachable
		return r, nil
	}
	hops := k.MultiPath
	if len(hops) == 0 {
		hops = []*nl.NexthopInfo{{LinkIndex: k.LinkIndex, Gw: k.Gw, Via: k.Via, Flags: k.Flags}}
	}
	for i, h := range hops {
		device, err := name(h.LinkIndex)
		if err != nil {
			return r, err
		}
		hop := dataplane.Hop{Via: via(h), Device: device}
		if i == 0 {
			r.Via, r.Device, r.OnLink = hop.Via, hop.Device, h.Flags&int(nl.FLAG_ONLINK) != 0
			continue
		}
		r.More = append(r.More, hop)
	}
	return r, nil
}

func via(h *nl.NexthopInfo) netip.Addr {
	if v, ok := h.Via.(*nl.Via); ok {
		return addr(v.Addr)
	}
	if h.Gw == nil {
		return netip.Addr{}
	}
	return addr(h.Gw)
}

func indexOf(name string) (int, error) {
	l, err := nl.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return l.Attrs().Index, nil
}

// nameOf returns "" for an interface that went away in the meantime.
func nameOf(index int) (string, error) {
	l, err := nl.LinkByIndex(index)
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("interface %d: %w", index, err)
	}
	return l.Attrs().Name, nil
}

func missing(err error) bool {
	var notFound nl.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// routes returns those whose protocol is asked for, through the interface if one is given.
func routes(protocol func(uint8) bool, link nl.Link, families ...int) ([]dataplane.Route, error) {
	filter, mask := &nl.Route{}, uint64(0)
	byIndex := names()
	if link != nil {
		filter.LinkIndex, mask = link.Attrs().Index, nl.RT_FILTER_OIF
		byIndex = func(int) (string, error) { return link.Attrs().Name, nil }
	}
	var out []dataplane.Route
	for _, f := range families {
		found, err := dump(func() ([]nl.Route, error) { return nl.RouteListFiltered(f, filter, mask) })
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, k := range found {
			if !protocol(uint8(k.Protocol)) {
				continue
			}
			r, err := fromKernel(k, byIndex)
			if err != nil {
				return nil, err
			}
			if f == nl.FAMILY_V6 && r.Metric == defaultMetric6 && r.Protocol == dataplane.ProtocolPod {
				r.Metric = 0
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// ofPods chooses the routes of wires.
func ofPods(protocol uint8) bool { return protocol == dataplane.ProtocolPod }

// names is nameOf that asks once for each interface.
func names() func(int) (string, error) {
	known := map[int]string{}
	return func(index int) (string, error) {
		if name, ok := known[index]; ok {
			return name, nil
		}
		name, err := nameOf(index)
		if err == nil {
			known[index] = name
		}
		return name, err
	}
}

// defaultMetric6 is what the kernel makes of metric 0 in IPv6.
const defaultMetric6 = 1024
