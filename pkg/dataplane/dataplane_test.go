// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

func TestTheEndsOfAWire(t *testing.T) {
	g := NewWithT(t)
	w := dataplane.Wire{
		HostInterface: dataplane.HostInterface("a/eth0"), PodInterface: "eth0", MTU: 1400,
		Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::d000:1"), netip.MustParseAddr("10.0.0.1")},
	}
	g.Expect(w.Validate()).To(Succeed())
	host, pod := w.Ends()
	g.Expect(host.Interface).To(Equal("v6pjedvyhzdop5"))
	g.Expect(dump(host)).To(Equal(`mtu 1400
sysctl net/ipv6/conf/v6pjedvyhzdop5/disable_ipv6=0
sysctl net/ipv6/conf/v6pjedvyhzdop5/addr_gen_mode=1
sysctl net/ipv6/conf/v6pjedvyhzdop5/accept_ra=0
sysctl net/ipv6/conf/v6pjedvyhzdop5/accept_redirects=0
sysctl net/ipv6/conf/v6pjedvyhzdop5/accept_dad=0
sysctl net/ipv6/conf/v6pjedvyhzdop5/forwarding=1
sysctl net/ipv4/conf/v6pjedvyhzdop5/forwarding=1
sysctl net/ipv4/conf/v6pjedvyhzdop5/accept_redirects=0
sysctl net/ipv4/conf/v6pjedvyhzdop5/send_redirects=0
addr fe80::1/64
neighbour 2001:db8::d000:1 ` + pod.MAC.String() + `
neighbour 10.0.0.1 ` + pod.MAC.String() + `
route 2001:db8::d000:1/128 dev v6pjedvyhzdop5 proto 147
route 10.0.0.1/32 dev v6pjedvyhzdop5 proto 147
`))
	g.Expect(dump(pod)).To(Equal(`mtu 1400
sysctl net/ipv6/conf/eth0/disable_ipv6=0
sysctl net/ipv6/conf/eth0/accept_ra=0
sysctl net/ipv6/conf/eth0/accept_redirects=0
sysctl net/ipv6/conf/eth0/accept_dad=0
addr 2001:db8::d000:1/128
addr 10.0.0.1/32
neighbour fe80::1 ` + host.MAC.String() + `
neighbour 169.254.1.1 ` + host.MAC.String() + `
route ::/0 via fe80::1 dev eth0 proto 147 onlink
route 0.0.0.0/0 via 169.254.1.1 dev eth0 proto 147 onlink
`))
	g.Expect(host.MAC).NotTo(Equal(pod.MAC))
	for _, m := range []dataplane.MAC{host.MAC, pod.MAC} {
		g.Expect(m[0]&0x03).To(Equal(byte(0x02)), "unicast, locally administered")
	}
	again, _ := w.Ends()
	g.Expect(again).To(Equal(host))
}

func dump(e dataplane.End) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mtu %d\n", e.MTU)
	for _, s := range e.Sysctls {
		fmt.Fprintf(&b, "sysctl %s=%s\n", s.Path, s.Value)
	}
	for _, a := range e.Addrs {
		fmt.Fprintf(&b, "addr %s\n", a)
	}
	for _, n := range e.Neighbours {
		fmt.Fprintf(&b, "neighbour %s %s\n", n.Addr, n.MAC)
	}
	for _, r := range e.Routes {
		fmt.Fprintf(&b, "route %s\n", r)
	}
	return b.String()
}

// TestFieldsAreHandled fails when a field is added to a desired state. Then see to it that the adapters set it (netlink: wire.go, host.go,
// nft), that Check or the diff compares it, that dump above and the fake show it, and that the suites test it; and add it here.
func TestFieldsAreHandled(t *testing.T) {
	for value, want := range map[any]string{
		reflect.TypeFor[dataplane.Wire]():       "HostInterface PodInterface Owner MTU Addrs",
		reflect.TypeFor[dataplane.End]():        "Interface MAC MTU Sysctls Addrs Neighbours Routes",
		reflect.TypeFor[dataplane.Neighbour]():  "Addr MAC",
		reflect.TypeFor[dataplane.Route]():      "Dst Type Via Device More OnLink Metric Protocol",
		reflect.TypeFor[dataplane.State]():      "Sysctls Routes KeepImported Rules Tunnels KeepRoutes",
		reflect.TypeFor[dataplane.Masquerade](): "Sources Except",
		reflect.TypeFor[dataplane.Intent]():     "Uplink IPv6 IPv4 Own Peers Imported KeepImported Unforwarded Tunnels",
		reflect.TypeFor[dataplane.Hop]():        "Via Device",
		reflect.TypeFor[dataplane.Rule]():       "Priority To Input Type",
		reflect.TypeFor[dataplane.Tunnel]():     "VNI Port Local Inner Remotes",
		reflect.TypeFor[dataplane.Remote]():     "Name Addr Prefixes",
		reflect.TypeFor[dataplane.VXLAN]():      "Name VNI Port Local MAC MTU Sysctls Addrs Neighbours FDB Broken Remake",
		reflect.TypeFor[dataplane.FDBEntry]():   "MAC Remote",
		reflect.TypeFor[dataplane.Guarded]():    "VNI Port Nodes",
	} {
		typ := value.(reflect.Type)
		var names []string
		for i := range typ.NumField() {
			names = append(names, typ.Field(i).Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s has the fields %s; handled are %s", typ, got, want)
		}
	}
}

func TestHostInterfaceNames(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]bool{}
	for i := range 10000 {
		name := dataplane.HostInterface(fmt.Sprintf("container%d/eth0", i))
		g.Expect(name).To(HaveLen(14))
		g.Expect(seen[name]).To(BeFalse())
		seen[name] = true
	}
}

