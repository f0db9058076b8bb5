// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"slices"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// notNamed are the backends that a Shoot never names.
var notNamed = map[string]string{
	"ula":     "what is private is drawn at random; ask for it with v6private",
	"adopted": "what the infrastructure provider reports is taken by itself; ask for it with custom",
}

// validateIPAMNames judges the form of the names. Whether the operator has such a backend or pool, and lets Shoots name it, is
// only known in the seed: there the Shoot is told.
func validateIPAMNames(ipam *v1alpha1.IPAM, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range []struct {
		value *string
		path  *field.Path
	}{{ipam.Backend, path.Child("backend")}, {ipam.Pool, path.Child("pool")}} {
		if name.value == nil {
			continue
		}
		if problems := utilvalidation.IsDNS1123Label(*name.value); len(problems) > 0 {
			errs = append(errs, field.Invalid(name.path, *name.value, "must be a name that the landscape's operator published, or be left out for the operator's choice: "+strings.Join(problems, "; ")))
		}
	}
	if backend := ptr.Deref(ipam.Backend, ""); notNamed[backend] != "" {
		errs = append(errs, field.Invalid(path.Child("backend"), backend, "names no place to reserve global prefixes in: "+notNamed[backend]))
	}
	return errs
}

// ValidateIPAM reports an ipam that nothing follows: nothing is reserved in a backend but v6global ranges.
func ValidateIPAM(ipam *v1alpha1.IPAM, ranges keyword.Ranges, path *field.Path) field.ErrorList {
	if ipam == nil || *ipam == (v1alpha1.IPAM{}) || hasGlobal(ranges) {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, "tells where v6global ranges are reserved, and no range is v6global; leave it out, or ask for example for services v6global/64")}
}

// ValidateIPAMUpdate reports a change of ipam after ranges were reserved: was are the ranges before the update.
func ValidateIPAMUpdate(updated, old *v1alpha1.IPAM, was keyword.Ranges, path *field.Path) field.ErrorList {
	if !hasGlobal(was) {
		return nil
	}
	var errs field.ErrorList
	before, after := ptr.Deref(old, v1alpha1.IPAM{}), ptr.Deref(updated, v1alpha1.IPAM{})
	for _, name := range []struct {
		before, after *string
		path          *field.Path
	}{{before.Backend, after.Backend, path.Child("backend")}, {before.Pool, after.Pool, path.Child("pool")}} {
		switch {
		case ptr.Equal(name.before, name.after):
		case name.before == nil:
			errs = append(errs, field.Invalid(name.path, *name.after, "was the operator's choice and cannot be given later: the ranges are reserved already"))
		case name.after == nil:
			errs = append(errs, field.Required(name.path, fmt.Sprintf("was %s and cannot be taken back: the ranges are reserved already", *name.before)))
		default:
			errs = append(errs, field.Invalid(name.path, *name.after, fmt.Sprintf("was %s and cannot be changed: the ranges are reserved already", *name.before)))
		}
	}
	return errs
}

func hasGlobal(ranges keyword.Ranges) bool {
	return slices.ContainsFunc(keyword.Names(), func(n keyword.Name) bool {
		r := ranges.Get(n)
		return r != nil && slices.ContainsFunc(r.Values, func(v keyword.Value) bool { return v.Word == keyword.V6Global })
	})
}
