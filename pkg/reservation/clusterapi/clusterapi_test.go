// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package clusterapi

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func TestNewRefusesWhatItCannotWorkWith(t *testing.T) {
	g := NewWithT(t)
	_, err := New("ipam", Config{}, nil, reservation.Home{}, nil)
	g.Expect(err).To(MatchError("backend ipam: the namespace of the claims is missing"))
	_, err = New("ipam", Config{Namespace: "ipam"}, []reservation.Pool{
		{Name: "good", ID: "InClusterPrefixPool/good"}, {Name: "global", ID: "GlobalInClusterPrefixPool/good"},
		{Name: "addresses", ID: "InClusterIPPool/x"}, {Name: "bare", ID: "x"}, {Name: "empty", ID: "InClusterPrefixPool/"}, {Name: "deep", ID: "InClusterPrefixPool/a/b"},
	}, reservation.Home{}, nil)
	const want = ", must be InClusterPrefixPool/<name> or GlobalInClusterPrefixPool/<name>"
	g.Expect(err).To(MatchError(
		"backend ipam, pool addresses: the pool's ID is \"InClusterIPPool/x\"" + want + "\n" +
			"backend ipam, pool bare: the pool's ID is \"x\"" + want + "\n" +
			"backend ipam, pool empty: the pool's ID is \"InClusterPrefixPool/\"" + want + "\n" +
			"backend ipam, pool deep: the pool's ID is \"InClusterPrefixPool/a/b\"" + want))
}

func TestExcludedPrefixes(t *testing.T) {
	for text, want := range map[string][]string{
		"2001:db8:0:1::/64": {"2001:db8:0:1::/64"},
		"2001:db8::1":       {"2001:db8::1/128"},
		"2001:db8::-2001:db8:0:2:ffff:ffff:ffff:ffff": {"2001:db8::/63", "2001:db8:0:2::/64"},
	} {
		g := NewWithT(t)
		var prefixes []netip.Prefix
		for _, p := range want {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		g.Expect(excluded(text)).To(Equal(prefixes), text)
	}
	_, err := excluded("here")
	NewWithT(t).Expect(err).To(MatchError(`excludedPrefixes: "here" is no address, prefix or range`))
}

func TestPoolWithoutALengthGives64(t *testing.T) {
	g := NewWithT(t)
	g.Expect(pool{}.bits()).To(Equal(64))
	g.Expect(pool{Spec: poolSpec{AllocationPrefixLength: 56}}.bits()).To(Equal(56))
}

func TestAddressIsAPrefix(t *testing.T) {
	g := NewWithT(t)
	g.Expect(address{Spec: addressSpec{Address: "2001:db8:0:7::", Prefix: 64}}.prefix()).To(Equal(netip.MustParsePrefix("2001:db8:0:7::/64")))
	broken := address{Spec: addressSpec{Address: "2001:db8::", Prefix: 129}}
	broken.Namespace, broken.Name = "ipam", "broken"
	_, err := broken.prefix()
	g.Expect(err).To(MatchError(HavePrefix("IPAddress ipam/broken: ")))
}
