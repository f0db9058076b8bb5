// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package shootplan reads from a Shoot and its Seed what a plan is built from: the ranges that the owner asked for, in
// whichever of the two places they were written, and the facts around them. Admission, the controllers and ipv6ctl all
// read a Shoot through it, so that they cannot disagree.
package shootplan

import (
	"fmt"
	"net/netip"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// NetworkType is the Shoot's spec.networking.type that this project serves.
const NetworkType = "ipv6"

// Gather reads the ranges and the facts of a Shoot. The seed may be nil while the Shoot has none. Every mistake is
// reported: the error is an aggregate of *field.Error.
//
// It is lenient about what others write: a CIDR in spec.networking that merely follows from providerConfig.ranges, put
// there by admission (the fixed CIDR of the primary family), by gardenlet (the nodes range it pins once the
// Infrastructure is ready) or by the Seed's shootDefaults, is no contradiction. providerConfig.ranges rules then.
func Gather(shoot *gardencorev1beta1.Shoot, seed *gardencorev1beta1.Seed) (keyword.Ranges, plan.Facts, error) {
	networking := shoot.Spec.Networking
	if networking == nil {
		networking = &gardencorev1beta1.Networking{}
	}

	config, errs := networkConfig(networking)
	ranges, rangeErrs := gatherRanges(networking, config)
	errs = append(errs, rangeErrs...)
	facts, factErrs := gatherFacts(shoot, networking, config)
	errs = append(errs, factErrs...)
	seedNetworks, seedErrs := gatherSeed(seed)
	errs = append(errs, seedErrs...)
	facts.SeedNetworks = seedNetworks

	if len(errs) > 0 {
		return keyword.Ranges{}, plan.Facts{}, errs.ToAggregate()
	}
	return ranges, facts, nil
}

// Build gathers and plans in one step; reserved are the prefixes already held.
func Build(shoot *gardencorev1beta1.Shoot, seed *gardencorev1beta1.Seed, reserved map[plan.Key]netip.Prefix) (plan.Plan, error) {
	ranges, facts, err := Gather(shoot, seed)
	if err != nil {
		return plan.Plan{}, err
	}
	facts.Reserved = reserved
	return plan.Build(ranges, facts)
}

// Config is the providerConfig of our own network type, with its defaults; nil if it is another type's.
func Config(shoot *gardencorev1beta1.Shoot) (*v1alpha1.NetworkConfig, error) {
	networking := shoot.Spec.Networking
	if networking == nil || networkType(networking) != NetworkType {
		return nil, nil
	}
	return helper.DecodeNetworkConfig(networking.ProviderConfig)
}

// IPAM reads which backend and which pool the owner names for the global ranges; empty where he leaves it to the operator.
func IPAM(shoot *gardencorev1beta1.Shoot) (backend, pool string, err error) {
	if shoot.Spec.Networking == nil {
		return "", "", nil
	}
	config, errs := networkConfig(shoot.Spec.Networking)
	if config.IPAM == nil {
		return "", "", errs.ToAggregate()
	}
	return ptr.Deref(config.IPAM.Backend, ""), ptr.Deref(config.IPAM.Pool, ""), nil
}

// networkConfig decodes the providerConfig of our own network type. Other types' configuration is not ours to judge.
func networkConfig(networking *gardencorev1beta1.Networking) (*v1alpha1.NetworkConfig, field.ErrorList) {
	if networkType(networking) != NetworkType || networking.ProviderConfig == nil {
		return &v1alpha1.NetworkConfig{}, nil
	}
	config, err := helper.DecodeNetworkConfig(networking.ProviderConfig)
	if err != nil {
		path := networkingPath.Child("providerConfig")
		return &v1alpha1.NetworkConfig{}, field.ErrorList{field.Invalid(path, string(networking.ProviderConfig.Raw), err.Error())}
	}
	if config == nil {
		config = &v1alpha1.NetworkConfig{}
	}
	return config, nil
}

func networkType(networking *gardencorev1beta1.Networking) string {
	if networking.Type == nil {
		return ""
	}
	return *networking.Type
}

func gatherFacts(shoot *gardencorev1beta1.Shoot, networking *gardencorev1beta1.Networking, config *v1alpha1.NetworkConfig) (plan.Facts, field.ErrorList) {
	var errs field.ErrorList
	facts := plan.Facts{NetworkType: networkType(networking)}

	for i, family := range networking.IPFamilies {
		switch family {
		case gardencorev1beta1.IPFamilyIPv4:
			facts.IPFamilies = append(facts.IPFamilies, prefix.IPv4)
		case gardencorev1beta1.IPFamilyIPv6:
			facts.IPFamilies = append(facts.IPFamilies, prefix.IPv6)
		default:
			errs = append(errs, field.NotSupported(networkingPath.Child("ipFamilies").Index(i), family,
				[]gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4, gardencorev1beta1.IPFamilyIPv6}))
		}
	}

	facts.NodeMaskIPv4, facts.NodeMaskIPv6 = nodeMasks(shoot, facts.IPFamilies)
	if config.Encapsulation != nil && config.Encapsulation.Mode != nil {
		facts.Encapsulation = string(*config.Encapsulation.Mode)
	}
	facts.NodesReport = someNodesReport(config, shoot.Spec.Provider.Type)
	if config.PodSupernet != nil {
		supernet, err := netip.ParsePrefix(*config.PodSupernet)
		if err != nil {
			errs = append(errs, field.Invalid(networkingPath.Child("providerConfig", "podSupernet"), *config.PodSupernet, "must be a CIDR"))
		} else {
			facts.PodSupernet = supernet
		}
	}
	return facts, errs
}

// nodeMasks reads the node masks by family: Gardener's nodeCIDRMaskSize is that of the only family, or of IPv4 in a
// dual-stack Shoot, where the IPv6 one has a field of its own.
func nodeMasks(shoot *gardencorev1beta1.Shoot, families []prefix.Family) (ipv4, ipv6 int) {
	kcm := shoot.Spec.Kubernetes.KubeControllerManager
	if kcm == nil {
		return 0, 0
	}
	if kcm.NodeCIDRMaskSize != nil {
		if len(families) == 1 && families[0] == prefix.IPv6 {
			ipv6 = int(*kcm.NodeCIDRMaskSize)
		} else {
			ipv4 = int(*kcm.NodeCIDRMaskSize)
		}
	}
	if kcm.NodeCIDRMaskSizeIPv6 != nil {
		ipv6 = int(*kcm.NodeCIDRMaskSizeIPv6)
	}
	return ipv4, ipv6
}

func gatherSeed(seed *gardencorev1beta1.Seed) ([]netip.Prefix, field.ErrorList) {
	if seed == nil {
		return nil, nil
	}
	var (
		errs     field.ErrorList
		prefixes []netip.Prefix
		networks = seed.Spec.Networks
		path     = field.NewPath("seed", "spec", "networks")
	)
	add := func(name, text string) {
		if text == "" {
			return
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			errs = append(errs, field.Invalid(path.Child(name), text, fmt.Sprintf("must be a CIDR: %v", err)))
			return
		}
		prefixes = append(prefixes, p.Masked())
	}
	if networks.Nodes != nil {
		add("nodes", *networks.Nodes)
	}
	add("pods", networks.Pods)
	add("services", networks.Services)
	return prefixes, errs
}
