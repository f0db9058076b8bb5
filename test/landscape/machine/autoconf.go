// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// advertisementLimit is how long a host waits for what routers advertise.
const advertisementLimit = 30 * time.Second

// MAC is the hardware address of the host's eth0. It belongs to the name, as that of a machine does to the machine.
func (h *Host) MAC() net.HardwareAddr {
	sum := sha256.Sum256([]byte(h.NetNS()))
	return append(net.HardwareAddr{0x02}, sum[:5]...) // locally administered
}

// Autoconfigured is the address that a host makes of an advertised /64: RFC 4291, appendix A.
func (l *Landscape) Autoconfigured(prefix netip.Prefix, host string) netip.Prefix {
	bytes, mac := prefix.Masked().Addr().As16(), l.Host(host).MAC()
	copy(bytes[8:], []byte{mac[0] ^ 0x02, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return netip.PrefixFrom(netip.AddrFrom16(bytes), prefix.Bits())
}

// linkLocal is the host's own address of its link.
func (h *Host) linkLocal() netip.Addr {
	return h.l.Autoconfigured(netip.MustParsePrefix("fe80::/64"), h.Name).Addr()
}

// acceptRA lets eth0 heed advertisements although the host forwards. To be called before eth0 goes up, which is when it solicits them.
func (h *Host) acceptRA() error {
	ns, err := openNetNS(h.NetNS())
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return onOwnThread(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("network namespace %s: %w", h.NetNS(), err)
		}
		return os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_ra", []byte("2"), 0o600)
	})
}

// waitAddresses waits until the host has made the addresses that it makes itself, and has a default route.
func (h *Host) waitAddresses(ctx context.Context, cfg HostConfig) error {
	if !cfg.FromRA {
		return nil
	}
	return wait(ctx, "what the router of link "+string(cfg.Link)+" advertises", advertisementLimit, func(context.Context) error {
		return within(h.NetNS(), func(k *netlink.Handle) error {
			eth0, err := k.LinkByName("eth0")
			if err != nil {
				return err
			}
			have, err := k.AddrList(eth0, netlink.FAMILY_V6)
			if err != nil {
				return err
			}
			for _, want := range cfg.Addresses {
				if want.Addr().Is6() && !slices.ContainsFunc(have, func(a netlink.Addr) bool { return a.IP.Equal(want.Addr().AsSlice()) }) {
					return fmt.Errorf("there is no address %s among %v", want.Addr(), have)
				}
			}
			routes, err := k.RouteList(eth0, netlink.FAMILY_V6)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Protocol == unix.RTPROT_RA && r.Gw != nil }) {
				return fmt.Errorf("there is no default route among %v", routes)
			}
			return nil
		})
	})
}

// RouteTo makes the router send what is for a prefix to a host, on whichever link it is: what a cloud does with a prefix that it gave to a
// machine. The next hop is the host's own address of its link, so that the prefix may hold all others.
func (l *Landscape) RouteTo(_ context.Context, dst netip.Prefix, host string) error {
	h := l.Host(host)
	return within(l.Router().NetNS(), func(k *netlink.Handle) error {
		port, err := k.LinkByName(portName(host))
		if err != nil {
			return fmt.Errorf("route to %s at %s: it is not plugged in: %w", dst, host, err)
		}
		route := netlink.Route{Dst: ipNet(dst), LinkIndex: port.Attrs().MasterIndex}
		if via := h.linkLocal(); dst.Addr().Is6() {
			route.Gw = via.AsSlice()
		} else {
			route.Via = &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: via.AsSlice()}
		}
		if err := k.RouteReplace(&route); err != nil {
			return fmt.Errorf("route to %s at %s: %w", dst, host, err)
		}
		return nil
	})
}

// ClearLink takes the router's addresses of a link away, and the routes over hosts on it.
func (l *Landscape) ClearLink(ctx context.Context, link Link) error {
	if err := l.SetGateway(ctx, link); err != nil {
		return err
	}
	return within(l.Router().NetNS(), func(k *netlink.Handle) error {
		bridge, err := k.LinkByName(link.bridge())
		if err != nil {
			return err
		}
		routes, err := k.RouteList(bridge, netlink.FAMILY_ALL)
		if err != nil {
			return fmt.Errorf("routes over link %s: %w", link, err)
		}
		for _, r := range routes {
			if r.Gw == nil && r.Via == nil {
				continue
			}
			if err := k.RouteDel(&r); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("route to %s over link %s: %w", r.Dst, link, err)
			}
		}
		return nil
	})
}

// AddLoopback gives a host addresses that are on none of its links. They are kept beside those that it has.
func (h *Host) AddLoopback(_ context.Context, addresses ...netip.Addr) error {
	return within(h.NetNS(), func(k *netlink.Handle) error {
		lo, err := k.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, a := range addresses {
			address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen()))}
			if a.Is6() {
				address.Flags = unix.IFA_F_NODAD
			}
			if err := k.AddrReplace(lo, address); err != nil {
				return fmt.Errorf("address %s on lo of %s: %w", a, h.Name, err)
			}
		}
		return nil
	})
}
