//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
)

// testNodePrefixes looks at every node's part of the nodes' range, and at every pod's address.
func testNodePrefixes(t *testing.T) {
	s := demo(t)
	NewWithT(t).Expect(s.nodes(t)).To(HaveLen(shootNodes))
	s.expectNodePrefixes(t)
}

// expectNodePrefixes expects of every node a /96 of its own out of the nodes' range, its podCIDR to be the child d of it, and the
// addresses of its pods to be in there.
func (s *shoot) expectNodePrefixes(t *testing.T) {
	t.Helper()

	g := NewWithT(t)
	all := parsePrefix(t, s.read(t).Status.Networking.Nodes[0])
	ranges := s.podRanges(t)
	owners := map[netip.Prefix]string{}

	for node, pods := range ranges {
		prefix := netip.PrefixFrom(pods.Addr(), 96).Masked()

		g.Expect(all.Contains(prefix.Addr())).To(BeTrue(), "prefix %s of node %s is not in the nodes' range %s", prefix, node, all)
		g.Expect(pods.Bits()).To(Equal(100), "podCIDR %s of node %s", pods, node)
		g.Expect(pods.Addr().As16()[12]).To(Equal(byte(0xd0)), "podCIDR %s of node %s is not the child d of %s", pods, node, prefix)
		g.Expect(pods).To(Equal(pods.Masked()), "podCIDR of node %s", node)
		g.Expect(owners).NotTo(HaveKey(prefix), "nodes %s and %s have the same prefix", node, owners[prefix])
		owners[prefix] = node
	}

	for _, node := range s.nodes(t) {
		address := internalIP(t, &node)
		g.Expect(all.Contains(address)).To(BeTrue(), "node %s has the address %s, which is not in %s", node.Name, address, all)
		g.Expect(owners).NotTo(HaveKey(netip.PrefixFrom(address, 96).Masked()), "address %s of node %s is in a node's prefix", address, node.Name)
	}

	s.expectPodAddresses(t, ranges)
}

// expectPodAddresses waits for the pods to be settled: those of a node that went are there for a while.
func (s *shoot) expectPodAddresses(t *testing.T, ranges map[string]netip.Prefix) {
	t.Helper()

	eventually(t, time.Minute, "the addresses of pods", func(g Gomega) {
		list := &corev1.PodList{}
		g.Expect(s.api.List(t.Context(), list)).To(Succeed(), "listing the Shoot's pods")

		holders := map[string]string{}

		for _, pod := range list.Items {
			if pod.Spec.HostNetwork || pod.Status.PodIP == "" || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
				continue
			}

			address, err := netip.ParseAddr(pod.Status.PodIP)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(pod.Status.PodIPs).To(HaveLen(1), "addresses of pod %s", pod.Name)
			g.Expect(ranges[pod.Spec.NodeName].Contains(address)).To(BeTrue(),
				"pod %s has the address %s, which is not in %s of its node %s", pod.Name, address, ranges[pod.Spec.NodeName], pod.Spec.NodeName)
			g.Expect(holders).NotTo(HaveKey(pod.Status.PodIP), "pods %s and %s have the same address", pod.Name, holders[pod.Status.PodIP])
			holders[pod.Status.PodIP] = pod.Name
		}

		g.Expect(len(holders)).To(BeNumerically(">=", len(ranges)), "pods with addresses of their own")
	})
}

// scaleTo brings the Shoot to a number of nodes, with a web server on each, and expects the nodes that stay to keep their ranges.
func (s *shoot) scaleTo(t *testing.T, count int) {
	t.Helper()

	g := NewWithT(t)
	before := s.podRanges(t)

	g.Expect(s.ScaleNodes(t.Context(), count)).To(Succeed())
	g.Expect(s.WaitForNodes(t.Context(), count)).To(Succeed())

	after := s.podRanges(t)
	g.Expect(after).To(HaveLen(count), "nodes")

	for name, pods := range before {
		if now, stayed := after[name]; stayed {
			g.Expect(now).To(Equal(pods), "podCIDR of node %s, which was there before", name)
		}
	}

	g.Expect(s.DeployWorkload(t.Context(), count)).To(Succeed())
	s.expectNodePrefixes(t)
	s.expectRing(t)
}

// expectRing expects every web server to reach the next, and the host outside to reach all.
func (s *shoot) expectRing(t *testing.T) {
	t.Helper()

	pods := s.web(t)
	for i := range pods {
		s.expectSeen(t, &pods[i], pods[(i+1)%len(pods)].Status.PodIP, webPort, pods[i].Status.PodIP)
		s.expectSeenFromOutside(t, pods[i].Status.PodIP, webPort, s.OutsideAddress().String())
	}
}

func testScale(t *testing.T) {
	s := demo(t)
	s.scaleTo(t, 5)
	s.scaleTo(t, shootNodes)
}

// testNodeAgain deletes a node and makes it again under its name: a prefix that was in use a moment ago may still be known
// elsewhere, so it is not given out again.
func testNodeAgain(t *testing.T) {
	g := NewWithT(t)
	s := demo(t)
	name := driver.NodeName(2)
	before := s.podRanges(t)

	g.Expect(s.RemoveNode(t.Context(), name)).To(Succeed())
	g.Expect(s.podRanges(t)).NotTo(HaveKey(name))

	g.Expect(s.ScaleNodes(t.Context(), shootNodes)).To(Succeed())
	g.Expect(s.WaitForNodes(t.Context(), shootNodes)).To(Succeed())

	for other, pods := range before {
		g.Expect(s.podRanges(t)[name]).NotTo(Equal(pods), "node %s got again what node %s has, or had", name, other)
	}

	s.expectNodePrefixes(t)
	g.Expect(s.DeployWorkload(t.Context(), shootNodes)).To(Succeed())
	s.expectRing(t)
}
