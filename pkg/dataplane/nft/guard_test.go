// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"errors"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/knftables"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

func TestGuard(t *testing.T) {
	g := NewWithT(t)
	nft := knftables.NewFake(knftables.InetFamily, guardTable)
	guard := &Guard{open: func() (knftables.Interface, error) { return nft, nil }}
	want := &dataplane.Guarded{VNI: 4096, Port: 4789, Nodes: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::3")}}
	for range 2 { // the second time replaces the first
		g.Expect(guard.Guard(t.Context(), want)).To(Succeed())
		g.Expect(nft.Dump()).To(Equal(`add table inet ipv6-agent-tunnel { comment "Only nodes of the cluster put packets into its tunnels" ; }
add chain inet ipv6-agent-tunnel input { type filter hook input priority 0 ; }
add set inet ipv6-agent-tunnel nodes4 { type ipv4_addr ; }
add set inet ipv6-agent-tunnel nodes6 { type ipv6_addr ; }
add rule inet ipv6-agent-tunnel input udp dport 4789 @th,96,24 4096 iifname v6p* counter drop
add rule inet ipv6-agent-tunnel input udp dport 4789 @th,96,24 4096 ip6 saddr != @nodes6 counter drop
add rule inet ipv6-agent-tunnel input udp dport 4789 @th,96,24 4096 ip saddr != @nodes4 counter drop
add element inet ipv6-agent-tunnel nodes4 { 10.0.0.2 }
add element inet ipv6-agent-tunnel nodes6 { 2001:db8::2 }
add element inet ipv6-agent-tunnel nodes6 { 2001:db8::3 }
`))
	}
	g.Expect(guard.Guard(t.Context(), nil)).To(Succeed())
	g.Expect(nft.Dump()).To(BeEmpty())
}

func TestGuardWithoutTheProgram(t *testing.T) {
	g := NewWithT(t)
	guard := &Guard{open: func() (knftables.Interface, error) { return nil, errors.New("no nft") }}
	g.Expect(guard.Guard(t.Context(), nil)).To(Succeed(), "there is nothing to remove")
	g.Expect(guard.Guard(t.Context(), &dataplane.Guarded{})).To(MatchError("guard tunnels: no nft"))
}
