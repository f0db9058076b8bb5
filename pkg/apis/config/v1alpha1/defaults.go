// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
	"k8s.io/utils/ptr"
)

// DefaultQuarantine is how long a released prefix is kept from reuse unless the operator says otherwise.
const DefaultQuarantine = time.Hour

// DefaultMaxPrefixLength is the longest prefix that a pool gives out unless the operator says otherwise; the keyword language
// allows no longer one.
const DefaultMaxPrefixLength int32 = 120

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_ControllerConfiguration fills in what the operator left open.
func SetDefaults_ControllerConfiguration(obj *ControllerConfiguration) {
	if obj.ClientConnection == nil {
		obj.ClientConnection = &componentbaseconfigv1alpha1.ClientConnectionConfiguration{}
	}
	if obj.Quarantine == nil {
		obj.Quarantine = &metav1.Duration{Duration: DefaultQuarantine}
	}
}

// SetDefaults_ClientConnectionConfiguration gives the client to the seed the rates that Gardener's own extensions use: one
// client serves every shoot of the seed.
func SetDefaults_ClientConnectionConfiguration(obj *componentbaseconfigv1alpha1.ClientConnectionConfiguration) {
	if obj.QPS == 0.0 {
		obj.QPS = 100.0
	}
	if obj.Burst == 0 {
		obj.Burst = 130
	}
}

// SetDefaults_Pool fills in the greatest length that a pool gives out. The least one is left open: it follows from the
// prefixes, which are only known to be prefixes after validation.
func SetDefaults_Pool(obj *Pool) {
	if obj.MaxPrefixLength == nil {
		obj.MaxPrefixLength = ptr.To(DefaultMaxPrefixLength)
	}
}

// SetDefaults_Backend restricts a backend that works with the shoots' own credentials to the shoots that have some of its kind,
// and each subnetwork of Compute Engine to its region, for a machine's addresses come from where it stands. Services do not, so the
// operator may say otherwise.
func SetDefaults_Backend(obj *Backend) {
	if obj.SecretName == nil && len(obj.ProviderTypes) == 0 && obj.Type.IsCloud() {
		obj.ProviderTypes = []string{string(obj.Type)}
	}
	if obj.Type != BackendGCP {
		return
	}
	for i := range obj.Pools {
		pool := &obj.Pools[i]
		if region := pool.SubnetworkRegion(); region != "" && len(pool.Regions) == 0 {
			pool.Regions = []string{region}
		}
	}
}
