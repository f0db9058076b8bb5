// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

func addr(s string) netip.Addr  { return netip.MustParseAddr(s) }
func pre(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// tunnelTo leads to two nodes over IPv4.
func tunnelTo() dataplane.Intent {
	return dataplane.Intent{
		Uplink: dataplane.Uplink{Name: "eth0", MTU: 1500}, IPv6: true, IPv4: true,
		Tunnels: []dataplane.Tunnel{{
			VNI: 4096, Port: 4789, Local: addr("10.0.0.1"), Inner: []netip.Addr{addr("2001:db8:0:1::"), addr("10.96.1.0")},
			Remotes: []dataplane.Remote{
				{Name: "n2", Addr: addr("10.0.0.2"), Prefixes: []netip.Prefix{pre("2001:db8:0:2::/64"), pre("10.96.2.0/24")}},
				{Name: "n3", Addr: addr("10.0.0.3"), Prefixes: []netip.Prefix{pre("2001:db8:0:3::/64")}},
			},
		}},
	}
}

func show(s dataplane.State) string {
	var b strings.Builder
	for _, v := range s.Tunnels {
		fmt.Fprintf(&b, "%s vni %d port %d local %s mtu %d\n", v.Name, v.VNI, v.Port, v.Local, v.MTU)
		for _, x := range v.Sysctls {
			fmt.Fprintf(&b, "sysctl %s=%s\n", x.Path, x.Value)
		}
		for _, p := range v.Addrs {
			fmt.Fprintf(&b, "addr %s\n", p)
		}
		for _, n := range v.Neighbours {
			fmt.Fprintf(&b, "neighbour %s %s\n", n.Addr, n.MAC)
		}
		for _, e := range v.FDB {
			fmt.Fprintf(&b, "fdb %s %s\n", e.MAC, e.Remote)
		}
	}
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "rule %s\n", r)
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "route %s\n", r)
	}
	return b.String()
}

func TestPlanTunnels(t *testing.T) {
	g := NewWithT(t)
	s := dataplane.Plan(tunnelTo())
	g.Expect(show(s)).To(Equal(`v6vxlan4 vni 4096 port 4789 local 10.0.0.1 mtu 1450
sysctl net/ipv6/conf/v6vxlan4/disable_ipv6=0
sysctl net/ipv6/conf/v6vxlan4/addr_gen_mode=1
sysctl net/ipv6/conf/v6vxlan4/accept_ra=0
sysctl net/ipv6/conf/v6vxlan4/accept_redirects=0
sysctl net/ipv6/conf/v6vxlan4/accept_dad=0
sysctl net/ipv6/conf/v6vxlan4/forwarding=1
sysctl net/ipv4/conf/v6vxlan4/forwarding=1
sysctl net/ipv4/conf/v6vxlan4/accept_redirects=0
sysctl net/ipv4/conf/v6vxlan4/send_redirects=0
addr 2001:db8:0:1::/128
addr 10.96.1.0/32
neighbour fe80::b431:9eff:fe6e:fa60 b6:31:9e:6e:fa:60
neighbour fe80::ec5d:1bff:fe4f:28d ee:5d:1b:4f:02:8d
fdb b6:31:9e:6e:fa:60 10.0.0.2
fdb ee:5d:1b:4f:02:8d 10.0.0.3
route 10.96.2.0/24 via fe80::b431:9eff:fe6e:fa60 dev v6vxlan4 proto 146 metric 146 onlink
route 2001:db8:0:2::/64 via fe80::b431:9eff:fe6e:fa60 dev v6vxlan4 proto 146 metric 146 onlink
route 2001:db8:0:3::/64 via fe80::ec5d:1bff:fe4f:28d dev v6vxlan4 proto 146 metric 146 onlink
`))
}

// TestBothEndsAgree: what one node takes another for is what that is, without a word between them.
func TestBothEndsAgree(t *testing.T) {
	g := NewWithT(t)
	here, there := tunnelTo(), tunnelTo()
	there.Tunnels[0].Local = addr("10.0.0.2")
	far := dataplane.Plan(there).Tunnels[0].MAC
	g.Expect(dataplane.Plan(here).Tunnels[0].FDB).To(ContainElement(dataplane.FDBEntry{MAC: far, Remote: addr("10.0.0.2")}))
	g.Expect(far[0]&0x03).To(Equal(byte(0x02)), "unicast, locally administered")
}

func TestTheMTUOfTunnels(t *testing.T) {
	for _, c := range []struct {
		local  string
		uplink int
		want   int
		name   string
	}{
		{"10.0.0.1", 1500, 1450, "v6vxlan4"},
		{"2001:db8::1", 1500, 1430, "v6vxlan6"},
		{"2001:db8::1", 9000, 8930, "v6vxlan6"},
		{"2001:db8::1", 1300, 1280, "v6vxlan6"}, // every IPv6 link has that
	} {
		g := NewWithT(t)
		v := dataplane.Plan(dataplane.Intent{
			Uplink: dataplane.Uplink{Name: "eth0", MTU: c.uplink}, Tunnels: []dataplane.Tunnel{{VNI: 1, Port: 4789, Local: addr(c.local)}}}).Tunnels[0]
		g.Expect(fmt.Sprint(v.Name, " ", v.MTU)).To(Equal(fmt.Sprint(c.name, " ", c.want)))
	}
}

