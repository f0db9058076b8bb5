// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"net/netip"
	"testing"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// A new prefix of a shoot must not overlap its other ranges, wherever they come from, unless one is a part of the other.
func TestAvoidsTheShootsOtherRanges(t *testing.T) {
	nodes, services := plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, plan.Key{Range: keyword.Services, Family: prefix.IPv6}
	for name, tc := range map[string]struct {
		nodes, pods, services string
		supernet              string
		reported              []string
		published             *gardencorev1beta1.NetworkingStatus
		self                  plan.Key
		want                  []string
	}{
		"nothing is known": {nodes: "v6global+prefix/96", pods: "v6fromNode", services: "v6global", self: services},
		"the supernet and the reported nodes": {
			nodes: "custom+prefix/80", pods: "v6fromNode", services: "v6global", self: services,
			supernet: "2001:db8:8000::/40", reported: []string{"2001:db8:a::/56"},
			want: []string{"2001:db8:8000::/40", "2001:db8:a::/56"},
		},
		"what is published, but itself": {
			nodes: "v6global+prefix/96", pods: "v6fromNode", services: "v6global", self: services,
			published: &gardencorev1beta1.NetworkingStatus{
				Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"},
			},
			want: []string{"2001:db8::/64", "2001:db8::/64"},
		},
		"pods lie in the nodes": {
			nodes: "v6global+prefix/96", pods: "v6fromNode", services: "v6global", self: nodes,
			published: &gardencorev1beta1.NetworkingStatus{
				Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"},
			},
			want: []string{"2001:db8:1::/112"},
		},
		"what the provider reports for a range that is reserved is no range of the shoot": {
			nodes: "v6global+prefix/96", pods: "v6fromNode", services: "v6global", self: services, reported: []string{"2001:db8:a::/56"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ranges, err := keyword.ParseRanges(&tc.nodes, &tc.pods, &tc.services)
			g.Expect(err).NotTo(HaveOccurred())
			facts := plan.Facts{NetworkType: plan.TypeIPv6}
			if tc.supernet != "" {
				facts.PodSupernet = netip.MustParsePrefix(tc.supernet)
			}
			p, err := plan.Build(ranges, facts)
			g.Expect(err).NotTo(HaveOccurred())
			known := &gathered{infra: &extensionsv1alpha1.Infrastructure{}, cluster: &extensionscontroller.Cluster{Shoot: &gardencorev1beta1.Shoot{}}}
			known.infra.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{Nodes: tc.reported}
			known.cluster.Shoot.Status.Networking = tc.published
			var got []string
			for _, cidr := range known.foreign(p, tc.self) {
				got = append(got, cidr.String())
			}
			g.Expect(got).To(Equal(tc.want))
		})
	}
}
