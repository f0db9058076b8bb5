// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Uplink implements dataplane.Host.
func (k *Kernel) Uplink(_ context.Context, node []netip.Addr) (dataplane.Uplink, error) {
	link, err := uplink(node)
	if err != nil {
		return dataplane.Uplink{}, err
	}
	u := dataplane.Uplink{Name: link.Attrs().Name, MTU: link.Attrs().MTU}
	dir := "net/ipv6/conf/" + u.Name + "/"
	if ra, err := get(dir + "accept_ra"); err == nil {
		forwarding, err := get(dir + "forwarding")
		if err != nil {
			return dataplane.Uplink{}, err
		}
		u.HasIPv6 = true
		u.AcceptRA, err = strconv.Atoi(ra)
		if err != nil {
			return dataplane.Uplink{}, fmt.Errorf("sysctl %saccept_ra: %w", dir, err)
		}
		u.Forwarding, err = strconv.Atoi(forwarding)
		if err != nil {
			return dataplane.Uplink{}, fmt.Errorf("sysctl %sforwarding: %w", dir, err)
		}
		u.FromRA, err = fromRA(link)
		if err != nil {
			return dataplane.Uplink{}, err
		}
	}
	return u, nil
}

func uplink(node []netip.Addr) (nl.Link, error) {
	found, err := dump(func() ([]nl.Addr, error) { return nl.AddrList(nil, nl.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, want := range node {
		for _, a := range found {
			if addr(a.IP) != want {
				continue
			}
			link, err := nl.LinkByIndex(a.LinkIndex)
			if err != nil {
				return nil, fmt.Errorf("interface of %s: %w", want, err)
			}
			// An address on the loopback is reached through whatever the default route says.
			if link.Attrs().Flags&net.FlagLoopback == 0 && link.Type() != "dummy" {
				return link, nil
			}
		}
	}
	for _, f := range []int{nl.FAMILY_V6, nl.FAMILY_V4} {
		defaults, err := dump(func() ([]nl.Route, error) { return nl.RouteListFiltered(f, &nl.Route{}, nl.RT_FILTER_DST) })
		if err != nil {
			return nil, fmt.Errorf("list default routes: %w", err)
		}
		for _, r := range defaults {
			index := r.LinkIndex
			if index == 0 && len(r.MultiPath) > 0 { // several uplinks: any will do
				index = r.MultiPath[0].LinkIndex
			}
			if index > 0 && r.Type == unix.RTN_UNICAST {
				return nl.LinkByIndex(index)
			}
		}
	}
	return nil, fmt.Errorf("no uplink: no interface holds any of the node's addresses %v, and there is no default route", node)
}

// fromRA looks for what router advertisements leave: routes of their protocol, addresses that are not for ever.
func fromRA(link nl.Link) (bool, error) {
	found, err := dump(func() ([]nl.Route, error) {
		return nl.RouteListFiltered(nl.FAMILY_V6, &nl.Route{LinkIndex: link.Attrs().Index}, nl.RT_FILTER_OIF)
	})
	if err != nil {
		return false, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range found {
		if r.Protocol == unix.RTPROT_RA {
			return true, nil
		}
	}
	addrs, err := dump(func() ([]nl.Addr, error) { return nl.AddrList(link, nl.FAMILY_V6) })
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if a.Flags&unix.IFA_F_PERMANENT == 0 && addr(a.IP).IsGlobalUnicast() {
			return true, nil
		}
	}
	return false, nil
}

// Addrs implements dataplane.Host.
func (k *Kernel) Addrs(context.Context) ([]netip.Addr, error) {
	found, err := dump(func() ([]nl.Addr, error) { return nl.AddrList(nil, nl.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	device := names()
	var out []netip.Addr
	for _, a := range found {
		ip := addr(a.IP)
		if !ip.IsGlobalUnicast() {
			continue
		}
		name, err := device(a.LinkIndex)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(name, dataplane.TunnelPrefix) {
			out = append(out, ip)
		}
	}
	return out, nil
}

// Neighbour implements dataplane.Host.
func (k *Kernel) Neighbour(_ context.Context, a netip.Addr) (device string, onLink bool, err error) {
	found, err := nl.RouteGet(a.AsSlice())
	if err != nil {
		return "", false, fmt.Errorf("way to %s: %w", a, err)
	}
	if len(found) == 0 || found[0].Type != unix.RTN_UNICAST {
		return "", false, nil
	}
	device, err = nameOf(found[0].LinkIndex)
	return device, direct(found[0], a) && device != "", err
}

// direct tells whether a way has no router in it. An address may be its own next hop: a peer's, if it lies in the prefix that we route to the
// peer. A router of IPv4 may be one of IPv6 (RFC 8950).
func direct(way nl.Route, to netip.Addr) bool {
	return way.Via == nil && (way.Gw == nil || addr(way.Gw) == to)
}

// Watch implements dataplane.Host. A subscription that the kernel ended, because it had more to say than we took in, is renewed.
func (k *Kernel) Watch(ctx context.Context, changed func()) error {
	for ctx.Err() == nil {
		updates := make(chan nl.LinkUpdate, 64)
		watch, stop := context.WithCancel(ctx)
		if err := nl.LinkSubscribe(updates, watch.Done()); err != nil {
			stop()
			return fmt.Errorf("watch interfaces: %w", err)
		}
		for u := range updates {
			if !strings.HasPrefix(u.Attrs().Name, agentconfig.HostInterfacePrefix) {
				changed()
			}
		}
		stop()
		changed()
	}
	return nil
}
