// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is an Ethernet segment: a bridge in the router's namespace. The router forwards between links.
type Link string

// The links of the landscape.
const (
	// SeedLink joins the control planes and the seed's node.
	SeedLink Link = "seed"
	// ShootLink joins the shoot's nodes.
	ShootLink Link = "shoot"
	// OutsideLink joins hosts that have nothing to do with Kubernetes, "the Internet".
	OutsideLink Link = "outside"
)

// Links are those that every landscape has.
var Links = []Link{SeedLink, ShootLink, OutsideLink}

// RouterName is the host that forwards between links and plays the infrastructure's network.
const RouterName = "router"

const mtu = 1500

func (k Link) bridge() string { return "br-" + string(k) }

// Router gives the handle on the router.
func (l *Landscape) Router() *Host { return l.Host(RouterName) }

// StartRouter brings up the router with its links; no link has an address yet.
func (l *Landscape) StartRouter(ctx context.Context) (*Host, error) {
	if err := l.prepare(); err != nil {
		return nil, err
	}
	r := l.Router()
	if err := r.group().Make(); err != nil {
		return nil, err
	}
	if err := ensureNetNS(r.NetNS()); err != nil {
		return nil, err
	}
	for _, link := range Links {
		if err := l.StartLink(ctx, link); err != nil {
			return nil, err
		}
	}
	return r, ctx.Err()
}

// StartLink makes a link, beside those that every landscape has. Its name has at most twelve characters.
func (l *Landscape) StartLink(_ context.Context, link Link) error {
	if err := ensureBridge(l.Router().NetNS(), link.bridge()); err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	return nil
}

// SetGateway gives the router its addresses on a link: exactly these, each with the length of the link's prefix.
func (l *Landscape) SetGateway(_ context.Context, link Link, addresses ...netip.Prefix) error {
	return within(l.Router().NetNS(), func(k *netlink.Handle) error {
		return setAddresses(k, link.bridge(), addresses)
	})
}

// Route is a way to a prefix.
type Route struct {
	// Dst is where to.
	Dst netip.Prefix
	// Via is the next router.
	Via netip.Addr
}

// Routes lists a host's routes that lead over another host, default routes included.
func (h *Host) Routes(_ context.Context) ([]Route, error) {
	var routes []Route
	err := within(h.NetNS(), func(k *netlink.Handle) error {
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			list, err := k.RouteList(nil, family)
			if err != nil {
				return err
			}
			for _, r := range list {
				via, ok := netip.AddrFromSlice(r.Gw)
				if dst, valid := prefixOf(r.Dst, family); ok && valid {
					routes = append(routes, Route{Dst: dst, Via: via.Unmap()})
				}
			}
		}
		return nil
	})
	return routes, err
}

// AddRoute adds or replaces a host's route. That of an IPv4 prefix may lead over an IPv6 address (RFC 8950, RFC 9229).
func (h *Host) AddRoute(_ context.Context, dst netip.Prefix, via netip.Addr) error {
	return within(h.NetNS(), func(k *netlink.Handle) error {
		route := netlink.Route{Dst: ipNet(dst)}
		if dst.Addr().Is4() == via.Is4() {
			route.Gw = via.AsSlice()
		} else {
			route.Via = &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: via.AsSlice()}
		}
		if err := k.RouteReplace(&route); err != nil {
			return fmt.Errorf("route to %s via %s on %s: %w", dst, via, h.Name, err)
		}
		return nil
	})
}

// DeleteRoute removes a host's route; it is no error if there is none.
func (h *Host) DeleteRoute(_ context.Context, dst netip.Prefix) error {
	return within(h.NetNS(), func(k *netlink.Handle) error {
		err := k.RouteDel(&netlink.Route{Dst: ipNet(dst)})
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("removing route to %s on %s: %w", dst, h.Name, err)
		}
		return nil
	})
}

// plug makes the host's network namespace and its eth0 on the link.
func (h *Host) plug(cfg HostConfig) error {
	if err := ensureNetNS(h.NetNS()); err != nil {
		return err
	}
	return within(h.NetNS(), func(k *netlink.Handle) error {
		eth0, err := k.LinkByName("eth0")
		if err != nil {
			if err := errors.Join(h.makeEth0(k, cfg), h.l.forget(cfg.Link, cfg.Addresses)); err != nil {
				return err
			}
			if eth0, err = k.LinkByName("eth0"); err != nil {
				return err
			}
		}
		if err := setAddresses(k, "eth0", cfg.configured()); err != nil {
			return err
		}
		for _, gw := range cfg.Gateways {
			dst := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			if gw.Is4() {
				dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			}
			// a cloud's gateway need not be in the prefix of any address of the host
			route := netlink.Route{Dst: ipNet(dst), Gw: gw.AsSlice(), LinkIndex: eth0.Attrs().Index, Flags: int(netlink.FLAG_ONLINK)}
			if err := k.RouteReplace(&route); err != nil {
				return fmt.Errorf("default route via %s: %w", gw, err)
			}
		}
		return nil
	})
}

