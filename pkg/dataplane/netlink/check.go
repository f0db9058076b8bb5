// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	nl "github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Check implements dataplane.Wirer.
func (k *Kernel) Check(_ context.Context, ns *os.File, w dataplane.Wire) ([]string, error) {
	host, pod := w.Ends()
	findings, err := inspect(host)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", w.HostInterface, err)
	}
	if ns == nil {
		return findings, nil
	}
	err = within(ns, func() error {
		inside, err := inspect(pod)
		for _, f := range inside {
			findings = append(findings, "in the pod: "+f)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", w.HostInterface, err)
	}
	return findings, nil
}

// inspect compares one end, in the current namespace, with what it shall be.
func inspect(e dataplane.End) ([]string, error) {
	link, err := nl.LinkByName(e.Interface)
	if missing(err) {
		return []string{fmt.Sprintf("interface %s is missing", e.Interface)}, nil
	}
	if err != nil {
		return nil, err
	}
	findings := inspectLink(link, e)
	for _, f := range []func(nl.Link, dataplane.End) ([]string, error){inspectSysctls, inspectAddrs, inspectNeighbours, inspectRoutes} {
		more, err := f(link, e)
		if err != nil {
			return nil, err
		}
		findings = append(findings, more...)
	}
	return findings, nil
}

func inspectLink(link nl.Link, e dataplane.End) []string {
	var findings []string
	a := link.Attrs()
	if a.Flags&net.FlagUp == 0 {
		findings = append(findings, fmt.Sprintf("interface %s is down", e.Interface))
	}
	if a.MTU != e.MTU {
		findings = append(findings, fmt.Sprintf("interface %s has MTU %d, want %d", e.Interface, a.MTU, e.MTU))
	}
	if !bytes.Equal(a.HardwareAddr, hardware(e.MAC)) {
		findings = append(findings, fmt.Sprintf("interface %s has address %s, want %s", e.Interface, a.HardwareAddr, e.MAC))
	}
	return findings
}

func inspectSysctls(_ nl.Link, e dataplane.End) ([]string, error) {
	var findings []string
	for _, s := range e.Sysctls {
		is, err := get(s.Path)
		if err != nil {
			return nil, err
		}
		if is != s.Value {
			findings = append(findings, fmt.Sprintf("sysctl %s is %s, want %s", s.Path, is, s.Value))
		}
	}
	return findings, nil
}

func inspectAddrs(link nl.Link, e dataplane.End) ([]string, error) {
	found, err := dump(func() ([]nl.Addr, error) { return nl.AddrList(link, nl.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var have []netip.Prefix
	for _, a := range found {
		if p, ok := netipx.FromStdIPNet(&net.IPNet{IP: a.IP, Mask: a.Mask}); ok {
			have = append(have, netip.PrefixFrom(addr(a.IP), p.Bits()))
		}
	}
	var findings []string
	for _, p := range e.Addrs {
		if !slices.Contains(have, p) {
			findings = append(findings, fmt.Sprintf("interface %s lacks the address %s", e.Interface, p))
		}
	}
	return findings, nil
}

func inspectNeighbours(link nl.Link, e dataplane.End) ([]string, error) {
	var findings []string
	for _, n := range e.Neighbours {
		found, err := dump(func() ([]nl.Neigh, error) { return nl.NeighList(link.Attrs().Index, family(n.Addr)) })
		if err != nil {
			return nil, fmt.Errorf("list neighbours: %w", err)
		}
		i := slices.IndexFunc(found, func(f nl.Neigh) bool { return addr(f.IP) == n.Addr })
		switch {
		case i < 0:
			findings = append(findings, fmt.Sprintf("the neighbour %s is missing on %s", n.Addr, e.Interface))
		case !bytes.Equal(found[i].HardwareAddr, hardware(n.MAC)) || found[i].State&unix.NUD_PERMANENT == 0:
			findings = append(findings, fmt.Sprintf("the neighbour %s on %s is not %s for good", n.Addr, e.Interface, n.MAC))
		}
	}
	return findings, nil
}

func inspectRoutes(link nl.Link, e dataplane.End) ([]string, error) {
	have, err := routes(ofPods, link, nl.FAMILY_V6, nl.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	var findings []string
	for _, r := range e.Routes {
		if !slices.ContainsFunc(have, r.Equal) {
			findings = append(findings, fmt.Sprintf("the route %s is missing", r))
		}
	}
	return findings, nil
}
