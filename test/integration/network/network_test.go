// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network_test

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/render"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

const wait = time.Minute

// hold is a finalizer that stands for gardener-resource-manager, which keeps a ManagedResource until its objects are gone.
const hold = "test.example.org/hold"

func TestReconcile(t *testing.T) {
	g := NewWithT(t)
	s := newShoot(t, demoConfig, demoRanges)
	g.Expect(s.network.Deploy(t.Context())).To(Succeed())
	g.Expect(s.network.Wait(t.Context())).To(Succeed(), "as gardenlet waits, without any node")

	t.Run("reports", func(t *testing.T) {
		g := NewWithT(t)
		network, err := s.network.Get(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(network.Status.IPFamilies).To(Equal([]extensionsv1alpha1.IPFamily{"IPv6"}))
		g.Expect(network.Status.ProviderStatus.Raw).To(MatchJSON(`{
			"apiVersion": "ipv6.networking.extensions.gardener.cloud/v1alpha1", "kind": "NetworkStatus",
			"ranges": [
				{"name": "nodes", "requested": "v6global/64+prefix/96", "reserved": ["2001:db8:1::/64"], "published": ["2001:db8:1::/64"]},
				{"name": "pods", "requested": "v6fromNode", "published": ["2001:db8:1::/64"]},
				{"name": "services", "requested": "v6global/64", "reserved": ["2001:db8:2::/64"], "published": ["2001:db8:2::/112"]}
			],
			"nodePrefixLength": 96, "podPrefixLength": 100}`))
		state, err := helper.DecodeNetworkState(network.Status.State)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(state.Reservations).To(HaveLen(2))
		g.Expect(state.Reservations[0].Name).To(Equal("nodes-ipv6"))
		g.Expect(state.Reservations[0].Status.Allocated).To(Equal("2001:db8:1::/64"))
		g.Expect(state.Reservations[0].Status.Conditions).To(BeEmpty())
	})

	t.Run("gives the shoot its agents", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(s.shootObjects(t)).To(ConsistOf(
			"ServiceAccount kube-system/ipv6-agent", "ClusterRole /ipv6-agent", "ClusterRoleBinding /ipv6-agent",
			MatchRegexp("ConfigMap kube-system/ipv6-agent-config-[0-9a-f]{8}"), "DaemonSet kube-system/ipv6-agent",
			"ClusterRole /ipv6-ipam-controller", "ClusterRoleBinding /ipv6-ipam-controller",
			"Role kube-system/ipv6-ipam-controller", "RoleBinding kube-system/ipv6-ipam-controller",
		))
		mr := s.managedResource(t)
		g.Expect(mr.Spec.Class).To(BeNil(), "it feeds the shoot's condition SystemComponentsHealthy")
		g.Expect(mr.Spec.KeepObjects).To(HaveValue(BeFalse()))
	})

	t.Run("deploys ipv6-ipam-controller in the seed", func(t *testing.T) {
		g := NewWithT(t)
		deployment := s.deployment(t)
		g.Expect(deployment.Spec.Replicas).To(HaveValue(Equal(int32(1))))
		g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(HavePrefix("ghcr.io/gardener/gardener-extension-networking-ipv6/ipv6-ipam-controller:"))
		volumes := deployment.Spec.Template.Spec.Volumes
		g.Expect(volumes[1].Projected.Sources[0].Secret.Name).To(Equal("generic-token-kubeconfig-abcd"))
		g.Expect(volumes[1].Projected.Sources[1].Secret.Name).To(Equal("shoot-access-ipv6-ipam-controller"))

		access := &corev1.Secret{}
		g.Expect(env.Client.Get(t.Context(), s.key("shoot-access-ipv6-ipam-controller"), access)).To(Succeed())
		g.Expect(access.Annotations).To(HaveKeyWithValue("serviceaccount.resources.gardener.cloud/name", "ipv6-ipam-controller"))

		config := &corev1.ConfigMap{}
		g.Expect(env.Client.Get(t.Context(), s.key(volumes[0].ConfigMap.Name), config)).To(Succeed())
		decoded, err := nodeprefix.Decode([]byte(config.Data["config.json"]))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(decoded.Ranges).To(HaveLen(1))
		g.Expect(decoded.Ranges[0].Pool.String()).To(Equal("2001:db8:1::/64"))

		g.Expect(env.Client.Get(t.Context(), s.key("ipv6-ipam-controller"), &policyv1.PodDisruptionBudget{})).To(Succeed())
		for _, object := range render.OptionalSeedObjects(s.namespace) {
			g.Expect(env.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object)).To(Succeed())
		}
	})

	t.Run("tries nothing that the chart does not allow", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(os.ReadFile(extensionLog)).NotTo(ContainSubstring("forbidden"))
	})

	t.Run("changes nothing when nothing changed", func(t *testing.T) {
		g := NewWithT(t)
		before, secret := s.deployment(t).ResourceVersion, s.managedResource(t).Spec.SecretRefs[0].Name
		g.Expect(s.network.Deploy(t.Context())).To(Succeed())
		g.Expect(s.network.Wait(t.Context())).To(Succeed())
		g.Expect(s.deployment(t).ResourceVersion).To(Equal(before))
		g.Expect(s.managedResource(t).Spec.SecretRefs[0].Name).To(Equal(secret))
	})

	t.Run("sleeps and wakes up with the shoot", func(t *testing.T) {
		g := NewWithT(t)
		for _, asleep := range []bool{true, false} {
			s.object.Spec.Hibernation = &gardencorev1beta1.Hibernation{Enabled: &asleep}
			s.writeCluster(t)
			g.Expect(s.network.Deploy(t.Context())).To(Succeed())
			g.Expect(s.network.Wait(t.Context())).To(Succeed())
			want := int32(1)
			if asleep {
				want = 0
			}
			// gardenlet's wait can take the outcome of the reconciliation before for that of this one, if nothing in the Network changed.
			g.Eventually(func() *int32 { return s.deployment(t).Spec.Replicas }).WithTimeout(wait).Should(HaveValue(Equal(want)))
		}
	})
}