// forget makes the router solicit its neighbours at these addresses again. Another machine may have had them, with another MAC, which a
// data centre's network knows because it runs the machines.
func (l *Landscape) forget(link Link, addresses []netip.Prefix) error {
	return within(l.Router().NetNS(), func(k *netlink.Handle) error {
		bridge, err := k.LinkByName(link.bridge())
		if err != nil {
			return err
		}
		for _, a := range addresses {
			err := k.NeighDel(&netlink.Neigh{LinkIndex: bridge.Attrs().Index, IP: a.Addr().AsSlice()})
			if err != nil && !errors.Is(err, syscall.ENOENT) {
				return fmt.Errorf("neighbour %s of link %s: %w", a.Addr(), link, err)
			}
		}
		return nil
	})
}

// makeEth0 makes the veth pair between the host and the router.
func (h *Host) makeEth0(k *netlink.Handle, cfg HostConfig) error {
	router := h.l.Router().NetNS()
	fd, err := openNetNS(router)
	if err != nil {
		return fmt.Errorf("the router is not up: %w", err)
	}
	defer func() { _ = fd.Close() }()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = "eth0", mtu, h.MAC()
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: portName(h.Name), PeerNamespace: netlink.NsFd(int(fd))}
	if err := k.LinkAdd(veth); err != nil {
		return fmt.Errorf("eth0: %w", err)
	}
	err = within(router, func(k *netlink.Handle) error {
		port, err := k.LinkByName(portName(h.Name))
		if err != nil {
			return err
		}
		bridge, err := k.LinkByName(cfg.Link.bridge())
		if err != nil {
			return err
		}
		return errors.Join(k.LinkSetMTU(port, mtu), k.LinkSetMaster(port, bridge), k.LinkSetUp(port))
	})
	if err != nil {
		return fmt.Errorf("port on link %s: %w", cfg.Link, err)
	}
	eth0, err := k.LinkByName("eth0")
	if err != nil {
		return err
	}
	if cfg.FromRA {
		if err := h.acceptRA(); err != nil {
			return err
		}
	}
	return k.LinkSetUp(eth0)
}

// unplug removes what is left of a host's cable at the router, for a namespace that some process still holds.
func (l *Landscape) unplug(host string) error {
	if !netnsExists(l.Router().NetNS()) {
		return nil
	}
	return within(l.Router().NetNS(), func(k *netlink.Handle) error {
		port, err := k.LinkByName(portName(host))
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		if err != nil {
			return err
		}
		// it goes by itself, a moment after its namespace
		if err := k.LinkDel(port); err != nil && !errors.Is(err, syscall.ENODEV) {
			return err
		}
		return nil
	})
}

// portName is the router's end of a host's cable; interface names have at most 15 characters.
func portName(host string) string { return "p-" + host }

// ensureBridge makes the bridge with a MAC that stays. Else it has the lowest MAC of its ports, and when a port comes or goes, hosts send
// to a gateway that is not there until they find it unreachable, up to a minute later.
func ensureBridge(ns, name string) error {
	sum := sha256.Sum256([]byte(name))
	mac := net.HardwareAddr(append([]byte{0x02}, sum[:5]...)) // locally administered
	return within(ns, func(k *netlink.Handle) error {
		if bridge, err := k.LinkByName(name); err == nil {
			if bytes.Equal(bridge.Attrs().HardwareAddr, mac) {
				return nil
			}
			return k.LinkSetHardwareAddr(bridge, mac)
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU, attrs.HardwareAddr = name, mtu, mac
		if err := k.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return err
		}
		bridge, err := k.LinkByName(name)
		if err != nil {
			return err
		}
		return k.LinkSetUp(bridge)
	})
}

// setAddresses makes the interface's global addresses exactly those given, new ones before old ones go.
func setAddresses(k *netlink.Handle, device string, addresses []netip.Prefix) error {
	link, err := k.LinkByName(device)
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	for _, a := range addresses {
		n := &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}
		address := &netlink.Addr{IPNet: n}
		if a.Addr().Is6() {
			// duplicate detection would keep the address from being used for a second
			address.Flags = unix.IFA_F_NODAD
		}
		if err := k.AddrReplace(link, address); err != nil {
			return fmt.Errorf("address %s on %s: %w", a, device, err)
		}
	}
	have, err := k.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", device, err)
	}
	for _, h := range have {
		ip, _ := netip.AddrFromSlice(h.IP)
		ones, _ := h.Mask.Size()
		fromRA := ip.Is6() && h.Flags&unix.IFA_F_PERMANENT == 0
		if ip = ip.Unmap(); fromRA || ip.IsLinkLocalUnicast() || slices.Contains(addresses, netip.PrefixFrom(ip, ones)) {
			continue
		}
		if err := k.AddrDel(link, &h); err != nil {
			return fmt.Errorf("removing address %s from %s: %w", ip, device, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefixOf converts a route's destination; netlink gives nil for a default route in some versions.
func prefixOf(n *net.IPNet, family int) (netip.Prefix, bool) {
	if n == nil {
		if family == netlink.FAMILY_V4 {
			return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
		}
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	if family == netlink.FAMILY_V4 {
		ip = ip.Unmap()
	}
	return netip.PrefixFrom(ip, ones), ok
}
