// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	. "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

var ipamPath = path.Child("ipam")

// ipam makes one; "" leaves a name out.
func ipam(backend, pool string) *v1alpha1.IPAM {
	i := &v1alpha1.IPAM{}
	if backend != "" {
		i.Backend = &backend
	}
	if pool != "" {
		i.Pool = &pool
	}
	return i
}

func TestValidateIPAMNames(t *testing.T) {
	for name, test := range map[string]struct {
		ipam *v1alpha1.IPAM
		want []string
	}{
		"nothing":         {nil, nil},
		"no names":        {ipam("", ""), nil},
		"both":            {ipam("neutron", "public"), nil},
		"the pools":       {ipam("pool", ""), nil},
		"a pool of any":   {ipam("", "public"), nil},
		"odd names":       {ipam("Neutron", "a b"), []string{`ipam.backend: Invalid value: "Neutron": must be a name that the landscape's operator published, or be left out`, `ipam.pool: Invalid value: "a b": must be a name`}},
		"an empty string": {&v1alpha1.IPAM{Backend: new("")}, []string{`ipam.backend: Invalid value: "": must be a name`}},
		"ula":             {ipam("ula", ""), []string{`ipam.backend: Invalid value: "ula": names no place to reserve global prefixes in: what is private is drawn at random; ask for it with v6private`}},
		"adopted":         {ipam("adopted", ""), []string{`ipam.backend: Invalid value: "adopted": names no place to reserve global prefixes in: what the infrastructure provider reports`}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := messages(ValidateNetworkConfig(&v1alpha1.NetworkConfig{IPAM: test.ipam}, path))
			g.Expect(got).To(HaveLen(len(test.want)))
			for i, want := range test.want {
				g.Expect(got[i]).To(HavePrefix("spec.networking.providerConfig." + want))
			}
		})
	}
}

func ranges(t *testing.T, services string) keyword.Ranges {
	t.Helper()
	nodes, pods := "v4private", "v4private"
	r, err := keyword.ParseRanges(&nodes, &pods, &services)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return r
}

func TestValidateIPAMNeedsAGlobalRange(t *testing.T) {
	g := NewWithT(t)
	g.Expect(ValidateIPAM(ipam("a", ""), ranges(t, "v4private,v6global"), ipamPath)).To(BeEmpty())
	g.Expect(ValidateIPAM(nil, ranges(t, "v6private"), ipamPath)).To(BeEmpty())
	g.Expect(ValidateIPAM(ipam("", ""), ranges(t, "v6private"), ipamPath)).To(BeEmpty(), "other clients may leave an empty object")
	for _, services := range []string{"v6private", "v4private", "2001:db8::/64", "custom"} {
		g.Expect(messages(ValidateIPAM(ipam("a", ""), ranges(t, services), ipamPath))).To(ConsistOf(
			"spec.networking.providerConfig.ipam: Forbidden: tells where v6global ranges are reserved, and no range is v6global; leave it out, or ask for example for services v6global/64"))
	}
	g.Expect(ValidateIPAM(ipam("", "a"), keyword.Ranges{}, ipamPath)).To(HaveLen(1))
}

func TestValidateIPAMUpdate(t *testing.T) {
	const already = ": the ranges are reserved already"
	for name, test := range map[string]struct {
		was          string
		old, updated *v1alpha1.IPAM
		want         []string
	}{
		"nothing changes":        {"v6global", ipam("a", "b"), ipam("a", "b"), nil},
		"empty is none":          {"v6global", nil, ipam("", ""), nil},
		"nothing was reserved":   {"v6private", nil, ipam("a", "b"), nil},
		"given later":            {"v6global", nil, ipam("a", ""), []string{`backend: Invalid value: "a": was the operator's choice and cannot be given later` + already}},
		"a pool is given later":  {"v6global", ipam("a", ""), ipam("a", "b"), []string{`pool: Invalid value: "b": was the operator's choice and cannot be given later` + already}},
		"both are changed":       {"v6global", ipam("a", "b"), ipam("c", "d"), []string{`backend: Invalid value: "c": was a and cannot be changed` + already, `pool: Invalid value: "d": was b and cannot be changed` + already}},
		"it is taken back":       {"v6global", ipam("a", ""), nil, []string{`backend: Required value: was a and cannot be taken back` + already}},
		"the pool is taken back": {"v6global", ipam("a", "b"), ipam("a", ""), []string{`pool: Required value: was b and cannot be taken back` + already}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := messages(ValidateIPAMUpdate(test.updated, test.old, ranges(t, test.was), ipamPath))
			g.Expect(got).To(HaveLen(len(test.want)))
			for i, want := range test.want {
				g.Expect(got[i]).To(Equal("spec.networking.providerConfig.ipam." + want))
			}
		})
	}
}
