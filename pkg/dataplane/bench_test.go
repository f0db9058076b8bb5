// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// BenchmarkDiffRoutes compares a thousand routes with a thousand: as they shall be (every resync), and all of them missing (a start).
func BenchmarkDiffRoutes(b *testing.B) {
	var want []dataplane.Route
	for i := range 1000 {
		want = append(want, dataplane.Route{
			Dst: netip.MustParsePrefix(fmt.Sprintf("2001:db8:0:1:0:%x::/96", i)), Via: netip.MustParseAddr(fmt.Sprintf("2001:db8::1:%x", i)),
			Device: "eth0", OnLink: true, Metric: dataplane.MetricPeer, Protocol: dataplane.ProtocolNode,
		})
	}
	for _, c := range []struct {
		name  string
		have  []dataplane.Route
		added int
	}{
		{"all there", slices.Clone(want), 0},
		{"one missing", want[1:], 1},
		{"none there", nil, 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := dataplane.DiffRoutes(c.have, want); len(got.Added) != c.added {
					b.Fatal(len(got.Added))
				}
			}
		})
	}
}

// BenchmarkPlanTunnels plans a tunnel to a thousand nodes and compares it with what there is: every resync of an agent.
func BenchmarkPlanTunnels(b *testing.B) {
	in := dataplane.Intent{Uplink: dataplane.Uplink{MTU: 1500}, Tunnels: []dataplane.Tunnel{{VNI: 1, Port: 4789, Local: netip.MustParseAddr("10.0.0.1")}}}
	for i := range 1000 {
		in.Tunnels[0].Remotes = append(in.Tunnels[0].Remotes, dataplane.Remote{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Prefixes: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("2001:db8:0:1:0:%x::/96", i)), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96 + byte(i>>8), byte(i), 0}), 24),
		}})
	}
	have := dataplane.Plan(in)
	b.ReportAllocs()
	for b.Loop() {
		if s := dataplane.Plan(in); !s.Diff(have.Routes, have.Rules, have.Tunnels).Empty() {
			b.Fatal("nothing changed")
		}
	}
}
