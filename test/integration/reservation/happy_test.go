// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/utils/kubernetes/health"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

type networking = extensionsv1alpha1.InfrastructureStatusNetworking

func TestFromShootToPublishedRanges(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s := w.newShoot(demo)
	s.waitBound()

	nodes, services := s.get("nodes-ipv6"), s.get("services-ipv6")
	s.Expect(nodes.Status.Backend).To(Equal("pool"))
	s.Expect(nodes.Status.ID).To(Equal("public"))
	s.Expect([]string{nodes.Status.Allocated, nodes.Status.Published}).To(Equal([]string{"2001:db8::/64", "2001:db8::/64"}))
	s.Expect([]string{services.Status.Allocated, services.Status.Published}).To(Equal([]string{"2001:db8:0:1::/64", "2001:db8:0:1::/112"}))
	s.Expect(nodes.Spec.Owner).To(Equal(v1alpha1.ReservationOwner{
		GardenID: gardenID, ShootUID: string(s.shoot.Status.UID), Shoot: "garden-test/" + s.namespace,
	}))

	infra := s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	s.Expect(infra.Status.Networking).To(Equal(&networking{
		Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:0:1::/112"},
	}), "gardenlet copies the ranges the moment it sees Succeeded")
	s.Expect(health.CheckExtensionObject(infra)).To(Succeed())
}

func TestHoldsTheInfrastructureUntilThePrefixesAreThere(t *testing.T) {
	w := newWorld(t)
	s := w.newShoot(demo)
	infra := s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	s.Expect(infra.Status.LastOperation.State).To(Equal(gardencorev1beta1.LastOperationStateProcessing))
	s.Expect(infra.Status.LastOperation.Description).To(Equal(
		"Waiting for prefix reservations: nodes (IPv6): not reserved yet; pods (IPv6): comes with the nodes range; services (IPv6): not reserved yet"))
	s.Expect(health.CheckExtensionObject(infra)).To(MatchError(ContainSubstring("Processing")), "gardenlet must go on waiting")

	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s.Eventually(func() error { return health.CheckExtensionObject(s.infra()) }).Should(Succeed(), "the controller lets it go by itself")
	s.Expect(s.infra().Status.Networking.Services).To(HaveLen(1))
}

func TestProviderThatRewritesTheStatusEveryTime(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s := w.newShoot(v1alpha1.Ranges{
		Nodes: new("v4private,v6global/64+prefix/96"), Pods: new("v4private,v6fromNode"), Services: new("v4private,v6global"),
	}, gardencorev1beta1.IPFamilyIPv4, gardencorev1beta1.IPFamilyIPv6)
	s.waitBound()

	want := &networking{
		Nodes:    []string{"10.250.0.0/16", "2001:db8::/64"},
		Pods:     []string{"100.96.0.0/11", "2001:db8::/64"},
		Services: []string{"100.64.0.0/13", "2001:db8:0:1::/112"},
	}
	for _, theirs := range []*networking{
		nil,
		{Nodes: []string{"10.250.0.0/16"}},
		{Nodes: []string{"2001:db8:ffff::/64", "10.250.0.0/16"}, Services: []string{"2001:db8:ffff:1::/112"}},
		{Nodes: []string{"2001:db8::/64"}, Pods: []string{"100.96.0.0/11"}, Services: []string{"100.64.0.0/13"}},
	} {
		infra := s.providerWrites(gardencorev1beta1.LastOperationStateProcessing, theirs)
		s.Expect(infra.Status.LastOperation.Description).To(Equal("said by the provider"))
		infra = s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, theirs)
		s.Expect(infra.Status.Networking).To(Equal(want))
		s.Expect(health.CheckExtensionObject(infra)).To(Succeed())
	}
	s.Consistently(func() *networking { return s.infra().Status.Networking }).Should(Equal(want))
}

func TestPrivateRangesShareOneGlobalID(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace}, nil)
	s := w.newShoot(v1alpha1.Ranges{Nodes: new("v6private/64+prefix/96"), Pods: new("v6fromNode"), Services: new("v6private")})
	s.waitBound()
	nodes, services := s.get("nodes-ipv6"), s.get("services-ipv6")
	s.Expect(nodes.Status.Backend).To(Equal("ula"))
	s.Expect(nodes.Status.ID).To(MatchRegexp(`^fd[0-9a-f]{2}:[0-9a-f:]*/48$`))
	s.Expect(services.Status.ID).To(Equal(nodes.Status.ID), "the /48 is drawn once for the shoot")
	s.Expect(s.heldBy(ulaLedger)()).To(ConsistOf("nodes-ipv6 "+nodes.Status.Allocated, "services-ipv6 "+services.Status.Allocated))
}

func TestExhaustedPoolIsSaidToTheOwner(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("tiny", "2001:db8::/63")}, nil)
	first := w.newShoot(demo)
	first.waitBound()
	second := w.newShoot(demo)
	second.Eventually(second.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	second.Eventually(second.phase("services-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	infra := second.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	second.Expect(infra.Status.LastOperation.State).To(Equal(gardencorev1beta1.LastOperationStateError))
	second.Expect(infra.Status.LastError.Codes).To(ConsistOf(gardencorev1beta1.ErrorInfraResourcesDepleted))
	second.Expect(infra.Status.LastError.Description).To(ContainSubstring("no room for a /64 (IPv6, Global) for nodes: pool tiny (2001:db8::/63; /63 to /120 each)"))

	// Room comes with the end of the first shoot; the quarantine here is none.
	first.markDeleted()
	first.infrastructureGone()
	second.waitBound()
	second.Eventually(func() error { return health.CheckExtensionObject(second.infra()) }).Should(Succeed(), "our error goes with its cause")
	second.Expect(second.infra().Status.LastError).To(BeNil())
}
