// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package clusterapi_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/clusterapi"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/objects"
)

const (
	namespaced = "InClusterPrefixPool"
	global     = "GlobalInClusterPrefixPool"
)

func TestConformance(t *testing.T) {
	for _, kind := range []string{namespaced, global} {
		t.Run(kind, func(t *testing.T) {
			reservetest.Run(t, objects.Subject(
				func(t *testing.T, cidr string) objects.Place { return newPlace(t, kind, cidr) },
			))
		})
	}
}

func TestFaults(t *testing.T) {
	objects.RunFaults(t, objects.Site{
		Place: func(t *testing.T, room int) objects.Place {
			cidrs := map[int][2]string{
				1: {"2001:db8:1:0::/64", "2001:db8:2:0::/64"}, 2: {"2001:db8:1:0::/63", "2001:db8:2:0::/63"}, 4: {"2001:db8:1:0::/62", "2001:db8:2:0::/62"},
			}[room]
			return newPlace(t, namespaced, cidrs[:]...)
		},
		Stop:  func(*testing.T) { provider.Stop() },
		Start: func(t *testing.T) { NewWithT(t).Expect(provider.Start()).To(Succeed()) },
	})
}

// newPlace makes a namespace with pools "first" and "second".
func newPlace(t *testing.T, kind string, cidrs ...string) objects.Place {
	t.Helper()
	g := NewWithT(t)
	namespace := env.Namespace(t, nil)
	var pools []reservation.Pool
	for i, cidr := range cidrs {
		name, in := []string{"first", "second"}[i], namespace
		object := namespace + "-" + name
		if kind == global {
			in = ""
		}
		g.Expect(env.Client.Create(t.Context(), newPool(kind, in, object, cidr, 64))).To(Succeed())
		pools = append(pools, reservation.Pool{Name: name, ID: kind + "/" + object, Family: prefix.IPv6, MinBits: 64, MaxBits: 64})
	}
	clusterRole := ""
	if kind == global {
		clusterRole = "Rights for GlobalInClusterPrefixPools, beside those in the namespace"
	}
	return objects.Place{
		Namespace: namespace,
		Config:    objects.User(t, env, namespace, "ipam/clusterapi.md", "Rights in the namespace of the claims", clusterRole),
		Pools:     pools,
		Open: func(name string, pools []reservation.Pool, home reservation.Home, patience time.Duration, c client.Client) (reservation.Reserver, error) {
			return clusterapi.New(name, clusterapi.Config{Namespace: namespace, Patience: patience}, pools, home, c)
		},
		Objects: func(t *testing.T) []string { return names(t, namespace) },
		DeleteByHand: func(t *testing.T, name string) {
			g := NewWithT(t)
			g.Expect(env.Client.Delete(t.Context(), object("IPAddressClaim", namespace, name))).To(Succeed())
			g.Eventually(func() []string { return names(t, namespace) }, objects.Generous).ShouldNot(ContainElement(name))
		},
		Take: func(t *testing.T, p netip.Prefix) { take(t, namespace, pools[0].ID[len(kind)+1:], p) },
	}
}

var v1beta2 = schema.GroupVersion{Group: "ipam.cluster.x-k8s.io", Version: "v1beta2"}

func object(kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1beta2.WithKind(kind))
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// names are those of the claims and the addresses, each once.
func names(t *testing.T, namespace string) []string {
	t.Helper()
	all := map[string]bool{}
	for _, kind := range []string{"IPAddressClaim", "IPAddress"} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1beta2.WithKind(kind + "List"))
		NewWithT(t).Expect(env.Client.List(t.Context(), list, client.InNamespace(namespace))).To(Succeed())
		for _, item := range list.Items {
			all[item.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// take claims for a stranger until the provider has given him this prefix: it chooses in the order of the addresses.
func take(t *testing.T, namespace, pool string, p netip.Prefix) {
	t.Helper()
	g := NewWithT(t)
	for _, name := range []string{"stranger-1", "stranger-2", "stranger-3", "stranger-4"} {
		claim := object("IPAddressClaim", namespace, name)
		claim.Object["spec"] = map[string]any{"poolRef": map[string]any{"apiGroup": v1beta2.Group, "kind": namespaced, "name": pool}}
		g.Expect(env.Client.Create(t.Context(), claim)).To(Succeed())
		address := object("IPAddress", namespace, name)
		g.Eventually(func() error { return env.Client.Get(t.Context(), client.ObjectKeyFromObject(address), address) }, objects.Generous).Should(Succeed())
		if text, _, _ := unstructured.NestedString(address.Object, "spec", "address"); text == p.Addr().String() {
			return
		}
	}
	t.Fatalf("the provider does not give %s to anybody", p)
}
