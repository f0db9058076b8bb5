// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_NetworkConfig fills in how packets travel where the Shoot owner left it open. The ranges have no defaults: what
// an absent range means depends on the others and is the plan's business.
func SetDefaults_NetworkConfig(obj *NetworkConfig) {
	if obj.Routing == nil {
		obj.Routing = &Routing{}
	}
	if obj.Routing.Mode == nil {
		obj.Routing.Mode = ptr.To(RoutingModeDirect)
	}
	if obj.Encapsulation == nil {
		obj.Encapsulation = &Encapsulation{}
	}
	if obj.Encapsulation.Mode == nil {
		obj.Encapsulation.Mode = ptr.To(EncapsulationModeNever)
	}
}
