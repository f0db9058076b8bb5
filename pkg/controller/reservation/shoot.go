// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"strings"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// conditionOnShoot is that of the Shoot's conditions which shows what became of its prefixes once it lives: gardenlet joins to it the
// condition of the same type in the Network's status.
const conditionOnShoot = gardencorev1beta1.ShootSystemComponentsHealthy

// tellShoot lets the Shoot's owner read that a prefix was lost, and that it is held again.
func (r *shootReconciler) tellShoot(ctx context.Context, g *gathered) error {
	networks := &extensionsv1alpha1.NetworkList{}
	if err := r.client.List(ctx, networks, client.InNamespace(g.namespace.Name)); err != nil {
		return fmt.Errorf("listing the Networks of %s: %w", g.namespace.Name, err)
	}
	var lost []string
	for _, object := range g.own() {
		if held := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionHeld); held != nil && held.Reason == reasonLost {
			lost = append(lost, fmt.Sprintf("%s: %s", object.Name, held.Message))
		}
	}
	for i := range networks.Items {
		if err := r.tellNetwork(ctx, &networks.Items[i], lost); err != nil {
			return err
		}
	}
	return nil
}

func (r *shootReconciler) tellNetwork(ctx context.Context, network *extensionsv1alpha1.Network, lost []string) error {
	before := network.DeepCopy()
	condition := v1beta1helper.GetCondition(network.Status.Conditions, conditionOnShoot)
	switch {
	case len(lost) > 0:
		next := v1beta1helper.GetOrInitConditionWithClock(clock.RealClock{}, network.Status.Conditions, conditionOnShoot)
		next = v1beta1helper.UpdatedConditionWithClock(clock.RealClock{}, next, gardencorev1beta1.ConditionFalse, "PrefixLost", strings.Join(lost, "; "))
		network.Status.Conditions = v1beta1helper.MergeConditions(network.Status.Conditions, next)
	case condition != nil && condition.Reason == "PrefixLost":
		next := v1beta1helper.UpdatedConditionWithClock(clock.RealClock{}, *condition, gardencorev1beta1.ConditionTrue, "PrefixesHeld", "All prefixes of the Shoot are held.")
		network.Status.Conditions = v1beta1helper.MergeConditions(network.Status.Conditions, next)
	}
	if equality.Semantic.DeepEqual(before.Status.Conditions, network.Status.Conditions) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, network, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the conditions of Network %s: %w", client.ObjectKeyFromObject(network), err)
	}
	return nil
}
