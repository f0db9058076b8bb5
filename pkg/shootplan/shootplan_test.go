// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package shootplan_test

import (
	"net/netip"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

const header = `"apiVersion":"ipv6.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkConfig"`

func shoot(networking gardencorev1beta1.Networking, config string) *gardencorev1beta1.Shoot {
	networking.Type = new("ipv6")
	if config != "" {
		networking.ProviderConfig = &runtime.RawExtension{Raw: []byte("{" + header + "," + config + "}")}
	}
	return &gardencorev1beta1.Shoot{Spec: gardencorev1beta1.ShootSpec{Networking: &networking}}
}

func text(r *keyword.Range) string {
	if r == nil {
		return ""
	}
	return r.String()
}

func TestGatherRanges(t *testing.T) {
	const ranges = `"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}`
	for name, tc := range map[string]struct {
		spec                  gardencorev1beta1.Networking
		config                string
		nodes, pods, services string
	}{
		"spec only": {
			spec:  gardencorev1beta1.Networking{Nodes: new("globalIPv6/64+nodeCidr/96"), Pods: new("v6fromNode"), Services: new("v6global/64")},
			nodes: "v6global/64+prefix/96", pods: "v6fromNode", services: "v6global/64",
		},
		"providerConfig only": {config: ranges, nodes: "v6global/64+prefix/96", pods: "v6fromNode", services: "v6global/64"},
		"both, the same with another spelling": {
			spec: gardencorev1beta1.Networking{Nodes: new("globalIPv6/64+nodeCidr/96")}, config: ranges,
			nodes: "v6global/64+prefix/96", pods: "v6fromNode", services: "v6global/64",
		},
		"gardenlet pinned the nodes": {
			spec: gardencorev1beta1.Networking{Nodes: new("2001:db8:1:2::/64")}, config: ranges,
			nodes: "v6global/64+prefix/96", pods: "v6fromNode", services: "v6global/64",
		},
		"shootDefaults of the seed filled in pods": {
			spec: gardencorev1beta1.Networking{Pods: new("2001:db8:1:2::/64")}, config: ranges,
			nodes: "v6global/64+prefix/96", pods: "v6fromNode", services: "v6global/64",
		},
		"admission wrote the fixed CIDR of the primary family": {
			spec:   gardencorev1beta1.Networking{Nodes: new("10.250.0.0/16"), Pods: new("100.96.0.0/11"), Services: new("100.64.0.0/13")},
			config: `"ranges":{"nodes":"v4private,v6global/64","pods":"v4private,v6private","services":"v4private,v6private"}`,
			nodes:  "v4private,v6global/64", pods: "v4private,v6private", services: "v4private,v6private",
		},
		"admission wrote a CIDR": {
			spec:   gardencorev1beta1.Networking{Nodes: new("fd00:1::/48")},
			config: `"ranges":{"nodes":"fd00:1::/48+prefix/64"}`, nodes: "fd00:1::/48+prefix/64",
		},
		"nodes were widened in the providerConfig": {
			spec:   gardencorev1beta1.Networking{Nodes: new("fd00:0:1::/48")},
			config: `"ranges":{"nodes":"fd00::/32"}`, nodes: "fd00::/32",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got, _, err := shootplan.Gather(shoot(tc.spec, tc.config), nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect([]string{text(got.Nodes), text(got.Pods), text(got.Services)}).To(Equal([]string{tc.nodes, tc.pods, tc.services}))
		})
	}
}

func TestGatherRejects(t *testing.T) {
	for name, tc := range map[string]struct {
		spec   gardencorev1beta1.Networking
		config string
		errors []string
	}{
		"different words": {
			spec: gardencorev1beta1.Networking{Services: new("v6private")}, config: `"ranges":{"services":"v6global/64"}`,
			errors: []string{`spec.networking.services: Invalid value: "v6private": contradicts spec.networking.providerConfig.ranges.services, which is "v6global/64"`},
		},
		"a CIDR of a family that was not asked for": {
			spec: gardencorev1beta1.Networking{Nodes: new("10.250.0.0/16")}, config: `"ranges":{"nodes":"v6global/64"}`,
			errors: []string{"spec.networking.nodes", "spec.networking.providerConfig.ranges.nodes"},
		},
		"another CIDR": {
			spec: gardencorev1beta1.Networking{Pods: new("fd00:1::/64")}, config: `"ranges":{"pods":"fd00::/48"}`,
			errors: []string{"spec.networking.pods", "spec.networking.providerConfig.ranges.pods"},
		},
		"another CIDR than v4private stands for": {
			spec: gardencorev1beta1.Networking{Pods: new("10.0.0.0/16")}, config: `"ranges":{"pods":"v4private"}`,
			errors: []string{"spec.networking.pods"},
		},
		"mistakes in both places at once": {
			spec: gardencorev1beta1.Networking{Nodes: new("v6globl")}, config: `"ranges":{"services":"v6globl"},"podSupernet":"x"`,
			errors: []string{"spec.networking.nodes", "spec.networking.providerConfig.ranges.services", "spec.networking.providerConfig.podSupernet"},
		},
		"unknown field": {config: `"rangs":{}`, errors: []string{"spec.networking.providerConfig", "rangs"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, _, err := shootplan.Gather(shoot(tc.spec, tc.config), nil)
			g.Expect(err).To(HaveOccurred())
			for _, want := range tc.errors {
				g.Expect(err.Error()).To(ContainSubstring(want))
			}
		})
	}
}

func TestGatherFacts(t *testing.T) {
	g := NewWithT(t)
	s := shoot(gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}}, `"encapsulation":{"mode":"Never"},"podSupernet":"2001:db8::/40"`)
	s.Spec.Kubernetes.KubeControllerManager = &gardencorev1beta1.KubeControllerManagerConfig{NodeCIDRMaskSize: new(int32(96))}
	seed := &gardencorev1beta1.Seed{Spec: gardencorev1beta1.SeedSpec{Networks: gardencorev1beta1.SeedNetworks{
		Nodes: new("fd00:aa::/64"), Pods: "fd00:bb::/64", Services: "fd00:cc::/112",
	}}}

	_, facts, err := shootplan.Gather(s, seed)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(facts).To(Equal(plan.Facts{
		NetworkType: "ipv6", IPFamilies: []prefix.Family{prefix.IPv6}, Encapsulation: "Never", NodeMaskIPv6: 96,
		PodSupernet:  netip.MustParsePrefix("2001:db8::/40"),
		SeedNetworks: []netip.Prefix{netip.MustParsePrefix("fd00:aa::/64"), netip.MustParsePrefix("fd00:bb::/64"), netip.MustParsePrefix("fd00:cc::/112")},
	}))

	s.Spec.Networking.IPFamilies = []gardencorev1beta1.IPFamily{"IPv4", "IPv6"}
	s.Spec.Kubernetes.KubeControllerManager = &gardencorev1beta1.KubeControllerManagerConfig{NodeCIDRMaskSize: new(int32(24)), NodeCIDRMaskSizeIPv6: new(int32(80))}
	_, facts, err = shootplan.Gather(s, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]int{facts.NodeMaskIPv4, facts.NodeMaskIPv6}).To(Equal([]int{24, 80}))
}