func TestMissingRanges(t *testing.T) {
	g := NewWithT(t)
	status := demoRanges
	status.Services = nil
	s := newShoot(t, demoConfig, status)
	g.Expect(s.network.Deploy(t.Context())).To(Succeed())

	g.Eventually(func(g Gomega) {
		network, err := s.network.Get(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(network.Status.LastError).NotTo(BeNil())
		g.Expect(network.Status.LastError.Description).To(ContainSubstring(`the Shoot has no IPv6 range for services, for which "v6global/64" was asked`))
		g.Expect(network.Status.LastError.Codes).To(BeEmpty(), "the range is on its way")
	}).WithTimeout(wait).Should(Succeed())
	g.Expect(apierrors.IsNotFound(env.Client.Get(t.Context(), s.key("extension-networking-ipv6"), &resourcesv1alpha1.ManagedResource{}))).To(BeTrue())
}

func TestMistakesOfTheOwner(t *testing.T) {
	for name, tc := range map[string]struct{ config, want string }{
		"a mistake in a range":           {strings.Replace(demoConfig, "v6global/64+", "v6globl/64+", 1), "v6globl"},
		"pods from nodes without prefix": {strings.Replace(demoConfig, "+prefix/96", "", 1), "+prefix"},
		"an unknown field":               {strings.Replace(demoConfig, `"ranges"`, `"rangs"`, 1), "rangs"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := newShoot(t, tc.config, demoRanges)
			g.Expect(s.network.Deploy(t.Context())).To(Succeed())
			g.Eventually(func(g Gomega) {
				network, err := s.network.Get(t.Context())
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(network.Status.LastError).NotTo(BeNil())
				g.Expect(network.Status.LastError.Description).To(ContainSubstring(tc.want))
				g.Expect(network.Status.LastError.Codes).To(ConsistOf(gardencorev1beta1.ErrorConfigurationProblem))
			}).WithTimeout(wait).Should(Succeed())
		})
	}
}

func TestDelete(t *testing.T) {
	g := NewWithT(t)
	s := newShoot(t, demoConfig, demoRanges)
	g.Expect(s.network.Deploy(t.Context())).To(Succeed())
	g.Expect(s.network.Wait(t.Context())).To(Succeed())
	s.hold(t)

	g.Expect(s.network.Destroy(t.Context())).To(Succeed())
	g.Eventually(func(g Gomega) {
		mr := s.managedResource(t)
		g.Expect(mr.DeletionTimestamp).NotTo(BeNil())
		g.Expect(mr.Spec.KeepObjects).To(HaveValue(BeFalse()), "the agents go")
	}).WithTimeout(wait).Should(Succeed())
	_, err := s.network.Get(t.Context())
	g.Expect(err).NotTo(HaveOccurred(), "the Network stays until the shoot's objects are gone")

	s.release(t)
	g.Expect(s.network.WaitCleanup(t.Context())).To(Succeed())
	s.expectSeedEmpty(t)
}

