// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"errors"
	"net/netip"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// judgeConfig judges the providerConfig by itself, and against the stored one.
func judgeConfig(config *v1alpha1.NetworkConfig, old *gardencorev1beta1.Shoot) field.ErrorList {
	errs := validation.ValidateNetworkConfig(config, providerConfigPath)
	if old != nil {
		errs = append(errs, validation.ValidateNetworkConfigUpdate(config, storedConfig(old), providerConfigPath)...)
	}
	return errs
}

// asked is what a Shoot asks for, wherever it is written.
type asked struct {
	ranges keyword.Ranges
	config *v1alpha1.NetworkConfig
}

// judgeRanges plans what is asked for and judges it against what was asked for before, nil on creation, and the configuration against
// the plan. Where tells the field and the text of a range.
func judgeRanges(shoot *gardencorev1beta1.Shoot, is asked, was *asked, facts plan.Facts, where func(keyword.Name) (*field.Path, string)) (plan.Plan, field.ErrorList) {
	p, err := plan.Build(is.ranges, facts)
	errs := rangeErrors(err, where)
	errs = append(errs, validation.ValidateIPAM(is.config.IPAM, is.ranges, ipamPath)...)
	if err == nil {
		around := validation.Surroundings{Plan: p, ProviderType: shoot.Spec.Provider.Type}
		// A pool that was there before the range that it overlaps is no mistake of this update, and must not hold it up, for it may well
		// be Gardener's own. The controller tells of it.
		if was == nil || !apiequality.Semantic.DeepEqual(is.config.LoadBalancer, was.config.LoadBalancer) {
			around.Known = published(shoot)
		}
		errs = append(errs, validation.ValidatePlanned(is.config, around, providerConfigPath)...)
	}
	if was != nil {
		errs = append(errs, rangeErrors(plan.CheckUpdate(was.ranges, is.ranges), where)...)
		errs = append(errs, validation.ValidateIPAMUpdate(is.config.IPAM, was.config.IPAM, was.ranges, ipamPath)...)
	}
	return p, errs
}

// published are the ranges that the Shoot's status names.
func published(shoot *gardencorev1beta1.Shoot) map[plan.Key]netip.Prefix {
	known := map[plan.Key]netip.Prefix{}
	for _, n := range keyword.Names() {
		for _, text := range statusRange(shoot, n) {
			if p, err := netip.ParsePrefix(text); err == nil {
				known[plan.Key{Range: n, Family: prefix.FamilyOf(p.Addr())}] = p.Masked()
			}
		}
	}
	return known
}

// rangeErrors maps the plan's errors to the fields where the ranges are written.
func rangeErrors(err error, where func(keyword.Name) (*field.Path, string)) field.ErrorList {
	if err == nil {
		return nil
	}
	var list plan.ErrorList
	if !errors.As(err, &list) {
		return field.ErrorList{field.Invalid(networkingPath, field.OmitValueType{}, err.Error())}
	}
	var errs field.ErrorList
	for _, e := range list {
		path, text := where(e.Range)
		if text == "" {
			errs = append(errs, field.Required(path, detail(e)))
			continue
		}
		errs = append(errs, field.Invalid(path, text, detail(e)))
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

// judgeKubeProxy refuses a Shoot without kube-proxy: this extension routes pods, and Services are kube-proxy's.
func judgeKubeProxy(shoot *gardencorev1beta1.Shoot) field.ErrorList {
	proxy := shoot.Spec.Kubernetes.KubeProxy
	if proxy == nil || proxy.Enabled == nil || *proxy.Enabled {
		return nil
	}
	return field.ErrorList{field.Invalid(kubernetesPath.Child("kubeProxy", "enabled"), false,
		"network type \"ipv6\" leaves Services to kube-proxy and has no replacement for it; set it to true, or leave it out")}
}
