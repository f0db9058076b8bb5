// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// Names of the webhooks.
const (
	MutatorName   = "mutator"
	ValidatorName = "validator"
)

// NewMutator makes the mutating webhook. It also sees shoots/binding: Gardener fills a Seed's shootDefaults into empty ranges when
// it binds a Shoot to the Seed, and what is empty because its range is reserved later has to stay empty.
func NewMutator(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
	return extensionswebhook.New(mgr, extensionswebhook.Args{
		Name:           MutatorName,
		Path:           "/webhooks/mutate",
		Target:         extensionswebhook.TargetSeed,
		ObjectSelector: selector(),
		Mutators: map[extensionswebhook.Mutator][]extensionswebhook.Type{
			&Mutator{Reader: mgr.GetClient()}: types(),
		},
	})
}

// NewValidator makes the validating webhook.
func NewValidator(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
	return extensionswebhook.New(mgr, extensionswebhook.Args{
		Name:           ValidatorName,
		Path:           "/webhooks/validate",
		Target:         extensionswebhook.TargetSeed,
		ObjectSelector: selector(),
		Validators: map[extensionswebhook.Validator][]extensionswebhook.Type{
			&Validator{Reader: mgr.GetClient()}: types(),
		},
	})
}

func types() []extensionswebhook.Type {
	binding := "binding"
	return []extensionswebhook.Type{
		{Obj: &gardencorev1beta1.Shoot{}},
		{Obj: &gardencorev1beta1.Shoot{}, Subresource: &binding},
	}
}

// selector selects the Shoots of our network type by the label that gardener-apiserver puts on them before it calls webhooks.
func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{
		v1beta1constants.LabelExtensionNetworkingTypePrefix + shootplan.NetworkType: "true",
	}}
}
