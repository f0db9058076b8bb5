// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	seedmanagementv1alpha1 "github.com/gardener/gardener/pkg/apis/seedmanagement/v1alpha1"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// bind does what gardener-scheduler does.
func bind(t *testing.T, name, seed string) {
	t.Helper()
	shoot := get(t, name)
	shoot.Spec.SeedName = &seed
	NewWithT(t).Expect(garden.SubResource("binding").Update(context.Background(), shoot)).To(Succeed())
}

// TestSeedWithDefaults: Gardener fills a Seed's shootDefaults into whatever is empty, on creation, on binding and on every
// update. What is empty because its range comes later must stay empty; what was never asked for takes the default.
func TestSeedWithDefaults(t *testing.T) {
	ctx := context.Background()
	want := outcome{IPFamilies: v6, Config: storedConfig, Mask: 100}.sorted()

	touch := func(t *testing.T, name string) {
		t.Helper()
		shoot := get(t, name)
		shoot.Spec.Provider.Workers[0].Maximum++
		NewWithT(t).Expect(garden.Update(ctx, shoot)).To(Succeed())
	}
	for form, config := range map[string]string{"spec": "", "config": storedConfig} {
		t.Run("named on creation, "+form, func(t *testing.T) {
			g := NewWithT(t)
			shoot := networking(newShoot("seeded-"+form), "", "", "", config)
			if config == "" {
				networking(shoot, "v6global/64+prefix/96", "v6fromNode", "v6global/64", "")
			}
			shoot.Spec.SeedName = new(seedDefaults)
			shoot.Spec.Networking.IPFamilies = v6
			g.Expect(garden.Create(ctx, shoot)).To(Succeed())
			g.Expect(outcomeOf(shoot)).To(Equal(want))
			touch(t, shoot.Name)
			g.Expect(outcomeOf(get(t, shoot.Name))).To(Equal(want))
		})
		t.Run("bound later, "+form, func(t *testing.T) {
			g := NewWithT(t)
			shoot := networking(newShoot("bound-"+form), "", "", "", config)
			if config == "" {
				networking(shoot, "v6global/64+prefix/96", "v6fromNode", "v6global/64", "")
			}
			g.Expect(garden.Create(ctx, shoot)).To(Succeed())
			bind(t, shoot.Name, seedDefaults)
			g.Expect(outcomeOf(get(t, shoot.Name))).To(Equal(want))
			touch(t, shoot.Name)
			g.Expect(outcomeOf(get(t, shoot.Name))).To(Equal(want))
			pin(t, shoot.Name, "2001:db8:6::/64")
			touch(t, shoot.Name)
			pinned := want
			pinned.Nodes = "2001:db8:6::/64"
			g.Expect(outcomeOf(get(t, shoot.Name))).To(Equal(pinned))
		})
	}
	t.Run("pods are not asked for", func(t *testing.T) {
		g := NewWithT(t)
		shoot := networking(newShoot("half"), "v6global", "", "v6private", "")
		g.Expect(garden.Create(ctx, shoot)).To(Succeed())
		bind(t, shoot.Name, seedDefaults)
		g.Expect(outcomeOf(get(t, shoot.Name))).To(Equal(outcome{
			Pods: "2001:db8:dd::/56", IPFamilies: v6, Mask: 64,
			Config: header + `,"ranges":{"nodes":"v6global","pods":"2001:db8:dd::/56","services":"v6private"}}`,
		}.sorted()))
	})
	t.Run("a dual-stack Shoot", func(t *testing.T) {
		g := NewWithT(t)
		shoot := networking(newShoot("seeded-dual"), "v6global,v4private", "v6global,v4private", "v6global,v4private", "")
		g.Expect(garden.Create(ctx, shoot)).To(Succeed())
		bind(t, shoot.Name, seedDefaults)
		g.Expect(outcomeOf(get(t, shoot.Name))).To(Equal(outcome{
			Nodes: "10.250.0.0/16", Pods: "100.96.0.0/11", Services: "100.64.0.0/13", IPFamilies: v64, Mask: 24, MaskIPv6: 80,
			Config: header + `,"ranges":{"nodes":"v6global,v4private","pods":"v6global,v4private","services":"v6global,v4private"}}`,
		}.sorted()))
	})
}

