// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"slices"
)

// Metrics of the routes of State.
const (
	// MetricPeer is lower than what the kernel (256) and router advertisements (1024) use.
	MetricPeer = 146
	// MetricUnreachable is higher than those of any real route to the same prefix, which then wins: some clouds give a node a prefix
	// that it holds its own address in.
	MetricUnreachable = 65535
)

// Uplink is the interface to the other nodes, and how it treats router advertisements.
type Uplink struct {
	Name string
	MTU  int
	// AcceptRA and Forwarding are its IPv6 sysctls. HasIPv6 is false if it has none.
	HasIPv6    bool
	AcceptRA   int
	Forwarding int
	// FromRA is true if it has a route or an address that a router advertisement brought.
	FromRA bool
}

// Peer is another node.
type Peer struct {
	Name string
	// Prefixes are behind it.
	Prefixes []netip.Prefix
	// Device and Via lead to it.
	Device string
	Via    netip.Addr
}

// Intent is what State is made from.
type Intent struct {
	Uplink Uplink
	// IPv6 and IPv4 say which families pods have.
	IPv6, IPv4 bool
	// Own are the ranges that belong to this node's pods, and its own prefix if it has one.
	Own []netip.Prefix
	// Peers are the nodes to route to directly; none if the infrastructure routes.
	Peers []Peer
	// Imported are routes that BGP peers told of.
	Imported []Imported
	// Unforwarded are ranges of Services that routers send here: what comes in by an interface to one of them and is not translated
	// is refused instead of forwarded, or it would go back to the router and round. The node's own packets are not concerned.
	Unforwarded []netip.Prefix
	// Tunnel to other nodes; nil if nothing is encapsulated.
	Tunnel *Tunnel
}

// Imported is a route with one next hop or several that share its packets.
type Imported struct {
	Dst  netip.Prefix
	Hops []Hop
}

// Hop is a next hop.
type Hop struct {
	Via    netip.Addr
	Device string
}

// Tunnel is a VXLAN interface (RFC 7348) with its remote ends.
type Tunnel struct {
	VNI, Port int
	// Local is the node's own address under the tunnel, of the family of all remotes' addresses.
	Local netip.Addr
	// Remotes are the nodes reached through it.
	Remotes []Remote
}

// Remote is a node at the other end of a tunnel.
type Remote struct {
	Name string
	// Addr is the node's address under the tunnel.
	Addr netip.Addr
	// Prefixes behind it that are reached through the tunnel, of any family.
	Prefixes []netip.Prefix
}

// State is the desired state of the node.
type State struct {
	// Sysctls are written in this order.
	Sysctls []Sysctl
	// Routes are all that bear ProtocolNode.
	Routes []Route
	// KeepRoutes leaves those that bear ProtocolNode as they are: what they should be is not known.
	KeepRoutes bool
}

// Diff says what has to be done to routes, given those that bear ProtocolNode.
func (s State) Diff(have []Route) Changes {
	if s.KeepRoutes {
		return Changes{}
	}
	return DiffRoutes(have, s.Routes)
}

// Plan makes the desired state.
//
// An unallocated address of the node's own ranges is unreachable: without such a route a packet to it follows the default route, and
// the router sends it back, until its hop limit is used up.
func Plan(in Intent) State {
	s := State{Sysctls: nodeSysctls(in)}
	for _, p := range in.Own {
		s.Routes = append(s.Routes, Route{Dst: p.Masked(), Type: Unreachable, Metric: MetricUnreachable, Protocol: ProtocolNode})
	}
	for _, peer := range in.Peers {
		for _, p := range peer.Prefixes {
			if p.Addr().Is4() != peer.Via.Is4() {
				continue
			}
			s.Routes = append(s.Routes, Route{Dst: p.Masked(), Via: peer.Via, Device: peer.Device, OnLink: true, Metric: MetricPeer, Protocol: ProtocolNode})
		}
	}
	slices.SortFunc(s.Routes, compareRoutes)
	s.Routes = slices.CompactFunc(s.Routes, func(a, b Route) bool { return slot(a) == slot(b) })
	return s
}

// nodeSysctls switches forwarding on. That makes the kernel ignore router advertisements on interfaces with accept_ra=1, and forget the
// default route they brought (net/ipv6/addrconf.c), so accept_ra=2 comes first, for the uplink by name: "all" has no effect on it.
func nodeSysctls(in Intent) []Sysctl {
	var out []Sysctl
	if in.IPv6 {
		if in.Uplink.wantsRA() {
			out = append(out, Sysctl{"net/ipv6/conf/" + in.Uplink.Name + "/accept_ra", "2"})
		}
		out = append(out, Sysctl{"net/ipv6/conf/all/forwarding", "1"}, Sysctl{"net/ipv6/conf/default/forwarding", "1"})
	}
	if in.IPv4 {
		out = append(out, Sysctl{"net/ipv4/ip_forward", "1"})
	}
	return out
}

// wantsRA is true if the kernel handles router advertisements on the uplink (accept_ra is 1: not 0, where it is off or a program such
// as systemd-networkd does it, and not 2 already), and forwarding either does not stop it yet or has done so to a node that lives on
// them.
func (u Uplink) wantsRA() bool {
	return u.HasIPv6 && u.AcceptRA == 1 && (u.Forwarding == 0 || u.FromRA)
}

// Changes is what Apply did.
type Changes struct {
	Sysctls                  []Sysctl
	Added, Replaced, Deleted []Route
}

// Empty says that nothing had to be done.
func (c Changes) Empty() bool {
	return len(c.Sysctls)+len(c.Added)+len(c.Replaced)+len(c.Deleted) == 0
}

// routeSlot is what the kernel has one route for: adding a second one is a conflict, replacing is atomic.
type routeSlot struct {
	dst    netip.Prefix
	metric int
}

func slot(r Route) routeSlot { return routeSlot{r.Dst, r.Metric} }

// DiffRoutes compares the routes that bear our mark with those that shall. Additions and replacements are to be done before deletions.
func DiffRoutes(have, want []Route) Changes {
	var c Changes
	old := map[routeSlot]Route{}
	for _, r := range have {
		old[slot(r)] = r
	}
	wanted := map[routeSlot]bool{}
	for _, r := range want {
		wanted[slot(r)] = true
		switch is, ok := old[slot(r)]; {
		case !ok:
			c.Added = append(c.Added, r)
		case is != r:
			c.Replaced = append(c.Replaced, r)
		}
	}
	for _, r := range have {
		if !wanted[slot(r)] {
			c.Deleted = append(c.Deleted, r)
		}
	}
	for _, l := range [][]Route{c.Added, c.Replaced, c.Deleted} {
		slices.SortFunc(l, compareRoutes)
	}
	return c
}

func compareRoutes(a, b Route) int {
	if c := a.Dst.Addr().Compare(b.Dst.Addr()); c != 0 {
		return c
	}
	if c := a.Dst.Bits() - b.Dst.Bits(); c != 0 {
		return c
	}
	if c := a.Metric - b.Metric; c != 0 {
		return c
	}
	return a.Via.Compare(b.Via)
}