func TestPlanImported(t *testing.T) {
	g := NewWithT(t)
	hop := func(via string) dataplane.Hop { return dataplane.Hop{Via: addr(via), Device: "eth0"} }
	in := tunnelTo()
	in.Own = []netip.Prefix{pre("2001:db8:0:1::/64")}
	in.Tunnels[0].Remotes = in.Tunnels[0].Remotes[1:]
	in.Imported = []dataplane.Imported{
		{Dst: pre("::/0"), Hops: []dataplane.Hop{hop("fe80::b%eth0"), hop("fe80::a"), hop("fe80::b")}},
		{Dst: pre("0.0.0.0/0"), Hops: []dataplane.Hop{hop("fe80::a")}},
		{Dst: pre("2001:db8:0:3::/64"), Hops: []dataplane.Hop{hop("fe80::a")}},        // a tunnel leads there
		{Dst: pre("2001:db8:0:1::d000:1/128"), Hops: []dataplane.Hop{hop("fe80::a")}}, // a pod of this node
		{Dst: pre("2001:db8::/32"), Hops: []dataplane.Hop{hop("fe80::a")}},            // beyond
		{Dst: pre("2001:db8:9::/48")},
	}
	s := dataplane.Plan(in)
	imported := func(r dataplane.Route) bool { return r.Protocol != dataplane.ProtocolImported }
	got := dataplane.State{Routes: slices.DeleteFunc(slices.Clone(s.Routes), imported)}
	g.Expect(show(got)).To(Equal(`route 0.0.0.0/0 via fe80::a dev eth0 proto 148 metric 32
route ::/0 via fe80::a dev eth0 and via fe80::b dev eth0 proto 148 metric 32
route 2001:db8::/32 via fe80::a dev eth0 proto 148 metric 32
`))
	slices.Reverse(in.Imported[0].Hops)
	g.Expect(dataplane.Plan(in).Routes).To(Equal(s.Routes), "the order of next hops says nothing")

	in.KeepImported = true
	kept := dataplane.Plan(in)
	g.Expect(slices.ContainsFunc(kept.Routes, func(r dataplane.Route) bool { return r.Protocol == dataplane.ProtocolImported })).To(BeFalse())
	g.Expect(kept.Diff(s.Routes, nil, s.Tunnels).Empty()).To(BeTrue(), "what peers told an earlier process stays")
	in.KeepImported, in.Imported = false, nil
	g.Expect(dataplane.Plan(in).Diff(s.Routes, nil, s.Tunnels).Deleted).To(HaveLen(3))
}

func TestPlanUnforwarded(t *testing.T) {
	g := NewWithT(t)
	s := dataplane.Plan(dataplane.Intent{Unforwarded: []netip.Prefix{pre("2001:db8:5::/112"), pre("10.97.0.0/16"), pre("10.97.0.0/16")}})
	g.Expect(show(s)).To(Equal(`rule 32760: to 10.97.0.0/16 iif lo lookup main
rule 32760: to 2001:db8:5::/112 iif lo lookup main
rule 32761: to 10.97.0.0/16 unreachable
rule 32761: to 2001:db8:5::/112 unreachable
`))
	c := dataplane.State{}.Diff(nil, s.Rules, nil)
	g.Expect(show(dataplane.State{Rules: c.DeletedRules})).To(HavePrefix("rule 32761"), "the node's own packets are never refused")
	g.Expect(dataplane.State{KeepRoutes: true}.Diff(nil, s.Rules, nil).Empty()).To(BeTrue())
}