func TestUpdate(t *testing.T) {
	ctx := context.Background()
	t.Run("nodes are widened", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(garden.Create(ctx, networking(newShoot("wide"), "2001:db8:10::/48", "v6private", "v6private", ""))).To(Succeed())
		shoot := networking(get(t, "wide"), "2001:db8::/32", "", "", "")
		g.Expect(garden.Update(ctx, shoot)).To(Succeed())
		g.Expect(outcomeOf(get(t, "wide"))).To(Equal(outcome{
			Nodes: "2001:db8::/32", IPFamilies: v6, Mask: 64, Config: header + `,"ranges":{"nodes":"2001:db8::/32","pods":"v6private","services":"v6private"}}`,
		}.sorted()))
	})
	t.Run("the owner moves from the spec to the providerConfig", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(garden.Create(ctx, networking(newShoot("move"), "v4private,v6global", "v4private,v6global", "v4private,v6global", ""))).To(Succeed())
		before := outcomeOf(get(t, "move"))
		shoot := get(t, "move")
		n := shoot.Spec.Networking
		n.Nodes, n.Pods, n.Services, n.IPFamilies = nil, nil, nil, nil
		networking(shoot, "", "", "", header+`,"ranges":{"nodes":"v4private,v6global/64","pods":"v4private,v6global","services":"v4private,globalIPv6"}}`)
		g.Expect(garden.Update(ctx, shoot)).To(Succeed())
		after := outcomeOf(get(t, "move"))
		g.Expect(after.Config).To(ContainSubstring(`"nodes":"v4private,v6global/64"`))
		after.Config = before.Config
		g.Expect(after).To(Equal(before))
	})
	t.Run("other fields of the providerConfig", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(garden.Create(ctx, networking(newShoot("fields"), "v6global+prefix/96", "v6fromNode", "v6global", ""))).To(Succeed())
		shoot := networking(get(t, "fields"), "", "", "", `{"routing":{"mode":"Routed"}}`)
		g.Expect(garden.Update(ctx, shoot)).To(Succeed())
		g.Expect(outcomeOf(get(t, "fields")).Config).To(Equal(outcome{
			Config: header + `,"ranges":{"nodes":"v6global+prefix/96","pods":"v6fromNode","services":"v6global"},"routing":{"mode":"Routed"}}`}.sorted().Config))
	})
	t.Run("metadata", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(garden.Create(ctx, networking(newShoot("meta"), "v6global", "v6global", "v6global", ""))).To(Succeed())
		shoot := get(t, "meta")
		before := outcomeOf(shoot)
		shoot.Annotations = map[string]string{"a": "b"}
		g.Expect(garden.Update(ctx, shoot)).To(Succeed())
		g.Expect(outcomeOf(get(t, "meta"))).To(Equal(before))
	})
}

// TestDeletion: we do not stand in the way of a Shoot that is being deleted, not even of an update that we would refuse otherwise.
func TestDeletion(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	shoot := networking(newShoot("gone"), "v6global", "v6global", "v6global", "")
	g.Expect(garden.Create(ctx, shoot)).To(Succeed())
	shoot.Finalizers = append(shoot.Finalizers, gardencorev1beta1.GardenerName)
	shoot.Annotations = map[string]string{"confirmation.gardener.cloud/deletion": "true"}
	g.Expect(garden.Update(ctx, shoot)).To(Succeed())
	g.Expect(garden.Delete(ctx, shoot)).To(Succeed())
	shoot = get(t, "gone")
	g.Expect(shoot.DeletionTimestamp).NotTo(BeNil())

	shoot.Spec.Kubernetes.KubeProxy.Enabled = new(false)
	g.Expect(garden.Update(ctx, shoot, client.DryRunAll)).To(MatchError(And(ContainSubstring("cannot update shoot spec if deletion timestamp is set"),
		Not(ContainSubstring("admission webhook")))), "Gardener's own rule, not ours")
	shoot = get(t, "gone")
	shoot.Finalizers = nil
	g.Expect(garden.Update(ctx, shoot)).To(Succeed())
	g.Expect(apierrors.IsNotFound(garden.Get(ctx, client.ObjectKeyFromObject(shoot), shoot))).To(BeTrue())
}

// TestManagedSeedSetTemplates is what docs/keywords.md says of them: the template's spec takes CIDRs only, and Gardener says so; in the
// providerConfig the words pass, and nobody looks at them before there is a Shoot.
func TestManagedSeedSetTemplates(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes, config string
		want          string
	}{
		"words in the spec":                       {nodes: "v6global", want: "spec.shootTemplate.spec.networking.nodes: Invalid value"},
		"words in the providerConfig":             {config: header + `,"ranges":{"nodes":"v6global"}}`},
		"mistakes in the providerConfig are late": {config: header + `,"ranges":{"nodes":"v6globel"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			template := networking(newShoot(""), tc.nodes, "", "", tc.config)
			set := &seedmanagementv1alpha1.ManagedSeedSet{
				ObjectMeta: metav1.ObjectMeta{Namespace: "garden", Name: "set"},
				Spec: seedmanagementv1alpha1.ManagedSeedSetSpec{
					Selector: metav1.LabelSelector{MatchLabels: map[string]string{"set": "test"}},
					Template: seedmanagementv1alpha1.ManagedSeedTemplate{
						ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"set": "test"}},
						Spec:       seedmanagementv1alpha1.ManagedSeedSpec{Gardenlet: seedmanagementv1alpha1.GardenletConfig{}},
					},
					ShootTemplate: gardencorev1beta1.ShootTemplate{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"set": "test"}}, Spec: template.Spec},
				},
			}
			err := garden.Create(context.Background(), set, client.DryRunAll)
			// The template lacks a seed's configuration. What counts is whether Gardener finds fault with the networking, too.
			g.Expect(err).To(MatchError(ContainSubstring("seedConfig is required")))
			if tc.want != "" {
				g.Expect(err).To(MatchError(ContainSubstring(tc.want)))
				return
			}
			g.Expect(err).NotTo(MatchError(ContainSubstring("networking")))
		})
	}
}
