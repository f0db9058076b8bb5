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
	i, err := index(r.Device)
	if err != nil {
		return nil, fmt.Errorf("route %s: %w", r, err)
	}
	out.LinkIndex = i
	if r.Via.IsValid() {
		out.Gw = net.IP(r.Via.AsSlice())
	} else if r.Dst.Addr().Is4() {
		out.Scope = nl.SCOPE_LINK
	}
	if r.OnLink {
		out.Flags |= int(nl.FLAG_ONLINK)
	}
	return out, nil
}

// fromKernel is the inverse of toKernel; name finds an interface's name by its index.
func fromKernel(k nl.Route, name func(int) (string, error)) (dataplane.Route, error) {
	r := dataplane.Route{Metric: k.Priority, Protocol: uint8(k.Protocol), OnLink: k.Flags&int(nl.FLAG_ONLINK) != 0}
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
	if k.Gw != nil {
		r.Via = addr(k.Gw)
	}
	var err error
	r.Device, err = name(k.LinkIndex)
	return r, err
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

// routes returns those with the protocol, through the interface if one is given.
func routes(protocol uint8, link nl.Link, families ...int) ([]dataplane.Route, error) {
	filter, mask := &nl.Route{Protocol: nl.RouteProtocol(protocol)}, nl.RT_FILTER_PROTOCOL
	byIndex := nameOf
	if link != nil {
		filter.LinkIndex, mask = link.Attrs().Index, mask|nl.RT_FILTER_OIF
		byIndex = func(int) (string, error) { return link.Attrs().Name, nil }
	}
	var out []dataplane.Route
	for _, f := range families {
		found, err := dump(func() ([]nl.Route, error) { return nl.RouteListFiltered(f, filter, mask) })
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, k := range found {
			r, err := fromKernel(k, byIndex)
			if err != nil {
				return nil, err
			}
			if f == nl.FAMILY_V6 && r.Metric == defaultMetric6 && protocol == dataplane.ProtocolPod {
				r.Metric = 0
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// defaultMetric6 is what the kernel makes of metric 0 in IPv6.
const defaultMetric6 = 1024
