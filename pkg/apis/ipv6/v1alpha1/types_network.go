// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// NetworkConfig is the Shoot's spec.networking.providerConfig for network type "ipv6".
type NetworkConfig struct {
	metav1.TypeMeta `json:",inline"`

	// Ranges asks for the address ranges in the keyword language (docs/keywords.md).
	// +optional
	Ranges *Ranges `json:"ranges,omitempty"`
	// IPAM names the backend or pool that v6global ranges are reserved in, where the landscape's operator allows it. Unset: the
	// operator's choice.
	// +optional
	IPAM *IPAM `json:"ipam,omitempty"`
	// NodePrefix says where nodes' own prefixes come from.
	// +optional
	NodePrefix *NodePrefix `json:"nodePrefix,omitempty"`
	// Routing says how packets find the node of a pod.
	// +optional
	Routing *Routing `json:"routing,omitempty"`
	// Encapsulation says whether pod traffic is wrapped between nodes.
	// +optional
	Encapsulation *Encapsulation `json:"encapsulation,omitempty"`
	// LoadBalancer says which addresses Services may have that the world can reach.
	// +optional
	LoadBalancer *LoadBalancer `json:"loadBalancer,omitempty"`
	// PodSupernet is a CIDR that covers every node's prefix. It is what is published as the pods range when the nodes are
	// "custom" and the Infrastructure reports no range.
	// +optional
	PodSupernet *string `json:"podSupernet,omitempty"`
	// MTU of the pods' interfaces, in bytes. Unset: taken from the node's uplink.
	// +optional
	MTU *int32 `json:"mtu,omitempty"`
	// FastPath takes packets of pods' established IPv6 connections past the nodes' network stack where the kernel can (Linux 6.6), and
	// sets two sysctls of connection tracking on the nodes. Unset: false.
	// +optional
	FastPath *bool `json:"fastPath,omitempty"`
	// Overlay is injected by the admission of some providers for every network type; only "enabled: false" is valid here.
	// +optional
	Overlay *Overlay `json:"overlay,omitempty"`
	// SnatToUpstreamDNS is injected by the admission of some providers for every network type. It has no effect: IPv6 pods are
	// never translated.
	// +optional
	SnatToUpstreamDNS *SnatToUpstreamDNS `json:"snatToUpstreamDNS,omitempty"`
}

// Ranges holds one expression of the keyword language a range.
type Ranges struct {
	// Nodes, for example "v6global/64+prefix/96".
	// +optional
	Nodes *string `json:"nodes,omitempty"`
	// Pods, for example "v6fromNode".
	// +optional
	Pods *string `json:"pods,omitempty"`
	// Services, for example "v6global/64".
	// +optional
	Services *string `json:"services,omitempty"`
}

// IPAM names where global prefixes are reserved.
type IPAM struct {
	// Backend by its name in the operator's configuration; "pool" is that of the operator's own pools.
	// +optional
	Backend *string `json:"backend,omitempty"`
	// Pool by its name.
	// +optional
	Pool *string `json:"pool,omitempty"`
}

// Overlay is the shape that other extensions' admission injects.
type Overlay struct {
	// Enabled must be false: this extension has no overlay.
	Enabled bool `json:"enabled"`
}

// SnatToUpstreamDNS is the shape that other extensions' admission injects.
type SnatToUpstreamDNS struct {
	// Enabled has no effect.
	Enabled bool `json:"enabled"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// NetworkStatus is the providerStatus of the Network resource.
type NetworkStatus struct {
	metav1.TypeMeta `json:",inline"`

	// Ranges are the ranges asked for, reserved and published, in the order nodes, pods, services.
	// +optional
	Ranges []RangeStatus `json:"ranges,omitempty"`
	// NodePrefixLength is the length of each node's prefix (IPv6), 0 if nodes get none.
	// +optional
	NodePrefixLength int32 `json:"nodePrefixLength,omitempty"`
	// PodPrefixLength is the length of each node's pod range (IPv6).
	// +optional
	PodPrefixLength int32 `json:"podPrefixLength,omitempty"`
}

// RangeStatus tells what one range asked for and what it got.
type RangeStatus struct {
	// Name is nodes, pods or services.
	Name RangeName `json:"name"`
	// Requested is the canonical expression.
	Requested string `json:"requested"`
	// Reserved are the prefixes that the IPAM gave, one a family.
	// +optional
	Reserved []string `json:"reserved,omitempty"`
	// Published are the CIDRs handed to Kubernetes, one a family.
	// +optional
	Published []string `json:"published,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// NetworkState is what Network.status.state carries across a control-plane migration.
type NetworkState struct {
	metav1.TypeMeta `json:",inline"`

	// Reservations are the shoot's reservations, as they were when the state was written.
	// +optional
	Reservations []ReservationState `json:"reservations,omitempty"`
}

// ReservationState is a reservation without its object's metadata.
type ReservationState struct {
	// Name of the PrefixReservation.
	Name string `json:"name"`
	// Spec of the PrefixReservation.
	Spec PrefixReservationSpec `json:"spec"`
	// Status of the PrefixReservation, conditions left out.
	Status PrefixReservationStatus `json:"status"`
}
