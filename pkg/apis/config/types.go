// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ControllerConfiguration configures gardener-extension-networking-ipv6.
type ControllerConfiguration struct {
	metav1.TypeMeta

	// ClientConnection tunes the client to the seed.
	ClientConnection *componentbaseconfigv1alpha1.ClientConnectionConfiguration
	// GardenID is the identity of the Gardener installation.
	GardenID string
	// SeedName is the name of the Seed that the extension runs in.
	SeedName string
	// Pools are the operator's own prefixes.
	Pools []Pool
	// Backends are IPAM services that prefixes are reserved in, in the order in which they are asked, after the pools.
	Backends []Backend
	// Quarantine is how long a released prefix is kept from reuse.
	Quarantine *metav1.Duration
	// FeatureGates enables or disables features by name.
	FeatureGates map[string]bool
}

// Selector restricts for which shoots and ranges a pool or a backend serves.
type Selector struct {
	ProviderTypes []string
	Regions       []string
	Seeds         []string
	Ranges        []string
}

// Pool is a named set of prefixes that shoots' ranges are cut from.
type Pool struct {
	Name            string
	Prefixes        []string
	MinPrefixLength *int32
	MaxPrefixLength *int32

	Selector
	ShootsMayName *bool
}

// BackendType is the kind of an IPAM service.
type BackendType string

// Backend is an IPAM service.
type Backend struct {
	Name string
	Type BackendType

	Selector
	ShootsMayName *bool
	Pools         []BackendPool
	SecretName    *string
	Region        *string
	Endpoint      *string
	Namespace     *string
}

// BackendPool is a pool of an IPAM service.
type BackendPool struct {
	Name            string
	ID              string
	MinPrefixLength int32
	MaxPrefixLength int32

	Selector
	ShootsMayName *bool
}
