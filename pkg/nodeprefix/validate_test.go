// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix_test

import (
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// fromNode is the Shoot of the README: nodes v6global/64+prefix/96, pods v6fromNode.
func fromNode() nodeprefix.Range {
	return nodeprefix.Range{
		Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:1:2::/64"), NodeBits: 96, PodBits: 100, PodChild: 0xd, HoldsNodes: true,
	}
}

// ownPods is a pods range of its own, IPv4.
func ownPods() nodeprefix.Range {
	return nodeprefix.Range{Family: "IPv4", Pool: netip.MustParsePrefix("100.96.0.0/11"), NodeBits: 24, PodBits: 24}
}

func config(rs ...nodeprefix.Range) nodeprefix.Config {
	return nodeprefix.Config{APIVersion: nodeprefix.ConfigAPIVersion, Kind: nodeprefix.ConfigKind, Ranges: rs}
}

func TestEncodeDecode(t *testing.T) {
	g := NewWithT(t)
	data, err := nodeprefix.Encode(nodeprefix.Config{Ranges: []nodeprefix.Range{fromNode(), ownPods()}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(data)).To(Equal(`{
  "apiVersion": "ipam.ipv6.networking.extensions.gardener.cloud/v1",
  "kind": "IPAMConfiguration",
  "ranges": [
    {
      "family": "IPv6",
      "pool": "2001:db8:1:2::/64",
      "nodeBits": 96,
      "podBits": 100,
      "podChild": 13,
      "holdsNodes": true
    },
    {
      "family": "IPv4",
      "pool": "100.96.0.0/11",
      "nodeBits": 24,
      "podBits": 24,
      "podChild": 0
    }
  ]
}
`))
	c, err := nodeprefix.Decode(data)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c).To(Equal(config(fromNode(), ownPods())))
}

func TestDecodeIsStrict(t *testing.T) {
	good, err := nodeprefix.Encode(config(fromNode()))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, tc := range []struct{ name, from, to, message string }{
		{"unknown field", `"podBits"`, `"podbitz"`, `decode the IPAM configuration: json: unknown field "podbitz"`},
		{"other version", `/v1"`, `/v2"`, `the document is "ipam.ipv6.networking.extensions.gardener.cloud/v2" "IPAMConfiguration", want "ipam.ipv6.networking.extensions.gardener.cloud/v1" "IPAMConfiguration"`},
		{"other kind", `IPAMConfiguration`, `Other`, `"Other", want`},
		{"no CIDR", `2001:db8:1:2::/64`, `2001:db8:1:2::`, `no '/'`},
		{"two documents", "\n}\n", "\n}\n{}", `decode the IPAM configuration: something follows the document`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := nodeprefix.Decode([]byte(strings.Replace(string(good), tc.from, tc.to, 1)))
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(tc.message)))
		})
	}
}

func TestValidate(t *testing.T) {
	change := func(f func(*nodeprefix.Range)) nodeprefix.Config {
		r := fromNode()
		f(&r)
		return config(r)
	}
	for _, tc := range []struct {
		name    string
		config  nodeprefix.Config
		message string
	}{
		{"no range", config(), "ranges is empty: name the pool of at least one family"},
		{"a family twice", config(fromNode(), fromNode()), "ranges[1].family: IPv6 was given before, a node has one pod range a family"},
		{"no family", change(func(r *nodeprefix.Range) { r.Family = "ipv6" }), `ranges[0].family: "ipv6" is neither IPv6 nor IPv4`},
		{"no pool", change(func(r *nodeprefix.Range) { r.Pool = netip.Prefix{} }), "ranges[0].pool: missing, and the nodes that no source matches get their prefixes from it"},
		{"other family", change(func(r *nodeprefix.Range) { r.Family = "IPv4" }), "ranges[0].pool: 2001:db8:1:2::/64 is not IPv4"},
		{"mapped", change(func(r *nodeprefix.Range) { r.Pool = netip.MustParsePrefix("::ffff:10.0.0.0/104") }), "is not IPv6"},
		{"host bits", change(func(r *nodeprefix.Range) { r.Pool = netip.MustParsePrefix("2001:db8:1:2::7/64") }), "ranges[0].pool: 2001:db8:1:2::7/64 has host bits set, write 2001:db8:1:2::/64"},
		{"nodes larger than the pool", change(func(r *nodeprefix.Range) { r.NodeBits = 63 }), "ranges[0].nodeBits: 63 is not between 64, the pool's length, and 128"},
		{"one node, but the first is kept", change(func(r *nodeprefix.Range) { r.NodeBits = 64 }), "ranges[0].nodeBits: 64 leaves nothing to give out of 2001:db8:1:2::/64, whose first prefix is kept for the nodes' own addresses"},
		{"pods larger than the node", change(func(r *nodeprefix.Range) { r.PodBits = 95 }), "ranges[0].podBits: 95 is not between 96, the nodes' length, and 128"},
		{"no such child", change(func(r *nodeprefix.Range) { r.PodChild = 16 }), "ranges[0].podChild: 16 does not exist, a /96 has 16 children of length /100"},
		{"negative child", change(func(r *nodeprefix.Range) { r.PodChild = -2 }), "ranges[0].podChild: -2 does not exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			NewWithT(t).Expect(tc.config.Validate()).To(MatchError(ContainSubstring(tc.message)))
		})
	}
}
