// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// TestWhatTheInfrastructureReportsIsAdopted takes what the provider extension for GCP writes into Infrastructure.status.networking of a dual-stack
// shoot: the subnetwork's /64 for nodes and pods alike, of which each VM has a /96, and a /108 out of a subnetwork of its own for services.
func TestWhatTheInfrastructureReportsIsAdopted(t *testing.T) {
	g := NewWithT(t)
	key := func(n keyword.Name) plan.Key { return plan.Key{Range: n, Family: prefix.IPv6} }
	reported := map[plan.Key]netip.Prefix{
		key(keyword.Nodes):    netip.MustParsePrefix("2600:1900:4010:a::/64"),
		key(keyword.Pods):     netip.MustParsePrefix("2600:1900:4010:a::/64"),
		key(keyword.Services): netip.MustParsePrefix("2600:1900:4010:b::/108"),
	}
	nodes, pods, services := "v4private,v6global/64+prefix/96", "v4private,v6fromNode", "v4private,v6global/108"
	ranges, err := keyword.ParseRanges(&nodes, &pods, &services)
	g.Expect(err).NotTo(HaveOccurred())
	p, err := plan.Build(ranges, plan.Facts{NetworkType: "ipv6", IPFamilies: []prefix.Family{prefix.IPv4, prefix.IPv6}})
	g.Expect(err).NotTo(HaveOccurred())

	adopted := map[plan.Key]netip.Prefix{}
	for _, r := range p.Requests {
		g.Expect(p.Adoptable(r.Key, reported[r.Key])).To(Succeed())
		adopted[r.Key] = reported[r.Key]
	}
	g.Expect(adopted).To(HaveLen(2), "nodes and services are asked for; the pods are the nodes'")
	published, err := p.PublishAdopted(nil, adopted)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(published.Nodes).To(Equal([]netip.Prefix{netip.MustParsePrefix("10.250.0.0/16"), reported[key(keyword.Nodes)]}))
	g.Expect(published.Pods).To(Equal([]netip.Prefix{netip.MustParsePrefix("100.96.0.0/11"), reported[key(keyword.Pods)]}))
	g.Expect(published.Services).To(Equal([]netip.Prefix{netip.MustParsePrefix("100.64.0.0/13"), reported[key(keyword.Services)]}))
	g.Expect(published.Missing).To(BeEmpty())
	g.Expect(p.NodeRanges).To(ContainElement(plan.NodeRange{
		Family: prefix.IPv6, From: keyword.Nodes, NodeBits: 96, PodBits: 100, Child: 13,
	}), "of each VM's /96")
}