func TestForceDelete(t *testing.T) {
	g := NewWithT(t)
	s := newShoot(t, demoConfig, demoRanges)
	g.Expect(s.network.Deploy(t.Context())).To(Succeed())
	g.Expect(s.network.Wait(t.Context())).To(Succeed())
	s.hold(t)

	now := metav1.Now()
	s.object.DeletionTimestamp = &now
	s.object.Annotations = map[string]string{"confirmation.gardener.cloud/force-deletion": "true"}
	s.writeCluster(t)
	g.Expect(s.network.Destroy(t.Context())).To(Succeed())
	g.Expect(s.network.WaitCleanup(t.Context())).To(Succeed(), "whatever becomes of the ManagedResource")
	mr := s.managedResource(t)
	g.Expect(mr.DeletionTimestamp).NotTo(BeNil())
	g.Expect(mr.Spec.KeepObjects).To(HaveValue(BeTrue()), "nobody asks the shoot's API server")
	s.expectSeedEmpty(t)
	s.release(t)
}

func TestMigrateAndRestore(t *testing.T) {
	g := NewWithT(t)
	s := newShoot(t, demoConfig, demoRanges)
	g.Expect(s.network.Deploy(t.Context())).To(Succeed())
	g.Expect(s.network.Wait(t.Context())).To(Succeed())
	s.hold(t)

	g.Expect(s.network.Migrate(t.Context())).To(Succeed())
	g.Eventually(func(g Gomega) {
		mr := s.managedResource(t)
		g.Expect(mr.DeletionTimestamp).NotTo(BeNil())
		g.Expect(mr.Spec.KeepObjects).To(HaveValue(BeTrue()), "the agents stay in the shoot")
	}).WithTimeout(wait).Should(Succeed())
	s.release(t)
	g.Expect(s.network.WaitMigrate(t.Context())).To(Succeed())
	s.expectSeedEmpty(t)

	old, err := s.network.Get(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	state := old.Status.State
	g.Expect(state).NotTo(BeNil())
	g.Expect(s.network.Destroy(t.Context())).To(Succeed())
	g.Expect(s.network.WaitCleanup(t.Context())).To(Succeed())

	// The other seed knows nothing of the reservations but what the state says.
	g.Expect(env.Client.DeleteAllOf(t.Context(), &v1alpha1.PrefixReservation{}, client.InNamespace(s.namespace))).To(Succeed())

	s.network = s.component(t) // the other seed's gardenlet
	name := "demo"
	g.Expect(s.network.Restore(t.Context(), &gardencorev1beta1.ShootState{Spec: gardencorev1beta1.ShootStateSpec{
		Extensions: []gardencorev1beta1.ExtensionResourceState{{Kind: extensionsv1alpha1.NetworkResource, Name: &name, State: state}},
	}})).To(Succeed())
	g.Expect(s.network.Wait(t.Context())).To(Succeed())
	g.Expect(s.managedResource(t).Spec.KeepObjects).To(HaveValue(BeFalse()))
	g.Expect(s.deployment(t).Spec.Replicas).To(HaveValue(Equal(int32(1))))
	restored, err := s.network.Get(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(restored.Status.State.Raw).To(MatchJSON(state.Raw))
	for name, allocated := range map[string]string{"nodes-ipv6": "2001:db8:1::/64", "services-ipv6": "2001:db8:2::/64"} {
		reservation := &v1alpha1.PrefixReservation{}
		g.Expect(env.Client.Get(t.Context(), s.key(name), reservation)).To(Succeed(), "the other seed takes over what was held")
		g.Expect(reservation.Status.Phase).To(Equal(v1alpha1.PhaseBound))
		g.Expect(reservation.Status.Allocated).To(Equal(allocated))
		g.Expect(reservation.Finalizers).To(ContainElement("ipv6.networking.extensions.gardener.cloud/reservation"))
	}
}

func (s *shoot) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.namespace, Name: name}
}

func (s *shoot) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	NewWithT(t).Expect(env.Client.Get(t.Context(), s.key("ipv6-ipam-controller"), deployment)).To(Succeed())
	return deployment
}

