// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// maxVNI is what the field of 24 bits takes (RFC 7348, section 5).
const maxVNI = 1<<24 - 1

func validateEncapsulation(e *v1alpha1.Encapsulation, path *field.Path) field.ErrorList {
	if e == nil {
		return nil
	}
	var errs field.ErrorList
	mode := ptr.Deref(e.Mode, v1alpha1.EncapsulationModeNever)
	errs = append(errs, validateOneOf(mode, encapsulationModes, path.Child("mode"))...)
	path = path.Child("vxlan")
	switch vxlan := e.VXLAN; {
	case vxlan == nil:
	case mode == v1alpha1.EncapsulationModeNever:
		errs = append(errs, field.Forbidden(path, "nothing is encapsulated with mode Never; set mode to Always or CrossSubnet, or leave vxlan out"))
	default:
		if vni := vxlan.VNI; vni != nil && (*vni < 1 || *vni > maxVNI) {
			errs = append(errs, field.Invalid(path.Child("vni"), *vni, fmt.Sprintf("must be from 1 to %d; without it it is 4096", maxVNI)))
		}
		errs = append(errs, validatePort(vxlan.Port, 4789, path.Child("port"))...)
	}
	return errs
}

// encapsulated tells whether some packets are.
func encapsulated(config *v1alpha1.NetworkConfig) bool {
	return config.Encapsulation != nil && ptr.Deref(config.Encapsulation.Mode, v1alpha1.EncapsulationModeNever) != v1alpha1.EncapsulationModeNever
}

func validateMTU(config *v1alpha1.NetworkConfig, path *field.Path) field.ErrorList {
	mtu, most, than := config.MTU, int32(agentconfig.MaxMTU), "their node's uplink"
	if encapsulated(config) {
		most, than = agentconfig.MaxMTU-agentconfig.EncapsulationOverhead, fmt.Sprintf("their node's uplink less up to %d for the encapsulation", agentconfig.EncapsulationOverhead)
	}
	if mtu == nil || *mtu >= agentconfig.MinMTU && *mtu <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *mtu,
		fmt.Sprintf("must be from %d, the least that carries IPv6, to %d; without it the pods get the MTU of %s", agentconfig.MinMTU, most, than))}
}

// validateEncapsulationUpdate keeps the nodes able to understand one another while their agents change over one by one.
func validateEncapsulationUpdate(updated, old *v1alpha1.NetworkConfig, path *field.Path) field.ErrorList {
	if !encapsulated(old) || !encapsulated(updated) {
		return nil
	}
	number := func(e *v1alpha1.Encapsulation, of func(*v1alpha1.VXLAN) *int32, usual int32) int32 {
		if e.VXLAN == nil {
			return usual
		}
		return ptr.Deref(of(e.VXLAN), usual)
	}
	var errs field.ErrorList
	for _, f := range []struct {
		name  string
		of    func(*v1alpha1.VXLAN) *int32
		usual int32
	}{
		{"vni", func(v *v1alpha1.VXLAN) *int32 { return v.VNI }, v1alpha1.DefaultVNI},
		{"port", func(v *v1alpha1.VXLAN) *int32 { return v.Port }, v1alpha1.DefaultVXLANPort},
	} {
		was, is := number(old.Encapsulation, f.of, f.usual), number(updated.Encapsulation, f.of, f.usual)
		if was != is {
			errs = append(errs, field.Invalid(path.Child("vxlan", f.name), is,
				fmt.Sprintf("was %d and cannot be changed while packets are encapsulated: nodes that have the new number already and nodes that have not would not understand one another", was)))
		}
	}
	return errs
}
