// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

const networkConfig = `"apiVersion":"ipv6.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkConfig"`

func shootOf(networkType, nodes, pods, services string) *gardencorev1beta1.Shoot {
	n := &gardencorev1beta1.Networking{Type: &networkType, IPFamilies: []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4}}
	for to, text := range map[**string]string{&n.Nodes: nodes, &n.Pods: pods, &n.Services: services} {
		if text != "" {
			*to = &text
		}
	}
	return &gardencorev1beta1.Shoot{Spec: gardencorev1beta1.ShootSpec{
		Networking: n,
		Kubernetes: gardencorev1beta1.Kubernetes{KubeControllerManager: &gardencorev1beta1.KubeControllerManagerConfig{NodeCIDRMaskSize: new(int32(24))}},
	}}
}

func readerOf(objects ...client.Object) client.Reader {
	scheme := runtime.NewScheme()
	_ = gardencorev1beta1.AddToScheme(scheme)
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func TestMutateLeavesAlone(t *testing.T) {
	for name, shoot := range map[string]*gardencorev1beta1.Shoot{
		"another network type": shootOf("calico", "v6globel", "", ""),
		"a workerless Shoot":   {},
		"one that is deleted": func() *gardencorev1beta1.Shoot {
			s := shootOf("ipv6", "v6globel", "", "")
			s.DeletionTimestamp = &metav1.Time{}
			return s
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := shoot.DeepCopy()
			g.Expect((&Mutator{Reader: readerOf()}).Mutate(context.Background(), shoot, nil)).To(Succeed())
			g.Expect((&Validator{Reader: readerOf()}).Validate(context.Background(), shoot, nil)).To(Succeed())
			g.Expect(shoot).To(Equal(before))
		})
	}
	g := NewWithT(t)
	stored := shootOf("ipv6", "v6globel", "", "")
	updated := stored.DeepCopy()
	updated.Labels = map[string]string{"a": "b"}
	g.Expect((&Mutator{Reader: readerOf()}).Mutate(context.Background(), updated, stored)).To(Succeed(), "the spec is as it was")
	g.Expect((&Mutator{}).Mutate(context.Background(), &corev1.Pod{}, nil)).To(MatchError("expected a Shoot, got *v1.Pod"))
	g.Expect((&Validator{}).Validate(context.Background(), shootOf("ipv6", "", "", ""), &corev1.Pod{})).To(MatchError("expected a Shoot as the old object, got *v1.Pod"))
}

// TestMutateIsIdempotent: what the mutator made of a Shoot it leaves as it is, and the validator has nothing to say.
func TestMutateIsIdempotent(t *testing.T) {
	for _, ranges := range [][3]string{
		{"v6global/64+prefix/96", "v6fromNode", "globalIPv6/64"},
		{"v6private", "v6private", "v6private"},
		{"v4private,v6global", "v4private,v6global", "v4private,v6global"},
		{"v6global+prefix/80,v4private", "v6fromNode,v4private", "v6global,v4private"},
		{"v4private", "v4private", "v4private"},
		{"2001:db8:1::/64+prefix/96", "v6fromNode", "2001:db8:2::/64"},
		{"2001:db8:1::/64,10.0.0.0/16", "2001:db8:2::/64,10.1.0.0/16", "10.2.0.0/16,2001:db8:3::/108"},
		{"custom+prefix/96", "v6fromNode", "v6private/112"},
		{"custom", "custom", "custom"},
		{"", "", "v6global"},
		{"", "", ""},
		{"v4private,v6global", "v4private,v6global", "v4private"},
	} {
		g := NewWithT(t)
		ctx, m, v := context.Background(), &Mutator{Reader: readerOf()}, &Validator{Reader: readerOf()}
		shoot := shootOf("ipv6", ranges[0], ranges[1], ranges[2])
		g.Expect(m.Mutate(ctx, shoot, nil)).To(Succeed(), "%v", ranges)
		g.Expect(v.Validate(ctx, shoot, nil)).To(Succeed(), "%v", ranges)

		again := shoot.DeepCopy()
		again.Spec.Region = "elsewhere" // or it would not be looked at
		want := again.DeepCopy()
		g.Expect(m.Mutate(ctx, again, shoot)).To(Succeed(), "%v", ranges)
		g.Expect(again).To(Equal(want), "%v", ranges)
		g.Expect(v.Validate(ctx, again, shoot)).To(Succeed(), "%v", ranges)
	}
}

