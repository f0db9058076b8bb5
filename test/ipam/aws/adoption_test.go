// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
)

// What Gardener's provider for AWS reports of a VPC: its block for the nodes and for the pods, and a /108 that it has set aside in
// a subnet, and so within that block, for the services.
const (
	vpcBlock         = "2600:1f18:1234:5600::/56"
	reportedServices = "2600:1f18:1234:5610::/108"
)

var (
	nodes    = plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}
	services = plan.Key{Range: keyword.Services, Family: prefix.IPv6}
)

func planOf(t *testing.T, nodes, pods, services string) plan.Plan {
	t.Helper()
	ranges, err := keyword.ParseRanges(&nodes, &pods, &services)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(ranges, plan.Facts{NetworkType: plan.TypeIPv6})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func cidrs(texts ...string) (ps []netip.Prefix) {
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

// What AWS has made for nodes and pods is adopted: nothing of it is asked of VPC IPAM, and what is published is what the VPC's
// routes know. The services may come from VPC IPAM.
func TestAdoptsTheBlockOfTheVPC(t *testing.T) {
	for name, c := range map[string]struct {
		nodes, pods, services string
		reserve               int // length of the services that VPC IPAM is asked for
		published             string
	}{
		"exact sizes":      {"v6global/56+prefix/80", "v6fromNode", "v6global/108", 108, "2600:1f99::/112"},
		"smaller requests": {"v6global/64+prefix/80", "v6fromNode/96", "v6global/112", 108, "2600:1f99::/112"},
		"larger services":  {"v6global+prefix/80", "v6fromNode", "v6global/64", 64, "2600:1f99::/112"},
	} {
		t.Run(name, func(t *testing.T) {
			g, a := NewWithT(t), newAccount(t, "2600:1f99::/56")
			p := planOf(t, c.nodes, c.pods, c.services)
			g.Expect(p.Requests).To(HaveLen(2), "pods need no range of their own: each node's /80 has room for them")
			g.Expect(p.Requests[0].Key).To(Equal(nodes))
			g.Expect(p.Adoptable(nodes, netip.MustParsePrefix(vpcBlock))).To(Succeed())

			g.Expect(p.Requests[1].Key).To(Equal(services))
			got, err := a.reserver(t, garden).Allocate(t.Context(), reservetest.Owner(1), request(p.Requests[1].Bits))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Prefix.Bits()).To(Equal(c.reserve))
			published, err := p.PublishAdopted(map[plan.Key]netip.Prefix{services: got.Prefix}, map[plan.Key]netip.Prefix{nodes: netip.MustParsePrefix(vpcBlock)})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(published).To(Equal(plan.Published{Nodes: cidrs(vpcBlock), Pods: cidrs(vpcBlock), Services: cidrs(c.published)}))
		})
	}
}

// The services that AWS reports are a part of the nodes' range. As the provider brings both, that is its own business.
func TestAdoptsServicesWithinTheNodes(t *testing.T) {
	g := NewWithT(t)
	for _, asked := range []string{"v6global/108", "v6global/112", "v6global/64", "custom"} {
		p := planOf(t, "v6global/56+prefix/80", "v6fromNode", asked)
		g.Expect(p.Adoptable(services, netip.MustParsePrefix(reportedServices))).To(Succeed())
		published, err := p.PublishAdopted(nil, map[plan.Key]netip.Prefix{nodes: netip.MustParsePrefix(vpcBlock), services: netip.MustParsePrefix(reportedServices)})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(published).To(Equal(plan.Published{Nodes: cidrs(vpcBlock), Pods: cidrs(vpcBlock), Services: cidrs(reportedServices)}))
	}
}
