// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipv6

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NetworkConfig is the Shoot's spec.networking.providerConfig for network type "ipv6".
type NetworkConfig struct {
	metav1.TypeMeta

	// Ranges asks for the address ranges in the keyword language.
	Ranges *Ranges
	// IPAM names the backend or pool that v6global ranges are reserved in.
	IPAM *IPAM
	// NodePrefix says where nodes' own prefixes come from.
	NodePrefix *NodePrefix
	// Routing says how packets find the node of a pod.
	Routing *Routing
	// Encapsulation says whether pod traffic is wrapped between nodes.
	Encapsulation *Encapsulation
	// LoadBalancer says which addresses Services may have that the world can reach.
	LoadBalancer *LoadBalancer
	// PodSupernet is a CIDR that covers every node's prefix.
	PodSupernet *string
	// MTU of the pods' interfaces, in bytes.
	MTU *int32
	// FastPath takes packets of pods' established IPv6 connections past the nodes' network stack where the kernel can (Linux 6.6), and
	// sets two sysctls of connection tracking on the nodes. Unset: false.
	FastPath *bool
	// Overlay is injected by the admission of some providers.
	Overlay *Overlay
	// SnatToUpstreamDNS is injected by the admission of some providers.
	SnatToUpstreamDNS *SnatToUpstreamDNS
}

// Ranges holds one expression of the keyword language a range.
type Ranges struct {
	Nodes    *string
	Pods     *string
	Services *string
}

// IPAM names where global prefixes are reserved.
type IPAM struct {
	Backend *string
	Pool    *string
}

// Overlay is the shape that other extensions' admission injects.
type Overlay struct {
	Enabled bool
}

// SnatToUpstreamDNS is the shape that other extensions' admission injects.
type SnatToUpstreamDNS struct {
	Enabled bool
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NetworkStatus is the providerStatus of the Network resource.
type NetworkStatus struct {
	metav1.TypeMeta

	// Ranges are the ranges asked for, reserved and published.
	Ranges []RangeStatus
	// NodePrefixLength is the length of each node's prefix (IPv6), 0 if nodes get none.
	NodePrefixLength int32
	// PodPrefixLength is the length of each node's pod range (IPv6).
	PodPrefixLength int32
}

// RangeName names one of a Shoot's three ranges.
type RangeName string

// RangeStatus tells what one range asked for and what it got.
type RangeStatus struct {
	Name      RangeName
	Requested string
	Reserved  []string
	Published []string
}