// TestMutateLeavesPodsFromNodesOpen: spec.networking.pods is immutable, and the supernet gives way to what the Infrastructure reports.
func TestMutateLeavesPodsFromNodesOpen(t *testing.T) {
	const supernet = "{" + networkConfig + `,"podSupernet":"2001:db8::/40"}`
	g := NewWithT(t)
	ctx, m := context.Background(), &Mutator{Reader: readerOf()}
	shoot := shootOf("ipv6", "custom+prefix/96", "v6fromNode", "v6global")
	shoot.Spec.Networking.ProviderConfig = &runtime.RawExtension{Raw: []byte(supernet)}
	g.Expect(m.Mutate(ctx, shoot, nil)).To(Succeed())
	g.Expect(shoot.Spec.Networking.Pods).To(BeNil())

	running := shootOf("ipv6", "custom+prefix/96", "v6fromNode", "v6global")
	g.Expect(m.Mutate(ctx, running, nil)).To(Succeed())
	updated := running.DeepCopy()
	updated.Spec.Networking.ProviderConfig = &runtime.RawExtension{Raw: []byte(supernet)}
	g.Expect(m.Mutate(ctx, updated, running)).To(Succeed())
	g.Expect(updated.Spec.Networking.Pods).To(BeNil())

	fixed := shootOf("ipv6", "2001:db8:1::/64+prefix/96", "v6fromNode", "v6global")
	g.Expect(m.Mutate(ctx, fixed, nil)).To(Succeed())
	g.Expect(fixed.Spec.Networking.Pods).To(HaveValue(Equal("2001:db8:1::/64")))

	reserved := shootOf("ipv6", "v6global+prefix/96", "v6fromNode", "v6global")
	reserved.Spec.Networking.ProviderConfig = &runtime.RawExtension{Raw: []byte(supernet)}
	g.Expect(m.Mutate(ctx, reserved, nil)).To(MatchError(ContainSubstring("providerConfig.podSupernet, 2001:db8::/40, is for IPv6 pods that come from nodes that are custom")))
}

// TestMutateRefusesUpdates: an update that would break the Shoot is refused before anything is reserved or published for it.
func TestMutateRefusesUpdates(t *testing.T) {
	for name, tc := range map[string]struct {
		created [3]string
		nodes   string
		want    string
	}{
		"reserved nodes grow": {[3]string{"v6global/64+prefix/96", "v6fromNode", "v6global"}, "v6global/60+prefix/96",
			`spec.networking.nodes: Invalid value: "v6global/60+prefix/96": the range was v6global/64+prefix/96, and what was reserved for it keeps its size`},
		"nodes grow that pods come from": {[3]string{"2001:db8::/64+prefix/96", "v6fromNode", "v6global"}, "2001:db8::/60+prefix/96",
			`spec.networking.nodes: Invalid value: "2001:db8::/60+prefix/96": the range was 2001:db8::/64+prefix/96, and the pods come from it`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, m := context.Background(), &Mutator{Reader: readerOf()}
			shoot := shootOf("ipv6", tc.created[0], tc.created[1], tc.created[2])
			g.Expect(m.Mutate(ctx, shoot, nil)).To(Succeed())
			updated := shoot.DeepCopy()
			updated.Spec.Networking.Nodes = &tc.nodes
			g.Expect(m.Mutate(ctx, updated, shoot)).To(MatchError(ContainSubstring(tc.want)))
		})
	}
}

// TestMutateTellsAFalsePin: gardenlet writes the nodes range that is published, and nobody else may write another one.
func TestMutateTellsAFalsePin(t *testing.T) {
	g := NewWithT(t)
	ctx, m := context.Background(), &Mutator{Reader: readerOf()}
	shoot := shootOf("ipv6", "v6global+prefix/96", "v6fromNode", "v6global")
	g.Expect(m.Mutate(ctx, shoot, nil)).To(Succeed())
	shoot.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8::/64"}}
	pin := func(nodes string) error {
		updated := shoot.DeepCopy()
		updated.Spec.Networking.Nodes = &nodes
		return m.Mutate(ctx, updated, shoot)
	}
	g.Expect(pin("2001:db8::/64")).To(Succeed())
	g.Expect(pin("2001:db8:1::/64")).To(MatchError(ContainSubstring(`spec.networking.nodes: Invalid value: "2001:db8:1::/64": `)))
}