// TestAcceptRA is the table of when router advertisements are kept. Everything else stays as it is.
func TestAcceptRA(t *testing.T) {
	for _, c := range []struct {
		what                 string
		acceptRA, forwarding int
		fromRA, want         bool
	}{
		{"a fresh node, before its first advertisement", 1, 0, false, true},
		{"a fresh node that has a route from one", 1, 0, true, true},
		{"forwarding is on, and an address tells of an advertisement", 1, 1, true, true},
		{"forwarding is on, and nothing was ever advertised", 1, 1, false, false},
		{"switched off, or done by a program", 0, 0, true, false},
		{"done already", 2, 1, true, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := NewWithT(t)
			up := dataplane.Uplink{Name: "eth0", HasIPv6: true, AcceptRA: c.acceptRA, Forwarding: c.forwarding, FromRA: c.fromRA}
			accept, forward := dataplane.Sysctl{Path: "net/ipv6/conf/eth0/accept_ra", Value: "2"}, dataplane.Sysctl{Path: "net/ipv6/conf/all/forwarding", Value: "1"}
			got := dataplane.Plan(dataplane.Intent{Uplink: up, IPv6: true}).Sysctls
			g.Expect(got).To(ContainElement(forward))
			g.Expect(slices.Contains(got, accept)).To(Equal(c.want))
			if c.want {
				g.Expect(slices.Index(got, accept)).To(BeNumerically("<", slices.Index(got, forward)), "before forwarding drops the route")
			}
			g.Expect(dataplane.Plan(dataplane.Intent{Uplink: up, IPv4: true}).Sysctls).To(Equal([]dataplane.Sysctl{{Path: "net/ipv4/ip_forward", Value: "1"}}))
		})
	}
}

func TestPlanRoutes(t *testing.T) {
	g := NewWithT(t)
	p := netip.MustParsePrefix
	s := dataplane.Plan(dataplane.Intent{
		IPv6: true, IPv4: true,
		Own: []netip.Prefix{p("2001:db8:0:1::/64"), p("2001:db8:0:1:d000::/68"), p("2001:db8:0:1:d000::/68"), p("10.1.0.0/24")},
		Peers: []dataplane.Peer{
			{Prefixes: []netip.Prefix{p("2001:db8:0:2::/64"), p("10.2.0.0/24")}, Device: "eth0", Via: netip.MustParseAddr("2001:db8::2")},
			{Prefixes: []netip.Prefix{p("2001:db8:0:2::/64"), p("10.2.0.0/24")}, Device: "eth0", Via: netip.MustParseAddr("10.0.0.2")},
			{Prefixes: []netip.Prefix{p("2001:db8:0:2::/64")}, Device: "eth0", Via: netip.MustParseAddr("2001:db8::3")},
		},
	})
	var got []string
	for _, r := range s.Routes {
		got = append(got, r.String())
	}
	g.Expect(got).To(Equal([]string{
		"unreachable 10.1.0.0/24 proto 146 metric 65535",
		"10.2.0.0/24 via 10.0.0.2 dev eth0 proto 146 metric 146 onlink",
		"unreachable 2001:db8:0:1::/64 proto 146 metric 65535",
		"unreachable 2001:db8:0:1:d000::/68 proto 146 metric 65535",
		"2001:db8:0:2::/64 via 2001:db8::2 dev eth0 proto 146 metric 146 onlink",
	}), "one route a prefix, through a next hop of its family")
}

// FuzzDiffRoutes applies the diff to what there is, and must arrive at what shall be, each place in the kernel's table being held by one
// route at any time.
func FuzzDiffRoutes(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{2, 3, 4})
	f.Add([]byte{0x11, 0x21}, []byte{0x12, 0x22, 0x31})
	f.Fuzz(func(t *testing.T, before, after []byte) {
		have, want := table(before), table(after)
		is := map[string]dataplane.Route{}
		for _, r := range have {
			is[place(r)] = r
		}
		c := dataplane.DiffRoutes(have, want)
		for _, r := range c.Added {
			if _, taken := is[place(r)]; taken {
				t.Fatalf("%s is added in a place that is taken", r)
			}
			is[place(r)] = r
		}
		for _, r := range c.Replaced {
			if old, ok := is[place(r)]; !ok || old.Equal(r) {
				t.Fatalf("%s replaces %v", r, old)
			}
			is[place(r)] = r
		}
		for _, r := range c.Deleted {
			if !is[place(r)].Equal(r) {
				t.Fatalf("%s is deleted but not there", r)
			}
			delete(is, place(r))
		}
		if len(is) != len(want) {
			t.Fatalf("have %v, want %v", is, want)
		}
		for _, r := range want {
			if !is[place(r)].Equal(r) {
				t.Fatalf("have %v, want %s", is, r)
			}
		}
		if again := dataplane.DiffRoutes(want, want); !again.Empty() {
			t.Fatalf("nothing changed, but %v", again)
		}
	})
}

func place(r dataplane.Route) string { return fmt.Sprint(r.Dst, r.Metric) }

// table makes routes, one a place.
func table(seed []byte) []dataplane.Route {
	var out []dataplane.Route
	seen := map[string]bool{}
	for _, b := range seed {
		r := dataplane.Route{
			Dst: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, b >> 4}), 24), Via: netip.AddrFrom16([16]byte{0xfe, 0x80, 15: b & 3}),
			Device: "eth0", Metric: int(b >> 2 & 1), Protocol: dataplane.ProtocolNode,
		}
		if b&2 != 0 {
			r.More = []dataplane.Hop{{Via: netip.AddrFrom16([16]byte{0xfe, 0x80, 14: 1, 15: b & 1}), Device: "eth0"}}
		}
		if !seen[place(r)] {
			seen[place(r)] = true
			out = append(out, r)
		}
	}
	return out
}
