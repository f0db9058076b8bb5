// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

const (
	nodes    = keyword.Nodes
	pods     = keyword.Pods
	services = keyword.Services
)

// TestParse holds a row for every row of the table of words and every sentence of the grammar that allows something.
func TestParse(t *testing.T) {
	cidr := netip.MustParsePrefix
	for _, tc := range []struct {
		name      keyword.Name
		text      string
		canonical string
		values    []keyword.Value
	}{
		{nodes, "v6global/64+prefix/96", "v6global/64+prefix/96", []keyword.Value{{Word: "v6global", Size: 64, NodePrefix: 96}}},
		{pods, "v6fromNode", "v6fromNode", []keyword.Value{{Word: "v6fromNode"}}},
		{services, "v6global/64", "v6global/64", []keyword.Value{{Word: "v6global", Size: 64}}},
		// The words in the ranges that allow them.
		{nodes, "v4private", "v4private", []keyword.Value{{Word: "v4private"}}},
		{pods, "v4private", "v4private", []keyword.Value{{Word: "v4private"}}},
		{services, "v4private", "v4private", []keyword.Value{{Word: "v4private"}}},
		{nodes, "v6global", "v6global", []keyword.Value{{Word: "v6global"}}},
		{pods, "v6global/16", "v6global/16", []keyword.Value{{Word: "v6global", Size: 16}}},
		{services, "v6global/120", "v6global/120", []keyword.Value{{Word: "v6global", Size: 120}}},
		{nodes, "v6private", "v6private", []keyword.Value{{Word: "v6private"}}},
		{pods, "v6private/48", "v6private/48", []keyword.Value{{Word: "v6private", Size: 48}}},
		{services, "v6private/112", "v6private/112", []keyword.Value{{Word: "v6private", Size: 112}}},
		{nodes, "custom", "custom", []keyword.Value{{Word: "custom"}}},
		{pods, "custom", "custom", []keyword.Value{{Word: "custom"}}},
		{services, "custom", "custom", []keyword.Value{{Word: "custom"}}},
		{nodes, "nov4", "nov4", []keyword.Value{{Word: "nov4"}}},
		{pods, "v6global,nov4", "v6global,nov4", []keyword.Value{{Word: "v6global"}, {Word: "nov4"}}},
		{services, "nov6,v4private", "nov6,v4private", []keyword.Value{{Word: "nov6"}, {Word: "v4private"}}},
		{pods, "v4fromNode", "v4fromNode", []keyword.Value{{Word: "v4fromNode"}}},
		{pods, "v4fromNode/28", "v4fromNode/28", []keyword.Value{{Word: "v4fromNode", Size: 28}}},
		{pods, "v6fromNode/100", "v6fromNode/100", []keyword.Value{{Word: "v6fromNode", Size: 100}}},
		{pods, "v6fromNode/128", "v6fromNode/128", []keyword.Value{{Word: "v6fromNode", Size: 128}}},
		{nodes, "2001:db8::/32", "2001:db8::/32", []keyword.Value{{CIDR: cidr("2001:db8::/32")}}},
		{pods, "10.0.0.0/8", "10.0.0.0/8", []keyword.Value{{CIDR: cidr("10.0.0.0/8")}}},
		{services, "fd00:10:2::/112", "fd00:10:2::/112", []keyword.Value{{CIDR: cidr("fd00:10:2::/112")}}},
		// Spelling of CIDRs.
		{nodes, "2001:0DB8:0:0::/32", "2001:db8::/32", []keyword.Value{{CIDR: cidr("2001:db8::/32")}}},
		// Aliases.
		{services, "globalIPv6/64", "v6global/64", []keyword.Value{{Word: "v6global", Size: 64}}},
		{nodes, "v6global/64+nodeCidr/96", "v6global/64+prefix/96", []keyword.Value{{Word: "v6global", Size: 64, NodePrefix: 96}}},
		// Tuples, and where blanks may stand.
		{nodes, " v4private , v6global/64+prefix/96 ", "v4private,v6global/64+prefix/96",
			[]keyword.Value{{Word: "v4private"}, {Word: "v6global", Size: 64, NodePrefix: 96}}},
		{pods, "v6fromNode,\tv4private", "v6fromNode,v4private", []keyword.Value{{Word: "v6fromNode"}, {Word: "v4private"}}},
		{services, "2001:db8::/112,10.0.0.0/16", "2001:db8::/112,10.0.0.0/16", []keyword.Value{{CIDR: cidr("2001:db8::/112")}, {CIDR: cidr("10.0.0.0/16")}}},
		// +prefix, between the range's size and 120 (IPv4: 30).
		{nodes, "v6global+prefix/64", "v6global+prefix/64", []keyword.Value{{Word: "v6global", NodePrefix: 64}}},
		{nodes, "v6global/16+prefix/120", "v6global/16+prefix/120", []keyword.Value{{Word: "v6global", Size: 16, NodePrefix: 120}}},
		{nodes, "v6private/48+prefix/64", "v6private/48+prefix/64", []keyword.Value{{Word: "v6private", Size: 48, NodePrefix: 64}}},
		{nodes, "v4private+prefix/16", "v4private+prefix/16", []keyword.Value{{Word: "v4private", NodePrefix: 16}}},
		{nodes, "v4private+prefix/30", "v4private+prefix/30", []keyword.Value{{Word: "v4private", NodePrefix: 30}}},
		{nodes, "custom+prefix/96", "custom+prefix/96", []keyword.Value{{Word: "custom", NodePrefix: 96}}},
		{nodes, "2001:db8::/64+prefix/96", "2001:db8::/64+prefix/96", []keyword.Value{{CIDR: cidr("2001:db8::/64"), NodePrefix: 96}}},
		{nodes, "10.0.0.0/8+prefix/24", "10.0.0.0/8+prefix/24", []keyword.Value{{CIDR: cidr("10.0.0.0/8"), NodePrefix: 24}}},
		// custom beside nov4 and nov6.
		{nodes, "custom+prefix/96,nov4", "custom+prefix/96,nov4", []keyword.Value{{Word: "custom", NodePrefix: 96}, {Word: "nov4"}}},
		{pods, "nov6,custom", "nov6,custom", []keyword.Value{{Word: "nov6"}, {Word: "custom"}}},
	} {
		t.Run(string(tc.name)+" "+tc.text, func(t *testing.T) {
			g := NewWithT(t)
			got, err := keyword.Parse(tc.name, tc.text)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Values).To(Equal(tc.values))
			g.Expect(got.String()).To(Equal(tc.canonical))
			again, err := keyword.Parse(tc.name, got.String())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again).To(Equal(got))
		})
	}
}