func TestValidateLooksAtWhatOthersLeft(t *testing.T) {
	ctx := context.Background()
	seed := &gardencorev1beta1.Seed{
		ObjectMeta: metav1.ObjectMeta{Name: "seed"},
		Spec:       gardencorev1beta1.SeedSpec{Networks: gardencorev1beta1.SeedNetworks{Pods: "2001:db8:aa::/64", Services: "2001:db8:bb::/112"}},
	}
	mutated := func(t *testing.T) *gardencorev1beta1.Shoot {
		shoot := shootOf("ipv6", "v6global+prefix/96", "v6fromNode", "v6global")
		NewWithT(t).Expect((&Mutator{Reader: readerOf()}).Mutate(ctx, shoot, nil)).To(Succeed())
		return shoot
	}
	config := func(s string) *runtime.RawExtension {
		return &runtime.RawExtension{Raw: []byte("{" + networkConfig + s + "}")}
	}
	for name, tc := range map[string]struct {
		change func(*gardencorev1beta1.Shoot)
		want   string
	}{
		"overlay": {func(s *gardencorev1beta1.Shoot) {
			s.Spec.Networking.ProviderConfig = config(`,"overlay":{"enabled":true}`)
		}, `spec.networking.providerConfig.overlay.enabled: Invalid value: true: must be false`},
		"an unknown field": {func(s *gardencorev1beta1.Shoot) {
			s.Spec.Networking.ProviderConfig = config(`,"backend":"none"`)
		}, `unknown field "backend"`},
		"a backend for nothing": {func(s *gardencorev1beta1.Shoot) {
			s.Spec.Networking.ProviderConfig = config(`,"ranges":{"nodes":"v6private","pods":"v6private","services":"v6private"},"ipam":{"backend":"neutron"}`)
		}, `spec.networking.providerConfig.ipam: Forbidden: tells where v6global ranges are reserved, and no range is v6global`},
		"kube-proxy": {func(s *gardencorev1beta1.Shoot) {
			s.Spec.Kubernetes.KubeProxy = &gardencorev1beta1.KubeProxyConfig{Enabled: new(false)}
		}, `spec.kubernetes.kubeProxy.enabled: Invalid value: false: network type "ipv6" leaves Services to kube-proxy`},
		"other ranges": {func(s *gardencorev1beta1.Shoot) {
			s.Spec.Networking.ProviderConfig = config(`,"ranges":{"nodes":"v6global","pods":"v6fromNode","services":"v6global"}`)
		}, `spec.networking.providerConfig.ranges.pods: Invalid value: "v6fromNode": v6fromNode takes its addresses from each node's own prefix`},
		"a contradiction": {func(s *gardencorev1beta1.Shoot) { s.Spec.Networking.Services = new("10.0.0.0/16") },
			`spec.networking.services: Invalid value: "10.0.0.0/16": contradicts spec.networking.providerConfig.ranges.services`},
		"the Seed": {func(s *gardencorev1beta1.Shoot) {
			s.Spec.SeedName = new("seed")
			s.Spec.Networking.ProviderConfig = config(`,"ranges":{"nodes":"2001:db8::/32+prefix/96","pods":"v6fromNode","services":"v6global"}`)
		}, `2001:db8::/32 overlaps the Seed's network 2001:db8:aa::/64`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			shoot := mutated(t)
			tc.change(shoot)
			g.Expect((&Validator{Reader: readerOf(seed)}).Validate(ctx, shoot, nil)).To(MatchError(ContainSubstring(tc.want)))
		})
	}
	t.Run("an update", func(t *testing.T) {
		g := NewWithT(t)
		shoot := mutated(t)
		updated := shoot.DeepCopy()
		updated.Spec.Networking.ProviderConfig = config(`,"ranges":{"nodes":"v6global+prefix/96","pods":"v6fromNode/112","services":"v6global"}`)
		g.Expect((&Validator{Reader: readerOf()}).Validate(ctx, updated, shoot)).To(MatchError(ContainSubstring(
			`spec.networking.providerConfig.ranges.pods: Invalid value: "v6fromNode/112": the range was v6fromNode, and what it means cannot be changed`)))
	})
	t.Run("an update of ipam", func(t *testing.T) {
		g := NewWithT(t)
		shoot := mutated(t)
		updated := shoot.DeepCopy()
		updated.Spec.Networking.ProviderConfig = config(`,"ranges":{"nodes":"v6global+prefix/96","pods":"v6fromNode","services":"v6global"},"ipam":{"pool":"a"}`)
		g.Expect((&Validator{Reader: readerOf()}).Validate(ctx, updated, shoot)).To(MatchError(
			`spec.networking.providerConfig.ipam.pool: Invalid value: "a": was the operator's choice and cannot be given later: the ranges are reserved already`))
	})
	t.Run("a Seed that is gone", func(t *testing.T) {
		g := NewWithT(t)
		shoot := mutated(t)
		shoot.Spec.SeedName = new("gone")
		g.Expect((&Validator{Reader: readerOf()}).Validate(ctx, shoot, nil)).To(Succeed())
	})
}

