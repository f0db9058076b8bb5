// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// Validator judges a Shoot as it would be stored.
type Validator struct {
	// Reader reads Seeds.
	Reader client.Reader
}

// Validate implements the validator of Gardener's webhook library.
func (v *Validator) Validate(ctx context.Context, newObj, oldObj client.Object) error {
	return admit(ctx, v.Reader, newObj, oldObj, validate)
}

func validate(shoot, old *gardencorev1beta1.Shoot, seed *gardencorev1beta1.Seed) field.ErrorList {
	errs := judgeKubeProxy(shoot)
	config, err := helper.DecodeNetworkConfig(shoot.Spec.Networking.ProviderConfig)
	if err != nil {
		return append(errs, field.Invalid(providerConfigPath, field.OmitValueType{}, err.Error()))
	}
	if errs = append(errs, judgeConfig(config, old)...); len(errs) > 0 {
		return errs
	}
	ranges, facts, err := shootplan.Gather(shoot, seed)
	if err != nil {
		return aggregated(err)
	}
	var was *asked
	if old != nil {
		if ranges, _, err := shootplan.Gather(old, nil); err == nil {
			was = &asked{ranges, storedConfig(old)}
		}
	}
	// The mutator put every range there.
	where := func(n keyword.Name) (*field.Path, string) {
		path := providerConfigPath.Child("ranges", string(n))
		if r := ranges.Get(n); r != nil {
			return path, r.String()
		}
		return path, ""
	}
	_, errs = judgeRanges(shoot, asked{ranges, config}, was, facts, where)
	return errs
}
