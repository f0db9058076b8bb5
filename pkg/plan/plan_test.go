// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

const (
	v4 = prefix.IPv4
	v6 = prefix.IPv6
)

var (
	nodesV6    = plan.Key{Range: keyword.Nodes, Family: v6}
	podsV6     = plan.Key{Range: keyword.Pods, Family: v6}
	servicesV6 = plan.Key{Range: keyword.Services, Family: v6}
	nodesV4    = plan.Key{Range: keyword.Nodes, Family: v4}
	podsV4     = plan.Key{Range: keyword.Pods, Family: v4}
	servicesV4 = plan.Key{Range: keyword.Services, Family: v4}
)

type held = map[plan.Key]netip.Prefix

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func pfxs(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, t := range texts {
		ps = append(ps, pfx(t))
	}
	return ps
}

// ranges parses "nodes pods services"; - leaves one out.
func ranges(t testing.TB, text string) keyword.Ranges {
	t.Helper()
	var given [3]*string
	for i, f := range strings.Fields(text) {
		if f != "-" {
			given[i] = &f
		}
	}
	rs, err := keyword.ParseRanges(given[0], given[1], given[2])
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func build(t testing.TB, text string, facts plan.Facts) plan.Plan {
	t.Helper()
	p, err := plan.Build(ranges(t, text), facts)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func warnings(p plan.Plan) []string {
	var texts []string
	for _, w := range p.Warnings {
		texts = append(texts, string(w.Range)+": "+w.Message)
	}
	return texts
}

// TestTheProposalsExample is the Shoot that this project is for.
func TestTheProposalsExample(t *testing.T) {
	g := NewWithT(t)
	rs := ranges(t, "v6global/64+prefix/96 v6fromNode globalIPv6/64")
	p, err := plan.Build(rs, plan.Facts{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(p).To(Equal(plan.Plan{
		Ranges:     rs,
		IPFamilies: []prefix.Family{v6},
		Requests: []plan.Request{
			{Key: nodesV6, Scope: plan.Global, Bits: 64, PublishedBits: 64},
			{Key: servicesV6, Scope: plan.Global, Bits: 64, PublishedBits: 112},
		},
		Fixed:        held{},
		NodeRanges:   []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 96, PodBits: 100, Child: 0xd}},
		Capacity:     map[prefix.Family]plan.Capacity{v6: {NodesLog2: 32, PodsPerNodeLog2: 28}},
		NodeMaskIPv6: 100,
	}))

	published, err := p.Publish(nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(published).To(Equal(plan.Published{Missing: []plan.Key{nodesV6, podsV6, servicesV6}}))

	published, err = p.Publish(held{nodesV6: pfx("2001:db8:1:2::/64"), servicesV6: pfx("2001:db8:5::/48")})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(published).To(Equal(plan.Published{
		Nodes: pfxs("2001:db8:1:2::/64"), Pods: pfxs("2001:db8:1:2::/64"), Services: pfxs("2001:db8:5::/112"),
	}))
}

// TestRequests: every word asks for what the table says, with its default size.
func TestRequests(t *testing.T) {
	for text, want := range map[string][]plan.Request{
		"v6global v6global v6global": {
			{Key: nodesV6, Scope: plan.Global, Bits: 64, PublishedBits: 64},
			{Key: podsV6, Scope: plan.Global, Bits: 64, PublishedBits: 64},
			{Key: servicesV6, Scope: plan.Global, Bits: 64, PublishedBits: 112},
		},
		"v6private v6private v6private": {
			{Key: nodesV6, Scope: plan.Private, Bits: 64, PublishedBits: 64},
			{Key: podsV6, Scope: plan.Private, Bits: 48, PublishedBits: 48},
			{Key: servicesV6, Scope: plan.Private, Bits: 112, PublishedBits: 112},
		},
		"v6global/56 v6private/52 v6global/116": {
			{Key: nodesV6, Scope: plan.Global, Bits: 56, PublishedBits: 56},
			{Key: podsV6, Scope: plan.Private, Bits: 52, PublishedBits: 52},
			{Key: servicesV6, Scope: plan.Global, Bits: 116, PublishedBits: 116},
		},
		"v4private v4private v4private":            nil,
		"custom custom custom":                     nil,
		"2001:db8::/64 2001:db8:1::/64 fd00::/112": nil,
	} {
		NewWithT(t).Expect(build(t, text, plan.Facts{}).Requests).To(Equal(want), text)
	}
}

func TestFixed(t *testing.T) {
	g := NewWithT(t)
	g.Expect(build(t, "v4private,nov6 v4private v4private", plan.Facts{}).Fixed).To(Equal(held{
		nodesV4: pfx("10.250.0.0/16"), podsV4: pfx("100.96.0.0/11"), servicesV4: pfx("100.64.0.0/13"),
	}))
	g.Expect(build(t, "v6global,10.0.0.0/16 v6global 2001:db8::/64", plan.Facts{}).Fixed).To(Equal(held{
		nodesV4: pfx("10.0.0.0/16"), servicesV6: pfx("2001:db8::/64"),
	}))
}

func TestIPFamilies(t *testing.T) {
	for _, tc := range []struct {
		text string
		set  []prefix.Family
		want []prefix.Family
	}{
		{"v6global v6global v6global", nil, []prefix.Family{v6}},
		{"v6global v6global v6global", []prefix.Family{v6}, []prefix.Family{v6}},
		{"v6global,v4private v6global,v4private v4private,v6global", nil, []prefix.Family{v4, v6}},
		{"v6global,v4private v6global,v4private v6global,v4private", []prefix.Family{v6, v4}, []prefix.Family{v6, v4}},
		{"v6global,v4private v6global,v4private v6global", nil, []prefix.Family{v6}}, // pods may have more than services
		{"v6global v6global custom,nov4", nil, []prefix.Family{v6}},
		{"v4private v4private custom,nov6", nil, []prefix.Family{v4}},
		{"v6global,v4private v4private,v6global custom", nil, []prefix.Family{v4, v6}},
		{"v6global,v4private v4private,v6global custom", []prefix.Family{v6}, []prefix.Family{v6}},
		{"custom custom custom", nil, []prefix.Family{v6}},
		{"- - -", nil, []prefix.Family{v6}},
		{"- - -", []prefix.Family{v4}, []prefix.Family{v4}},
	} {
		NewWithT(t).Expect(build(t, tc.text, plan.Facts{IPFamilies: tc.set}).IPFamilies).To(Equal(tc.want), tc.text)
	}
}

func TestNodeRanges(t *testing.T) {
	for _, tc := range []struct {
		text  string
		facts plan.Facts
		want  []plan.NodeRange
		mask  int
		cap   map[prefix.Family]plan.Capacity
	}{
		{
			text: "v6global/64+prefix/96 v6fromNode v6global", mask: 100,
			want: []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 96, PodBits: 100, Child: 0xd}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 32, PodsPerNodeLog2: 28}},
		},
		{
			text: "v6global/48+prefix/80 v6fromNode/96 v6global", mask: 96,
			want: []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 80, PodBits: 96, Child: -1}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 32, PodsPerNodeLog2: 32}},
		},
		{ // the mask stays where Gardener accepts it
			text: "v6global/32+prefix/48 v6fromNode v6global", mask: 64,
			want: []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 48, PodBits: 52, Child: 0xd}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 16, PodsPerNodeLog2: 76}},
		},
		{
			text: "v6global/64+prefix/120 v6fromNode/126 v6global", mask: 124,
			want: []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 120, PodBits: 126, Child: -1}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 56, PodsPerNodeLog2: 2}},
		},
		{ // the owner's mask is not asked for then
			text: "v6global/64+prefix/96 v6fromNode v6global", facts: plan.Facts{NodeMaskIPv6: 64}, mask: 100,
			want: []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 96, PodBits: 100, Child: 0xd}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 32, PodsPerNodeLog2: 28}},
		},
		{
			text: "custom+prefix/96 v6fromNode v6global", mask: 100,
			want: []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 96, PodBits: 100, Child: 0xd, Custom: true}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: -1, PodsPerNodeLog2: 28}},
		},
		{
			text: "v4private+prefix/24 v4fromNode v4private",
			want: []plan.NodeRange{{Family: v4, From: keyword.Nodes, NodeBits: 24, PodBits: 28, Child: 0xd}},
			cap:  map[prefix.Family]plan.Capacity{v4: {NodesLog2: 8, PodsPerNodeLog2: 4}},
		},
		{ // pods' own ranges: the default mask
			text: "v6global v6global/64 v6global", mask: 80,
			want: []plan.NodeRange{{Family: v6, From: keyword.Pods, NodeBits: 80, PodBits: 80}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 16, PodsPerNodeLog2: 48}},
		},
		{
			text: "v6global v6global/48 v6global", mask: 64,
			want: []plan.NodeRange{{Family: v6, From: keyword.Pods, NodeBits: 64, PodBits: 64}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 16, PodsPerNodeLog2: 64}},
		},
		{ // and the owner's
			text: "v6global v6global/64 v6global", facts: plan.Facts{NodeMaskIPv6: 96}, mask: 96,
			want: []plan.NodeRange{{Family: v6, From: keyword.Pods, NodeBits: 96, PodBits: 96}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 32, PodsPerNodeLog2: 32}},
		},
		{ // dual-stack: one a family, in the order of the ipFamilies, not of the pods
			text: "v6global,v4private v6global,v4private v4private,v6global", mask: 80,
			want: []plan.NodeRange{{Family: v4, From: keyword.Pods, NodeBits: 24, PodBits: 24}, {Family: v6, From: keyword.Pods, NodeBits: 80, PodBits: 80}},
			cap:  map[prefix.Family]plan.Capacity{v4: {NodesLog2: 13, PodsPerNodeLog2: 8}, v6: {NodesLog2: 16, PodsPerNodeLog2: 48}},
		},
		{
			text: "v6global+prefix/96,v4private v4private,v6fromNode v6global,v4private", facts: plan.Facts{NodeMaskIPv4: 26}, mask: 100,
			want: []plan.NodeRange{{Family: v6, From: keyword.Nodes, NodeBits: 96, PodBits: 100, Child: 0xd}, {Family: v4, From: keyword.Pods, NodeBits: 26, PodBits: 26}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: 32, PodsPerNodeLog2: 28}, v4: {NodesLog2: 15, PodsPerNodeLog2: 6}},
		},
		{ // somebody else's pods
			text: "v6global custom v6global", facts: plan.Facts{NodeMaskIPv6: 96}, mask: 96,
			want: []plan.NodeRange{{Family: v6, From: keyword.Pods, NodeBits: 96, PodBits: 96, Custom: true}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: -1, PodsPerNodeLog2: 32}},
		},
		{
			text: "- - v6global", mask: 64,
			want: []plan.NodeRange{{Family: v6, From: keyword.Pods, Custom: true}},
			cap:  map[prefix.Family]plan.Capacity{v6: {NodesLog2: -1, PodsPerNodeLog2: -1}},
		},
	} {
		t.Run(tc.text, func(t *testing.T) {
			g := NewWithT(t)
			p := build(t, tc.text, tc.facts)
			g.Expect(p.NodeRanges).To(Equal(tc.want))
			g.Expect(p.NodeMaskIPv6).To(Equal(tc.mask))
			g.Expect(p.Capacity).To(Equal(tc.cap))
		})
	}
}