// How packets travel is stored as it was written, and judged on every change.
func TestHowPacketsTravel(t *testing.T) {
	ctx, m, v := context.Background(), &Mutator{Reader: readerOf()}, &Validator{Reader: readerOf()}
	with := func(config string) *gardencorev1beta1.Shoot {
		shoot := shootOf("ipv6", "", "", "")
		shoot.Spec.Networking.ProviderConfig = &runtime.RawExtension{Raw: []byte("{" + networkConfig + config + "}")}
		return shoot
	}
	const (
		fromNode = `,"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}`
		bgp      = `,"routing":{"mode":"BGP","bgp":{"asn":64512,"peers":[{"defaultGateway":true,"asn":65000}]}}`
		lab      = `,"ranges":{"nodes":"v4private","pods":"v4private,v6private/48","services":"v4private,v6private"}`
		pools    = `,"loadBalancer":{"pools":[{"name":"a","prefixes":["2001:db8:5::/112"]}]}`
	)
	stored := func(t *testing.T, config string) *gardencorev1beta1.Shoot {
		g := NewWithT(t)
		shoot := with(config)
		g.Expect(m.Mutate(ctx, shoot, nil)).To(Succeed())
		g.Expect(v.Validate(ctx, shoot, nil)).To(Succeed())
		again := shoot.DeepCopy()
		again.Spec.Region = "elsewhere"
		want := again.DeepCopy()
		g.Expect(m.Mutate(ctx, again, shoot)).To(Succeed())
		g.Expect(again).To(Equal(want), "no defaults are written back")
		return shoot
	}
	for _, tc := range []struct{ before, after, want string }{
		{fromNode, fromNode + bgp, ""},
		{fromNode + bgp, fromNode, ""},
		{fromNode, fromNode + `,"nodePrefix":{"sources":[{"source":"Interface"}]}`, ""},
		{fromNode, fromNode + pools, ""},
		{lab + `,"encapsulation":{"mode":"Always"}`, lab + `,"encapsulation":{"mode":"CrossSubnet"}`, ""},
		{lab + `,"encapsulation":{"mode":"Always"}`, lab, `ranges.nodes: Invalid value: "v4private": pods have IPv6, but nodes have none`},
		{fromNode + `,"encapsulation":{"mode":"Always"}`, fromNode + `,"encapsulation":{"mode":"Always","vxlan":{"vni":1}}`, "encapsulation.vxlan.vni: Invalid value: 1: was 4096 and cannot be changed"},
		{fromNode, fromNode + `,"routing":{"mode":"BGP"}`, "routing.bgp: Required value"},
	} {
		g := NewWithT(t)
		old := stored(t, tc.before)
		updated := with(tc.after)
		updated.Spec.Networking.IPFamilies, updated.Spec.Kubernetes = old.Spec.Networking.IPFamilies, old.Spec.Kubernetes
		err := m.Mutate(ctx, updated, old)
		if tc.want == "" {
			g.Expect(err).NotTo(HaveOccurred(), tc.after)
			g.Expect(v.Validate(ctx, updated, old)).To(Succeed(), tc.after)
			continue
		}
		g.Expect(err).To(MatchError(ContainSubstring("spec.networking.providerConfig."+tc.want)), tc.after)
		g.Expect(v.Validate(ctx, updated, old)).To(MatchError(ContainSubstring("spec.networking.providerConfig."+tc.want)), tc.after)
	}

	// Once the ranges are known, pools must not overlap them, whoever reserved them.
	g := NewWithT(t)
	old := stored(t, fromNode)
	old.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:5::/64"}}
	updated := old.DeepCopy()
	updated.Spec.Networking.ProviderConfig = with(fromNode + pools).Spec.Networking.ProviderConfig
	g.Expect(m.Mutate(ctx, updated, old)).To(MatchError(ContainSubstring("overlaps the range of nodes, 2001:db8:5::/64")))

	// Ranges that are known later hold up no other change.
	old = stored(t, fromNode+pools)
	old.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:5::/64"}}
	updated = old.DeepCopy()
	updated.Spec.Hibernation = &gardencorev1beta1.Hibernation{Enabled: new(true)}
	g.Expect(m.Mutate(ctx, updated, old)).To(Succeed())
	g.Expect(v.Validate(ctx, updated, old)).To(Succeed())
}
