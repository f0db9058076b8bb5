// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// listTunnels reads the tunnels there are; of sysctls, those that the wanted ones name. It looks for each by its name: where pods come and
// go all the time, a list of all interfaces is interrupted again and again.
func listTunnels(want []dataplane.VXLAN) ([]dataplane.VXLAN, error) {
	var out []dataplane.VXLAN
	for _, name := range dataplane.TunnelNames() {
		l, err := nl.LinkByName(name)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", name, err)
		}
		v := readTunnel(l)
		if i := slices.IndexFunc(want, func(w dataplane.VXLAN) bool { return w.Name == v.Name }); i >= 0 && !v.Remake {
			if err := readContents(l, want[i].Sysctls, &v); err != nil {
				return nil, fmt.Errorf("tunnel %s: %w", v.Name, err)
			}
		}
		out = append(out, v)
	}
	return out, nil
}

func readTunnel(l nl.Link) dataplane.VXLAN {
	a := l.Attrs()
	v := dataplane.VXLAN{Name: a.Name, MTU: a.MTU}
	if len(a.HardwareAddr) == len(v.MAC) {
		v.MAC = dataplane.MAC(a.HardwareAddr)
	}
	x, ok := l.(*nl.Vxlan)
	if !ok || x.Learning || x.FlowBased || x.Group != nil || x.VtepDevIndex != 0 {
		v.Remake = true
		return v
	}
	v.VNI, v.Port, v.Local = x.VxlanId, x.Port, addr(x.SrcAddr)
	if a.Flags&net.FlagUp == 0 {
		v.Broken = "down"
	}
	return v
}