// TestDefaultNodeMask: always longer than the pods range, and where Gardener accepts it.
func TestDefaultNodeMask(t *testing.T) {
	g := NewWithT(t)
	for pods, want := range map[int]int{16: 64, 32: 64, 48: 64, 56: 72, 64: 80, 80: 96, 96: 112, 104: 120, 112: 120, 119: 120, 120: 124, 122: 124, 123: 124} {
		g.Expect(plan.DefaultNodeMask(v6, pods)).To(Equal(want), "pods /%d", pods)
	}
	for pods, want := range map[int]int{8: 24, 11: 24, 16: 24, 23: 24, 24: 28, 26: 28, 27: 28} {
		g.Expect(plan.DefaultNodeMask(v4, pods)).To(Equal(want), "pods /%d", pods)
	}
	for pods := 16; pods < 124; pods++ {
		mask := plan.DefaultNodeMask(v6, pods)
		g.Expect(mask > pods && mask >= 64 && mask <= 124).To(BeTrue(), "pods /%d, mask /%d", pods, mask)
	}
}

func TestWarnings(t *testing.T) {
	const noSource = "nodes: nobody here knows the IPv6 prefixes of custom nodes: whoever addresses the nodes has to write each one's pod range to Node.spec.podCIDRs, too; until then no pod starts there"
	reserved := held{nodesV6: pfx("2001:db8::/40")}
	for _, tc := range []struct {
		text  string
		facts plan.Facts
		want  []string
	}{
		{"v6global/64+prefix/96 v6fromNode v6global/64", plan.Facts{}, nil},
		// Rule 8, for IPv6 only.
		{"v6global/62+prefix/90 v6fromNode/98 v6global/114", plan.Facts{}, []string{
			"nodes: /62 is not a multiple of 4, as reverse DNS delegation and some clouds want it: /60 or /64 would be",
			"nodes: +prefix/90 is not a multiple of 4, as reverse DNS delegation and some clouds want it: /88 or /92 would be",
			"pods: /98 is not a multiple of 4, as reverse DNS delegation and some clouds want it: /96 or /100 would be",
			"services: /114 is not a multiple of 4, as reverse DNS delegation and some clouds want it: /112 or /116 would be",
		}},
		{"2001:db8::/63 v6global v6global", plan.Facts{}, []string{
			"nodes: /63 is not a multiple of 4, as reverse DNS delegation and some clouds want it: /60 or /64 would be"}},
		{"v4private,v6global v4private,v6global v4private,v6global", plan.Facts{}, nil},
		// Pods from custom nodes.
		{"custom+prefix/96 v6fromNode v6global", plan.Facts{}, []string{
			noSource,
			"pods: the nodes are custom: the Shoot waits until the Infrastructure reports a range for them, or until providerConfig.podSupernet names an IPv6 CIDR that covers every node's prefix"}},
		{"custom+prefix/96 v6fromNode v6global", plan.Facts{PodSupernet: pfx("2001:db8::/40")}, []string{noSource}},
		{"custom+prefix/96 v6fromNode v6global", plan.Facts{Reserved: reserved}, []string{noSource}},
		{"custom+prefix/96 v6fromNode v6global", plan.Facts{Reserved: reserved, NetworkType: "ipv6"}, []string{
			noSource + ". providerConfig.nodePrefix.sources can say where the nodes find out by themselves"}},
		{"custom+prefix/96 v6fromNode v6global", plan.Facts{Reserved: reserved, NodesReport: true}, nil},
		{"custom v6global v6global", plan.Facts{}, nil},
		// What is hardly meant.
		{"v6global+prefix/96 v6global v6global", plan.Facts{}, []string{
			"nodes: every node gets a /96 that no pod uses: pods would use it with v6fromNode or v4fromNode"}},
		{"v6global+prefix/64 v6fromNode v6global", plan.Facts{}, []string{"nodes: there is room for 1 node prefixes of /64 only"}},
		{"v6global+prefix/120 v6fromNode v6global", plan.Facts{}, []string{
			"pods: a node's pod range of /124 holds 16 addresses, fewer than the 110 pods that kubelet allows by default"}},
		{"v6global v6global 2001:db8::/64", plan.Facts{}, []string{"services: Kubernetes gets the first /112 of 2001:db8::/64: it cannot use more"}},
		{"v4private v4private v4private", plan.Facts{SeedNetworks: pfxs("10.250.0.0/16")}, []string{
			"nodes: 10.250.0.0/16 overlaps the Seed's networks; Gardener translates the addresses of such IPv4 shoots"}},
	} {
		NewWithT(t).Expect(warnings(build(t, tc.text, tc.facts))).To(Equal(tc.want), tc.text)
	}
}

// rules takes the rule of every error.
func rules(err error) []string {
	var list plan.ErrorList
	if !errors.As(err, &list) {
		return nil
	}
	var ids []string
	for _, e := range list {
		ids = append(ids, e.Rule)
	}
	return ids
}