// TestDiffTunnels is the table of what is done to a tunnel, as logs tell it.
func TestDiffTunnels(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(have *dataplane.VXLAN)
		want   string
	}{
		{"nothing", func(*dataplane.VXLAN) {}, "[]"},
		{"another VNI", func(v *dataplane.VXLAN) { v.VNI++ }, "[v6vxlan4: 2 addresses added, 2 forwarding entries added, 2 neighbours added, made anew]"},
		{"another port", func(v *dataplane.VXLAN) { v.Port++ }, "[v6vxlan4: 2 addresses added, 2 forwarding entries added, 2 neighbours added, made anew]"},
		{"another address", func(v *dataplane.VXLAN) { v.Local = addr("10.0.0.9") }, "[v6vxlan4: 2 addresses added, 2 forwarding entries added, 2 neighbours added, made anew]"},
		{"of another kind", func(v *dataplane.VXLAN) { v.Remake = true }, "[v6vxlan4: 2 addresses added, 2 forwarding entries added, 2 neighbours added, made anew]"},
		{"another MTU", func(v *dataplane.VXLAN) { v.MTU++ }, "[v6vxlan4: settings]"},
		{"another MAC", func(v *dataplane.VXLAN) { v.MAC[5]++ }, "[v6vxlan4: settings]"},
		{"down", func(v *dataplane.VXLAN) { v.Broken = "down" }, "[v6vxlan4: settings]"},
		{"a sysctl", func(v *dataplane.VXLAN) { v.Sysctls[2].Value = "1" }, "[v6vxlan4: settings]"},
		{"a lost entry", func(v *dataplane.VXLAN) { v.FDB = v.FDB[1:] }, "[v6vxlan4: 1 forwarding entries added]"},
		{"a redirected entry", func(v *dataplane.VXLAN) { v.FDB[0].Remote = addr("10.0.0.9") }, "[v6vxlan4: 1 forwarding entries added, 1 forwarding entries deleted]"},
		{"a lost neighbour", func(v *dataplane.VXLAN) { v.Neighbours = v.Neighbours[:1] }, "[v6vxlan4: 1 neighbours added]"},
		{"one neighbour too many", func(v *dataplane.VXLAN) {
			v.Neighbours = append(v.Neighbours, dataplane.Neighbour{Addr: addr("fe80::1")})
		}, "[v6vxlan4: 1 neighbours deleted]"},
		{"a lost address", func(v *dataplane.VXLAN) { v.Addrs = nil }, "[v6vxlan4: 2 addresses added]"},
		{"a second tunnel", func(v *dataplane.VXLAN) { v.Name = "v6vxlan6" }, "[v6vxlan4: 2 addresses added, 2 forwarding entries added, 2 neighbours added, created v6vxlan6: removed]"},
	} {
		t.Run(c.what, func(t *testing.T) {
			have, want := dataplane.Plan(tunnelTo()), dataplane.Plan(tunnelTo())
			c.change(&have.Tunnels[0])
			NewWithT(t).Expect(fmt.Sprint(want.Diff(want.Routes, nil, have.Tunnels).Tunnels)).To(Equal(c.want))
		})
	}
}

// FuzzDiffTunnels applies the diff of two tunnels to the one, and must arrive at the other.
func FuzzDiffTunnels(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{2, 3, 4})
	f.Add([]byte{}, []byte{7, 7})
	f.Add([]byte{200, 1}, []byte{})
	f.Fuzz(func(t *testing.T, before, after []byte) {
		have, want := tunnelOf(before), tunnelOf(after)
		changes := dataplane.State{Tunnels: []dataplane.VXLAN{want}}.Diff(nil, nil, []dataplane.VXLAN{have}).Tunnels
		if len(changes) == 0 {
			changes = []dataplane.TunnelChange{{}}
		}
		c := changes[0]
		if c.Remake {
			have.FDB, have.Neighbours, have.Addrs = nil, nil, nil
		}
		wanted := func(v dataplane.VXLAN) string {
			return fmt.Sprint(sorted(v.FDB), sorted(v.Neighbours), sorted(v.Addrs))
		}
		have.FDB = apply(t, have.FDB, c.AddedFDB, c.DeletedFDB)
		have.Neighbours = apply(t, have.Neighbours, c.AddedNeighbours, c.DeletedNeighbours)
		have.Addrs = apply(t, have.Addrs, c.AddedAddrs, c.DeletedAddrs)
		if got := wanted(have); got != wanted(want) {
			t.Fatalf("have %s, want %s", got, wanted(want))
		}
		if c.Remake != (have.VNI != want.VNI) {
			t.Fatalf("remake %t of VNI %d to %d", c.Remake, have.VNI, want.VNI)
		}
	})
}

// tunnelOf makes one with an address, and an end for each byte.
func tunnelOf(seed []byte) dataplane.VXLAN {
	v := dataplane.VXLAN{Name: "v6vxlan4", VNI: len(seed) % 2, Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(len(seed))}), 32)}}
	for _, b := range seed {
		m := dataplane.MAC{2, 5: b & 15}
		if slices.ContainsFunc(v.FDB, func(e dataplane.FDBEntry) bool { return e.MAC == m }) {
			continue
		}
		v.FDB = append(v.FDB, dataplane.FDBEntry{MAC: m, Remote: netip.AddrFrom4([4]byte{10, 0, 0, b >> 4})})
		v.Neighbours = append(v.Neighbours, dataplane.Neighbour{Addr: netip.AddrFrom16([16]byte{0xfe, 0x80, 15: b & 15}), MAC: m})
	}
	return v
}

func apply[T comparable](t *testing.T, have, add, del []T) []T {
	for _, x := range add {
		if slices.Contains(have, x) {
			t.Fatalf("%v is added, and there already", x)
		}
		have = append(have, x)
	}
	for _, x := range del {
		if !slices.Contains(have, x) {
			t.Fatalf("%v is deleted, and not there", x)
		}
		have = slices.DeleteFunc(have, func(y T) bool { return x == y })
	}
	return have
}

func sorted[T any](list []T) []string {
	var out []string
	for _, x := range list {
		out = append(out, fmt.Sprint(x))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