func TestParseRanges(t *testing.T) {
	g := NewWithT(t)
	rs, err := keyword.ParseRanges(new("v6global"), nil, new("v6private"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rs.Get(nodes).String()).To(Equal("v6global"))
	g.Expect(rs.Get(pods)).To(BeNil())
	g.Expect(rs.Get(services).String()).To(Equal("v6private"))
	g.Expect(rs.Get("x")).To(BeNil())

	rs, err = keyword.ParseRanges(new("v6globl"), new("v6privat"), new("v6private"))
	g.Expect(err.Error()).To(Equal(`nodes: unknown word "v6globl"; did you mean "v6global"?
    v6globl
    ^^^^^^^
pods: unknown word "v6privat"; did you mean "v6private"?
    v6privat
    ^^^^^^^^`))
	g.Expect(rs).To(Equal(keyword.Ranges{Services: &keyword.Range{Values: []keyword.Value{{Word: "v6private"}}}}))
}

func TestValue(t *testing.T) {
	v4, v6 := prefix.IPv4, prefix.IPv6
	for text, want := range map[string]struct {
		v4, v6   string
		families []prefix.Family
	}{
		"v6global":             {"", "v6global", []prefix.Family{v6}},
		"v6global,nov4":        {"", "v6global", []prefix.Family{v6}},
		"v4private,v6global":   {"v4private", "v6global", []prefix.Family{v4, v6}},
		"custom":               {"custom", "custom", []prefix.Family{v6, v4}},
		"custom,nov4":          {"", "custom", []prefix.Family{v6}},
		"nov6,custom":          {"custom", "", []prefix.Family{v4}},
		"nov4":                 {"", "", nil},
		"10.0.0.0/8,fd00::/48": {"10.0.0.0/8", "fd00::/48", []prefix.Family{v4, v6}},
	} {
		g := NewWithT(t)
		r, err := keyword.Parse(nodes, text)
		g.Expect(err).NotTo(HaveOccurred())
		for f, want := range map[prefix.Family]string{v4: want.v4, v6: want.v6} {
			v, ok := r.Value(f)
			g.Expect(ok).To(Equal(want != ""), text)
			if ok {
				g.Expect(v.String()).To(Equal(want), text)
			}
		}
		g.Expect(r.Families()).To(Equal(want.families), text)
	}
}

func TestDefaultSizes(t *testing.T) {
	for text, want := range map[string][3]int{
		"v6global":   {64, 64, 64},
		"v6private":  {64, 48, 112},
		"v4private":  {16, 11, 13},
		"custom":     {0, 0, 0},
		"fd00::/40":  {40, 40, 40},
		"10.0.0.0/9": {9, 9, 9},
	} {
		g := NewWithT(t)
		r, err := keyword.Parse(nodes, text)
		g.Expect(err).NotTo(HaveOccurred())
		v := r.Values[0]
		g.Expect([3]int{v.Effective(nodes), v.Effective(pods), v.Effective(services)}).To(Equal(want), text)
	}
	g := NewWithT(t)
	for name, want := range map[keyword.Name]string{nodes: "10.250.0.0/16", pods: "100.96.0.0/11", services: "100.64.0.0/13"} {
		p, ok := keyword.Value{Word: keyword.V4Private}.Fixed(name)
		g.Expect(ok).To(BeTrue())
		g.Expect(p.String()).To(Equal(want))
	}
	_, ok := keyword.Value{Word: keyword.V6Global}.Fixed(nodes)
	g.Expect(ok).To(BeFalse())
}