func (s *shoot) managedResource(t *testing.T) *resourcesv1alpha1.ManagedResource {
	t.Helper()
	mr := &resourcesv1alpha1.ManagedResource{}
	NewWithT(t).Expect(env.Client.Get(t.Context(), s.key("extension-networking-ipv6"), mr)).To(Succeed())
	return mr
}

// shootObjects names what gardener-resource-manager would apply to the shoot.
func (s *shoot) shootObjects(t *testing.T) []string {
	t.Helper()
	g := NewWithT(t)
	var names []string
	for _, ref := range s.managedResource(t).Spec.SecretRefs {
		secret := &corev1.Secret{}
		g.Expect(env.Client.Get(t.Context(), s.key(ref.Name), secret)).To(Succeed())
		data, err := io.ReadAll(brotli.NewReader(bytes.NewReader(secret.Data["data.yaml.br"])))
		g.Expect(err).NotTo(HaveOccurred())
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			object := &metav1.PartialObjectMetadata{}
			g.Expect(yaml.Unmarshal([]byte(document), object)).To(Succeed())
			names = append(names, object.Kind+" "+object.Namespace+"/"+object.Name)
		}
	}
	return names
}

// hold makes the ManagedResource stay when it is deleted, until release.
func (s *shoot) hold(t *testing.T) {
	t.Helper()
	s.finalizers(t, []string{hold})
	t.Cleanup(func() {
		mr := &resourcesv1alpha1.ManagedResource{}
		if env.Client.Get(context.Background(), s.key("extension-networking-ipv6"), mr) == nil && slices.Contains(mr.Finalizers, hold) {
			mr.Finalizers = nil
			_ = env.Client.Update(context.Background(), mr)
		}
	})
}

func (s *shoot) release(t *testing.T) {
	t.Helper()
	s.finalizers(t, nil)
}

func (s *shoot) finalizers(t *testing.T, finalizers []string) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() error {
		mr := s.managedResource(t)
		mr.Finalizers = finalizers
		return env.Client.Update(t.Context(), mr)
	}).WithTimeout(wait).Should(Succeed())
}

// expectSeedEmpty finds nothing of ipv6-ipam-controller in the shoot's namespace.
func (s *shoot) expectSeedEmpty(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	for _, list := range []client.ObjectList{
		&appsv1.DeploymentList{}, &corev1.ServiceList{}, &corev1.ServiceAccountList{}, &policyv1.PodDisruptionBudgetList{}, &corev1.ConfigMapList{},
	} {
		g.Expect(env.Client.List(t.Context(), list, client.InNamespace(s.namespace), client.MatchingLabels{"app": "ipv6-ipam-controller"})).To(Succeed())
		objects, err := toObjects(list)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(objects).To(BeEmpty())
	}
	for _, object := range append(render.OptionalSeedObjects(s.namespace), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shoot-access-ipv6-ipam-controller"}}) {
		g.Expect(apierrors.IsNotFound(env.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object))).To(BeTrue())
	}
}

// TestRenderedFlags compares the arguments that the extension renders with the flags of the programs.
func TestRenderedFlags(t *testing.T) {
	out, err := render.Objects(render.Input{
		Namespace: "shoot--a--b", AgentImage: "a", IPAMImage: "b", GenericTokenKubeconfig: "c", AccessSecret: "d",
		Agent:        agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96},
		NodePrefixes: nodeprefix.Config{Ranges: []nodeprefix.Range{{Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8::/64"), NodeBits: 96, PodBits: 100, PodChild: 13, HoldsNodes: true}}},
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	checked := 0
	for _, object := range slices.Concat(out.Shoot, out.Seed) {
		var containers []corev1.Container
		switch o := object.(type) {
		case *appsv1.DaemonSet:
			containers = o.Spec.Template.Spec.Containers
		case *appsv1.Deployment:
			containers = o.Spec.Template.Spec.Containers
		}
		for _, container := range containers {
			checked++
			t.Run(container.Name, func(t *testing.T) {
				g := NewWithT(t)
				root, err := envtest.RepositoryRoot()
				g.Expect(err).NotTo(HaveOccurred())
				help := exec.CommandContext(t.Context(), "go", "run", "./cmd/"+container.Name, "--help")
				help.Dir = root
				printed, _ := help.CombinedOutput()
				for _, argument := range container.Args {
					name, _, _ := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
					g.Expect(string(printed)).To(MatchRegexp(`(?m)^\s+--?%s\b`, name))
				}
			})
		}
	}
	NewWithT(t).Expect(checked).To(Equal(2))
}
