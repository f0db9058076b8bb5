// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package apis tests the definition of PrefixReservation as a real kube-apiserver applies it.
package apis

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const crds = "charts/gardener-extension-networking-ipv6/templates/crds"

func reservation(namespace string, change func(*v1alpha1.PrefixReservationSpec)) *v1alpha1.PrefixReservation {
	r := &v1alpha1.PrefixReservation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "nodes-ipv6-", Namespace: namespace},
		Spec: v1alpha1.PrefixReservationSpec{
			Range: v1alpha1.RangeNodes, Family: v1alpha1.IPv6, Scope: v1alpha1.ScopeGlobal, PrefixLength: 64, PublishedLength: 64,
			Owner: v1alpha1.ReservationOwner{GardenID: "garden", ShootUID: "7e5b6a4e", Shoot: "garden-dev/one"},
		},
	}
	if change != nil {
		change(&r.Spec)
	}
	return r
}

func TestPrefixReservation(t *testing.T) {
	env := envtest.Start(t, envtest.WithScheme(v1alpha1.AddToScheme, apiextensionsv1.AddToScheme), envtest.WithCRDs(crds))
	namespace := env.Namespace(t, nil)

	t.Run("spec", func(t *testing.T) { testSpec(t, env.Client, namespace) })
	t.Run("spec is immutable", func(t *testing.T) { testImmutable(t, env.Client, namespace) })
	t.Run("status", func(t *testing.T) { testStatus(t, env.Client, namespace) })
	t.Run("printer columns", func(t *testing.T) { testTable(t, env.Config, env.Client, namespace) })
}

func testSpec(t *testing.T, c client.Client, namespace string) {
	type spec = v1alpha1.PrefixReservationSpec

	for name, test := range map[string]struct {
		change func(*spec)
		want   string // of the error; "" if the object is valid
	}{
		"as the plan makes it": {nil, ""},
		"services":             {func(s *spec) { s.Range, s.PublishedLength = v1alpha1.RangeServices, 112 }, ""},
		"private":              {func(s *spec) { s.Scope, s.PrefixLength, s.PublishedLength = v1alpha1.ScopePrivate, 48, 48 }, ""},
		"from a pool":          {func(s *spec) { s.Pool = "example" }, ""},
		"IPv4": {func(s *spec) {
			s.Family, s.PrefixLength, s.PublishedLength = v1alpha1.IPv4, 16, 16
		}, ""},
		"unknown range":                {func(s *spec) { s.Range = "pod" }, `spec.range: Unsupported value: "pod": supported values: "nodes", "pods", "services"`},
		"unknown family":               {func(s *spec) { s.Family = "ipv6" }, `spec.family: Unsupported value: "ipv6"`},
		"unknown scope":                {func(s *spec) { s.Scope = "Site" }, `spec.scope: Unsupported value: "Site"`},
		"too short":                    {func(s *spec) { s.PrefixLength = 7 }, `spec.prefixLength: Invalid value: 7: spec.prefixLength in body should be greater than or equal to 8`},
		"too long":                     {func(s *spec) { s.PrefixLength, s.PublishedLength = 121, 121 }, `spec.prefixLength: Invalid value: 121`},
		"too long to publish":          {func(s *spec) { s.PublishedLength = 129 }, `spec.publishedLength: Invalid value: 129`},
		"published more than reserved": {func(s *spec) { s.PublishedLength = 63 }, `publishedLength must be at least prefixLength`},
		"too long for IPv4":            {func(s *spec) { s.Family, s.PrefixLength, s.PublishedLength = v1alpha1.IPv4, 33, 33 }, `prefixLength must be at most 32 for IPv4`},
		"published too long for IPv4":  {func(s *spec) { s.Family, s.PrefixLength, s.PublishedLength = v1alpha1.IPv4, 16, 33 }, `publishedLength must be at most 32 for IPv4`},
		"private from a pool":          {func(s *spec) { s.Scope, s.Pool = v1alpha1.ScopePrivate, "example" }, `pool must be absent for scope Private`},
		"nobody's":                     {func(s *spec) { s.Owner.ShootUID = "" }, `spec.owner.shootUID`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := c.Create(context.Background(), reservation(namespace, test.change))
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			g.Expect(apierrors.IsInvalid(err)).To(BeTrue())
		})
	}

	t.Run("no spec", func(t *testing.T) {
		bare := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"generateName": "bare-", "namespace": namespace}}}
		bare.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("PrefixReservation"))
		NewWithT(t).Expect(c.Create(context.Background(), bare)).To(MatchError(ContainSubstring("spec: Required value")))
	})
}

func testImmutable(t *testing.T, c client.Client, namespace string) {
	for name, change := range map[string]func(*v1alpha1.PrefixReservationSpec){
		"length": func(s *v1alpha1.PrefixReservationSpec) { s.PrefixLength = 60 },
		"pool":   func(s *v1alpha1.PrefixReservationSpec) { s.Pool = "other" },
		"owner":  func(s *v1alpha1.PrefixReservationSpec) { s.Owner.ShootUID = "another" },
		"name of the owner": func(s *v1alpha1.PrefixReservationSpec) {
			s.Owner.Shoot = "garden-dev/two"
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := reservation(namespace, nil)
			g.Expect(c.Create(context.Background(), r)).To(Succeed())
			change(&r.Spec)
			g.Expect(c.Update(context.Background(), r)).To(MatchError(ContainSubstring("spec is immutable")))
		})
	}

	t.Run("metadata is not", func(t *testing.T) {
		g := NewWithT(t)
		r := reservation(namespace, nil)
		g.Expect(c.Create(context.Background(), r)).To(Succeed())
		r.Finalizers = []string{v1alpha1.FinalizerReservation}
		g.Expect(c.Update(context.Background(), r)).To(Succeed())
	})
}

