// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"net/netip"
	"slices"
)

// Metrics of the routes of State.
const (
	// MetricPeer is lower than what the kernel (256) and router advertisements (1024) use.
	MetricPeer = 146
	// MetricImported is lower than any that programs give to a default route of their own accord (100 by NetworkManager and netplan,
	// 1024 by router advertisements), and BIRD's: whoever imports a default route wants it to be used. One without a metric in IPv4
	// (0) still wins.
	MetricImported = 32
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
	// KeepImported leaves the imported routes that the kernel has as they are: what they should be is not known, as between the
	// agent's start and the first word of its BGP peers.
	KeepImported bool
	// Unforwarded are ranges of Services that routers send here: what comes in by an interface to one of them and is not translated
	// is refused instead of forwarded, or it would go back to the router and round. The node's own packets are not concerned.
	Unforwarded []netip.Prefix
	// Tunnels to other nodes, at most one a family of underlay; none if nothing is encapsulated.
	Tunnels []Tunnel
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

// String is like iproute2's.
func (h Hop) String() string { return "via " + h.Via.String() + " dev " + h.Device }

func (h Hop) compare(o Hop) int {
	return cmp.Or(h.Via.Compare(o.Via), cmp.Compare(h.Device, o.Device))
}

// State is the desired state of the node.
type State struct {
	// Sysctls are written in this order.
	Sysctls []Sysctl
	// Routes are all that bear ProtocolNode or ProtocolImported.
	Routes []Route
	// KeepImported leaves the routes that bear ProtocolImported as they are.
	KeepImported bool
	// Rules are all that bear ProtocolNode.
	Rules []Rule
	// Tunnels are all interfaces that bear one of TunnelNames.
	Tunnels []VXLAN
	// KeepRoutes leaves routes, rules and tunnels as they are: what they should be is not known.
	KeepRoutes bool
}

// Ours says whether a route's mark is one that State is about.
func Ours(protocol uint8) bool { return protocol == ProtocolNode || protocol == ProtocolImported }

// Diff says what has to be done, given what bears our marks.
func (s State) Diff(routes []Route, rules []Rule, tunnels []VXLAN) Changes {
	if s.KeepRoutes {
		return Changes{}
	}
	want := s.Routes
	if s.KeepImported {
		imported := func(r Route) bool { return r.Protocol == ProtocolImported }
		want = slices.DeleteFunc(slices.Clone(want), imported)
		routes = slices.DeleteFunc(slices.Clone(routes), imported)
	}
	c := DiffRoutes(routes, want)
	c.AddedRules, c.DeletedRules = diffRules(rules, s.Rules)
	c.Tunnels = diffTunnels(tunnels, s.Tunnels)
	return c
}

// Plan makes the desired state.
//
// An unallocated address of the node's own ranges is unreachable: without such a route a packet to it follows the default route, and
// the router sends it back, until its hop limit is used up.
func Plan(in Intent) State {
	s := State{Sysctls: nodeSysctls(in), Rules: unforwarded(in.Unforwarded), KeepImported: in.KeepImported}
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
	for _, t := range in.Tunnels {
		s.Tunnels = append(s.Tunnels, t.device(in))
		s.Routes = append(s.Routes, t.routes()...)
	}
	if !in.KeepImported {
		s.Routes = append(s.Routes, imported(in.Imported, in.Own, s.Routes)...)
	}
	slices.SortFunc(s.Routes, compareRoutes)
	s.Routes = slices.CompactFunc(s.Routes, func(a, b Route) bool { return slot(a) == slot(b) })
	return s
}

// imported leaves out what the node knows better: whatever lies in its own ranges, where it would win over the routes to pods, and
// prefixes that ours lead to.
func imported(told []Imported, own []netip.Prefix, ours []Route) []Route {
	known := map[netip.Prefix]bool{}
	for _, r := range ours {
		known[r.Dst] = true
	}
	var out []Route
	for _, i := range told {
		dst := i.Dst.Masked()
		within := func(p netip.Prefix) bool { return p.Bits() <= dst.Bits() && p.Contains(dst.Addr()) }
		if len(i.Hops) == 0 || known[dst] || slices.ContainsFunc(own, within) {
			continue
		}
		hops := make([]Hop, 0, len(i.Hops))
		for _, h := range i.Hops {
			hops = append(hops, Hop{Via: h.Via.WithZone(""), Device: h.Device})
		}
		slices.SortFunc(hops, Hop.compare)
		hops = slices.Compact(hops)
		r := Route{Dst: dst, Via: hops[0].Via, Device: hops[0].Device, Metric: MetricImported, Protocol: ProtocolImported}
		if len(hops) > 1 {
			r.More = hops[1:]
		}
		out = append(out, r)
	}
	return out
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
		// IPv4 packets in a tunnel over IPv6, whose routers fragment nothing: without this the kernel keeps from pods what a narrow link
		// has told it (RFC 1191), and their large packets vanish. IPv6 needs no such word.
		if slices.ContainsFunc(in.Tunnels, func(t Tunnel) bool { return t.Local.Is6() }) {
			out = append(out, Sysctl{"net/ipv4/ip_forward_use_pmtu", "1"})
		}
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
	AddedRules, DeletedRules []Rule
	Tunnels                  []TunnelChange
}

// Empty says that nothing had to be done.
func (c Changes) Empty() bool {
	return len(c.Sysctls)+len(c.Added)+len(c.Replaced)+len(c.Deleted)+len(c.AddedRules)+len(c.DeletedRules)+len(c.Tunnels) == 0
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
		case !is.Equal(r):
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
	return cmp.Or(a.Via.Compare(b.Via), cmp.Compare(a.Device, b.Device))
}
