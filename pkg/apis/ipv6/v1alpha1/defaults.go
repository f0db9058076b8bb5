// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Defaults of the encapsulation.
const (
	DefaultVNI = 4096
	// DefaultVXLANPort is that of RFC 7348, section 5.
	DefaultVXLANPort = 4789
)

const (
	defaultBGPPort          = 179
	defaultHoldTime         = 90 * time.Second
	defaultConnectRetryTime = 5 * time.Second
	defaultRestartTime      = 120 * time.Second
	defaultImportLimit      = 1000
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_NetworkConfig fills in how packets travel where the Shoot owner left it open. The ranges have no defaults: what
// an absent range means depends on the others and is the plan's business; nor have the sources of nodes' prefixes, which depend on the
// Shoot's provider.
func SetDefaults_NetworkConfig(obj *NetworkConfig) {
	if obj.Routing == nil {
		obj.Routing = &Routing{}
	}
	setDefault(&obj.Routing.Mode, RoutingModeDirect)
	if obj.Encapsulation == nil {
		obj.Encapsulation = &Encapsulation{}
	}
	setDefault(&obj.Encapsulation.Mode, EncapsulationModeNever)
	if mode := *obj.Encapsulation.Mode; obj.Encapsulation.VXLAN == nil && (mode == EncapsulationModeAlways || mode == EncapsulationModeCrossSubnet) {
		obj.Encapsulation.VXLAN = &VXLAN{}
	}
}

// SetDefaults_VXLAN fills in the usual numbers.
func SetDefaults_VXLAN(obj *VXLAN) {
	setDefault(&obj.VNI, DefaultVNI)
	setDefault(&obj.Port, DefaultVXLANPort)
}

// SetDefaults_BGP keeps the routes while an agent restarts, and announces what nobody can misuse.
func SetDefaults_BGP(obj *BGP) {
	if obj.GracefulRestart == nil {
		obj.GracefulRestart = &GracefulRestart{}
	}
	if obj.Advertise == nil {
		obj.Advertise = &Advertise{}
	}
}

// SetDefaults_GracefulRestart switches it on: a router that does not know it loses nothing by it.
func SetDefaults_GracefulRestart(obj *GracefulRestart) {
	setDefault(&obj.Enabled, true)
	if *obj.Enabled {
		setDefault(&obj.RestartTime, metav1.Duration{Duration: defaultRestartTime})
	}
}

// SetDefaults_Advertise announces pods and load balancers' addresses. Services are for inside unless their owner says otherwise.
func SetDefaults_Advertise(obj *Advertise) {
	setDefault(&obj.NodePrefixes, true)
	setDefault(&obj.ServiceRange, false)
	setDefault(&obj.ClusterIPs, false)
	setDefault(&obj.LoadBalancerIPs, true)
	setDefault(&obj.ExternalIPs, false)
}

// SetDefaults_BGPPeer fills in the timers, and takes no routes.
func SetDefaults_BGPPeer(obj *BGPPeer) {
	setDefault(&obj.Port, defaultBGPPort)
	setDefault(&obj.HoldTime, metav1.Duration{Duration: defaultHoldTime})
	setDefault(&obj.ConnectRetryTime, metav1.Duration{Duration: defaultConnectRetryTime})
	setDefault(&obj.Import, ImportNone)
	if *obj.Import != ImportNone {
		setDefault(&obj.ImportLimit, defaultImportLimit)
	}
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
