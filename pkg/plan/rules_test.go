// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// unindent takes out the indentation that the literals have for the sake of the file.
func unindent(s string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.TrimLeft(s, "\n"), "\n\t\t\t", "\n"), "\t\t\t")
}

// TestRules holds what a user reads for every rule across values and ranges, numbered as in docs/keywords.md.
func TestRules(t *testing.T) {
	kcm := plan.Facts{NetworkType: "calico"}
	for _, tc := range []struct {
		rule  string
		text  string
		facts plan.Facts
		want  string
	}{
		// 3
		{"from-node", "v6global/64 v6fromNode v6global", plan.Facts{}, `
			pods: v6fromNode takes its addresses from each node's own prefix, but nodes have no IPv6 value with +prefix; write v6global/64+prefix/96 for nodes
			    v6fromNode
			    ^^^^^^^^^^`},
		{"from-node", "v6global/100 v4private,v6fromNode/110 v6global", plan.Facts{Encapsulation: plan.EncapsulationAlways}, `
			pods: v6fromNode takes its addresses from each node's own prefix, but nodes have no IPv6 value with +prefix; write v6global/100+prefix/104 for nodes
			    v4private,v6fromNode/110
			              ^^^^^^^^^^^^^^`},
		{"from-node", "v4private+prefix/24 v6fromNode v6global", plan.Facts{}, `
			pods: v6fromNode takes its addresses from each node's own prefix, but nodes have no IPv6 value with +prefix; write v6global/64+prefix/96 for nodes
			    v6fromNode
			    ^^^^^^^^^^`},
		{"from-node", "- v6fromNode v6global", plan.Facts{}, `
			pods: v6fromNode takes its addresses from each node's own prefix, but nodes have no IPv6 value with +prefix; write v6global/64+prefix/96 for nodes
			    v6fromNode
			    ^^^^^^^^^^`},
		{"from-node", "v4private v4fromNode v4private", plan.Facts{}, `
			pods: v4fromNode takes its addresses from each node's own prefix, but nodes have no IPv4 value with +prefix; write v4private+prefix/24 for nodes
			    v4fromNode
			    ^^^^^^^^^^`},
		{"from-node", "custom+prefix/96 v4fromNode v4private", plan.Facts{}, `
			pods: v4fromNode takes its addresses from each node's own prefix, but nodes have no IPv4 value with +prefix; write custom+prefix/24 for nodes
			    v4fromNode
			    ^^^^^^^^^^`},
		{"from-node", "v6global+prefix/96 v6fromNode/96 v6global", plan.Facts{}, `
			pods: a node's pods get a part of its /96, so their size must be longer than /96, not /96; write v6fromNode, which is /100, or a size above 96
			    v6fromNode/96
			    ^^^^^^^^^^^^^`},
		{"from-node", "v4private+prefix/30 v4fromNode v4private", plan.Facts{}, `
			pods: v4fromNode without a size is 4 bits longer than the node's /30, which is more than IPv4 has; write v4fromNode/32, or give nodes a shorter +prefix
			    v4fromNode
			    ^^^^^^^^^^`},
		// 4
		{"ip-families", "v6global v6global v6global", plan.Facts{IPFamilies: []prefix.Family{v4}}, `
			services: ipFamilies are [IPv4], but these services make them [IPv6]; leave ipFamilies out, or set them to [IPv6]
			    v6global
			    ^^^^^^^^`},
		{"ip-families", "v6global,v4private v6global,v4private v4private,v6global", plan.Facts{IPFamilies: []prefix.Family{v6, v4}}, `
			services: ipFamilies are [IPv6, IPv4], but these services make them [IPv4, IPv6]; leave ipFamilies out, or set them to [IPv4, IPv6]
			    v4private,v6global
			    ^^^^^^^^^^^^^^^^^^`},
		// 5
		{"families", "v6global,v4private v6global v6global,v4private", plan.Facts{}, `
			pods: services have IPv4, but pods have none; add an IPv4 value, for example v4private
			    v6global
			    ^^^^^^^^`},
		{"families", "v6global,v4private nov6,v4private v6global", plan.Facts{}, `
			pods: services have IPv6, but pods have none; add an IPv6 value, for example v6fromNode
			    nov6,v4private
			         ^^^^^^^^^`},
		{"families", "v4private v6global v6global", plan.Facts{NetworkType: "ipv6", Encapsulation: "Never"}, `
			nodes: pods have IPv6, but nodes have none; add an IPv6 value, for example v6global/64, or set providerConfig.encapsulation.mode to Always
			    v4private
			    ^^^^^^^^^`},
		{"families", "v4private v6global v6global", plan.Facts{}, `
			nodes: pods have IPv6, but nodes have none; add an IPv6 value, for example v6global/64
			    v4private
			    ^^^^^^^^^`},
		{"families", "v4private v4private nov6", plan.Facts{}, `
			services: services have no addresses at all; write for example v6global/64
			    nov6
			    ^^^^`},
		// 6
		{"disjoint", "2001:db8::/32 2001:db8:1::/48 v6global", plan.Facts{}, `
			pods: 2001:db8:1::/48 overlaps the range of nodes, 2001:db8::/32; choose another range
			    2001:db8:1::/48
			    ^^^^^^^^^^^^^^^`},
		{"disjoint", "2001:db8::/32+prefix/64 v6fromNode 2001:db8:1::/112", plan.Facts{}, `
			services: 2001:db8:1::/112 overlaps the range of nodes, 2001:db8::/32; choose another range
			    2001:db8:1::/112
			    ^^^^^^^^^^^^^^^^`},
		{"disjoint", "v4private v4private 100.96.0.0/16", plan.Facts{}, `
			services: 100.96.0.0/16 overlaps the range of pods, 100.96.0.0/11; choose another range
			    100.96.0.0/16
			    ^^^^^^^^^^^^^`},
		{"disjoint", "fd00:1::/48 v6global v6global", plan.Facts{SeedNetworks: pfxs("10.0.0.0/8", "fd00:1:0:5::/64")}, `
			nodes: fd00:1::/48 overlaps the Seed's network fd00:1:0:5::/64; choose another range
			    fd00:1::/48
			    ^^^^^^^^^^^`},
		{"disjoint", "v6global v6global fd8f:6d53:b97a:1::/64", plan.Facts{}, `
			services: fd8f:6d53:b97a:1::/64 overlaps fd8f:6d53:b97a:1::/96, which Gardener keeps for the VPN; choose another range
			    fd8f:6d53:b97a:1::/64
			    ^^^^^^^^^^^^^^^^^^^^^`},
		{"disjoint", "fd30:1319:f1e:230b::/64 v6global v6global", plan.Facts{}, `
			nodes: fd30:1319:f1e:230b::/64 overlaps fd30:1319:f1e:230b::1/128, which Gardener keeps for the node-local DNS; choose another range
			    fd30:1319:f1e:230b::/64
			    ^^^^^^^^^^^^^^^^^^^^^^^`},
		{"disjoint", "240.0.0.0/16 241.0.0.0/16 243.0.0.0/16", plan.Facts{}, `
			nodes: 240.0.0.0/16 overlaps 240.0.0.0/8, which Gardener keeps for the mapping of kube-apiserver; choose another range
			    240.0.0.0/16
			    ^^^^^^^^^^^^
			pods: 241.0.0.0/16 overlaps 241.0.0.0/8, which Gardener keeps for the mapping of the seed's pods; choose another range
			    241.0.0.0/16
			    ^^^^^^^^^^^^
			services: 243.0.0.0/16 overlaps 243.0.0.0/8, which Gardener keeps for the mapping of the shoot's services; choose another range
			    243.0.0.0/16
			    ^^^^^^^^^^^^`},
		{"disjoint", "v6global 2001:db8:1::/48 v6global", plan.Facts{Reserved: held{nodesV6: pfx("2001:db8::/32")}}, `
			pods: 2001:db8:1::/48 overlaps the range of nodes, 2001:db8::/32; choose another range
			    2001:db8:1::/48
			    ^^^^^^^^^^^^^^^`},
		{"disjoint", "2001:db8::/32 2001:db8:1::/48 v6global", plan.Facts{Reserved: held{nodesV6: pfx("2001:db8::/32"), podsV6: pfx("2001:db8:1::/48")}}, `
			pods: 2001:db8:1::/48 overlaps the range of nodes, 2001:db8::/32; choose another range
			    2001:db8:1::/48
			    ^^^^^^^^^^^^^^^`},
		{"disjoint", "custom+prefix/96 v6fromNode fd00::/112", plan.Facts{PodSupernet: pfx("fd00::/16")}, `
			services: fd00::/112 overlaps the range of pods, fd00::/16; choose another range
			    fd00::/112
			    ^^^^^^^^^^`},
		// 7
		{"node-mask", "v6global v6global/64 v6global", plan.Facts{NetworkType: "cilium", NodeMaskIPv6: 112}, `
			pods: node mask /112 less pods range /64 is 48 bits, but kube-controller-manager, which hands out the ranges for network type cilium, can do at most 16; a node mask of /65 to /80, or a pods range of /96 to /111, would fit
			    v6global/64
			    ^^^^^^^^^^^`},
		{"node-mask", "v6global v6global/32 v6global", kcm, `
			pods: node mask /64 less pods range /32 is 32 bits, but kube-controller-manager, which hands out the ranges for network type calico, can do at most 16; a pods range of /48 to /63 would fit
			    v6global/32
			    ^^^^^^^^^^^`},
		{"node-mask", "v4private 12.0.0.0/7 v4private", kcm, `
			pods: node mask /24 less pods range /7 is 17 bits, but kube-controller-manager, which hands out the ranges for network type calico, can do at most 16; a node mask of /16 to /23, or a pods range of /8 to /23, would fit
			    12.0.0.0/7
			    ^^^^^^^^^^`},
		// Gardener's own bounds of the mask.
		{"node-mask", "v6global v6global/64 v6global", plan.Facts{NodeMaskIPv6: 64}, `
			pods: the node mask /64 does not fit a pods range of /64: every node gets a part of that range, and Gardener accepts /64 to /124; set nodeCIDRMaskSize to between 65 and 124, or leave it out
			    v6global/64
			    ^^^^^^^^^^^`},
		{"node-mask", "v6global v6global/48 v6global", plan.Facts{NodeMaskIPv6: 56}, `
			pods: the node mask /56 does not fit a pods range of /48: every node gets a part of that range, and Gardener accepts /64 to /124; set nodeCIDRMaskSize to between 64 and 124, or leave it out
			    v6global/48
			    ^^^^^^^^^^^`},
		{"node-mask", "v6global 2001:db8::/124 v6global", plan.Facts{}, `
			pods: a pods range of /124 is too small: every node gets a part of it, of at most /124; ask for /120 or shorter
			    2001:db8::/124
			    ^^^^^^^^^^^^^^`},
		// The one /48 of v6private.
		{"ula-space", "v6private/49 v6private/49 v6private", plan.Facts{}, `
			services: nodes /49, pods /49, services /112 do not fit together in the one /48 that is drawn for the shoot; ask for longer prefixes, or for /48, which draws one of its own
			    v6private
			    ^^^^^^^^^`},
		// The supernet of custom nodes.
		{"pod-supernet", "v6global+prefix/96 v6fromNode v6global", plan.Facts{PodSupernet: pfx("2001:db8::/40")}, `
			pods: providerConfig.podSupernet, 2001:db8::/40, is for IPv6 pods that come from nodes that are custom; here it would be a second pods range; leave podSupernet out
			    v6fromNode
			    ^^^^^^^^^^`},
		{"pod-supernet", "custom v6private v6global", plan.Facts{PodSupernet: pfx("2001:db8::/40")}, `
			pods: providerConfig.podSupernet, 2001:db8::/40, is for IPv6 pods that come from nodes that are custom; here it would be a second pods range; leave podSupernet out
			    v6private
			    ^^^^^^^^^`},
		{"pod-supernet", "custom+prefix/96 v6fromNode v6global", plan.Facts{PodSupernet: pfx("10.0.0.0/8")}, `
			pods: providerConfig.podSupernet, 10.0.0.0/8, is for IPv4 pods that come from nodes that are custom; here it would be a second pods range; leave podSupernet out
			    v6fromNode
			    ^^^^^^^^^^`},
		{"pod-supernet", "custom custom v6global", plan.Facts{PodSupernet: pfx("2001:db8::/40")}, `
			pods: providerConfig.podSupernet, 2001:db8::/40, is for IPv6 pods that come from nodes that are custom; here it would be a second pods range; leave podSupernet out
			    custom
			    ^^^^^^`},
		// Several at once.
		{"ip-families from-node", "v6global v6fromNode v6global", plan.Facts{IPFamilies: []prefix.Family{v4}}, `
			services: ipFamilies are [IPv4], but these services make them [IPv6]; leave ipFamilies out, or set them to [IPv6]
			    v6global
			    ^^^^^^^^
			pods: v6fromNode takes its addresses from each node's own prefix, but nodes have no IPv6 value with +prefix; write v6global+prefix/96 for nodes
			    v6fromNode
			    ^^^^^^^^^^`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			g := NewWithT(t)
			_, err := plan.Build(ranges(t, tc.text), tc.facts)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(Equal(unindent(tc.want)))
			for _, id := range rules(err) {
				g.Expect(strings.Fields(tc.rule)).To(ContainElement(id))
			}
		})
	}
}

