//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
)

// testPodsTalk expects every pod to reach every other, and the host outside, both ways, with its own address as the source: no
// rule of the node, of kube-proxy or of a plugin translates it.
func testPodsTalk(t *testing.T) {
	s := demo(t)
	pods := s.web(t)
	NewWithT(t).Expect(pods).To(HaveLen(shootNodes), "web servers")

	for i := range pods {
		from := &pods[i]

		for j := range pods {
			if i != j {
				s.expectSeen(t, from, pods[j].Status.PodIP, webPort, from.Status.PodIP)
			}
		}

		s.expectSeen(t, from, s.OutsideAddress().String(), driver.OutsidePort, from.Status.PodIP)
		s.expectSeenFromOutside(t, from.Status.PodIP, webPort, s.OutsideAddress().String())
	}

	// two pods on one node
	caller := s.caller(t)
	for i := range pods {
		s.expectSeen(t, caller, pods[i].Status.PodIP, webPort, caller.Status.PodIP)
	}
}

// caller is the pod that is no web server.
func (s *shoot) caller(t *testing.T) *corev1.Pod {
	t.Helper()

	pod, err := s.Client(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "the client's pod")

	return pod
}

// testServices calls the Service of the web servers.
func testServices(t *testing.T) {
	s := demo(t)

	service, err := s.WorkloadService(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())

	t.Run("from a pod", func(t *testing.T) {
		caller := s.caller(t)
		s.expectSeen(t, caller, service.String(), 80, caller.Status.PodIP)
		s.expectSeen(t, caller, driver.ServiceName, 80, caller.Status.PodIP)
	})

	// A route for the services' range makes the node answer for it; a BGP speaker would announce the same. See decision 0010:
	// the node has to put its own address into the packets, or endpoints elsewhere would answer past it.
	t.Run("from outside", func(t *testing.T) {
		g := NewWithT(t)
		services := parsePrefix(t, s.read(t).Status.Networking.Services[0])
		router := world.machine.Router()

		for _, node := range s.nodes(t) {
			via := internalIP(t, &node)
			g.Expect(router.AddRoute(t.Context(), services, via)).To(Succeed())
			t.Cleanup(func() { g.Expect(router.DeleteRoute(context.Background(), services)).To(Succeed()) })

			s.expectSeenFromOutside(t, service.String(), 80, via.String())
			s.expectEveryEndpoint(t, service)
		}
	})
}

// expectEveryEndpoint calls the Service from outside until each web server has answered once; no call may fail.
func (s *shoot) expectEveryEndpoint(t *testing.T, service netip.Addr) {
	t.Helper()

	var want []string
	for _, pod := range s.web(t) {
		want = append(want, pod.Name)
	}

	answered := map[string]bool{}

	for range 100 {
		out, err := s.ExecOutside(t.Context(), append(slices.Clone(curl), page(service.String(), 80, "hostname"))...)
		NewWithT(t).Expect(err).NotTo(HaveOccurred(), "from the host outside to ClusterIP %s", service)

		if answered[strings.TrimSpace(out)] = true; len(answered) == len(want) {
			break
		}
	}

	for _, name := range want {
		NewWithT(t).Expect(answered).To(HaveKey(name), "web servers that answered 100 calls from outside")
	}
}

// testHostPorts calls the web servers through the port that each has on its node, which the plugin portmap forwards.
func testHostPorts(t *testing.T) {
	s := demo(t)
	pods := s.web(t)

	for _, node := range s.nodes(t) {
		address := internalIP(t, &node).String()
		s.expectSeenFromOutside(t, address, driver.WorkloadHostPort, s.OutsideAddress().String())

		for i := range pods {
			if pods[i].Spec.NodeName != node.Name {
				s.expectSeen(t, &pods[i], address, driver.WorkloadHostPort, pods[i].Status.PodIP)
			}
		}
	}
}

// testPacketSize sends echo requests that just fill the link's 1500 octets: 40 of IPv6's header, 8 of ICMPv6's, 1452 of payload.
func testPacketSize(t *testing.T) {
	s := demo(t)
	pods := s.web(t)

	for name, target := range map[string]string{"to a pod on another node": pods[1].Status.PodIP, "to the host outside": s.OutsideAddress().String()} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)

			out, err := s.ping(t, &pods[0], "-M", "do", "-s", "1452", target)
			g.Expect(err).NotTo(HaveOccurred(), "1500 octets: %s", out)
			g.Expect(out).To(ContainSubstring("3 received"), "1500 octets")

			out, err = s.ping(t, &pods[0], "-M", "do", "-s", "1453", target)
			g.Expect(err).To(HaveOccurred(), "1501 octets: %s", out)
			g.Expect(strings.ToLower(out)).To(ContainSubstring("message too long, mtu: 1500"), "1501 octets")

			out, err = s.ping(t, &pods[0], "-s", "9000", target)
			g.Expect(err).NotTo(HaveOccurred(), "9048 octets in fragments: %s", out)
			g.Expect(out).To(ContainSubstring("3 received"), "9048 octets in fragments")
		})
	}
}
