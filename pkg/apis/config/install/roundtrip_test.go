// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/install"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
)

// fuzzers fill in what decoding would default, else the copy that comes back differs from the original.
func fuzzers(serializer.CodecFactory) []any {
	return []any{
		func(c *config.ControllerConfiguration, f randfill.Continue) {
			f.FillNoCustom(c)
			if c.Quarantine == nil {
				c.Quarantine = &metav1.Duration{Duration: time.Minute}
			}
			c.ClientConnection = &componentbaseconfigv1alpha1.ClientConnectionConfiguration{Kubeconfig: f.String(0), QPS: 1, Burst: 2}
		},
		func(p *config.Pool, f randfill.Continue) {
			f.FillNoCustom(p)
			if p.MaxPrefixLength == nil {
				p.MaxPrefixLength = ptr.To[int32](64)
			}
		},
	}
}

func TestTypesRoundTrip(t *testing.T) {
	roundtrip.RoundTripTestForAPIGroup(t, func(scheme *runtime.Scheme) { mustAdd(t, scheme) }, fuzzers)
}

func TestDefaultsSurviveConversion(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	mustAdd(t, scheme)

	versioned := &v1alpha1.ControllerConfiguration{
		Pools: []v1alpha1.Pool{{Name: "a", Selector: v1alpha1.Selector{Seeds: []string{"s"}}, ShootsMayName: ptr.To(true)}},
		Backends: []v1alpha1.Backend{
			{Name: "own", Type: v1alpha1.BackendOpenStack, Pools: []v1alpha1.BackendPool{{Name: "p", ID: "x", MinPrefixLength: 48, MaxPrefixLength: 64}}},
			{Name: "all", Type: v1alpha1.BackendAWS, SecretName: ptr.To("ipam")},
			{Name: "gcp", Type: v1alpha1.BackendGCP, Pools: []v1alpha1.BackendPool{{ID: "projects/p/regions/r/subnetworks/s"}, {ID: "odd"}}},
			{Name: "iron", Type: v1alpha1.BackendIronCore, Namespace: ptr.To("ipam")},
		},
	}
	scheme.Default(versioned)
	internal := &config.ControllerConfiguration{}
	g.Expect(scheme.Convert(versioned, internal, nil)).To(Succeed())
	g.Expect(internal).To(Equal(&config.ControllerConfiguration{
		ClientConnection: &componentbaseconfigv1alpha1.ClientConnectionConfiguration{QPS: 100, Burst: 130},
		Pools:            []config.Pool{{Name: "a", MaxPrefixLength: ptr.To[int32](120), Selector: config.Selector{Seeds: []string{"s"}}, ShootsMayName: ptr.To(true)}},
		Backends: []config.Backend{
			{
				Name: "own", Type: "openstack", Selector: config.Selector{ProviderTypes: []string{"openstack"}},
				Pools: []config.BackendPool{{Name: "p", ID: "x", MinPrefixLength: 48, MaxPrefixLength: 64}},
			},
			{Name: "all", Type: "aws", SecretName: ptr.To("ipam")},
			{
				Name: "gcp", Type: "gcp", Selector: config.Selector{ProviderTypes: []string{"gcp"}},
				Pools: []config.BackendPool{{ID: "projects/p/regions/r/subnetworks/s", Selector: config.Selector{Regions: []string{"r"}}}, {ID: "odd"}},
			},
			{Name: "iron", Type: "ironcore", Namespace: ptr.To("ipam")},
		},
		Quarantine: &metav1.Duration{Duration: time.Hour},
	}))
}

func mustAdd(t *testing.T, scheme *runtime.Scheme) {
	t.Helper()
	if err := install.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
}
