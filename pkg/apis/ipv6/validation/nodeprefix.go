// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// maxInterfaceName is Linux' IFNAMSIZ without the zero byte.
const maxInterfaceName = 15

var (
	prefixSources = []v1alpha1.PrefixSource{
		v1alpha1.SourceCustom, v1alpha1.SourceDHCPv6PD, v1alpha1.SourceInterface, v1alpha1.SourceMetadata, v1alpha1.SourcePool,
	}
	metadataProviders = []v1alpha1.MetadataProvider{
		v1alpha1.MetadataAWS, v1alpha1.MetadataAzure, v1alpha1.MetadataGCP, v1alpha1.MetadataHetzner, v1alpha1.MetadataOpenStack,
	}
)

func validateNodePrefix(nodePrefix *v1alpha1.NodePrefix, path *field.Path) field.ErrorList {
	if nodePrefix == nil {
		return nil
	}
	var errs field.ErrorList
	path = path.Child("sources")
	for i, source := range nodePrefix.Sources {
		at := path.Index(i)
		errs = append(errs, validateSource(source, at)...)
		for k, earlier := range nodePrefix.Sources[:i] {
			if covers(labelsOf(earlier.NodeSelector), labelsOf(source.NodeSelector)) {
				errs = append(errs, field.Invalid(at.Child("nodeSelector"), describeLabels(labelsOf(source.NodeSelector)),
					fmt.Sprintf("no node gets here: sources[%d] selects all of these nodes, and the first entry counts; put the special before the general", k)))
				break
			}
		}
	}
	return errs
}

func validateSource(source v1alpha1.NodePrefixSource, path *field.Path) field.ErrorList {
	if source.Source == "" {
		return field.ErrorList{field.Required(path.Child("source"), "say where the prefixes come from, for example Pool or Metadata")}
	}
	errs := validateOneOf(source.Source, prefixSources, path.Child("source"))
	if metadata, at := source.Metadata, path.Child("metadata"); metadata != nil {
		if source.Source != v1alpha1.SourceMetadata {
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("is for source Metadata, but source is %s; leave it out", source.Source)))
		} else if metadata.Provider != nil {
			errs = append(errs, validateOneOf(*metadata.Provider, metadataProviders, at.Child("provider"))...)
		}
	}
	if name, at := source.Interface, path.Child("interface"); name != nil {
		if source.Source != v1alpha1.SourceDHCPv6PD && source.Source != v1alpha1.SourceInterface {
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("is for the sources DHCPv6PD and Interface, but source is %s; leave it out", source.Source)))
		} else if why := badInterface(*name); why != "" {
			errs = append(errs, field.Invalid(at, *name, why))
		}
	}
	return append(errs, validateSelector(source.NodeSelector, path.Child("nodeSelector"))...)
}

// covers tells whether every node that has the labels narrow has wide, too.
func covers(wide, narrow map[string]string) bool {
	for key, value := range wide {
		if has, ok := narrow[key]; !ok || has != value {
			return false
		}
	}
	return true
}

func describeLabels(labels map[string]string) string {
	if len(labels) == 0 {
		return "all nodes"
	}
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		texts = append(texts, key+"="+labels[key])
	}
	return strings.Join(texts, ",")
}

// badInterface says why Linux takes no interface of that name, "" if it does.
func badInterface(name string) string {
	wrong := func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == ':' }
	if name == "" || len(name) > maxInterfaceName || name == "." || name == ".." || strings.ContainsFunc(name, wrong) {
		return fmt.Sprintf("must be the name of an interface: 1 to %d characters without blanks, slashes and colons, for example eth1", maxInterfaceName)
	}
	return ""
}
