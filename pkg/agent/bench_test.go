// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// BenchmarkDecide is what the agent does at each change of a node: here one of a thousand, all on one link.
func BenchmarkDecide(b *testing.B) {
	cfg := agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96}
	own := nodeNamed("own", "2001:db8::1", "2001:db8:0:1::d000:0/100")
	view, facts := View{Own: &own}, Facts{Uplink: dataplane.Uplink{Name: "eth0", MTU: 1500}, Ways: map[netip.Addr]Way{}}
	for i := range 1000 {
		addr := fmt.Sprintf("2001:db8::1:%x", i)
		view.Peers = append(view.Peers, nodeNamed(fmt.Sprint("peer-", i), addr, fmt.Sprintf("2001:db8:0:1:0:%x:d000:0/100", i+1)))
		facts.Ways[netip.MustParseAddr(addr)] = Way{Device: "eth0", OnLink: true}
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := Decide(cfg, view, facts); len(d.State.Routes) != 1002 || len(d.Problems) != 0 {
			b.Fatal(len(d.State.Routes), d.Problems)
		}
	}
}
