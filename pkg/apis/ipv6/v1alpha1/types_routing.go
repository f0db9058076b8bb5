// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoutingMode says who knows the way to a node's prefix.
type RoutingMode string

const (
	// RoutingModeRouted means that the infrastructure routes each node's prefix to its node.
	RoutingModeRouted RoutingMode = "Routed"
	// RoutingModeDirect means that the nodes share a link; the agent adds routes via its peers' addresses.
	RoutingModeDirect RoutingMode = "Direct"
	// RoutingModeBGP means that each node tells its routers of its prefix.
	RoutingModeBGP RoutingMode = "BGP"
)

// Routing configures how packets find the node of a pod.
type Routing struct {
	// Mode is Direct (the default: the nodes share a link), Routed (the infrastructure routes each node's prefix to its node), or BGP
	// (each node tells its routers of its prefix).
	// +optional
	Mode *RoutingMode `json:"mode,omitempty"`
	// BGP says which routers the nodes speak to, and what they tell them. It is given with mode BGP, and only then.
	// +optional
	BGP *BGP `json:"bgp,omitempty"`
}

// BGP says which routers the nodes speak to, and what they tell them.
type BGP struct {
	// ASN is the autonomous system number of all nodes, 1 to 4294967294; private ones are 64512 to 65534 and 4200000000 to 4294967294
	// (RFC 6996). A peer with the same number is an internal one.
	ASN int64 `json:"asn"`
	// Peers are the routers. A node holds a session with each that its labels match.
	// +optional
	Peers []BGPPeer `json:"peers,omitempty"`
	// NodeMesh makes every node an internal peer of every other, so that nodes that share no link know the ways to one another's pods.
	// +optional
	NodeMesh bool `json:"nodeMesh,omitempty"`
	// GracefulRestart keeps the nodes' routes in the routers while the agent of a node is restarted.
	// +optional
	GracefulRestart *GracefulRestart `json:"gracefulRestart,omitempty"`
	// Advertise says what the routers are told.
	// +optional
	Advertise *Advertise `json:"advertise,omitempty"`
}

// GracefulRestart configures RFC 4724.
type GracefulRestart struct {
	// Enabled is true by default. The routers need it, too.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// RestartTime is how long routers keep the routes of a node whose agent is away: 1s to 4095s in whole seconds; 120s by default.
	// +optional
	RestartTime *metav1.Duration `json:"restartTime,omitempty"`
}

// Advertise says what the routers are told.
type Advertise struct {
	// NodePrefixes: each node's pod range. True by default.
	// +optional
	NodePrefixes *bool `json:"nodePrefixes,omitempty"`
	// ServiceRange: the ranges of Services as a whole, by every node, so that cluster IPs can be reached from outside. The routers spread
	// the connections over the nodes. False by default.
	// +optional
	ServiceRange *bool `json:"serviceRange,omitempty"`
	// ClusterIPs: each cluster IP by itself, while it has ready endpoints. False by default.
	// +optional
	ClusterIPs *bool `json:"clusterIPs,omitempty"`
	// LoadBalancerIPs: the addresses of Services of type LoadBalancer, if they are in loadBalancer.pools. True by default.
	// +optional
	LoadBalancerIPs *bool `json:"loadBalancerIPs,omitempty"`
	// ExternalIPs: the addresses in spec.externalIPs of Services, if they are in loadBalancer.pools. False by default.
	// +optional
	ExternalIPs *bool `json:"externalIPs,omitempty"`
}

// ImportMode says which routes of a peer a node takes.
type ImportMode string

const (
	// ImportNone means that the node takes no route of the peer.
	ImportNone ImportMode = "None"
	// ImportDefault means that the node takes the default routes ::/0 and 0.0.0.0/0 of the peer, and no other.
	ImportDefault ImportMode = "Default"
	// ImportAll means that the node takes all routes of the peer.
	ImportAll ImportMode = "All"
)

