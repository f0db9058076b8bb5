// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// ControllerConfiguration configures gardener-extension-networking-ipv6.
type ControllerConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// ClientConnection tunes the client to the seed.
	// +optional
	ClientConnection *componentbaseconfigv1alpha1.ClientConnectionConfiguration `json:"clientConnection,omitempty"`
	// GardenID is the identity of the Gardener installation. It is part of every owner key.
	// +optional
	GardenID string `json:"gardenID,omitempty"`
	// Pools are the operator's own prefixes. The keyword v6global takes from them.
	// +optional
	Pools []Pool `json:"pools,omitempty"`
	// Quarantine is how long a released prefix is kept from reuse; one hour if unset.
	// +optional
	Quarantine *metav1.Duration `json:"quarantine,omitempty"`
	// FeatureGates enables or disables features by name.
	// +optional
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
}

// Pool is a named set of prefixes that shoots' ranges are cut from.
type Pool struct {
	// Name is unique among the pools.
	Name string `json:"name"`
	// Prefixes are canonical CIDRs of global IPv6 addresses, disjoint from those of every pool.
	Prefixes []string `json:"prefixes"`
	// MinPrefixLength is the shortest length that one reservation may have; the length of the shortest prefix if unset.
	// +optional
	MinPrefixLength *int32 `json:"minPrefixLength,omitempty"`
	// MaxPrefixLength is the longest length that one reservation may have; a longer request gets this one. 120 if unset.
	// +optional
	MaxPrefixLength *int32 `json:"maxPrefixLength,omitempty"`
}
