// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// Validator judges a Shoot as it would be stored.
type Validator struct {
	// Reader reads Seeds.
	Reader client.Reader
}

// Validate implements the validator of Gardener's webhook library.
func (v *Validator) Validate(ctx context.Context, newObj, oldObj client.Object) error {
	updated, old, err := shoots(newObj, oldObj)
	if err != nil {
		return err
	}
	if !concerns(updated, old) {
		return nil
	}
	seed, err := seedOf(ctx, v.Reader, updated)
	if err != nil {
		return err
	}
	return orNil(validate(updated, old, seed))
}

func validate(shoot, old *gardencorev1beta1.Shoot, seed *gardencorev1beta1.Seed) field.ErrorList {
	errs := validateKubeProxy(shoot)
	config, err := helper.DecodeNetworkConfig(shoot.Spec.Networking.ProviderConfig)
	if err != nil {
		return append(errs, field.Invalid(providerConfigPath, field.OmitValueType{}, err.Error()))
	}
	errs = append(errs, validation.ValidateNetworkConfig(config, providerConfigPath)...)
	if old != nil {
		errs = append(errs, validation.ValidateNetworkConfigUpdate(config, storedConfig(old), providerConfigPath)...)
	}
	if len(errs) > 0 {
		return errs
	}
	ranges, facts, err := shootplan.Gather(shoot, seed)
	if err != nil {
		return aggregated(err)
	}
	_, err = plan.Build(ranges, facts)
	errs = append(errs, rangeErrors(err)...)
	if old != nil {
		if was, _, err := shootplan.Gather(old, nil); err == nil {
			errs = append(errs, rangeErrors(plan.CheckUpdate(was, ranges))...)
		}
	}
	return errs
}

// validateKubeProxy refuses a Shoot without kube-proxy: this extension routes pods, and Services are kube-proxy's.
func validateKubeProxy(shoot *gardencorev1beta1.Shoot) field.ErrorList {
	proxy := shoot.Spec.Kubernetes.KubeProxy
	if proxy == nil || proxy.Enabled == nil || *proxy.Enabled {
		return nil
	}
	return field.ErrorList{field.Invalid(kubernetesPath.Child("kubeProxy", "enabled"), false,
		"network type \"ipv6\" leaves Services to kube-proxy and has no replacement for it; set it to true, or leave it out")}
}

// rangeErrors maps the plan's errors to providerConfig.ranges, where the mutator puts every range.
func rangeErrors(err error) field.ErrorList {
	if err == nil {
		return nil
	}
	var list plan.ErrorList
	if !errors.As(err, &list) {
		return field.ErrorList{field.Invalid(networkingPath, field.OmitValueType{}, err.Error())}
	}
	var errs field.ErrorList
	for _, e := range list {
		errs = append(errs, field.Invalid(providerConfigPath.Child("ranges", string(e.Range)), e.Text, detail(e)))
	}
	return errs
}

// aggregated takes an aggregate of field errors apart.
func aggregated(err error) field.ErrorList {
	var aggregate utilerrors.Aggregate
	if !errors.As(err, &aggregate) {
		return field.ErrorList{field.Invalid(networkingPath, field.OmitValueType{}, err.Error())}
	}
	var errs field.ErrorList
	for _, err := range aggregate.Errors() {
		var fieldErr *field.Error
		if errors.As(err, &fieldErr) {
			errs = append(errs, fieldErr)
			continue
		}
		errs = append(errs, field.Invalid(networkingPath, field.OmitValueType{}, err.Error()))
	}
	return errs
}
