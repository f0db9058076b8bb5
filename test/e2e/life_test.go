//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// testApplyAgain sends the manifest with its keywords once more, in all ways that kubectl knows.
func testApplyAgain(t *testing.T) {
	g := NewWithT(t)
	s := demo(t)

	manifest, err := driver.ShootManifest()
	g.Expect(err).NotTo(HaveOccurred())

	before := s.read(t)

	for _, way := range []struct {
		name string
		args []string
		// notes tells that kubectl writes who applied what into the object's metadata the first time.
		notes bool
	}{
		{"server-side apply by its owner", []string{"apply", "--server-side", "--force-conflicts", "--field-manager=landscape-driver"}, false},
		{"server-side apply by somebody else", []string{"apply", "--server-side", "--force-conflicts", "--field-manager=somebody"}, true},
		{"client-side replace", []string{"replace"}, false},
		{"client-side apply", []string{"apply"}, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			g := NewWithT(t)
			args := append(way.args, "--filename=-")

			if way.notes {
				world.kubectl(t, driver.SeedKubeconfigPath(world.machine.Dir), manifest, args...)
				g.Expect(s.read(t).Spec).To(Equal(before.Spec), "the spec after the first time")
			}

			stored := s.read(t)
			world.kubectl(t, driver.SeedKubeconfigPath(world.machine.Dir), manifest, args...)
			after := s.read(t)

			g.Expect(after.Spec).To(Equal(before.Spec), "the spec")
			g.Expect(after.Generation).To(Equal(before.Generation), "the generation, which makes gardenlet reconcile")
			g.Expect(after.Status).To(Equal(before.Status), "the status")
			g.Expect(after.ResourceVersion).To(Equal(stored.ResourceVersion), "the resource version")
		})
	}
}
