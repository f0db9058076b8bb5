// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplanetest

import (
	"fmt"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega" //nolint:revive,staticcheck // the assertions' own language

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

func hops(vias ...string) []dataplane.Hop {
	var out []dataplane.Hop
	for _, v := range vias {
		out = append(out, dataplane.Hop{Via: netip.MustParseAddr(v), Device: "eth0"})
	}
	return out
}

// imported routes have one next hop or several, and change between the two at once.
func imported(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	plan := func(dst string, vias ...string) dataplane.State {
		return dataplane.Plan(dataplane.Intent{Imported: []dataplane.Imported{{Dst: netip.MustParsePrefix(dst), Hops: hops(vias...)}}})
	}
	for _, dst := range []string{"2001:db8:1::/56", "::/0", "10.9.0.0/16", "0.0.0.0/0"} { // IPv4 through IPv6, too
		steps := []dataplane.State{
			plan(dst, "fe80::a", "fe80::b"), plan(dst, "fe80::b"), plan(dst, "fe80::c", "fe80::d", "fe80::e"), plan(dst, "fe80::c", "fe80::f"),
		}
		for i, s := range steps {
			want := dataplane.Changes{Added: s.Routes}
			if i > 0 {
				want = dataplane.Changes{Replaced: s.Routes}
			}
			g.Expect(m.Apply(ctx, s)).To(Equal(want), "%s, step %d", dst, i)
			g.Expect(m.Apply(ctx, s)).To(Equal(dataplane.Changes{}), "%s, step %d again", dst, i)
		}
		last := steps[len(steps)-1]
		g.Expect(m.Apply(ctx, dataplane.State{KeepImported: true})).To(Equal(dataplane.Changes{}), "not known yet")
		g.Expect(m.Apply(ctx, dataplane.State{})).To(Equal(dataplane.Changes{Deleted: last.Routes}), dst)
		g.Expect(m.Apply(ctx, dataplane.State{})).To(Equal(dataplane.Changes{}), dst)
	}
}

func rules(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	six, four := netip.MustParsePrefix("2001:db8:1::/112"), netip.MustParsePrefix("10.97.0.0/16")
	s := dataplane.Plan(dataplane.Intent{Unforwarded: []netip.Prefix{six, four}})
	g.Expect(m.Apply(ctx, s)).To(Equal(dataplane.Changes{AddedRules: s.Rules}))
	g.Expect(m.Apply(ctx, s)).To(Equal(dataplane.Changes{}))
	g.Expect(m.Apply(ctx, dataplane.State{KeepRoutes: true})).To(Equal(dataplane.Changes{}))
	less := dataplane.Plan(dataplane.Intent{Unforwarded: []netip.Prefix{six}})
	done, err := m.Apply(ctx, less)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fmt.Sprint(done.AddedRules, done.DeletedRules)).To(Equal("[] [32761: to 10.97.0.0/16 unreachable 32760: to 10.97.0.0/16 iif lo lookup main]"))
	done, err = m.Apply(ctx, dataplane.State{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fmt.Sprint(done.DeletedRules)).To(Equal("[32761: to 2001:db8:1::/112 unreachable 32760: to 2001:db8:1::/112 iif lo lookup main]"))
	g.Expect(m.Apply(ctx, dataplane.State{})).To(Equal(dataplane.Changes{}))
}

func tunnelIntent(remotes ...dataplane.Remote) dataplane.Intent {
	return dataplane.Intent{Uplink: dataplane.Uplink{Name: "eth0", MTU: 1500}, Tunnels: []dataplane.Tunnel{{
		VNI: 4096, Port: 4789, Local: netip.MustParseAddr("2001:db8:cafe::1"), Inner: []netip.Addr{netip.MustParseAddr("2001:db8:2::"), netip.MustParseAddr("10.96.1.0")},
		Remotes: remotes,
	}}}
}

func remote(number int) dataplane.Remote {
	return dataplane.Remote{Name: fmt.Sprint("n", number), Addr: netip.MustParseAddr(fmt.Sprint("2001:db8:cafe::", number)), Prefixes: []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:%d::/80", number)), netip.MustParsePrefix(fmt.Sprintf("10.96.%d.0/24", number)),
	}}
}

func tunnels(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	apply := func(s dataplane.State) string {
		done, err := m.Apply(ctx, s)
		g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
		again, err := m.Apply(ctx, s)
		g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
		g.ExpectWithOffset(1, again).To(Equal(dataplane.Changes{}), "again")
		return fmt.Sprint(done.Tunnels, " routes: ", len(done.Added), " ", len(done.Replaced), " ", len(done.Deleted))
	}
	two := tunnelIntent(remote(2), remote(3))
	g.Expect(apply(dataplane.Plan(two))).To(Equal(
		"[v6vxlan6: 2 addresses added, 2 forwarding entries added, 2 neighbours added, created] routes: 4 0 0"))
	g.Expect(m.Apply(ctx, dataplane.State{KeepRoutes: true})).To(Equal(dataplane.Changes{}))
	g.Expect(apply(dataplane.Plan(tunnelIntent(remote(3), remote(4))))).To(Equal(
		"[v6vxlan6: 1 forwarding entries added, 1 forwarding entries deleted, 1 neighbours added, 1 neighbours deleted] routes: 2 0 2"))

	other := tunnelIntent(remote(3), remote(4))
	other.Tunnels[0].VNI = 4097
	done, err := m.Apply(ctx, dataplane.Plan(other))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fmt.Sprint(done.Tunnels)).To(Equal("[v6vxlan6: 2 addresses added, 2 forwarding entries added, 2 neighbours added, made anew]"))
	g.Expect(m.Apply(ctx, dataplane.Plan(other))).To(Equal(dataplane.Changes{}), "with its routes")

	other.Uplink.MTU, other.Tunnels[0].Inner[0] = 1400, netip.MustParseAddr("2001:db8:3::")
	g.Expect(apply(dataplane.Plan(other))).To(Equal("[v6vxlan6: 1 addresses added, 1 addresses deleted, settings] routes: 0 0 0"))
	other.Tunnels[0].Inner = nil
	g.Expect(apply(dataplane.Plan(other))).To(Equal("[] routes: 0 0 0"), "what they should be is not known")
	g.Expect(m.Addrs(ctx)).NotTo(ContainElement(netip.MustParseAddr("2001:db8:3::")), "a tunnel's addresses are nobody's business")
	g.Expect(apply(dataplane.State{})).To(Equal("[v6vxlan6: removed] routes: 0 0 4"))
}
