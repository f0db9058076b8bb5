// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

func TestConditionsDoNotWake(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*v1alpha1.PrefixReservation)
		wakes  bool
	}{
		"another reason for the failure": {func(r *v1alpha1.PrefixReservation) {
			setBound(r, metav1.ConditionFalse, "Retry", "request 2 was throttled")
		}, false},
		"another phase": {func(r *v1alpha1.PrefixReservation) { r.Status.Phase = v1alpha1.PhaseReleasing }, true},
		"a deletion":    {func(r *v1alpha1.PrefixReservation) { r.DeletionTimestamp = new(metav1.Now()) }, true},
		"no finalizer":  {func(r *v1alpha1.PrefixReservation) { r.Finalizers = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := stored("1", "a", "2001:db8::/64")
			before.ResourceVersion, before.Finalizers = "1", []string{v1alpha1.FinalizerReservation}
			setBound(before, metav1.ConditionFalse, "Retry", "request 1 was throttled")
			after := before.DeepCopy()
			after.ResourceVersion = "2"
			tc.change(after)
			NewWithT(t).Expect(beyondConditions().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after})).To(Equal(tc.wakes))
		})
	}
}

func TestOurWordsDoNotWake(t *testing.T) {
	held := func(text string) *gardencorev1beta1.LastOperation {
		return &gardencorev1beta1.LastOperation{State: gardencorev1beta1.LastOperationStateProcessing, Description: "Waiting for prefix reservations: " + text}
	}
	for name, tc := range map[string]struct {
		change func(*extensionsv1alpha1.Infrastructure)
		wakes  bool
	}{
		"another text of ours": {func(i *extensionsv1alpha1.Infrastructure) { i.Status.LastOperation.Description += " (request 2)" }, false},
		"a range more": {func(i *extensionsv1alpha1.Infrastructure) {
			i.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{Nodes: []string{"2001:db8::/64"}}
		}, true},
		"the provider has finished again": {func(i *extensionsv1alpha1.Infrastructure) { i.Status.LastOperation.LastUpdateTime = metav1.Now() }, true},
		"the provider works":              {func(i *extensionsv1alpha1.Infrastructure) { i.Status.LastOperation.Description = "making a network" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := &extensionsv1alpha1.Infrastructure{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}}
			before.Status.LastOperation = held("request 1")
			after := before.DeepCopy()
			after.ResourceVersion = "2"
			tc.change(after)
			NewWithT(t).Expect(beyondOurWords().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after})).To(Equal(tc.wakes))
		})
	}
}
