// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"encoding/json"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const header = `{"apiVersion":"ipv6.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkConfig"`

// outcome is what is stored of a Shoot's networking.
type outcome struct {
	Nodes, Pods, Services string
	IPFamilies            []gardencorev1beta1.IPFamily
	Config                string
	Mask, MaskIPv6        int32
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func outcomeOf(shoot *gardencorev1beta1.Shoot) outcome {
	n, kcm := shoot.Spec.Networking, deref(shoot.Spec.Kubernetes.KubeControllerManager)
	o := outcome{
		Nodes: deref(n.Nodes), Pods: deref(n.Pods), Services: deref(n.Services), IPFamilies: n.IPFamilies,
		Mask: deref(kcm.NodeCIDRMaskSize), MaskIPv6: deref(kcm.NodeCIDRMaskSizeIPv6),
	}
	if n.ProviderConfig != nil {
		o.Config = string(n.ProviderConfig.Raw)
	}
	return o.sorted()
}

// sorted brings the keys of the configuration into an order of their own.
func (o outcome) sorted() outcome {
	var config any
	if json.Unmarshal([]byte(o.Config), &config) == nil {
		sorted, _ := json.Marshal(config)
		o.Config = string(sorted)
	}
	return o
}

// networking fills in the ranges; "" leaves a field out.
func networking(shoot *gardencorev1beta1.Shoot, nodes, pods, services, config string) *gardencorev1beta1.Shoot {
	set := func(to **string, text string) {
		if text != "" {
			*to = &text
		}
	}
	n := shoot.Spec.Networking
	set(&n.Nodes, nodes)
	set(&n.Pods, pods)
	set(&n.Services, services)
	if config != "" {
		n.ProviderConfig = &runtime.RawExtension{Raw: []byte(config)}
	}
	return shoot
}

var (
	v4  = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4}
	v6  = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6}
	v46 = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4, gardencorev1beta1.IPFamilyIPv6}
	v64 = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6, gardencorev1beta1.IPFamilyIPv4}
)

