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

const (
	// minMTU is the least MTU of a link that carries IPv6 (RFC 8200, section 5), in bytes.
	minMTU = 1280
	// maxMTU is the greatest MTU that a Linux interface takes, in bytes.
	maxMTU = 65535
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
	if config.Routing != nil && config.Routing.Mode != nil {
		errs = append(errs, validateOneOf(*config.Routing.Mode, routingModes, path.Child("routing", "mode"))...)
	}
	if config.Encapsulation != nil && config.Encapsulation.Mode != nil {
		errs = append(errs, validateOneOf(*config.Encapsulation.Mode, encapsulationModes, path.Child("encapsulation", "mode"))...)
	}
	if config.PodSupernet != nil {
		errs = append(errs, validatePodSupernet(*config.PodSupernet, path.Child("podSupernet"))...)
	}
	if mtu := config.MTU; mtu != nil && (*mtu < minMTU || *mtu > maxMTU) {
		errs = append(errs, field.Invalid(path.Child("mtu"), *mtu,
			fmt.Sprintf("must be from %d, the least that carries IPv6, to %d; without it the pods get the MTU of their node's uplink", minMTU, maxMTU)))
	}
	if config.Overlay != nil && config.Overlay.Enabled {
		errs = append(errs, field.Invalid(path.Child("overlay", "enabled"), true,
			"must be false: pods of network type \"ipv6\" are routed, there is no overlay"))
	}
	return errs
}

// ValidateNetworkConfigUpdate reports what an update of a valid NetworkConfig may not change. It leaves out the ranges: they
// may stand in spec.networking, too, and only both places together say whether their meaning changes (plan.CheckUpdate); and with
// them ipam (ValidateIPAMUpdate).
func ValidateNetworkConfigUpdate(updated, old *v1alpha1.NetworkConfig, path *field.Path) field.ErrorList {
	if old.PodSupernet == nil || updated.PodSupernet != nil && *updated.PodSupernet == *old.PodSupernet {
		return nil
	}
	path = path.Child("podSupernet")
	why := fmt.Sprintf("was %s and cannot be changed: it was published as the cluster's pods range", *old.PodSupernet)
	if updated.PodSupernet == nil {
		return field.ErrorList{field.Required(path, why)}
	}
	return field.ErrorList{field.Invalid(path, *updated.PodSupernet, why)}
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
