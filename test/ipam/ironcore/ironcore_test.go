// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ironcore_test

import (
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
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/ironcore"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/objects"
)

func TestConformance(t *testing.T) {
	reservetest.Run(t, objects.Subject(func(t *testing.T, cidr string) objects.Place { return newPlace(t, cidr) }))
}

func TestFaults(t *testing.T) {
	objects.RunFaults(t, objects.Site{
		Place: newRoom,
		Stop:  func(*testing.T) { controllers.Stop() },
		Start: func(t *testing.T) { NewWithT(t).Expect(controllers.Start()).To(Succeed()) },
	})
}

// newRoom makes a place with room for so many /64 in each pool. IronCore gives no part that is as large as the whole, so for a
// single one half of the pool is taken beforehand.
func newRoom(t *testing.T, room int) objects.Place {
	t.Helper()
	switch room {
	case 1:
		p := newPlace(t, "2001:db8:1:0::/63", "2001:db8:2:0::/63")
		for _, pool := range p.Pools {
			create(t, p, "filler-of-"+pool.ID, map[string]any{"ipFamily": "IPv6", "prefixLength": int64(64), "parentRef": map[string]any{"name": pool.ID}})
		}
		return p
	case 2:
		return newPlace(t, "2001:db8:1:0::/63", "2001:db8:2:0::/63")
	case 4:
		return newPlace(t, "2001:db8:1:0::/62", "2001:db8:2:0::/62")
	}
	t.Fatalf("no place with room for %d", room)
	return objects.Place{}
}

var v1alpha1 = schema.GroupVersion{Group: "ipam.ironcore.dev", Version: "v1alpha1"}

// newPlace makes a namespace with pools "first" and "second".
func newPlace(t *testing.T, cidrs ...string) objects.Place {
	t.Helper()
	g := NewWithT(t)
	namespace := env.Namespace(t, nil)
	p := objects.Place{
		Namespace: namespace,
		Config:    objects.User(t, env, namespace, "ipam/ironcore.md", "Rights in the namespace of the Prefixes", ""),
		Open: func(name string, pools []reservation.Pool, home reservation.Home, patience time.Duration, c client.Client) (reservation.Reserver, error) {
			return ironcore.New(name, ironcore.Config{Namespace: namespace, Patience: patience}, pools, home, c)
		},
		Objects: func(t *testing.T) []string { return names(t, namespace) },
		DeleteByHand: func(t *testing.T, name string) {
			g := NewWithT(t)
			g.Expect(env.Client.Delete(t.Context(), object("Prefix", namespace, name))).To(Succeed())
			g.Eventually(func() []string { return holders(t, namespace) }, objects.Generous).ShouldNot(ContainElement(name))
		},
	}
	p.Take = func(t *testing.T, taken netip.Prefix) {
		create(t, p, "stranger", map[string]any{"ipFamily": "IPv6", "prefix": taken.String(), "parentRef": map[string]any{"name": p.Pools[0].ID}})
	}
	for i, cidr := range cidrs {
		name := []string{"first", "second"}[i]
		p.Pools = append(p.Pools, reservation.Pool{Name: name, ID: "parent-" + name, Family: prefix.IPv6, MinBits: 48, MaxBits: 64})
		create(t, p, "parent-"+name, map[string]any{"ipFamily": "IPv6", "prefix": cidr})
	}
	g.Expect(p.Pools).To(HaveLen(len(cidrs)))
	return p
}

// create makes a Prefix and waits until it is allocated.
func create(t *testing.T, p objects.Place, name string, spec map[string]any) {
	t.Helper()
	g := NewWithT(t)
	u := object("Prefix", p.Namespace, name)
	u.Object["spec"] = spec
	g.Expect(env.Client.Create(t.Context(), u)).To(Succeed())
	g.Eventually(func() (string, error) {
		err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(u), u)
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		return phase, err
	}, objects.Generous).Should(Equal("Allocated"))
}

func object(kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.WithKind(kind))
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

func list(t *testing.T, kind, namespace string) []unstructured.Unstructured {
	t.Helper()
	l := &unstructured.UnstructuredList{}
	l.SetGroupVersionKind(v1alpha1.WithKind(kind + "List"))
	NewWithT(t).Expect(env.Client.List(t.Context(), l, client.InNamespace(namespace))).To(Succeed())
	return l.Items
}

// names are those of the backend's Prefixes and of strangers', not of the parents and what fills them.
func names(t *testing.T, namespace string) []string {
	t.Helper()
	var found []string
	for _, item := range list(t, "Prefix", namespace) {
		if n := item.GetName(); !slices.Contains([]string{"parent", "filler"}, n[:min(6, len(n))]) {
			found = append(found, n)
		}
	}
	return found
}

// holders are the names of the Prefixes that hold something in their parent's book.
func holders(t *testing.T, namespace string) []string {
	t.Helper()
	var found []string
	for _, item := range list(t, "PrefixAllocation", namespace) {
		for _, owner := range item.GetOwnerReferences() {
			found = append(found, owner.Name)
		}
	}
	return found
}
