// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network_test

import (
	"encoding/json"
	"net"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	gardenernetwork "github.com/gardener/gardener/pkg/component/extensions/network"
	"github.com/go-logr/logr/testr"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// shoot is what a test knows of its shoot.
type shoot struct {
	namespace string
	object    *gardencorev1beta1.Shoot
	// network is gardenlet's own component.
	network gardenernetwork.Interface
}

const demoConfig = `{"apiVersion":"ipv6.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkConfig",
"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}}`

var demoRanges = gardencorev1beta1.NetworkingStatus{
	Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"2001:db8:2::/112"},
}

// newShoot makes what is there before gardenlet creates the Network: the namespace with gardenlet's labels, the Cluster, the
// reservations, and the ranges in the Shoot's status, copied from the Infrastructure.
func newShoot(t *testing.T, config string, status gardencorev1beta1.NetworkingStatus) *shoot {
	t.Helper()
	g := NewWithT(t)
	s := &shoot{namespace: env.Namespace(t, map[string]string{
		"gardener.cloud/role":                      "shoot",
		"networking.shoot.gardener.cloud/provider": "ipv6",
	})}
	s.object = &gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "garden-test", Name: "demo", UID: "1234"},
		Spec: gardencorev1beta1.ShootSpec{
			Networking: &gardencorev1beta1.Networking{
				Type:           new("ipv6"),
				ProviderConfig: &runtime.RawExtension{Raw: []byte(config)},
				IPFamilies:     []gardencorev1beta1.IPFamily{"IPv6"},
			},
			Kubernetes: gardencorev1beta1.Kubernetes{Version: "1.36.3"},
		},
		Status: gardencorev1beta1.ShootStatus{TechnicalID: s.namespace, Networking: &status},
	}
	s.writeCluster(t)

	reservation := func(name string, r v1alpha1.RangeName, allocated, published string, bits int32) {
		object := &v1alpha1.PrefixReservation{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
			Spec: v1alpha1.PrefixReservationSpec{
				Range: r, Family: v1alpha1.IPv6, Scope: v1alpha1.ScopeGlobal, PrefixLength: 64, PublishedLength: bits,
				Owner: v1alpha1.ReservationOwner{GardenID: "test", ShootUID: "1234", Shoot: "garden-test/demo"},
			},
		}
		g.Expect(env.Client.Create(t.Context(), object)).To(Succeed())
		object.Status = v1alpha1.PrefixReservationStatus{
			Phase: v1alpha1.PhaseBound, Backend: "pool", ID: "test", Allocated: allocated, Published: published, Attempt: 1,
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionBound, Status: metav1.ConditionTrue, Reason: "Bound", LastTransitionTime: metav1.Now()}},
		}
		g.Expect(env.Client.Status().Update(t.Context(), object)).To(Succeed())
	}
	reservation("nodes-ipv6", v1alpha1.RangeNodes, "2001:db8:1::/64", "2001:db8:1::/64", 64)
	reservation("services-ipv6", v1alpha1.RangeServices, "2001:db8:2::/64", "2001:db8:2::/112", 112)

	s.network = s.component(t)
	return s
}

// component is what gardenlet would create the Network with.
func (s *shoot) component(t *testing.T) gardenernetwork.Interface {
	t.Helper()
	return gardenernetwork.New(testr.New(t), env.Client, &gardenernetwork.Values{
		Namespace: s.namespace, Name: "demo", Type: "ipv6",
		IPFamilies:     []extensionsv1alpha1.IPFamily{extensionsv1alpha1.IPFamilyIPv6},
		ProviderConfig: s.object.Spec.Networking.ProviderConfig,
		PodCIDRs:       []net.IPNet{cidr(t, "2001:db8:1::/64")}, ServiceCIDRs: []net.IPNet{cidr(t, "2001:db8:2::/112")},
	}, 200*time.Millisecond, 30*time.Second, time.Minute)
}

// writeCluster does what gardenlet does before every reconciliation.
func (s *shoot) writeCluster(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	raw := func(object any) *runtime.RawExtension {
		data, err := json.Marshal(object)
		g.Expect(err).NotTo(HaveOccurred())
		return &runtime.RawExtension{Raw: data}
	}
	spec := extensionsv1alpha1.ClusterSpec{
		CloudProfile: *raw(&gardencorev1beta1.CloudProfile{TypeMeta: metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "CloudProfile"}}),
		Seed: raw(&gardencorev1beta1.Seed{
			TypeMeta:   metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "Seed"},
			ObjectMeta: metav1.ObjectMeta{Name: "seed"},
			Spec:       gardencorev1beta1.SeedSpec{Networks: gardencorev1beta1.SeedNetworks{Pods: "fd00:aa::/64", Services: "fd00:bb::/112"}},
		}),
		Shoot: *raw(s.object),
	}
	cluster := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(cluster), cluster)
	if client.IgnoreNotFound(err) != nil {
		g.Expect(err).NotTo(HaveOccurred())
	}
	cluster.Annotations = map[string]string{"generic-token-kubeconfig.secret.gardener.cloud/name": "generic-token-kubeconfig-abcd"}
	cluster.Spec = spec
	if err != nil {
		g.Expect(env.Client.Create(t.Context(), cluster)).To(Succeed())
		return
	}
	g.Expect(env.Client.Update(t.Context(), cluster)).To(Succeed())
}

func cidr(t *testing.T, text string) net.IPNet {
	t.Helper()
	_, parsed, err := net.ParseCIDR(text)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return *parsed
}
