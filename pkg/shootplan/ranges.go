// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package shootplan

import (
	"fmt"
	"net/netip"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

var networkingPath = field.NewPath("spec", "networking")

func gatherRanges(networking *gardencorev1beta1.Networking, config *v1alpha1.NetworkConfig) (keyword.Ranges, field.ErrorList) {
	var (
		ranges keyword.Ranges
		errs   field.ErrorList
		asked  v1alpha1.Ranges
	)
	if config.Ranges != nil {
		asked = *config.Ranges
	}
	for _, r := range []struct {
		name         keyword.Name
		spec, config *string
		to           **keyword.Range
	}{
		{keyword.Nodes, networking.Nodes, asked.Nodes, &ranges.Nodes},
		{keyword.Pods, networking.Pods, asked.Pods, &ranges.Pods},
		{keyword.Services, networking.Services, asked.Services, &ranges.Services},
	} {
		gathered, rangeErrs := gatherRange(r.name, r.spec, r.config)
		errs = append(errs, rangeErrs...)
		*r.to = gathered
	}
	return ranges, errs
}

// gatherRange reads one range from the spec field, the providerConfig or both.
func gatherRange(name keyword.Name, spec, config *string) (*keyword.Range, field.ErrorList) {
	specPath := networkingPath.Child(string(name))
	configPath := networkingPath.Child("providerConfig", "ranges", string(name))

	fromSpec, errs := parse(name, specPath, spec)
	fromConfig, configErrs := parse(name, configPath, config)
	errs = append(errs, configErrs...)
	if len(errs) > 0 {
		return nil, errs
	}

	switch {
	case fromConfig == nil:
		return fromSpec, nil
	case fromSpec == nil, fromSpec.String() == fromConfig.String():
		return fromConfig, nil
	}
	if written, ok := singleCIDR(*fromSpec); ok && follows(name, *fromConfig, written) {
		return fromConfig, nil
	}
	return nil, field.ErrorList{field.Invalid(specPath, *spec, fmt.Sprintf(
		"contradicts %s, which is %q: give the %s range in one of the two fields, or the same in both", configPath, *config, name))}
}

func parse(name keyword.Name, path *field.Path, text *string) (*keyword.Range, field.ErrorList) {
	if text == nil || *text == "" {
		return nil, nil
	}
	parsed, err := keyword.Parse(name, *text)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(path, *text, err.Error())}
	}
	return &parsed, nil
}

func singleCIDR(r keyword.Range) (netip.Prefix, bool) {
	if len(r.Values) != 1 || r.Values[0].NodePrefix != 0 || !r.Values[0].CIDR.IsValid() {
		return netip.Prefix{}, false
	}
	return r.Values[0].CIDR, true
}

// follows tells whether a CIDR in the spec can be a consequence of the range asked for, rather than a contradiction.
func follows(name keyword.Name, asked keyword.Range, written netip.Prefix) bool {
	key := plan.Key{Range: name, Family: prefix.FamilyOf(written.Addr())}
	value, ok := asked.Value(key.Family)
	if !ok {
		return false
	}
	own, fixed := value.Fixed(name)
	if !fixed {
		// v6global, v6private, custom and fromNode: the prefix is known only later, and by others.
		return true
	}
	// The owner may widen the nodes range in the providerConfig; the spec then still holds the old part of it.
	return own == written || plan.PublishedPart(key, own) == written ||
		name == keyword.Nodes && value.CIDR.IsValid() && prefix.Covers(value.CIDR, written)
}
