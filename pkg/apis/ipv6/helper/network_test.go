// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package helper_test

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

const apiVersion = "ipv6.networking.extensions.gardener.cloud/v1alpha1"

func raw(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }

func defaulted() *v1alpha1.NetworkConfig {
	return &v1alpha1.NetworkConfig{
		TypeMeta:      metav1.TypeMeta{APIVersion: apiVersion, Kind: "NetworkConfig"},
		Routing:       &v1alpha1.Routing{Mode: ptr.To(v1alpha1.RoutingModeDirect)},
		Encapsulation: &v1alpha1.Encapsulation{Mode: ptr.To(v1alpha1.EncapsulationModeNever)},
	}
}

func TestDecodeNetworkConfig(t *testing.T) {
	with := func(change func(*v1alpha1.NetworkConfig)) *v1alpha1.NetworkConfig {
		config := defaulted()
		change(config)
		return config
	}

	for name, test := range map[string]struct {
		raw  *runtime.RawExtension
		want *v1alpha1.NetworkConfig
	}{
		"nothing":      {nil, defaulted()},
		"no bytes":     {&runtime.RawExtension{}, defaulted()},
		"null":         {raw(" null "), defaulted()},
		"empty object": {raw(`{}`), defaulted()},
		"complete": {
			raw(`{"apiVersion":"` + apiVersion + `","kind":"NetworkConfig","ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode"},"routing":{"mode":"Routed"},"mtu":1400}`),
			with(func(c *v1alpha1.NetworkConfig) {
				c.Ranges = &v1alpha1.Ranges{Nodes: ptr.To("v6global/64+prefix/96"), Pods: ptr.To("v6fromNode")}
				c.Routing.Mode = ptr.To(v1alpha1.RoutingModeRouted)
				c.MTU = ptr.To[int32](1400)
			}),
		},
		"created by another extension's admission": {
			raw(`{"overlay":{"enabled":false},"snatToUpstreamDNS":{"enabled":false}}`),
			with(func(c *v1alpha1.NetworkConfig) {
				c.Overlay = &v1alpha1.Overlay{}
				c.SnatToUpstreamDNS = &v1alpha1.SnatToUpstreamDNS{}
			}),
		},
		"kind alone": {
			raw(`{"kind":"NetworkConfig","podSupernet":"2001:db8::/32"}`),
			with(func(c *v1alpha1.NetworkConfig) { c.PodSupernet = ptr.To("2001:db8::/32") }),
		},
		"YAML": {
			raw("ranges:\n  services: v6private\n"),
			with(func(c *v1alpha1.NetworkConfig) { c.Ranges = &v1alpha1.Ranges{Services: ptr.To("v6private")} }),
		},
		"an object": {
			&runtime.RawExtension{Object: &v1alpha1.NetworkConfig{MTU: ptr.To[int32](9000)}},
			with(func(c *v1alpha1.NetworkConfig) { c.MTU = ptr.To[int32](9000) }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			config, err := helper.DecodeNetworkConfig(test.raw)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(config).To(Equal(test.want))
		})
	}
}

func TestDecodeNetworkConfigRejects(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown field":        {`{"rangs":{}}`, `unknown field "rangs"`},
		"unknown nested field": {`{"ranges":{"node":"v6global"}}`, `unknown field "ranges.node"`},
		"wrong case":           {`{"Ranges":{}}`, `unknown field "Ranges"`},
		"doubled field":        {`{"mtu":1,"mtu":2}`, `key "mtu" already set`},
		"wrong type":           {`{"mtu":"1400"}`, `NetworkConfig.mtu of type int32`},
		"another kind":         {`{"kind":"NetworkStatus"}`, `decoding NetworkConfig: kind is "NetworkStatus", must be "NetworkConfig"`},
		"another version":      {`{"apiVersion":"ipv6.networking.extensions.gardener.cloud/v9","kind":"NetworkConfig"}`, `apiVersion is "ipv6.networking.extensions.gardener.cloud/v9", must be "` + apiVersion + `"`},
		"calico's":             {`{"apiVersion":"calico.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkConfig"}`, `apiVersion is "calico.networking.extensions.gardener.cloud/v1alpha1"`},
		"no document":          {`[1]`, `decoding NetworkConfig`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			config, err := helper.DecodeNetworkConfig(raw(test.text))
			g.Expect(config).To(BeNil())
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

func TestNetworkConfigIsWrittenAsItWasRead(t *testing.T) {
	g := NewWithT(t)

	const text = `{"kind":"NetworkConfig","apiVersion":"` + apiVersion + `","ranges":{"pods":"v6fromNode"}}`
	config, err := helper.DecodeNetworkConfigAsWritten(raw(text))
	g.Expect(err).NotTo(HaveOccurred())
	encoded, err := helper.EncodeNetworkConfig(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(encoded.Raw)).To(Equal(text))
}

func TestEncodeCompletesAndLeavesItsArgumentAlone(t *testing.T) {
	g := NewWithT(t)

	config := &v1alpha1.NetworkConfig{}
	encoded, err := helper.EncodeNetworkConfig(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(encoded.Raw)).To(Equal(`{"kind":"NetworkConfig","apiVersion":"` + apiVersion + `"}`))
	g.Expect(config).To(Equal(&v1alpha1.NetworkConfig{}))
}

func TestStatusAndStateTolerateFieldsOfALaterVersion(t *testing.T) {
	g := NewWithT(t)

	status, err := helper.DecodeNetworkStatus(raw(`{"nodePrefixLength":96,"later":true}`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status.NodePrefixLength).To(Equal(int32(96)))

	state, err := helper.DecodeNetworkState(raw(`{"reservations":[{"name":"nodes-ipv6","later":1}]}`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(state.Reservations).To(HaveLen(1))
	g.Expect(state.Reservations[0].Name).To(Equal("nodes-ipv6"))

	_, err = helper.DecodeNetworkState(raw(`{"kind":"NetworkStatus"}`))
	g.Expect(err).To(MatchError(`decoding NetworkState: kind is "NetworkStatus", must be "NetworkState"`))
}

func TestStateRoundTrip(t *testing.T) {
	g := NewWithT(t)

	state := &v1alpha1.NetworkState{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "NetworkState"},
		Reservations: []v1alpha1.ReservationState{{
			Name: "nodes-ipv6",
			Spec: v1alpha1.PrefixReservationSpec{
				Range: v1alpha1.RangeNodes, Family: v1alpha1.IPv6, Scope: v1alpha1.ScopeGlobal, PrefixLength: 64, PublishedLength: 64,
				Owner: v1alpha1.ReservationOwner{GardenID: "garden", ShootUID: "uid", Shoot: "garden-dev/one"},
			},
			Status: v1alpha1.PrefixReservationStatus{
				Phase: v1alpha1.PhaseBound, Backend: "pool", ID: "p", Allocated: "2001:db8:1::/64", Published: "2001:db8:1::/64", Attempt: 1,
			},
		}},
	}
	encoded, err := helper.EncodeNetworkState(state)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(helper.DecodeNetworkState(encoded)).To(Equal(state))
}
