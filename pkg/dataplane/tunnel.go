// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// TunnelPrefix begins the names of tunnels; the digit of the underlay's family follows.
const TunnelPrefix = "v6vxlan"

// TunnelNames are those that tunnels may have.
func TunnelNames() []string { return []string{TunnelPrefix + "6", TunnelPrefix + "4"} }

// Tunnel is a VXLAN interface (RFC 7348) with its remote ends.
type Tunnel struct {
	VNI, Port int
	// Local is the node's own address under the tunnel, of the family of all remotes' addresses.
	Local netip.Addr
	// Inner are the node's own addresses in the tunnel, one a family: what the node itself says to pods on other nodes comes from them,
	// ICMP errors among it, so that the answer takes the tunnel, too. If there are none, those that the interface has stay: with the
	// last one of IPv4 the kernel drops all routes of IPv4 through it.
	Inner []netip.Addr
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

// Overhead is what VXLAN adds to a packet in bytes, over an underlay of the address' family: IP, UDP (8), VXLAN (8), Ethernet (14).
func Overhead(underlay netip.Addr) int {
	if underlay.Is4() {
		return 20 + 8 + 8 + 14
	}
	return 40 + 8 + 8 + 14
}

// VXLAN is a tunnel's interface as the kernel has it.
type VXLAN struct {
	Name string
	// VNI, Port and Local are an interface's for life.
	VNI, Port int
	Local     netip.Addr
	MAC       MAC
	MTU       int
	Sysctls   []Sysctl
	Addrs     []netip.Prefix
	// Neighbours are the next hops in the tunnel, and FDB says behind which node's address each MAC is. Both are permanent, and nothing
	// is learned.
	Neighbours []Neighbour
	FDB        []FDBEntry
	// Broken says what else is wrong with an interface that was found; it is put right, or made anew if Remake is set.
	Broken string
	Remake bool
}

// FDBEntry is an entry of a tunnel's forwarding database.
type FDBEntry struct {
	MAC    MAC
	Remote netip.Addr
}

// device is the tunnel's interface.
func (t Tunnel) device(in Intent) VXLAN {
	v := VXLAN{
		Name: t.name(), VNI: t.VNI, Port: t.Port, Local: t.Local, MAC: tunnelMAC(t.Local), MTU: max(in.Uplink.MTU-Overhead(t.Local), minTunnelMTU),
	}
	for _, a := range t.Inner {
		v.Addrs = append(v.Addrs, netip.PrefixFrom(a, a.BitLen()))
	}
	v.Sysctls = append(hostSysctls6(v.Name), hostSysctls4(v.Name)...)
	for _, r := range t.Remotes {
		m := tunnelMAC(r.Addr)
		v.Neighbours = append(v.Neighbours, Neighbour{Addr: linkLocal(m), MAC: m})
		v.FDB = append(v.FDB, FDBEntry{MAC: m, Remote: r.Addr})
	}
	return v
}

// minTunnelMTU is what RFC 8200 section 5 asks of every IPv6 link.
const minTunnelMTU = 1280

// routes lead to the remotes' prefixes of both families by way of an IPv6 next hop: the tunnel needs no second kind of neighbours.
func (t Tunnel) routes() []Route {
	var out []Route
	for _, r := range t.Remotes {
		via := linkLocal(tunnelMAC(r.Addr))
		for _, p := range r.Prefixes {
			out = append(out, Route{Dst: p.Masked(), Via: via, Device: t.name(), OnLink: true, Metric: MetricPeer, Protocol: ProtocolNode})
		}
	}
	return out
}

func (t Tunnel) name() string {
	names := TunnelNames()
	if t.Local.Is4() {
		return names[1]
	}
	return names[0]
}

// tunnelMAC is made of the node's address under the tunnel, so that every node knows it without being told; 46 bits are its own.
func tunnelMAC(underlay netip.Addr) MAC { return mac(underlay.String(), "vxlan") }

// linkLocal is the link-local address of an interface with that MAC (RFC 4291, appendix A).
func linkLocal(m MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 0x02, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// TunnelChange is what is done to one tunnel. Additions come before the routes are changed, deletions after.
type TunnelChange struct {
	Name string
	// Remake, Create and Remove concern the whole interface; Settings its MAC, MTU, sysctls and whether it is up.
	Remake, Create, Remove, Settings   bool
	AddedAddrs, DeletedAddrs           []netip.Prefix
	AddedNeighbours, DeletedNeighbours []Neighbour
	AddedFDB, DeletedFDB               []FDBEntry
}

// String tells in a few words.
func (c TunnelChange) String() string {
	var said []string
	for what, is := range map[string]bool{"made anew": c.Remake, "created": c.Create, "removed": c.Remove, "settings": c.Settings} {
		if is {
			said = append(said, what)
		}
	}
	for what, n := range map[string]int{
		"addresses added": len(c.AddedAddrs), "addresses deleted": len(c.DeletedAddrs),
		"neighbours added": len(c.AddedNeighbours), "neighbours deleted": len(c.DeletedNeighbours),
		"forwarding entries added": len(c.AddedFDB), "forwarding entries deleted": len(c.DeletedFDB),
	} {
		if n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, what))
		}
	}
	slices.Sort(said)
	return c.Name + ": " + strings.Join(said, ", ")
}

// MarshalText lets logs show a change as text.
func (c TunnelChange) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c TunnelChange) empty() bool {
	entries := len(c.AddedAddrs) + len(c.DeletedAddrs) + len(c.AddedNeighbours) + len(c.DeletedNeighbours) + len(c.AddedFDB) + len(c.DeletedFDB)
	return entries == 0 && !c.Remake && !c.Create && !c.Remove && !c.Settings
}

// diffTunnels compares the tunnels there are with those that shall be.
func diffTunnels(have, want []VXLAN) []TunnelChange {
	var out []TunnelChange
	for _, w := range want {
		c := TunnelChange{Name: w.Name}
		var is VXLAN
		if i := slices.IndexFunc(have, func(v VXLAN) bool { return v.Name == w.Name }); i < 0 {
			c.Create = true
		} else if is = have[i]; is.Remake || is.VNI != w.VNI || is.Port != w.Port || is.Local != w.Local {
			c.Remake, is = true, VXLAN{}
		} else {
			c.Settings = is.MAC != w.MAC || is.MTU != w.MTU || is.Broken != "" || !slices.Equal(is.Sysctls, w.Sysctls)
		}
		if len(w.Addrs) > 0 {
			c.AddedAddrs, c.DeletedAddrs = difference(is.Addrs, w.Addrs)
		}
		c.AddedNeighbours, c.DeletedNeighbours = difference(is.Neighbours, w.Neighbours)
		c.AddedFDB, c.DeletedFDB = difference(is.FDB, w.FDB)
		if !c.empty() {
			out = append(out, c)
		}
	}
	for _, v := range have {
		if !slices.ContainsFunc(want, func(w VXLAN) bool { return w.Name == v.Name }) {
			out = append(out, TunnelChange{Name: v.Name, Remove: true})
		}
	}
	return out
}

// difference of two sets.
func difference[T comparable](have, want []T) (add, del []T) {
	is, shall := map[T]bool{}, map[T]bool{}
	for _, x := range have {
		is[x] = true
	}
	for _, x := range want {
		if !is[x] && !shall[x] {
			add = append(add, x)
		}
		shall[x] = true
	}
	for _, x := range have {
		if !shall[x] {
			del = append(del, x)
		}
	}
	return add, del
}
