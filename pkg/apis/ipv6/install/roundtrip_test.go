// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"math/rand"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/install"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// fuzzers fill in what decoding would default, else the copy that comes back differs from the original.
func fuzzers(serializer.CodecFactory) []any {
	return []any{
		func(c *ipv6.NetworkConfig, f randfill.Continue) {
			f.FillNoCustom(c)
			versioned := &v1alpha1.NetworkConfig{}
			if err := v1alpha1.Convert_ipv6_NetworkConfig_To_v1alpha1_NetworkConfig(c, versioned, nil); err != nil {
				panic(err)
			}
			v1alpha1.SetObjectDefaults_NetworkConfig(versioned)
			if err := v1alpha1.Convert_v1alpha1_NetworkConfig_To_ipv6_NetworkConfig(versioned, c, nil); err != nil {
				panic(err)
			}
		},
	}
}

func TestInternalTypesRoundTrip(t *testing.T) {
	roundtrip.RoundTripTestForAPIGroup(t, func(scheme *runtime.Scheme) { mustAdd(t, scheme) }, fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, fuzzers))
}

func TestServedTypesRoundTrip(t *testing.T) {
	scheme := runtime.NewScheme()
	mustAdd(t, scheme)
	roundtrip.RoundTripExternalTypesWithoutProtobuf(t, scheme, serializer.NewCodecFactory(scheme),
		fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), serializer.NewCodecFactory(scheme)), nil)
}

func TestDefaultsSurviveConversion(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	mustAdd(t, scheme)

	versioned := &v1alpha1.NetworkConfig{Ranges: &v1alpha1.Ranges{Pods: ptr.To("v6fromNode")}}
	scheme.Default(versioned)
	internal := &ipv6.NetworkConfig{}
	g.Expect(scheme.Convert(versioned, internal, nil)).To(Succeed())
	g.Expect(internal).To(Equal(&ipv6.NetworkConfig{
		Ranges:        &ipv6.Ranges{Pods: ptr.To("v6fromNode")},
		Routing:       &ipv6.Routing{Mode: ptr.To(ipv6.RoutingMode("Direct"))},
		Encapsulation: &ipv6.Encapsulation{Mode: ptr.To(ipv6.EncapsulationMode("Never"))},
	}))
}

func TestDefaultsKeepWhatIsSet(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	mustAdd(t, scheme)

	config := &v1alpha1.NetworkConfig{
		TypeMeta:      metav1.TypeMeta{},
		Routing:       &v1alpha1.Routing{Mode: ptr.To(v1alpha1.RoutingModeRouted)},
		Encapsulation: &v1alpha1.Encapsulation{Mode: ptr.To(v1alpha1.EncapsulationModeNever)},
		MTU:           ptr.To[int32](1500),
	}
	want := config.DeepCopy()
	scheme.Default(config)
	g.Expect(config).To(Equal(want))
}

func mustAdd(t *testing.T, scheme *runtime.Scheme) {
	t.Helper()
	if err := install.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
}
