// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package infrastructure is the webhook on infrastructures/status. It merges the shoot's ranges into what the infrastructure
// provider reports, and holds the Infrastructure back from Succeeded until all of them are known: gardenlet copies the ranges
// the moment it sees Succeeded, and kube-apiserver keeps them for ever.
//
// It fails closed. A write that is refused while this extension is down is repeated by the provider and costs time; one that
// slips through would create a control plane with wrong ranges. Deletion and migration are never held up by a decision of this
// webhook: such objects pass unread.
package infrastructure

import (
	"context"
	"fmt"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
)

const (
	// WebhookName of the webhook, for --disable-webhooks.
	WebhookName = "infrastructure-status"
	// Path that it is served at.
	Path = "/webhooks/infrastructure-status"
)

// New makes the webhook. The manager's scheme must know Gardener's extension types and this project's.
func New(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
	status := "status"
	return extensionswebhook.New(mgr, extensionswebhook.Args{
		Name:   WebhookName,
		Path:   Path,
		Target: extensionswebhook.TargetSeed,
		NamespaceSelector: &metav1.LabelSelector{
			MatchLabels: map[string]string{v1beta1constants.LabelNetworkingProvider: plan.TypeIPv6},
		},
		Mutators: map[extensionswebhook.Mutator][]extensionswebhook.Type{
			// Live reads: a cache that has not yet seen a reservation of the shoot's former life would publish it again.
			&mutator{reader: mgr.GetAPIReader()}: {{Obj: &extensionsv1alpha1.Infrastructure{}, Subresource: &status}},
		},
	})
}

type mutator struct {
	reader client.Reader
}

// Mutate merges or holds.
func (m *mutator) Mutate(ctx context.Context, newObj, _ client.Object) error {
	infra, ok := newObj.(*extensionsv1alpha1.Infrastructure)
	if !ok {
		return fmt.Errorf("want an Infrastructure, got %T", newObj)
	}
	if Passes(infra) {
		return nil
	}
	shoot, err := Gather(ctx, m.reader, infra.Namespace)
	if err != nil {
		return fmt.Errorf("cannot tell the ranges of Infrastructure %s: %w", client.ObjectKeyFromObject(infra), err)
	}
	for _, note := range Mutate(infra, shoot) {
		log.FromContext(ctx).Info(note, "infrastructure", client.ObjectKeyFromObject(infra))
	}
	return nil
}
