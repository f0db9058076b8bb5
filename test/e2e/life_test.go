//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
)

// pool is what the landscape's operator gave to the extension.
const pool = "3fff:6::/40"

// TestShootLife follows a Shoot from its manifest to what is left after its deletion.
func TestShootLife(t *testing.T) {
	if !t.Run("create", testCreate) {
		t.Fatal("without a Shoot there is no life to test")
	}

	t.Run("node prefixes", testNodePrefixes)
	t.Run("pods", testPodsTalk)
	t.Run("services", testServices)
	t.Run("host ports", testHostPorts)
	t.Run("packet size", testPacketSize)
	t.Run("apply again", testApplyAgain)
	t.Run("agent rollout", testAgentRollout)
	t.Run("extension restart", testExtensionRestart)
	t.Run("ipam controller restart", testIPAMControllerRestart)
	t.Run("scale", testScale)
	t.Run("node again", testNodeAgain)
	t.Run("hibernate", testHibernate)
	t.Run("delete", testDelete)
}

// testCreate expects the ranges that the manifest asks for by keyword.
func testCreate(t *testing.T) {
	g := NewWithT(t)
	s := deploy(t)
	networking := s.read(t).Status.Networking

	g.Expect(networking).NotTo(BeNil(), "status.networking")
	g.Expect(networking.Nodes).To(HaveLen(1), "status.networking.nodes")
	g.Expect(networking.Services).To(HaveLen(1), "status.networking.services")
	g.Expect(networking.Pods).To(Equal(networking.Nodes), "status.networking.pods: v6fromNode puts pods into the nodes' range")

	nodes, services := parsePrefix(t, networking.Nodes[0]), parsePrefix(t, networking.Services[0])
	g.Expect(nodes.Bits()).To(Equal(64), "v6global/64 for nodes gave %s", nodes)
	g.Expect(services.Bits()).To(Equal(112), "v6global/64 for services gave %s: published is the part that Kubernetes can use", services)
	g.Expect(nodes.Overlaps(services)).To(BeFalse(), "nodes %s and services %s", nodes, services)

	for _, p := range []string{networking.Nodes[0], networking.Services[0]} {
		g.Expect(parsePrefix(t, pool).Contains(parsePrefix(t, p).Addr())).To(BeTrue(), "%s is out of the operator's pool %s", p, pool)
	}

	for _, r := range s.reservations(t) {
		g.Expect(string(r.Status.Phase)).To(Equal("Bound"), "reservation %s", r.Name)
		g.Expect(parsePrefix(t, r.Status.Allocated).Bits()).To(Equal(64), "reservation %s of %s", r.Name, r.Status.Allocated)
	}
}

// read the Shoot from the garden.
func (s *shoot) read(t *testing.T) *gardencorev1beta1.Shoot {
	t.Helper()

	object := &gardencorev1beta1.Shoot{}
	NewWithT(t).Expect(world.api.Get(t.Context(), client.ObjectKeyFromObject(s.Shoot), object)).To(Succeed(), "reading the Shoot")

	return object
}

// testApplyAgain sends the manifest with its keywords once more, in all ways that a client knows. Nothing changes, so that gardenlet
// has nothing to reconcile. The first time, a way may note in the metadata who it was.
func testApplyAgain(t *testing.T) {
	s := demo(t)

	manifest, err := driver.ShootManifest()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())

	kubectl := func(args ...string) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			world.kubectl(t, driver.SeedKubeconfigPath(world.machine.Dir), manifest, append(args, "--filename=-")...)
		}
	}

	for name, send := range map[string]func(*testing.T){
		"server-side apply":                             kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=landscape-driver"),
		"server-side apply by somebody else":            kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=somebody"),
		"client-side apply":                             kubectl("apply"),
		"update with the networking that was asked for": func(t *testing.T) { t.Helper(); s.replace(t, manifest) },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := s.read(t)

			send(t)

			first := s.read(t)

			send(t)

			second := s.read(t)

			g.Expect(cmp.Diff(before.Spec, first.Spec)).To(BeEmpty(), "the spec (-before +after)")
			g.Expect(first.Generation).To(Equal(before.Generation), "the generation, which makes gardenlet reconcile")
			g.Expect(cmp.Diff(before.Status, first.Status)).To(BeEmpty(), "the status (-before +after)")
			g.Expect(cmp.Diff(first, second)).To(BeEmpty(), "the object after the second time (-before +after)")
		})
	}
}

// replace puts the manifest's networking section, which has no providerConfig, in place of the stored one, as an editor or a controller
// does. The rest has to be sent back as it is stored: Gardener insists on its finalizer, and draws another maintenance window if none is sent.
func (s *shoot) replace(t *testing.T, manifest []byte) {
	t.Helper()

	g := NewWithT(t)
	wanted := &unstructured.Unstructured{}
	g.Expect(yaml.Unmarshal(manifest, &wanted.Object)).To(Succeed())

	networking, found, err := unstructured.NestedMap(wanted.Object, "spec", "networking")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(BeTrue(), "spec.networking of the manifest")
	g.Expect(networking).NotTo(HaveKey("providerConfig"))

	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(wanted.GroupVersionKind())
	g.Expect(world.api.Get(t.Context(), client.ObjectKeyFromObject(wanted), stored)).To(Succeed())
	g.Expect(unstructured.SetNestedMap(stored.Object, networking, "spec", "networking")).To(Succeed())
	g.Expect(world.api.Update(t.Context(), stored)).To(Succeed())
}