func testStatus(t *testing.T, c client.Client, namespace string) {
	ctx := context.Background()
	bound := v1alpha1.PrefixReservationStatus{
		Phase: v1alpha1.PhaseBound, Backend: "pool", ID: "example", Allocated: "2001:db8:1::/60", Published: "2001:db8:1::/64", Attempt: 1,
	}
	created := func(g Gomega, status v1alpha1.PrefixReservationStatus) *v1alpha1.PrefixReservation {
		r := reservation(namespace, nil)
		g.Expect(c.Create(ctx, r)).To(Succeed())
		r.Status = status
		g.Expect(c.Status().Update(ctx, r)).To(Succeed())
		return r
	}

	t.Run("is kept apart from the spec", func(t *testing.T) {
		g := NewWithT(t)
		r := created(g, bound)
		r.Status = v1alpha1.PrefixReservationStatus{}
		r.Labels = map[string]string{"a": "b"}
		g.Expect(c.Update(ctx, r)).To(Succeed())
		g.Expect(r.Status).To(Equal(bound))
	})
	t.Run("unknown phase", func(t *testing.T) {
		g := NewWithT(t)
		r := created(g, v1alpha1.PrefixReservationStatus{Phase: v1alpha1.PhasePending})
		r.Status.Phase = "Done"
		g.Expect(c.Status().Update(ctx, r)).To(MatchError(ContainSubstring(`status.phase: Unsupported value: "Done"`)))
	})
	t.Run("what is bound moves on with its prefix", func(t *testing.T) {
		g := NewWithT(t)
		r := created(g, v1alpha1.PrefixReservationStatus{Phase: v1alpha1.PhaseAllocating, Attempt: 1})
		until := metav1.NewTime(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		for _, next := range []v1alpha1.ReservationPhase{v1alpha1.PhaseBound, v1alpha1.PhaseBound, v1alpha1.PhaseReleasing, v1alpha1.PhaseQuarantined} {
			r.Status = *bound.DeepCopy()
			r.Status.Phase = next
			if next == v1alpha1.PhaseQuarantined {
				r.Status.QuarantinedUntil = &until
			}
			g.Expect(c.Status().Update(ctx, r)).To(Succeed())
		}
	})
	for name, change := range map[string]func(*v1alpha1.PrefixReservationStatus){
		"another prefix":           func(s *v1alpha1.PrefixReservationStatus) { s.Allocated = "2001:db8:2::/60" },
		"no prefix":                func(s *v1alpha1.PrefixReservationStatus) { s.Allocated = "" },
		"another published prefix": func(s *v1alpha1.PrefixReservationStatus) { s.Published = "2001:db8:1:1::/64" },
		"nothing published":        func(s *v1alpha1.PrefixReservationStatus) { s.Published = "" },
		"forgotten altogether":     func(s *v1alpha1.PrefixReservationStatus) { *s = v1alpha1.PrefixReservationStatus{} },
	} {
		t.Run("what is bound stays: "+name, func(t *testing.T) {
			g := NewWithT(t)
			r := created(g, bound)
			change(&r.Status)
			g.Expect(c.Status().Update(ctx, r)).To(MatchError(ContainSubstring("allocated and published never change once the prefix is bound")))
		})
	}
}

func testTable(t *testing.T, config *rest.Config, c client.Client, namespace string) {
	g := NewWithT(t)
	ctx := context.Background()

	r := reservation(namespace, nil)
	r.GenerateName, r.Name = "", "nodes-ipv6"
	g.Expect(c.Create(ctx, r)).To(Succeed())
	r.Status = v1alpha1.PrefixReservationStatus{Phase: v1alpha1.PhaseBound, Backend: "pool", Allocated: "2001:db8:1::/60", Published: "2001:db8:1::/64"}
	g.Expect(c.Status().Update(ctx, r)).To(Succeed())

	httpClient, err := rest.HTTPClientFor(config)
	g.Expect(err).NotTo(HaveOccurred())
	restConfig := rest.CopyConfig(config)
	restConfig.GroupVersion = &v1alpha1.SchemeGroupVersion
	restConfig.APIPath = "/apis"
	restConfig.NegotiatedSerializer = tableCodecs
	restClient, err := rest.RESTClientForConfigAndClient(restConfig, httpClient)
	g.Expect(err).NotTo(HaveOccurred())

	table := &metav1.Table{}
	g.Expect(restClient.Get().Namespace(namespace).Resource("prefixreservations").Name("nodes-ipv6").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Into(table)).To(Succeed())

	var columns []string
	for _, column := range table.ColumnDefinitions {
		columns = append(columns, column.Name)
	}
	g.Expect(columns).To(Equal([]string{"Name", "Range", "Scope", "Length", "Phase", "Allocated", "Published", "Backend", "Owner", "Age"}))
	g.Expect(table.Rows).To(HaveLen(1))
	g.Expect(table.Rows[0].Cells[:9]).To(Equal([]any{
		"nodes-ipv6", "nodes", "Global", int64(64), "Bound", "2001:db8:1::/60", "2001:db8:1::/64", "pool", "garden-dev/one",
	}))
}
