// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	. "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
)

var path = field.NewPath("spec", "networking", "providerConfig")

func messages(errs field.ErrorList) []string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

func TestValidateNetworkConfigAccepts(t *testing.T) {
	for name, config := range map[string]v1alpha1.NetworkConfig{
		"nothing": {},
		"everything": {
			Ranges: &v1alpha1.Ranges{
				Nodes:    ptr.To("v6global/64+prefix/96"),
				Pods:     ptr.To("v6fromNode"),
				Services: ptr.To("v6global/64"),
			},
			IPAM:              &v1alpha1.IPAM{Backend: ptr.To("pool"), Pool: ptr.To("example")},
			Routing:           &v1alpha1.Routing{Mode: ptr.To(v1alpha1.RoutingModeRouted)},
			Encapsulation:     &v1alpha1.Encapsulation{Mode: ptr.To(v1alpha1.EncapsulationModeNever)},
			PodSupernet:       ptr.To("2001:db8::/32"),
			MTU:               ptr.To[int32](1280),
			Overlay:           &v1alpha1.Overlay{Enabled: false},
			SnatToUpstreamDNS: &v1alpha1.SnatToUpstreamDNS{Enabled: true},
		},
		"empty blocks": {Ranges: &v1alpha1.Ranges{}, Routing: &v1alpha1.Routing{}, Encapsulation: &v1alpha1.Encapsulation{}},
		"jumbo frames": {MTU: ptr.To[int32](65535)},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(messages(ValidateNetworkConfig(&config, path))).To(BeEmpty())
		})
	}
}

func TestValidateNetworkConfigRejects(t *testing.T) {
	for name, test := range map[string]struct {
		config v1alpha1.NetworkConfig
		want   []string
	}{
		"unknown word": {
			v1alpha1.NetworkConfig{Ranges: &v1alpha1.Ranges{Nodes: ptr.To("v6globl/64")}},
			[]string{`spec.networking.providerConfig.ranges.nodes: Invalid value: "v6globl/64": unknown word "v6globl"; did you mean "v6global"?` +
				"\n    v6globl/64\n    ^^^^^^^"},
		},
		"a mistake in every range": {
			v1alpha1.NetworkConfig{Ranges: &v1alpha1.Ranges{Nodes: ptr.To("v6fromNode"), Pods: ptr.To("v6global/8"), Services: ptr.To("2001:db8::1/64")}},
			[]string{
				`spec.networking.providerConfig.ranges.nodes: Invalid value: "v6fromNode": `,
				`spec.networking.providerConfig.ranges.pods: Invalid value: "v6global/8": `,
				`spec.networking.providerConfig.ranges.services: Invalid value: "2001:db8::1/64": 2001:db8::1/64 has bits set behind its size; the canonical form is 2001:db8::/64`,
			},
		},
		"routing mode": {
			v1alpha1.NetworkConfig{Routing: &v1alpha1.Routing{Mode: ptr.To[v1alpha1.RoutingMode]("direct")}},
			[]string{`spec.networking.providerConfig.routing.mode: Unsupported value: "direct": supported values: "BGP", "Direct", "Routed"`},
		},
		"encapsulation mode": {
			v1alpha1.NetworkConfig{Encapsulation: &v1alpha1.Encapsulation{Mode: ptr.To[v1alpha1.EncapsulationMode]("IPIP")}},
			[]string{`spec.networking.providerConfig.encapsulation.mode: Unsupported value: "IPIP": supported values: "Always", "CrossSubnet", "Never"`},
		},
		"supernet that is none": {
			v1alpha1.NetworkConfig{PodSupernet: ptr.To("v6global")},
			[]string{`spec.networking.providerConfig.podSupernet: Invalid value: "v6global": must be a CIDR that covers every node's prefix, for example 2001:db8::/32`},
		},
		"supernet with host bits": {
			v1alpha1.NetworkConfig{PodSupernet: ptr.To("2001:db8::1/32")},
			[]string{`must be written in its canonical form, 2001:db8::/32`},
		},
		"supernet in capitals": {
			v1alpha1.NetworkConfig{PodSupernet: ptr.To("2001:DB8::/32")},
			[]string{`must be written in its canonical form, 2001:db8::/32`},
		},
		"supernet of multicast": {
			v1alpha1.NetworkConfig{PodSupernet: ptr.To("ff00::/8")},
			[]string{`must not hold multicast addresses, which can be nobody's pods`},
		},
		"MTU too small for IPv6": {
			v1alpha1.NetworkConfig{MTU: ptr.To[int32](1279)},
			[]string{`spec.networking.providerConfig.mtu: Invalid value: 1279: must be from 1280, the least that carries IPv6, to 65535; without it the pods get the MTU of their node's uplink`},
		},
		"MTU too great": {
			v1alpha1.NetworkConfig{MTU: ptr.To[int32](65536)},
			[]string{`spec.networking.providerConfig.mtu: Invalid value: 65536`},
		},
		"overlay": {
			v1alpha1.NetworkConfig{Overlay: &v1alpha1.Overlay{Enabled: true}},
			[]string{`spec.networking.providerConfig.overlay.enabled: Invalid value: true: must be false: it is what the admission of some providers writes; what network type "ipv6" encapsulates is said in encapsulation.mode`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := messages(ValidateNetworkConfig(&test.config, path))
			g.Expect(got).To(HaveLen(len(test.want)))
			for i, want := range test.want {
				g.Expect(got[i]).To(ContainSubstring(want))
			}
		})
	}
}

func TestValidateNetworkConfigUpdate(t *testing.T) {
	none, a, b := v1alpha1.NetworkConfig{}, v1alpha1.NetworkConfig{PodSupernet: ptr.To("2001:db8::/32")}, v1alpha1.NetworkConfig{PodSupernet: ptr.To("2001:db8::/28")}

	for name, test := range map[string]struct {
		old, updated v1alpha1.NetworkConfig
		want         string
	}{
		"nothing changes":        {a, a, ""},
		"supernet is added":      {none, a, ""},
		"supernet is changed":    {a, b, `podSupernet: Invalid value: "2001:db8::/28": was 2001:db8::/32 and cannot be changed: it was published as the cluster's pods range`},
		"supernet is taken away": {a, none, `podSupernet: Required value: was 2001:db8::/32 and cannot be changed`},
		"modes and MTU change": {
			none,
			v1alpha1.NetworkConfig{Routing: &v1alpha1.Routing{Mode: ptr.To(v1alpha1.RoutingModeRouted)}, MTU: ptr.To[int32](1400)},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			errs := ValidateNetworkConfigUpdate(&test.updated, &test.old, path)
			if test.want == "" {
				g.Expect(messages(errs)).To(BeEmpty())
				return
			}
			g.Expect(messages(errs)).To(ConsistOf(ContainSubstring(test.want)))
		})
	}
}
