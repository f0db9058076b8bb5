// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

func TestPublish(t *testing.T) {
	for name, tc := range map[string]struct {
		text              string
		facts             plan.Facts
		reserved, adopted held
		want              plan.Published
	}{
		"the first child of the size asked for, the rest stays unused": {
			text: "v6global/64 v6global/60 v6global/64", reserved: held{nodesV6: pfx("2001:db8::/56"), podsV6: pfx("2001:db8:1::/48"), servicesV6: pfx("2001:db8:2::/64")},
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8:1::/60"), Services: pfxs("2001:db8:2::/112")},
		},
		"services longer than /112": {
			text: "v6global v6global v6global/116", reserved: held{nodesV6: pfx("2001:db8::/64"), podsV6: pfx("2001:db8:1::/64"), servicesV6: pfx("2001:db8:2::/64")},
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8:1::/64"), Services: pfxs("2001:db8:2::/116")},
		},
		"one's own ranges": {
			text: "2001:db8::/64 2001:db8:1::/64 2001:db8:2::/64",
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8:1::/64"), Services: pfxs("2001:db8:2::/112")},
		},
		"the primary family first": {
			text: "v6global,v4private v6global,v4private v4private,v6global", reserved: held{nodesV6: pfx("2001:db8::/64"), servicesV6: pfx("2001:db8:2::/64")},
			want: plan.Published{
				Nodes: pfxs("10.250.0.0/16", "2001:db8::/64"), Pods: pfxs("100.96.0.0/11"), Services: pfxs("100.64.0.0/13", "2001:db8:2::/112"),
				Missing: []plan.Key{podsV6},
			},
		},
		"pods from the nodes": {
			text: "v6global+prefix/96 v6fromNode v6private", reserved: held{nodesV6: pfx("2001:db8::/60"), servicesV6: pfx("fd00::/112")},
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8::/64"), Services: pfxs("fd00::/112")},
		},
		"pods from nodes that are fixed": {
			text: "2001:db8::/64+prefix/96 v6fromNode fd00::/112",
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8::/64"), Services: pfxs("fd00::/112")},
		},
		"custom nodes: nobody reported anything": {
			text: "custom+prefix/96 v6fromNode fd00::/112",
			want: plan.Published{Services: pfxs("fd00::/112"), Missing: []plan.Key{podsV6}},
		},
		"custom nodes: the Infrastructure reports them": {
			text: "custom+prefix/96 v6fromNode fd00::/112", facts: plan.Facts{PodSupernet: pfx("2001:db8::/40")}, adopted: held{nodesV6: pfx("2001:db8::/48")},
			want: plan.Published{Nodes: pfxs("2001:db8::/48"), Pods: pfxs("2001:db8::/48"), Services: pfxs("fd00::/112")},
		},
		"custom nodes: the supernet": {
			text: "custom+prefix/96 v6fromNode fd00::/112", facts: plan.Facts{PodSupernet: pfx("2001:db8::/40")},
			want: plan.Published{Pods: pfxs("2001:db8::/40"), Services: pfxs("fd00::/112")},
		},
		"everything is custom": {
			text: "custom custom custom", reserved: held{podsV6: pfx("2001:db8::/64")},
			want: plan.Published{Pods: pfxs("2001:db8::/64"), Missing: []plan.Key{servicesV6}},
		},
		"nothing was given": {
			text: "- - -", want: plan.Published{Missing: []plan.Key{podsV6, servicesV6}},
		},
		"what the provider reports by itself is published whole": {
			text: "v6global/64+prefix/80 v6fromNode v6global", adopted: held{nodesV6: pfx("2001:db8::/56")}, reserved: held{servicesV6: pfx("2001:db8:1::/56")},
			want: plan.Published{Nodes: pfxs("2001:db8::/56"), Pods: pfxs("2001:db8::/56"), Services: pfxs("2001:db8:1::/112")},
		},
		"reported services within the reported nodes, as on AWS": {
			text: "v6global/56+prefix/80 v6fromNode v6global/108", adopted: held{nodesV6: pfx("2001:db8::/56"), servicesV6: pfx("2001:db8:0:10::/108")},
			want: plan.Published{Nodes: pfxs("2001:db8::/56"), Pods: pfxs("2001:db8::/56"), Services: pfxs("2001:db8:0:10::/108")},
		},
		"reported services that kube-apiserver can use stay": {
			text: "v6global v6global v6global", adopted: held{nodesV6: pfx("2001:db8::/64"), podsV6: pfx("2001:db8:1::/64"), servicesV6: pfx("2001:db8:2::/108")},
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8:1::/64"), Services: pfxs("2001:db8:2::/108")},
		},
		"reported services that it cannot use: their first /112": {
			text: "v6global v6global v6global", adopted: held{nodesV6: pfx("2001:db8::/64"), podsV6: pfx("2001:db8:1::/64"), servicesV6: pfx("2001:db8:2::/107")},
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8:1::/64"), Services: pfxs("2001:db8:2::/112")},
		},
		"reported services that it cannot use, a longer one is asked for": {
			text: "v6global v6global v6global/116", adopted: held{nodesV6: pfx("2001:db8::/64"), podsV6: pfx("2001:db8:1::/64"), servicesV6: pfx("2001:db8:2::/64")},
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8:1::/64"), Services: pfxs("2001:db8:2::/116")},
		},
		"reported services that are somebody else's stay": {
			text: "v6global v6global custom", adopted: held{nodesV6: pfx("2001:db8::/64"), podsV6: pfx("2001:db8:1::/64"), servicesV6: pfx("2001:db8:2::/64")},
			want: plan.Published{Nodes: pfxs("2001:db8::/64"), Pods: pfxs("2001:db8:1::/64"), Services: pfxs("2001:db8:2::/64")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := build(t, tc.text, tc.facts)
			got, err := p.PublishAdopted(tc.reserved, tc.adopted)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(tc.want))
			for _, n := range keyword.Names() {
				seen := map[prefix.Family]bool{}
				for _, cidr := range got.Of(n) {
					f := prefix.FamilyOf(cidr.Addr())
					g.Expect(seen[f]).To(BeFalse(), "two CIDRs of a family")
					seen[f] = true
				}
			}
		})
	}
}

func TestPublishRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		text     string
		facts    plan.Facts
		reserved held
		want     string
	}{
		"what is too small": {"v6global/64 v6global v6global", plan.Facts{}, held{nodesV6: pfx("2001:db8::/65")}, `
			nodes: 2001:db8::/65 is smaller than the /64 asked for
			    v6global/64
			    ^^^^^^^^^^^`},
		"services that are too small, though enough is published": {"v6global v6global v6global", plan.Facts{}, held{servicesV6: pfx("2001:db8::/112")}, `
			services: 2001:db8::/112 is smaller than the /64 asked for
			    v6global
			    ^^^^^^^^`},
		"what overlaps": {"v6global v6global v6global", plan.Facts{}, held{nodesV6: pfx("2001:db8::/64"), podsV6: pfx("2001:db8::/60")}, `
			pods: 2001:db8::/60 overlaps the range of nodes, 2001:db8::/64; choose another range
			    v6global
			    ^^^^^^^^`},
		"what overlaps the Seed": {"v6global v6global v6global", plan.Facts{SeedNetworks: pfxs("2001:db8::/32")}, held{servicesV6: pfx("2001:db8::/64")}, `
			services: 2001:db8::/64 overlaps the Seed's network 2001:db8::/32; choose another range
			    v6global
			    ^^^^^^^^`},
		"what was not asked for": {"v6global,nov4 v6global v6global", plan.Facts{}, held{nodesV4: pfx("10.0.0.0/8")}, `
			nodes: 10.0.0.0/8 is not asked for: nodes have no IPv4
			    v6global,nov4
			    ^^^^^^^^^^^^^`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := build(t, tc.text, tc.facts).Publish(tc.reserved)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(Equal(unindent(tc.want)))
		})
	}
}

func TestAdoptable(t *testing.T) {
	for _, tc := range []struct {
		text     string
		key      plan.Key
		reported netip.Prefix
		want     string
	}{
		{"v6global/64 v6global v6global", nodesV6, pfx("2001:db8::/56"), ""},
		{"v6global/64 v6global v6global", nodesV6, pfx("2001:db8::/64"), ""},
		{"v6global/64 v6global v6global", nodesV6, pfx("2001:db8::/80"), "nodes: 2001:db8::/80 is smaller than the /64 asked for"},
		{"v6global/64 v6global v6global", nodesV6, pfx("fd00::/64"), "nodes: fd00::/64 is not global: unique local addresses (RFC 4193) are what v6private asks for"},
		{"v6private v6private v6private", nodesV6, pfx("2001:db8::/64"), "nodes: 2001:db8::/64 is not a unique local range (RFC 4193)"},
		{"v6private v6private v6private", nodesV6, pfx("fd00::/56"), ""},
		{"v6global+prefix/96 v6fromNode v6global", podsV6, pfx("2001:db8::/56"), ""},
		{"custom+prefix/96 v6fromNode v6global", nodesV6, pfx("fd00::/40"), ""},
		{"2001:db8::/64 v6global v6global", nodesV6, pfx("2001:db8::/56"), ""}, // a whole network, ours is in it
		{"2001:db8::/64 v6global v6global", nodesV6, pfx("2001:db8:1::/64"), "nodes: 2001:db8:1::/64 is not the range asked for, 2001:db8::/64"},
		{"v6global v6global v6global", nodesV6, pfx("10.0.0.0/8"), "nodes: 10.0.0.0/8 is no IPv6 range"},
		{"v6global v6global v6global", nodesV4, pfx("10.0.0.0/8"), "nodes: 10.0.0.0/8 is not asked for: nodes have no IPv4"},
		{"v6global v6global v6global", nodesV6, pfx("fe80::/10"), "nodes: fe80::/10 holds link-local addresses, which can be nobody's nodes"},
		{"v6global v6global v6global", nodesV6, netip.MustParsePrefix("2001:db8::1/64"), "nodes: 2001:db8::1/64 is no canonical CIDR"},
		{"- - v6global", nodesV6, pfx("2001:db8::/56"), ""},
		{"v6global v6global v6global/64", servicesV6, pfx("2001:db8::/112"), ""},
		{"v6global v6global 2001:db8::/64", servicesV6, pfx("2001:db8::/112"), ""},
		{"v6global v6global v6global/64", servicesV6, pfx("2001:db8::/116"), "services: 2001:db8::/116 is smaller than the /64 asked for"},
	} {
		g := NewWithT(t)
		err := build(t, tc.text, plan.Facts{}).Adoptable(tc.key, tc.reported)
		if tc.want == "" {
			g.Expect(err).NotTo(HaveOccurred(), tc.text)
			continue
		}
		g.Expect(err).To(HaveOccurred(), tc.text)
		g.Expect(err.Error()).To(HavePrefix(tc.want), tc.text)
	}
}
