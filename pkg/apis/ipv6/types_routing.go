// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipv6

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoutingMode says who knows the way to a node's prefix.
type RoutingMode string

// Routing configures how packets find the node of a pod.
type Routing struct {
	Mode *RoutingMode
	BGP  *BGP
}

// BGP says which routers the nodes speak to, and what they tell them.
type BGP struct {
	ASN             int64
	Peers           []BGPPeer
	NodeMesh        bool
	GracefulRestart *GracefulRestart
	Advertise       *Advertise
}

// GracefulRestart configures RFC 4724.
type GracefulRestart struct {
	Enabled     *bool
	RestartTime *metav1.Duration
}

// Advertise says what the routers are told.
type Advertise struct {
	NodePrefixes    *bool
	ServiceRange    *bool
	ClusterIPs      *bool
	LoadBalancerIPs *bool
	ExternalIPs     *bool
}

// IPFamily is IPv6 or IPv4.
type IPFamily string

// ImportMode says which routes of a peer a node takes.
type ImportMode string

// BGPPeer is a router, or the default gateways of the nodes.
type BGPPeer struct {
	Address            *string
	DefaultGateway     bool
	ASN                int64
	Port               *int32
	EBGPMultihop       *int32
	Passive            bool
	PasswordSecretName *string
	HoldTime           *metav1.Duration
	ConnectRetryTime   *metav1.Duration
	Families           []IPFamily
	Import             *ImportMode
	ImportLimit        *int64
	Communities        []string
	LocalPreference    *int64
	NodeSelector       *NodeSelector
}

// EncapsulationMode says whether pod traffic is wrapped between nodes.
type EncapsulationMode string

// Encapsulation configures whether pod traffic is wrapped between nodes.
type Encapsulation struct {
	Mode  *EncapsulationMode
	VXLAN *VXLAN
}

// VXLAN configures RFC 7348.
type VXLAN struct {
	VNI  *int32
	Port *int32
}