// BGPPeer is a router, or the default gateways of the nodes.
type BGPPeer struct {
	// Address of the router. An address of the link (fe80::/10) has the interface of the nodes behind it: "fe80::1%eth0". Either address
	// or defaultGateway is given.
	// +optional
	Address *string `json:"address,omitempty"`
	// DefaultGateway means that each node's peers are its default gateways, one a family.
	// +optional
	DefaultGateway bool `json:"defaultGateway,omitempty"`
	// ASN is the peer's autonomous system number; that of the nodes makes it an internal peer.
	ASN int64 `json:"asn"`
	// Port of the peer; 179 by default.
	// +optional
	Port *int32 `json:"port,omitempty"`
	// EBGPMultihop is the number of hops that an external peer may be away, 1 to 255. By default it is on the node's link.
	// +optional
	EBGPMultihop *int32 `json:"ebgpMultihop,omitempty"`
	// Passive means that the peer connects to the nodes, and they do not connect to it.
	// +optional
	Passive bool `json:"passive,omitempty"`
	// PasswordSecretName is the name of a Secret in the namespace kube-system of the Shoot. Its key "password" holds the password of the
	// session (TCP MD5, RFC 2385) of at most 80 bytes. Without the Secret there is no session.
	// +optional
	PasswordSecretName *string `json:"passwordSecretName,omitempty"`
	// HoldTime after which a silent peer counts as gone: 3s to 65535s in whole seconds; 90s by default.
	// +optional
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`
	// ConnectRetryTime between two attempts to connect: 1s to 65535s in whole seconds; 5s by default.
	// +optional
	ConnectRetryTime *metav1.Duration `json:"connectRetryTime,omitempty"`
	// Families of addresses that the session carries, IPv6 or IPv4 or both; by default that of the peer's own address.
	// +optional
	Families []IPFamily `json:"families,omitempty"`
	// Import says which of the peer's routes the node takes: None (the default), Default (default routes only), or All.
	// +optional
	Import *ImportMode `json:"import,omitempty"`
	// ImportLimit is the number of routes a family that the node takes from the peer; more of them end the session. 1000 by default.
	// +optional
	ImportLimit *int64 `json:"importLimit,omitempty"`
	// Communities that everything told to this peer bears: "65000:100", or no-export, no-advertise, no-peer.
	// +optional
	Communities []string `json:"communities,omitempty"`
	// LocalPreference of everything told to this peer, which must be an internal one; 100 by default.
	// +optional
	LocalPreference *int64 `json:"localPreference,omitempty"`
	// NodeSelector selects the nodes that have this peer; by default all of them.
	// +optional
	NodeSelector *NodeSelector `json:"nodeSelector,omitempty"`
}

// EncapsulationMode says whether pod traffic is wrapped between nodes.
type EncapsulationMode string

const (
	// EncapsulationModeNever means native routing.
	EncapsulationModeNever EncapsulationMode = "Never"
	// EncapsulationModeAlways wraps all packets between pods of different nodes.
	EncapsulationModeAlways EncapsulationMode = "Always"
	// EncapsulationModeCrossSubnet wraps only what cannot be routed natively: to nodes behind a router, or in a family that the nodes
	// have no addresses of.
	EncapsulationModeCrossSubnet EncapsulationMode = "CrossSubnet"
)

// Encapsulation configures whether pod traffic is wrapped between nodes.
type Encapsulation struct {
	// Mode is Never (the default), Always, or CrossSubnet. With Always or CrossSubnet pods may have a family of addresses that the nodes
	// lack.
	// +optional
	Mode *EncapsulationMode `json:"mode,omitempty"`
	// VXLAN configures the encapsulation. It is only given with mode Always or CrossSubnet.
	// +optional
	VXLAN *VXLAN `json:"vxlan,omitempty"`
}

// VXLAN configures RFC 7348.
type VXLAN struct {
	// VNI is the VXLAN network identifier, 1 to 16777215; 4096 by default.
	// +optional
	VNI *int32 `json:"vni,omitempty"`
	// Port is the UDP port; 4789 by default. The nodes' firewalls must let it through from node to node.
	// +optional
	Port *int32 `json:"port,omitempty"`
}
