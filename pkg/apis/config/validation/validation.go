// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package validation judges the component configuration, which an operator writes.
package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// The lengths that a reservation may have, in bits: those of the definition of PrefixReservation.
const (
	minLength int32 = 8
	maxLength int32 = 120
)

// ValidateControllerConfiguration reports every mistake of a ControllerConfiguration.
func ValidateControllerConfiguration(config *v1alpha1.ControllerConfiguration) field.ErrorList {
	var errs field.ErrorList
	if connection := config.ClientConnection; connection != nil {
		path := field.NewPath("clientConnection")
		if connection.QPS < 0 {
			errs = append(errs, field.Invalid(path.Child("qps"), connection.QPS, "must not be negative"))
		}
		if connection.Burst < 0 {
			errs = append(errs, field.Invalid(path.Child("burst"), connection.Burst, "must not be negative"))
		}
	}
	errs = append(errs, validatePools(config.Pools, field.NewPath("pools"))...)
	errs = append(errs, validateBackends(config.Backends, field.NewPath("backends"))...)
	errs = append(errs, validateHome(config)...)
	if config.Quarantine != nil && config.Quarantine.Duration < 0 {
		errs = append(errs, field.Invalid(field.NewPath("quarantine"), config.Quarantine.Duration.String(), "must not be negative; 0s means that a prefix may be used again at once"))
	}
	for _, name := range slices.Sorted(maps.Keys(config.FeatureGates)) {
		errs = append(errs, field.Invalid(field.NewPath("featureGates").Key(name), name, "is no feature gate of this version, which has none"))
	}
	return errs
}

// validateHome wants the marks that are put on what an IPAM service holds: without them one seed would take another's prefixes
// for garbage.
func validateHome(config *v1alpha1.ControllerConfiguration) field.ErrorList {
	var errs field.ErrorList
	if len(config.Backends) > 0 && config.GardenID == "" {
		errs = append(errs, field.Required(field.NewPath("gardenID"), "what is reserved in a backend is marked with it; gardenlet passes it to the chart as gardener.garden.clusterIdentity"))
	}
	path := field.NewPath("seedName")
	if config.SeedName != "" {
		if problems := utilvalidation.IsDNS1123Subdomain(config.SeedName); len(problems) > 0 {
			errs = append(errs, field.Invalid(path, config.SeedName, strings.Join(problems, "; ")))
		}
		return errs
	}
	const from = "gardenlet passes it to the chart as gardener.seed.name"
	if len(config.Backends) > 0 {
		return append(errs, field.Required(path, "what is reserved in a backend is marked with it, so that no other seed takes it for garbage; "+from))
	}
	if slices.ContainsFunc(config.Pools, func(p v1alpha1.Pool) bool { return len(p.Seeds) > 0 }) {
		return append(errs, field.Required(path, "a pool is restricted to seeds; "+from))
	}
	return errs
}

// validateSelector judges what restricts a pool or a backend.
func validateSelector(s v1alpha1.Selector, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, list := range []struct {
		name   string
		values []string
		judge  func(string) []string
	}{
		{"providerTypes", s.ProviderTypes, utilvalidation.IsDNS1123Label},
		{"regions", s.Regions, func(string) []string { return nil }}, // a cloud names its regions as it likes
		{"seeds", s.Seeds, utilvalidation.IsDNS1123Subdomain},
		{"ranges", s.Ranges, isRange},
	} {
		seen := map[string]bool{}
		for i, value := range list.values {
			path := path.Child(list.name).Index(i)
			problems := list.judge(value)
			switch {
			case value == "":
				errs = append(errs, field.Required(path, "leave the list out where nothing is to be restricted"))
			case seen[value]:
				errs = append(errs, field.Duplicate(path, value))
			case len(problems) > 0:
				errs = append(errs, field.Invalid(path, value, strings.Join(problems, "; ")))
			}
			seen[value] = true
		}
	}
	return errs
}

func isRange(value string) []string {
	if slices.Contains(keyword.Names(), keyword.Name(value)) {
		return nil
	}
	return []string{fmt.Sprintf("must be %s, %s or %s", keyword.Nodes, keyword.Pods, keyword.Services)}
}

// validateName judges the name of a pool or a backend, unique among names.
func validateName(name, what string, names map[string]bool, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, fmt.Sprintf("a %s is known by its name for ever: reservations refer to it", what))}
	}
	if names[name] {
		return field.ErrorList{field.Duplicate(path, name)}
	}
	names[name] = true
	if problems := utilvalidation.IsDNS1123Label(name); len(problems) > 0 {
		return field.ErrorList{field.Invalid(path, name, strings.Join(problems, "; "))}
	}
	return nil
}