func TestCreate(t *testing.T) {
	const asked = `"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}`
	for name, tc := range map[string]struct {
		nodes, pods, services, config string
		families                      []gardencorev1beta1.IPFamily
		mask                          int32
		want                          outcome
	}{
		"keywords in the spec": {
			nodes: "v6global/64+prefix/96", pods: "v6fromNode", services: "globalIPv6/64",
			want: outcome{IPFamilies: v6, Config: header + "," + asked + "}", Mask: 100},
		},
		"keywords in the providerConfig": {
			config: "{" + asked + "}",
			want:   outcome{IPFamilies: v6, Config: header + "," + asked + "}", Mask: 100},
		},
		"keywords in both": {
			nodes: " globalIPv6/64+nodeCidr/96 ", config: header + "," + asked + "}",
			want: outcome{IPFamilies: v6, Config: header + "," + asked + "}", Mask: 100},
		},
		"ipFamilies are given, too": {
			nodes: "v6private", pods: "v6private", services: "v6private", families: v6,
			want: outcome{IPFamilies: v6, Config: header + `,"ranges":{"nodes":"v6private","pods":"v6private","services":"v6private"}}`, Mask: 64},
		},
		"the owner's node mask": {
			nodes: "v6private", pods: "v6private", services: "v6private", mask: 72,
			want: outcome{IPFamilies: v6, Config: header + `,"ranges":{"nodes":"v6private","pods":"v6private","services":"v6private"}}`, Mask: 72},
		},
		"CIDRs stay": {
			nodes: "2001:db8:1::/64", pods: "2001:db8:2::/56", services: "2001:db8:3::/112",
			want: outcome{
				Nodes: "2001:db8:1::/64", Pods: "2001:db8:2::/56", Services: "2001:db8:3::/112", IPFamilies: v6, Mask: 72,
				Config: header + `,"ranges":{"nodes":"2001:db8:1::/64","pods":"2001:db8:2::/56","services":"2001:db8:3::/112"}}`,
			},
		},
		"dual-stack, IPv4 first": {
			nodes: "v4private,v6global", pods: "v4private,v6global", services: "v4private,v6global",
			want: outcome{
				Nodes: "10.250.0.0/16", Pods: "100.96.0.0/11", Services: "100.64.0.0/13", IPFamilies: v46, Mask: 24, MaskIPv6: 80,
				Config: header + `,"ranges":{"nodes":"v4private,v6global","pods":"v4private,v6global","services":"v4private,v6global"}}`,
			},
		},
		"dual-stack, IPv6 first: Gardener wants CIDRs, and the IPv4 ones are known": {
			nodes: "v6global+prefix/96, v4private", pods: "v6fromNode, v4private", services: "v6global, v4private", families: v64,
			want: outcome{
				Nodes: "10.250.0.0/16", Pods: "100.96.0.0/11", Services: "100.64.0.0/13", IPFamilies: v64, Mask: 24, MaskIPv6: 100,
				Config: header + `,"ranges":{"nodes":"v6global+prefix/96,v4private","pods":"v6fromNode,v4private","services":"v6global,v4private"}}`,
			},
		},
		"IPv4 only": {
			nodes: "v4private", pods: "v4private", services: "v4private",
			want: outcome{
				Nodes: "10.250.0.0/16", Pods: "100.96.0.0/11", Services: "100.64.0.0/13", IPFamilies: v4, Mask: 24,
				Config: header + `,"ranges":{"nodes":"v4private","pods":"v4private","services":"v4private"}}`,
			},
		},
		"what other admissions inject stays": {
			nodes: "custom+prefix/96", pods: "v6fromNode/112", services: "v6global",
			config: `{"overlay":{"enabled":false},"snatToUpstreamDNS":{"enabled":false},"podSupernet":"2001:db8::/40"}`,
			want: outcome{IPFamilies: v6, Mask: 112, Config: header + `,"ranges":{"nodes":"custom+prefix/96","pods":"v6fromNode/112","services":"v6global"},` +
				`"podSupernet":"2001:db8::/40","overlay":{"enabled":false},"snatToUpstreamDNS":{"enabled":false}}`},
		},
		"nothing is asked for: the infrastructure brings it": {
			want: outcome{IPFamilies: v6, Mask: 64},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx := context.Background()
			shoot := networking(newShoot(""), tc.nodes, tc.pods, tc.services, tc.config)
			shoot.GenerateName = "new-"
			shoot.Spec.Networking.IPFamilies = tc.families
			if tc.mask != 0 {
				shoot.Spec.Kubernetes.KubeControllerManager = &gardencorev1beta1.KubeControllerManagerConfig{NodeCIDRMaskSize: &tc.mask}
			}
			g.Expect(garden.Create(ctx, shoot, client.DryRunAll)).To(Succeed())
			g.Expect(outcomeOf(shoot)).To(Equal(tc.want.sorted()))
		})
	}
}

func TestOtherNetworkTypesAreNotTouched(t *testing.T) {
	g := NewWithT(t)
	shoot := networking(newShoot("calico"), "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", `{"backend":"none"}`)
	shoot.Spec.Networking.Type = new("calico")
	g.Expect(garden.Create(context.Background(), shoot, client.DryRunAll)).To(Succeed())
	g.Expect(outcomeOf(shoot)).To(Equal(outcome{
		Nodes: "10.1.0.0/16", Pods: "10.2.0.0/16", Services: "10.3.0.0/16", IPFamilies: v4, Config: `{"backend":"none"}`, Mask: 24,
	}))

	shoot = networking(newShoot("calico"), "v6global", "", "", "")
	shoot.Spec.Networking.Type = new("calico")
	g.Expect(garden.Create(context.Background(), shoot, client.DryRunAll)).To(MatchError(ContainSubstring("invalid CIDR address: v6global")))
}
