// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package validation judges the documents that Shoot owners write, each by itself. Admission and the controller share it, so
// that nothing is reconciled that admission would have refused. What depends on the rest of the Shoot is the plan's to judge.
package validation

import (
	"errors"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

var (
	routingModes       = []v1alpha1.RoutingMode{v1alpha1.RoutingModeBGP, v1alpha1.RoutingModeDirect, v1alpha1.RoutingModeRouted}
	encapsulationModes = []v1alpha1.EncapsulationMode{
		v1alpha1.EncapsulationModeAlways, v1alpha1.EncapsulationModeCrossSubnet, v1alpha1.EncapsulationModeNever,
	}
)

// ValidateNetworkConfig reports every mistake of a NetworkConfig.
func ValidateNetworkConfig(config *v1alpha1.NetworkConfig, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ranges := config.Ranges; ranges != nil {
		errs = append(errs, validateRange(keyword.Nodes, ranges.Nodes, path.Child("ranges", "nodes"))...)
		errs = append(errs, validateRange(keyword.Pods, ranges.Pods, path.Child("ranges", "pods"))...)
		errs = append(errs, validateRange(keyword.Services, ranges.Services, path.Child("ranges", "services"))...)
	}
	if config.IPAM != nil {
		errs = append(errs, validateIPAMNames(config.IPAM, path.Child("ipam"))...)
	}
	errs = append(errs, validateNodePrefix(config.NodePrefix, path.Child("nodePrefix"))...)
	errs = append(errs, validateRouting(config.Routing, path.Child("routing"))...)
	errs = append(errs, validateEncapsulation(config.Encapsulation, path.Child("encapsulation"))...)
	errs = append(errs, validateLoadBalancer(config.LoadBalancer, path.Child("loadBalancer"))...)
	if config.PodSupernet != nil {
		errs = append(errs, validatePodSupernet(*config.PodSupernet, path.Child("podSupernet"))...)
	}
	errs = append(errs, validateMTU(config, path.Child("mtu"))...)
	if config.Overlay != nil && config.Overlay.Enabled {
		errs = append(errs, field.Invalid(path.Child("overlay", "enabled"), true,
			"must be false: it is what the admission of some providers writes; what network type \"ipv6\" encapsulates is said in encapsulation.mode"))
	}
	return errs
}

// ValidateNetworkConfigUpdate reports what an update of a valid NetworkConfig may not change. It leaves out the ranges: they
// may stand in spec.networking, too, and only both places together say whether their meaning changes (plan.CheckUpdate); and with
// them ipam (ValidateIPAMUpdate).
//
// Everything else may change on a live Shoot: modes, peers and what is announced reach the nodes with a rollout of their agents; sources
// of prefixes and pools count for nodes and Services that have no prefix or address yet.
func ValidateNetworkConfigUpdate(updated, old *v1alpha1.NetworkConfig, path *field.Path) field.ErrorList {
	errs := validateEncapsulationUpdate(updated, old, path.Child("encapsulation"))
	return append(errs, validatePodSupernetUpdate(updated.PodSupernet, old.PodSupernet, path.Child("podSupernet"))...)
}

func validatePodSupernetUpdate(updated, old *string, path *field.Path) field.ErrorList {
	if old == nil || updated != nil && *updated == *old {
		return nil
	}
	why := fmt.Sprintf("was %s and cannot be changed: it was published as the cluster's pods range", *old)
	if updated == nil {
		return field.ErrorList{field.Required(path, why)}
	}
	return field.ErrorList{field.Invalid(path, *updated, why)}
}

// validateRange maps every mistake of a keyword text to an error of its field.
func validateRange(name keyword.Name, text *string, path *field.Path) field.ErrorList {
	if text == nil {
		return nil
	}
	_, err := keyword.Parse(name, *text)
	if err == nil {
		return nil
	}
	var mistakes keyword.ErrorList
	if !errors.As(err, &mistakes) {
		return field.ErrorList{field.Invalid(path, *text, err.Error())}
	}
	var errs field.ErrorList
	for _, mistake := range mistakes {
		detail := mistake.Message()
		if caret := mistake.Caret("    "); caret != "" {
			detail += "\n" + caret
		}
		errs = append(errs, field.Invalid(path, *text, detail))
	}
	return errs
}

func validateOneOf[T ~string](value T, supported []T, path *field.Path) field.ErrorList {
	for _, s := range supported {
		if value == s {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, value, supported)}
}

func validatePodSupernet(text string, path *field.Path) field.ErrorList {
	supernet, err := netip.ParsePrefix(text)
	if err != nil {
		return field.ErrorList{field.Invalid(path, text, "must be a CIDR that covers every node's prefix, for example 2001:db8::/32")}
	}
	if masked := supernet.Masked(); masked.String() != text {
		return field.ErrorList{field.Invalid(path, text, "must be written in its canonical form, "+masked.String())}
	}
	if what := keyword.Forbidden(supernet); what != "" {
		return field.ErrorList{field.Invalid(path, text, fmt.Sprintf("must not hold %s addresses, which can be nobody's pods", what))}
	}
	return nil
}