// readContents reads what is in the tunnel. Neighbours and entries that the kernel would forget by itself do not count.
func readContents(l nl.Link, sysctls []dataplane.Sysctl, v *dataplane.VXLAN) error {
	for _, s := range sysctls {
		is, err := get(s.Path)
		if err != nil {
			return err
		}
		v.Sysctls = append(v.Sysctls, dataplane.Sysctl{Path: s.Path, Value: is})
	}
	addrs, err := dump(func() ([]nl.Addr, error) { return nl.AddrList(l, nl.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		bits, _ := a.Mask.Size()
		v.Addrs = append(v.Addrs, netip.PrefixFrom(addr(a.IP), bits))
	}
	index := l.Attrs().Index
	neighbours, err := dump(func() ([]nl.Neigh, error) { return nl.NeighList(index, nl.FAMILY_V6) })
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range neighbours {
		if n.State&unix.NUD_PERMANENT != 0 && len(n.HardwareAddr) == 6 {
			v.Neighbours = append(v.Neighbours, dataplane.Neighbour{Addr: addr(n.IP), MAC: dataplane.MAC(n.HardwareAddr)})
		}
	}
	entries, err := dump(func() ([]nl.Neigh, error) { return nl.NeighList(index, unix.AF_BRIDGE) })
	if err != nil {
		return fmt.Errorf("list forwarding entries: %w", err)
	}
	for _, e := range entries {
		if e.State&unix.NUD_PERMANENT != 0 && len(e.HardwareAddr) == 6 {
			v.FDB = append(v.FDB, dataplane.FDBEntry{MAC: dataplane.MAC(e.HardwareAddr), Remote: addr(e.IP)})
		}
	}
	return nil
}

// applyTunnels makes interfaces and adds to them.
func applyTunnels(todo []dataplane.TunnelChange, want []dataplane.VXLAN, failed *dataplane.ApplyError) (done []dataplane.TunnelChange) {
	for _, c := range todo {
		if c.Remove {
			done = append(done, c)
			continue
		}
		w := want[slices.IndexFunc(want, func(w dataplane.VXLAN) bool { return w.Name == c.Name })]
		if err := applyTunnel(c, w); err != nil {
			failed.Tunnels = append(failed.Tunnels, &dataplane.TunnelError{Name: c.Name, Err: err})
			continue
		}
		done = append(done, c)
	}
	return done
}

func applyTunnel(c dataplane.TunnelChange, want dataplane.VXLAN) error {
	if c.Remake {
		if err := removeTunnel(c.Name); err != nil {
			return err
		}
	}
	if c.Remake || c.Create {
		if err := makeTunnel(want); err != nil {
			return err
		}
	}
	link, err := nl.LinkByName(c.Name)
	if err != nil {
		return err
	}
	if c.Remake || c.Create || c.Settings {
		if err := settle(link, want); err != nil {
			return err
		}
	}
	for _, p := range c.AddedAddrs {
		if err := nl.AddrAdd(link, toAddr(p)); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	// What a next hop is, before what it is behind: a packet to an unknown MAC would be lost in silence either way.
	for _, e := range c.AddedFDB {
		if err := nl.NeighSet(forwarding(link, e)); err != nil {
			return fmt.Errorf("add forwarding entry %s to %s: %w", e.MAC, e.Remote, err)
		}
	}
	for _, n := range c.AddedNeighbours {
		if err := nl.NeighSet(neighbour(link, n)); err != nil {
			return fmt.Errorf("add neighbour %s: %w", n.Addr, err)
		}
	}
	return nil
}

// makeTunnel adds the interface. It is bound to no other one: the node's routes say how remotes are reached. The hop limit is the
// node's usual one, and packets may be fragmented on their way under IPv4, since routers there need not tell of narrow links.
func makeTunnel(w dataplane.VXLAN) error {
	attrs := nl.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = w.Name, w.MTU, hardware(w.MAC)
	err := nl.LinkAdd(&nl.Vxlan{LinkAttrs: attrs, VxlanId: w.VNI, SrcAddr: w.Local.AsSlice(), Port: w.Port, Learning: false})
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("another interface has VNI %d and UDP port %d already: %w", w.VNI, w.Port, err)
	}
	if err != nil {
		return fmt.Errorf("add interface: %w", err)
	}
	return nil
}

func settle(link nl.Link, w dataplane.VXLAN) error {
	for _, s := range w.Sysctls {
		if _, err := set(s); err != nil {
			return err
		}
	}
	if link.Attrs().MTU != w.MTU {
		if err := nl.LinkSetMTU(link, w.MTU); err != nil {
			return fmt.Errorf("set MTU %d: %w", w.MTU, err)
		}
	}
	if link.Attrs().HardwareAddr.String() != w.MAC.String() {
		if err := nl.LinkSetHardwareAddr(link, hardware(w.MAC)); err != nil {
			return fmt.Errorf("set address %s: %w", w.MAC, err)
		}
	}
	if err := nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch on: %w", err)
	}
	return nil
}

// trimTunnels deletes what routes needed until now.
func trimTunnels(todo []dataplane.TunnelChange, failed *dataplane.ApplyError) {
	for _, c := range todo {
		if err := trimTunnel(c); err != nil {
			failed.Tunnels = append(failed.Tunnels, &dataplane.TunnelError{Name: c.Name, Err: err})
		}
	}
}

func trimTunnel(c dataplane.TunnelChange) error {
	if c.Remove {
		return removeTunnel(c.Name)
	}
	if len(c.DeletedAddrs)+len(c.DeletedNeighbours)+len(c.DeletedFDB) == 0 {
		return nil
	}
	link, err := nl.LinkByName(c.Name)
	if err != nil {
		return err
	}
	gone := func(err error) bool {
		return err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EADDRNOTAVAIL)
	}
	for _, n := range c.DeletedNeighbours {
		if err := nl.NeighDel(neighbour(link, n)); !gone(err) {
			return fmt.Errorf("delete neighbour %s: %w", n.Addr, err)
		}
	}
	for _, e := range c.DeletedFDB {
		if err := nl.NeighDel(forwarding(link, e)); !gone(err) {
			return fmt.Errorf("delete forwarding entry %s to %s: %w", e.MAC, e.Remote, err)
		}
	}
	for _, p := range c.DeletedAddrs {
		if err := nl.AddrDel(link, &nl.Addr{IPNet: ipNet(p)}); !gone(err) {
			return fmt.Errorf("delete address %s: %w", p, err)
		}
	}
	return nil
}

// remade says whether an interface, and its routes with it, was taken away for a moment.
func remade(todo []dataplane.TunnelChange) bool {
	return slices.ContainsFunc(todo, func(c dataplane.TunnelChange) bool { return c.Remake })
}

func removeTunnel(name string) error {
	link, err := nl.LinkByName(name)
	if missing(err) {
		return nil
	}
	if err == nil {
		err = nl.LinkDel(link)
	}
	if err != nil && !missing(err) {
		return fmt.Errorf("remove interface: %w", err)
	}
	return nil
}

func neighbour(link nl.Link, n dataplane.Neighbour) *nl.Neigh {
	return &nl.Neigh{LinkIndex: link.Attrs().Index, Family: family(n.Addr), State: nl.NUD_PERMANENT, IP: n.Addr.AsSlice(), HardwareAddr: hardware(n.MAC)}
}

func forwarding(link nl.Link, e dataplane.FDBEntry) *nl.Neigh {
	return &nl.Neigh{
		LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE, Flags: nl.NTF_SELF, State: nl.NUD_PERMANENT, IP: e.Remote.AsSlice(), HardwareAddr: hardware(e.MAC),
	}
}
