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

func TestMasquerade(t *testing.T) {
	g := NewWithT(t)
	nft := knftables.NewFake(knftables.IPv4Family, table)
	m := &Masquerader{open: func() (knftables.Interface, error) { return nft, nil }}
	want := &dataplane.Masquerade{
		Sources: []netip.Prefix{netip.MustParsePrefix("10.96.1.0/24")},
		Except:  []netip.Prefix{netip.MustParsePrefix("10.96.0.0/11"), netip.MustParsePrefix("10.250.0.0/16")},
	}
	for range 2 { // the second time replaces the first
		g.Expect(m.Masquerade(t.Context(), want)).To(Succeed())
		g.Expect(nft.Dump()).To(Equal(`add table ip ipv6-agent { comment "IPv4 pods leave the cluster under their node's address" ; }
add chain ip ipv6-agent postrouting { type nat hook postrouting priority 100 ; }
add set ip ipv6-agent except { type ipv4_addr ; flags interval ; auto-merge ; }
add set ip ipv6-agent pods { type ipv4_addr ; flags interval ; auto-merge ; }
add rule ip ipv6-agent postrouting ip saddr @pods ip daddr != @except fib daddr type != { local, multicast, broadcast } masquerade fully-random
add element ip ipv6-agent except { 10.96.0.0/11 }
add element ip ipv6-agent except { 10.250.0.0/16 }
add element ip ipv6-agent pods { 10.96.1.0/24 }
`))
	}
	g.Expect(m.Masquerade(t.Context(), nil)).To(Succeed())
	g.Expect(nft.Dump()).To(BeEmpty())
}

func TestIPv6IsNeverMasqueraded(t *testing.T) {
	g := NewWithT(t)
	nft := knftables.NewFake(knftables.IPv4Family, table)
	m := &Masquerader{open: func() (knftables.Interface, error) { return nft, nil }}
	err := m.Masquerade(t.Context(), &dataplane.Masquerade{Sources: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}})
	g.Expect(err).To(MatchError("masquerade: 2001:db8::/64 is not an IPv4 range"))
	g.Expect(nft.Dump()).To(BeEmpty())
}

func TestWithoutTheProgram(t *testing.T) {
	g := NewWithT(t)
	m := &Masquerader{open: func() (knftables.Interface, error) { return nil, errors.New("no nft") }}
	g.Expect(m.Masquerade(t.Context(), nil)).To(Succeed(), "there is nothing to remove")
	g.Expect(m.Masquerade(t.Context(), &dataplane.Masquerade{})).To(MatchError("masquerade: no nft"))
}