// TestAllowed holds what looks like a broken rule and is none.
func TestAllowed(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		facts plan.Facts
	}{
		"rule 5: encapsulation carries pods over nodes that lack the family": {"v4private v6global v6global", plan.Facts{Encapsulation: plan.EncapsulationAlways}},
		"rule 5: custom has both families":                                   {"custom custom v6global,v4private", plan.Facts{}},
		"rule 6: pods are under nodes with fromNode":                         {"2001:db8::/64+prefix/96 v6fromNode v6global", plan.Facts{Reserved: held{podsV6: pfx("2001:db8::/64")}}},
		"rule 6: what is held lies as it lies":                               {"v6global/56+prefix/80 v6fromNode v6global/108", plan.Facts{Reserved: held{nodesV6: pfx("2001:db8::/56"), servicesV6: pfx("2001:db8:0:10::/108")}}},
		"rule 6: custom pods may be anywhere":                                {"2001:db8::/64 custom v6global", plan.Facts{Reserved: held{podsV6: pfx("2001:db8::/64")}}},
		"rule 6: IPv4 may overlap with the Seed":                             {"v4private v4private v4private", plan.Facts{SeedNetworks: pfxs("10.0.0.0/8")}},
		"rule 7: this project's own controller has no limit":                 {"v6global v6global/64 v6global", plan.Facts{NetworkType: "ipv6", NodeMaskIPv6: 112}},
		"rule 7: 16 bits are fine for kube-controller-manager":               {"v6global v6global/64 v6global", plan.Facts{NetworkType: "calico", NodeMaskIPv6: 80}},
		"rule 7: not for pods fromNode":                                      {"v6global/48+prefix/96 v6fromNode v6global", plan.Facts{NetworkType: "calico"}},
		"two halves of the one /48":                                          {"v6private/49 v6private/49 v6global", plan.Facts{}},
		"a /48 of its own":                                                   {"v6private/49 v6private/48 v6private/49", plan.Facts{}},
	} {
		t.Run(name, func(t *testing.T) { build(t, tc.text, tc.facts) })
	}
}

