// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package infrastructure_test

import (
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// gardenlet merges what the Shoot has with what the Infrastructure reports: a second pods CIDR of a family would break the shoot.
func TestMutateKeepsWhatTheShootHas(t *testing.T) {
	fromCustom := v1alpha1.Ranges{Nodes: new("custom+prefix/80"), Pods: new("v6fromNode"), Services: new("v6global")}
	for name, tc := range map[string]struct {
		ranges         v1alpha1.Ranges
		specPods       string
		status         *gardencorev1beta1.NetworkingStatus
		reservations   []v1alpha1.PrefixReservation
		theirs         *networking
		state          gardencorev1beta1.LastOperationState
		description    string
		pods, services []string
	}{
		"spec.pods, though the provider reports nodes": {
			ranges: fromCustom, specPods: "2001:db8:8000::/40", theirs: &networking{Nodes: []string{"2001:db8:a::/56"}},
			reservations: []v1alpha1.PrefixReservation{bound("services", "2001:db8:1::/64")}, state: succeeded,
			pods: []string{"2001:db8:8000::/40"}, services: []string{"2001:db8:1::/112"},
		},
		"status.pods, though the provider now reports other nodes": {
			ranges: fromCustom, theirs: &networking{Nodes: []string{"2001:db8:b::/56"}},
			status:       &gardencorev1beta1.NetworkingStatus{Pods: []string{"2001:db8:a::/56"}},
			reservations: []v1alpha1.PrefixReservation{bound("services", "2001:db8:1::/64")}, state: succeeded,
			pods: []string{"2001:db8:a::/56"}, services: []string{"2001:db8:1::/112"},
		},
		"the pods of nodes that were widened since": {
			ranges:   v1alpha1.Ranges{Nodes: new("2001:db8::/48+prefix/80"), Pods: new("v6fromNode"), Services: new("v6global")},
			specPods: "2001:db8::/56", reservations: []v1alpha1.PrefixReservation{bound("services", "2001:db8:1::/64")}, state: succeeded,
			pods: []string{"2001:db8::/56"}, services: []string{"2001:db8:1::/112"},
		},
		"a reservation that gives other services": {
			ranges: demo, status: &gardencorev1beta1.NetworkingStatus{Services: []string{"2001:db8:7::/112"}},
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")}, state: failed,
			description: "Prefix reservation failed: the Shoot has 2001:db8:7::/112 for services, which cannot change, but the reservations give 2001:db8:1::/112",
		},
		"a reservation that gives other pods": {
			ranges: demo, specPods: "2001:db8:7::/64", state: failed,
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")},
			description:  "Prefix reservation failed: the Shoot has 2001:db8:7::/64 for pods, which cannot change, but the reservations give 2001:db8::/64",
		},
		"a reservation that is not bound yet is waited for": {
			ranges: demo, status: &gardencorev1beta1.NetworkingStatus{Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64")}, state: processing,
			description: "Waiting for prefix reservations: services (IPv6): not reserved yet", pods: []string{"2001:db8::/64"},
		},
		"nodes that ask for more than was reserved": {
			ranges:       v1alpha1.Ranges{Nodes: new("v6global/60+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/60")},
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")}, state: succeeded,
			pods: []string{"2001:db8::/64"}, services: []string{"2001:db8:1::/112"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			shoot := shootWith(t, tc.ranges, nil, func(s *gardencorev1beta1.Shoot) {
				s.Status.Networking = tc.status
				if tc.specPods != "" {
					s.Spec.Networking.Pods = &tc.specPods
				}
			}, tc.reservations...)
			infra := &extensionsv1alpha1.Infrastructure{}
			infra.Status.Networking, infra.Status.LastOperation = tc.theirs, last(succeeded, "done")
			infrastructure.Mutate(infra, shoot)
			g.Expect(infra.Status.LastOperation.State).To(Equal(tc.state), infra.Status.LastOperation.Description)
			g.Expect(infra.Status.LastOperation.Description).To(HavePrefix(tc.description))
			if tc.state == failed {
				g.Expect(infra.Status.Networking).To(BeNil(), "neither of the two is published")
				return
			}
			g.Expect(infra.Status.Networking.Pods).To(Equal(tc.pods))
			g.Expect(infra.Status.Networking.Services).To(Equal(tc.services))
		})
	}
}
