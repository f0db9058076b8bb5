//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	ipv6v1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
)

// reservations of the Shoot, by name.
func (s *shoot) reservations(t *testing.T) map[string]ipv6v1alpha1.PrefixReservation {
	t.Helper()

	list := &ipv6v1alpha1.PrefixReservationList{}
	NewWithT(t).Expect(world.api.List(t.Context(), list, client.InNamespace(s.Namespace))).To(Succeed())

	found := map[string]ipv6v1alpha1.PrefixReservation{}
	for _, item := range list.Items {
		found[item.Name] = item
	}

	NewWithT(t).Expect(slices.Sorted(maps.Keys(found))).To(Equal([]string{"nodes-ipv6", "services-ipv6"}), "PrefixReservations of the Shoot")

	return found
}

// testAgentRollout restarts the agent of every node as an update does, node by node, while pods ping.
func testAgentRollout(t *testing.T) {
	s := demo(t)
	before := s.podRanges(t)
	kubeconfig := driver.ShootKubeconfigPath(world.machine.Dir)

	s.expectNoLoss(t, func() {
		world.kubectl(t, kubeconfig, nil, "--namespace=kube-system", "rollout", "restart", "daemonset/ipv6-agent")
		world.kubectl(t, kubeconfig, nil, "--namespace=kube-system", "rollout", "status", "--timeout=3m", "daemonset/ipv6-agent")
	})

	NewWithT(t).Expect(s.podRanges(t)).To(Equal(before), "podCIDRs")
	s.expectNodePrefixes(t)
	s.expectRing(t)
}

// testExtensionRestart kills the extension, and has the Shoot reconciled by the new one.
func testExtensionRestart(t *testing.T) {
	s := demo(t)
	before := s.reservations(t)
	networking := s.read(t).Status.Networking

	s.restart(t, driver.ExtensionNamespace, client.MatchingLabels{"app.kubernetes.io/name": "gardener-extension-networking-ipv6"})

	_, err := world.Reconcile(t.Context(), s.read(t), shootNodes)
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred(), "reconciliation with the new extension")
	g.Expect(s.read(t).Status.Networking).To(Equal(networking), "status.networking")

	s.expectSameReservations(t, before)
	s.expectNodePrefixes(t)
	s.expectRing(t)
}

// testIPAMControllerRestart kills what cuts the nodes' prefixes, and makes a node for the new one to serve.
func testIPAMControllerRestart(t *testing.T) {
	s := demo(t)
	before := s.podRanges(t)

	s.restart(t, s.Namespace, client.MatchingLabels{"app": "ipv6-ipam-controller"})
	s.scaleTo(t, shootNodes+1)
	s.scaleTo(t, shootNodes)
	NewWithT(t).Expect(s.podRanges(t)).To(Equal(before), "podCIDRs")
}

// restart deletes pods in the seed and waits until others are ready in their place.
func (s *shoot) restart(t *testing.T, namespace string, labels client.MatchingLabels) {
	t.Helper()

	g := NewWithT(t)
	list := &corev1.PodList{}
	g.Expect(world.api.List(t.Context(), list, client.InNamespace(namespace), labels)).To(Succeed())
	g.Expect(list.Items).NotTo(BeEmpty(), "pods with labels %s in namespace %s", labels, namespace)

	old := map[types.UID]bool{}
	for _, pod := range list.Items {
		old[pod.UID] = true
	}

	count := len(list.Items)
	g.Expect(world.api.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(namespace), labels)).To(Succeed())

	eventually(t, 2*time.Minute, "other pods with the labels in namespace "+namespace, func(g Gomega) {
		g.Expect(world.api.List(t.Context(), list, client.InNamespace(namespace), labels)).To(Succeed())
		g.Expect(list.Items).To(HaveLen(count))

		for _, pod := range list.Items {
			g.Expect(old).NotTo(HaveKey(pod.UID), "pod %s is an old one", pod.Name)
			g.Expect(pod.Status.Conditions).To(ContainElement(And(
				HaveField("Type", corev1.PodReady), HaveField("Status", corev1.ConditionTrue))), "pod %s is not ready", pod.Name)
		}
	})
}

// testHibernate puts the Shoot to sleep and wakes it up: its ranges stay, its nodes are new.
func testHibernate(t *testing.T) {
	g := NewWithT(t)
	s := demo(t)
	before := s.reservations(t)
	networking := s.read(t).Status.Networking
	ranges := s.podRanges(t)

	g.Expect(s.Hibernate(t.Context())).To(Succeed())

	awake := &corev1.PodList{}
	g.Expect(world.api.List(t.Context(), awake, client.InNamespace(s.Namespace))).To(Succeed())
	g.Expect(awake.Items).To(BeEmpty(), "pods of the sleeping control plane")

	s.expectSameReservations(t, before)

	cluster, err := s.WakeUp(t.Context(), shootNodes)
	g.Expect(err).NotTo(HaveOccurred())

	s = wrap(t, cluster)
	s.expectSameReservations(t, before)
	g.Expect(s.read(t).Status.Networking).To(Equal(networking), "status.networking")
	g.Expect(s.DeployWorkload(t.Context(), shootNodes)).To(Succeed())
	s.expectNodePrefixes(t)
	s.expectRing(t)

	for name, pods := range s.podRanges(t) {
		g.Expect(maps.Values(ranges)).NotTo(ContainElement(pods), "node %s got again what a node had before", name)
	}
}

func (s *shoot) expectSameReservations(t *testing.T, before map[string]ipv6v1alpha1.PrefixReservation) {
	t.Helper()

	for name, now := range s.reservations(t) {
		NewWithT(t).Expect(now.UID).To(Equal(before[name].UID), "reservation %s is another one", name)
		NewWithT(t).Expect(now.Spec).To(Equal(before[name].Spec), "reservation %s", name)
		NewWithT(t).Expect(now.Status).To(Equal(before[name].Status), "reservation %s", name)
	}
}