func TestOtherNetworkTypesKeepTheirConfiguration(t *testing.T) {
	g := NewWithT(t)
	s := shoot(gardencorev1beta1.Networking{Nodes: new("v6global/64+prefix/96")}, "")
	s.Spec.Networking.Type = new("calico")
	s.Spec.Networking.ProviderConfig = &runtime.RawExtension{Raw: []byte(`{"backend":"none"}`)}
	got, facts, err := shootplan.Gather(s, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text(got.Nodes)).To(Equal("v6global/64+prefix/96"))
	g.Expect(facts.NetworkType).To(Equal("calico"))
}

// Admission writes what Kubernetes gets of the owner's own services range, which may be a part of it.
func TestGatherServicesOfWhichAPartIsPublished(t *testing.T) {
	g := NewWithT(t)
	got, _, err := shootplan.Gather(shoot(gardencorev1beta1.Networking{Services: new("2001:db8:2::/112")}, `"ranges":{"services":"2001:db8:2::/64"}`), nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text(got.Services)).To(Equal("2001:db8:2::/64"))
}

// Custom nodes that find their prefixes by themselves need nobody else, and the plan says so.
func TestGatherNodesThatReport(t *testing.T) {
	for name, tc := range map[string]struct {
		provider, config string
		want             bool
	}{
		"nothing is said":       {"metal", "", false},
		"AWS knows":             {"aws", "", true},
		"GCP knows":             {"gcp", `"nodePrefix":{}`, true},
		"their owner says":      {"metal", `"nodePrefix":{"sources":[{"source":"Custom","nodeSelector":{"matchLabels":{"a":"b"}}},{"source":"Interface"}]}`, true},
		"somebody else, on AWS": {"aws", `"nodePrefix":{"sources":[{"source":"Custom"}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := shoot(gardencorev1beta1.Networking{}, tc.config)
			s.Spec.Provider.Type = tc.provider
			_, facts, err := shootplan.Gather(s, nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(facts.NodesReport).To(Equal(tc.want))
		})
	}
}

// A node's podCIDRs are written once: whoever writes the IPv4 ones of custom nodes writes all, and no cloud is asked for a part of them.
func TestNodeSourcesByDefault(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes, pods, services string
		want                  []agentconfig.NodePrefixSource
	}{
		"IPv6 only":             {"custom+prefix/80", "v6fromNode", "v6private", []agentconfig.NodePrefixSource{{Source: agentconfig.SourceMetadata, Provider: "aws"}}},
		"IPv4 out of a pool":    {"custom+prefix/80", "v6fromNode,v4private", "v6private,v4private", []agentconfig.NodePrefixSource{{Source: agentconfig.SourceMetadata, Provider: "aws"}}},
		"somebody brings IPv4":  {"custom+prefix/24", "v6fromNode,v4fromNode", "v6private,v4private", nil},
		"pods are of no node's": {"custom", "v6private", "v6private", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ranges, err := keyword.ParseRanges(&tc.nodes, &tc.pods, &tc.services)
			g.Expect(err).NotTo(HaveOccurred())
			p, err := plan.Build(ranges, plan.Facts{NetworkType: "ipv6"})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(shootplan.NodeSources(&v1alpha1.NetworkConfig{}, p, "aws", true)).To(Equal(tc.want))
		})
	}
}

func TestConfigIsThatOfOurOwnType(t *testing.T) {
	g := NewWithT(t)
	s := shoot(gardencorev1beta1.Networking{}, `"routing":{"mode":"Routed"}`)
	config, err := shootplan.Config(s)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(*config.Routing.Mode)).To(Equal("Routed"))
	g.Expect(string(*config.Encapsulation.Mode)).To(Equal("Never"), "with defaults")

	s.Spec.Networking.Type = new("calico")
	g.Expect(shootplan.Config(s)).To(BeNil())
	g.Expect(shootplan.Config(&gardencorev1beta1.Shoot{})).To(BeNil())
}
