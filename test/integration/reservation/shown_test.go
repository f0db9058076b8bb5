// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// Gardenlet has read a range from the Infrastructure before it stands in the Shoot's status. A reservation that is on its way out in
// between comes back with the same prefix: the control plane is being made with it.
func TestReleasingWhileOnlyTheInfrastructureShowsIt(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s := w.newShoot(demo)
	s.waitBound()
	w.Eventually(func() *networking { return s.infra().Status.Networking }).ShouldNot(BeNil())
	w.Expect(s.shoot.Status.Networking).To(BeNil(), "gardenlet has not copied it")

	services := s.get("services-ipv6")
	services.Status.Phase = v1alpha1.PhaseReleasing
	w.Expect(env.Client.Status().Update(wctx, services)).To(Succeed())
	w.Expect(env.Client.Delete(wctx, s.get("services-ipv6"))).To(Succeed())
	w.Eventually(s.phase("services-ipv6")).Should(Equal(v1alpha1.PhaseBound))
	for range 3 {
		s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil) // wakes the controller
		w.Consistently(s.heldBy(poolLedger)).Should(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"))
	}
	w.Expect(s.infra().Status.Networking.Services).To(Equal([]string{"2001:db8:0:1::/112"}))
}
