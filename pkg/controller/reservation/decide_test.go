// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"errors"
	"fmt"
	"testing"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func TestDecide(t *testing.T) {
	now := metav1.Now()
	living := func() *gathered {
		return &gathered{
			namespace: &corev1.Namespace{}, infra: &extensionsv1alpha1.Infrastructure{},
			cluster: &extensionscontroller.Cluster{Shoot: &gardencorev1beta1.Shoot{}},
		}
	}
	for name, tc := range map[string]struct {
		change func(*gathered)
		action reservation.Action
		reason string
	}{
		"living":                                        {func(*gathered) {}, reservation.Ensure, "there is an Infrastructure"},
		"Shoot deleted, Infrastructure not yet":         {func(g *gathered) { g.cluster.Shoot.DeletionTimestamp = &now }, reservation.Ensure, "there is an Infrastructure"},
		"Infrastructure deleted, not gone":              {func(g *gathered) { g.infra.DeletionTimestamp = &now }, reservation.Keep, "the Infrastructure is being deleted and may still use the prefixes"},
		"no Cluster yet":                                {func(g *gathered) { g.cluster = nil }, reservation.Keep, "there is no Cluster yet"},
		"namespace deleted, Infrastructure still there": {func(g *gathered) { g.namespace.DeletionTimestamp = &now }, reservation.Keep, "the namespace is being deleted, but the Infrastructure is still there"},
		"Infrastructure gone, Shoot living":             {func(g *gathered) { g.infra = nil }, reservation.Keep, "there is no Infrastructure, but the Shoot lives"},
		"Infrastructure gone, Shoot deleted":            {func(g *gathered) { g.infra = nil; g.cluster.Shoot.DeletionTimestamp = &now }, reservation.Release, "the Shoot is being deleted and the Infrastructure is gone"},
		"Infrastructure gone, namespace deleted":        {func(g *gathered) { g.infra = nil; g.namespace.DeletionTimestamp = &now }, reservation.Release, "the namespace is being deleted and the Infrastructure is gone"},
		"Infrastructure and Cluster gone":               {func(g *gathered) { g.infra, g.cluster = nil, nil }, reservation.Release, "Infrastructure and Cluster are gone"},
		"Infrastructure to be migrated": {func(g *gathered) {
			g.infra.Annotations = map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationMigrate}
		}, reservation.Migrate, "the Infrastructure is being migrated"},
		"Infrastructure migrated and deleted": {func(g *gathered) {
			g.infra.Status.LastOperation = &gardencorev1beta1.LastOperation{Type: gardencorev1beta1.LastOperationTypeMigrate}
			g.infra.DeletionTimestamp = &now
		}, reservation.Migrate, "the Infrastructure is being migrated"},
		"Shoot migrating, Infrastructure and namespace on their way out": {func(g *gathered) {
			g.infra, g.namespace.DeletionTimestamp = nil, &now
			g.cluster.Shoot.Status.LastOperation = &gardencorev1beta1.LastOperation{Type: gardencorev1beta1.LastOperationTypeMigrate}
		}, reservation.Migrate, "the Shoot is being migrated"},
	} {
		t.Run(name, func(t *testing.T) {
			g := living()
			tc.change(g)
			action, reason := reservation.Decide(g.facts())
			NewWithT(t).Expect([]any{action, reason}).To(Equal([]any{tc.action, tc.reason}))
		})
	}
}

func TestResult(t *testing.T) {
	g := NewWithT(t)
	wait := fmt.Errorf("nodes: %w", reservation.Errorf(reservation.Wait, "wait"))
	boom := errors.New("boom")

	got, err := result(nil)
	g.Expect([]any{got.RequeueAfter, err}).To(Equal([]any{0 * waitAgain, nil}))
	got, err = result(errors.Join(wait, errors.Join(wait, nil)))
	g.Expect([]any{got.RequeueAfter, err}).To(Equal([]any{waitAgain, nil}))
	for _, failing := range []error{boom, errors.Join(wait, boom), errors.Join(errors.Join(wait, boom), nil), reservation.Errorf(reservation.Exhausted, "full")} {
		_, err = result(failing)
		g.Expect(err).To(MatchError(failing))
	}
}
