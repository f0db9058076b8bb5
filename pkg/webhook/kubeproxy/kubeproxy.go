// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package kubeproxy is the webhook in the seed that tells the shoot's kube-proxy which traffic is a local pod's: what comes in
// from a pod's interface. Gardener tells it the pod range instead, which for pods inside the nodes' range is wrong for every
// host there that is no pod. docs/decisions/0010-kube-proxy-local-detection.md says why it is done here, in the seed, and why
// by interface.
package kubeproxy

import (
	"context"
	"fmt"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// WebhookName is the name of the webhook in the MutatingWebhookConfiguration, for --disable-webhooks, and its path.
const WebhookName = "kube-proxy"

// The label that gardenlet puts on the Secrets behind kube-proxy's ManagedResources. It makes the webhook see these few Secrets
// and no other.
const (
	labelComponent      = "component"
	labelComponentValue = "kube-proxy"
)

// New returns the webhook. Pods' interfaces on the host have names that begin with interfaceNamePrefix.
func New(mgr manager.Manager, networkType, interfaceNamePrefix string) (*extensionswebhook.Webhook, error) {
	wh, err := extensionswebhook.New(mgr, extensionswebhook.Args{
		Name:   WebhookName,
		Path:   WebhookName,
		Target: extensionswebhook.TargetSeed,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			v1beta1constants.LabelNetworkingProvider: networkType,
		}},
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{labelComponent: labelComponentValue}},
		Mutators: map[extensionswebhook.Mutator][]extensionswebhook.Type{
			&mutator{interfaceNamePrefix: interfaceNamePrefix}: {{Obj: &corev1.Secret{}}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", WebhookName, err)
	}
	return wh, nil
}

type mutator struct {
	interfaceNamePrefix string
}

// Mutate implements the library's Mutator.
func (m *mutator) Mutate(_ context.Context, newObj, oldObj client.Object) error {
	if newObj.GetDeletionTimestamp() != nil {
		return nil
	}
	secret, ok := newObj.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("webhook %s: got %T, want a Secret", WebhookName, newObj)
	}

	// gardenlet compares with what it wrote itself and so writes its own data over and over. The stored data cannot change
	// any more, and the Secret's name is a hash of gardenlet's data: what it writes is what we already mutated.
	if old, ok := oldObj.(*corev1.Secret); ok && old != nil && ptr.Deref(old.Immutable, false) {
		secret.Data = old.Data
		return nil
	}

	data, err := MutateManagedResourceData(secret.Data, m.interfaceNamePrefix)
	if err != nil {
		return fmt.Errorf("secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	secret.Data = data
	return nil
}
