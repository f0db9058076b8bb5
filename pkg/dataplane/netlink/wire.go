// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Wire implements dataplane.Wirer.
func (k *Kernel) Wire(ctx context.Context, ns *os.File, w dataplane.Wire) error {
	if err := w.Validate(); err != nil {
		return fmt.Errorf("wire %s: %w", w.HostInterface, err)
	}
	exists, err := k.Exists(ctx, w.HostInterface)
	if err != nil {
		return err
	}
	if exists {
		if findings, err := k.Check(ctx, ns, w); err == nil && len(findings) == 0 {
			return nil
		}
		if err := k.Unwire(ctx, w.HostInterface); err != nil {
			return err
		}
	}
	host, pod := w.Ends()
	if err := wire(ns, host, pod, w.Owner); err != nil {
		return errors.Join(fmt.Errorf("wire %s: %w", w.HostInterface, err), k.Unwire(ctx, w.HostInterface))
	}
	return nil
}

// wire makes the pair with the pod's end already in its namespace, so that no half of it is ever seen under a foreign name.
func wire(ns *os.File, host, pod dataplane.End, owner string) error {
	h, err := nl.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	attrs := nl.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr, attrs.Alias = host.Interface, host.MTU, hardware(host.MAC), owner
	pair := &nl.Veth{
		LinkAttrs: attrs, PeerName: pod.Interface, PeerHardwareAddr: hardware(pod.MAC), PeerMTU: uint32(pod.MTU),
		PeerNamespace: nl.NsFd(ns.Fd()),
	}
	if err := h.LinkAdd(pair); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("the network namespace has an interface %s already", pod.Interface)
		}
		return fmt.Errorf("add veth pair: %w", err)
	}
	if err := h.LinkSetAlias(pair, owner); err != nil {
		return fmt.Errorf("set alias: %w", err)
	}
	if err := prepare(h, pair, host); err != nil {
		return fmt.Errorf("host's end: %w", err)
	}
	if err := within(ns, func() error { return inside(pod) }); err != nil {
		return fmt.Errorf("pod's end: %w", err)
	}
	if err := finish(h, pair, host); err != nil {
		return fmt.Errorf("host's end: %w", err)
	}
	return nil
}

// inside sets the pod's end, whose namespace the thread is in.
func inside(pod dataplane.End) error {
	h, err := nl.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(pod.Interface)
	if err != nil {
		return fmt.Errorf("interface %s: %w", pod.Interface, err)
	}
	if err := prepare(h, link, pod); err != nil {
		return err
	}
	if err := finish(h, link, pod); err != nil {
		return err
	}
	for _, p := range pod.Addrs {
		if err := awaitOwn(h, p.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// patience bounds the wait for what the kernel does on its own.
const patience = 10 * time.Second

// awaitOwn waits until packets to the address are taken for one's own. The kernel adds an IPv6 address at once, and the route that says so some
// time later, in a queue of its work; until then it drops what comes, such as the answer to a pod's first question.
func awaitOwn(h *nl.Handle, a netip.Addr) error {
	// The thread is this function's own: sleeping on it is more exact than to sleep by the runtime.
	for begin, nap := time.Now(), unix.NsecToTimespec(int64(glance/2)); ; _ = unix.Nanosleep(&nap, nil) {
		routes, err := h.RouteGet(a.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if time.Since(begin) > patience {
			return errors.Join(fmt.Errorf("the kernel does not take packets to %s for its own after %s", a, patience), err)
		}
	}
}

// prepare sets an end's sysctls and addresses and switches it on.
func prepare(h *nl.Handle, link nl.Link, e dataplane.End) error {
	for _, s := range e.Sysctls {
		if err := setOf(h, link, s); err != nil {
			return err
		}
	}
	for _, p := range e.Addrs {
		if err := h.AddrAdd(link, toAddr(p)); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch %s on: %w", e.Interface, err)
	}
	return nil
}

// setOf sets a sysctl of an interface. Whoever reads or writes addr_gen_mode as a file is made to try again and again while anybody changes
// interfaces, which with many pods at once took a third of the processor; netlink waits instead.
func setOf(h *nl.Handle, link nl.Link, s dataplane.Sysctl) error {
	if !strings.HasSuffix(s.Path, "/addr_gen_mode") {
		_, err := set(s)
		return err
	}
	mode, err := strconv.Atoi(s.Value)
	if err == nil {
		err = h.LinkSetIP6AddrGenMode(link, mode)
	}
	if err != nil {
		return fmt.Errorf("set sysctl %s to %s: %w", s.Path, s.Value, err)
	}
	return nil
}

// toAddr converts an address, which shall not be checked for duplicates.
func toAddr(p netip.Prefix) *nl.Addr {
	a := &nl.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if p.Addr().IsLinkLocalUnicast() {
		a.Scope = int(nl.SCOPE_LINK)
	}
	return a
}

// finish sets what needs the other end: neighbours and routes.
func finish(h *nl.Handle, link nl.Link, e dataplane.End) error {
	index := link.Attrs().Index
	// Whatever comes or goes before the kernel's link watch has seen the carrier is lost, and that takes it a while. To answer this question it
	// looks first (Linux 6.8).
	if _, err := h.LinkByIndex(index); err != nil {
		return fmt.Errorf("interface %s: %w", e.Interface, err)
	}
	for _, n := range e.Neighbours {
		if err := h.NeighSet(neighbour(link, n)); err != nil {
			return fmt.Errorf("add neighbour %s: %w", n.Addr, err)
		}
	}
	for _, r := range e.Routes {
		kr, err := toKernel(r, func(string) (int, error) { return index, nil })
		if err != nil {
			return err
		}
		if err := h.RouteAdd(kr); err != nil {
			return fmt.Errorf("add route %s: %w", r, err)
		}
	}
	return nil
}

// Exists implements dataplane.Wirer.
func (k *Kernel) Exists(_ context.Context, hostInterface string) (bool, error) {
	is, err := find(hostInterface)
	if err != nil {
		return false, fmt.Errorf("interface %s: %w", hostInterface, err)
	}
	return is != 0, nil
}

// List implements dataplane.Wirer.
func (k *Kernel) List(context.Context) ([]dataplane.FoundWire, error) {
	links, err := dump(nl.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	found, err := routes(ofPods, nil, nl.FAMILY_V6, nl.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	addrs := map[string][]netip.Addr{}
	for _, r := range found {
		addrs[r.Device] = append(addrs[r.Device], r.Dst.Addr())
	}
	var out []dataplane.FoundWire
	for _, l := range links {
		a := l.Attrs()
		if l.Type() == "veth" && strings.HasPrefix(a.Name, agentconfig.HostInterfacePrefix) {
			out = append(out, dataplane.FoundWire{HostInterface: a.Name, Owner: a.Alias, MTU: a.MTU, Addrs: addrs[a.Name]})
		}
	}
	return out, nil
}