// TestUpdate is rule 9.
func TestUpdate(t *testing.T) {
	const was = "v6global/64+prefix/96,v4private v6fromNode,v4private v6global/64"
	for name, tc := range map[string]struct{ old, updated, want string }{
		"the same":                     {was, was, ""},
		"defaults are spelled out":     {"v6global v6global v6private", "v6global/64 v6global/64 v6private/112", ""},
		"an alias":                     {"v6global v6global globalIPv6", "v6global globalIPv6 v6global", ""},
		"documentation is added":       {"v6global v6global v6global", "v6global,nov4 nov4,v6global v6global,nov4", ""},
		"the order of pods and nodes":  {"v6global,v4private v6global,v4private v6global", "v4private,v6global v4private,v6global v6global", ""},
		"what was not given is given":  {"- - -", was, ""},
		"nodes are widened, by a CIDR": {"2001:db8::/64 v6global v6global", "2001:db8::/60 v6global v6global", ""},
		"nodes get another family":     {"v6global v6global v6global", "v6global,v4private v6global v6global", ""},

		"services change their order": {"v6global,v4private v6global,v4private v6global,v4private", "v6global,v4private v6global,v4private v4private,v6global", `
			services: the range was v6global,v4private, and what it means cannot be changed; write v6global,v4private
			    v4private,v6global
			    ^^^^^^^^^^^^^^^^^^`},
		"pods change": {"v6global+prefix/96 v6fromNode v6global", "v6global+prefix/96 v6fromNode/100 v6global", `
			pods: the range was v6fromNode, and what it means cannot be changed; write v6fromNode
			    v6fromNode/100
			    ^^^^^^^^^^^^^^`},
		"services grow": {"v6global v6global v6global/64", "v6global v6global v6global/60", `
			services: the range was v6global/64, and what it means cannot be changed; write v6global/64
			    v6global/60
			    ^^^^^^^^^^^`},
		"pods are taken back": {"v6global v6global v6global", "v6global - v6global", `
			pods: the range was v6global and cannot be taken back; write v6global`},
		"nov4 beside custom is no documentation": {"custom custom,nov4 v6global", "custom custom v6global", `
			pods: the range was custom,nov4, and what it means cannot be changed; write custom,nov4
			    custom
			    ^^^^^^`},
		"nodes shrink": {"v6global/60 v6global v6global", "v6global/64 v6global v6global", `
			nodes: the range was v6global/60, and what was reserved for it keeps its size; only nodes that are a CIDR of one's own may be widened; write v6global/60
			    v6global/64
			    ^^^^^^^^^^^`},
		"reserved nodes do not grow": {"v6global/64+prefix/96 v6fromNode v6global", "v6global/60+prefix/96 v6fromNode v6global", `
			nodes: the range was v6global/64+prefix/96, and what was reserved for it keeps its size; only nodes that are a CIDR of one's own may be widened; write v6global/64+prefix/96
			    v6global/60+prefix/96
			    ^^^^^^^^^^^^^^^^^^^^^`},
		"drawn nodes do not grow": {"v6private v6global v6global", "v6private/48 v6global v6global", `
			nodes: the range was v6private, and what was reserved for it keeps its size; only nodes that are a CIDR of one's own may be widened; write v6private
			    v6private/48
			    ^^^^^^^^^^^^`},
		"nodes that pods come from do not grow": {"2001:db8::/64+prefix/96 v6fromNode v6global", "2001:db8::/60+prefix/96 v6fromNode v6global", `
			nodes: the range was 2001:db8::/64+prefix/96, and the pods come from it; nodes cannot be widened then, because the cluster's pods range cannot be changed; write 2001:db8::/64+prefix/96
			    2001:db8::/60+prefix/96
			    ^^^^^^^^^^^^^^^^^^^^^^^`},
		"nodes that pods come from get another family":    {"2001:db8::/64+prefix/96 v6fromNode v6global", "2001:db8::/64+prefix/96,10.0.0.0/8 v6fromNode v6global", ""},
		"nodes grow in the family that no pods come from": {"2001:db8::/64+prefix/96,10.0.0.0/16 v6fromNode v6global", "2001:db8::/64+prefix/96,10.0.0.0/8 v6fromNode v6global", ""},
		"nodes move": {"2001:db8::/64 v6global v6global", "2001:db8:1::/60 v6global v6global", `
			nodes: the range was 2001:db8::/64; nodes may be widened from one CIDR to a larger one, but not be changed otherwise; write 2001:db8::/64
			    2001:db8:1::/60
			    ^^^^^^^^^^^^^^^`},
		"nodes change the kind": {"v4private,v6global v6global v6global", "v4private,v6private v6global v6global", `
			nodes: the range was v4private,v6global; nodes may be widened from one CIDR to a larger one, but not be changed otherwise; write v4private,v6global
			    v4private,v6private
			              ^^^^^^^^^`},
		"nodes lose a family": {"v4private,v6global v6global v6global", "v6global v6global v6global", `
			nodes: the range was v4private,v6global; nodes may be widened from one CIDR to a larger one, but not be changed otherwise; write v4private,v6global
			    v6global
			    ^^^^^^^^`},
		"each node's prefix changes": {"v6global+prefix/96 v6fromNode v6global", "v6global+prefix/100 v6fromNode v6global", `
			nodes: the range was v6global+prefix/96; nodes may be widened from one CIDR to a larger one, but not be changed otherwise; write v6global+prefix/96
			    v6global+prefix/100
			    ^^^^^^^^^^^^^^^^^^^`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := plan.CheckUpdate(ranges(t, tc.old), ranges(t, tc.updated))
			if tc.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(Equal(unindent(tc.want)))
			g.Expect(rules(err)).To(Equal([]string{"update"}))
		})
	}
}
