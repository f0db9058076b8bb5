// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

func pool(name string, prefixes ...string) nodeprefix.LoadBalancerPool {
	p := nodeprefix.LoadBalancerPool{Name: name}
	for _, text := range prefixes {
		p.Prefixes = append(p.Prefixes, netip.MustParsePrefix(text))
	}
	return p
}

func TestPoolsWithoutRanges(t *testing.T) {
	g := NewWithT(t)
	in := config()
	in.LoadBalancerPools = []nodeprefix.LoadBalancerPool{pool("public", "2001:db8:5::/112", "192.0.2.0/24"), pool("inner", "fd00::/112")}
	in.LoadBalancerClassOnly = true
	data, err := nodeprefix.Encode(in)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(nodeprefix.Decode(data)).To(Equal(in))
}

func TestValidatePools(t *testing.T) {
	for _, tc := range []struct {
		name    string
		pools   []nodeprefix.LoadBalancerPool
		message string
	}{
		{"no name", []nodeprefix.LoadBalancerPool{pool("", "2001:db8:5::/112")}, "loadBalancerPools[0].name: missing"},
		{"a name twice", []nodeprefix.LoadBalancerPool{pool("a", "2001:db8:5::/112"), pool("a", "2001:db8:6::/112")}, "loadBalancerPools[1].name: another pool is called a"},
		{"no prefix", []nodeprefix.LoadBalancerPool{pool("a")}, "loadBalancerPools[0].prefixes: empty, name at least one"},
		{"the zero prefix", []nodeprefix.LoadBalancerPool{{Name: "a", Prefixes: make([]netip.Prefix, 1)}}, "loadBalancerPools[0].prefixes[0]: missing"},
		{"mapped", []nodeprefix.LoadBalancerPool{pool("a", "::ffff:192.0.2.0/120")}, "loadBalancerPools[0].prefixes[0]: ::ffff:192.0.2.0/120 is an IPv4-mapped IPv6 prefix, write it as IPv4"},
		{"host bits", []nodeprefix.LoadBalancerPool{pool("a", "2001:db8:5::7/112")}, "loadBalancerPools[0].prefixes[0]: 2001:db8:5::7/112 has host bits set, write 2001:db8:5::/112"},
		{"link-local", []nodeprefix.LoadBalancerPool{pool("a", "fe80::/64")}, "loadBalancerPools[0].prefixes[0]: fe80::/64 holds addresses that no Service can have"},
		{"everything", []nodeprefix.LoadBalancerPool{pool("a", "::/0")}, "loadBalancerPools[0].prefixes[0]: ::/0 holds addresses that no Service can have"},
		{"overlap", []nodeprefix.LoadBalancerPool{pool("a", "2001:db8:5::/112"), pool("b", "2001:db8::/32")}, "loadBalancerPools[1].prefixes[0]: 2001:db8::/32 overlaps 2001:db8:5::/112, which a pool has already"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := config(fromNode())
			c.LoadBalancerPools = tc.pools
			NewWithT(t).Expect(c.Validate()).To(MatchError(ContainSubstring(tc.message)))
		})
	}
}
