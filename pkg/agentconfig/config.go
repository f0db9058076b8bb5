// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package agentconfig is the versioned configuration of ipv6-agent: the file that the extension renders into the shoot and the
// agent reads. An agent accepts its own version and the one before (N-1).
package agentconfig

// APIVersion is the version that Encode writes.
const APIVersion = "agent.ipv6.networking.extensions.gardener.cloud/v1"

// Kind of the document.
const Kind = "AgentConfiguration"

// RoutingMode says who knows the way to a node's prefix.
type RoutingMode string

// The routing modes.
const (
	Routed RoutingMode = "Routed"
	Direct RoutingMode = "Direct"
	// BGP: the node tells its routers of its prefix, and learns from them what it is configured to.
	BGP RoutingMode = "BGP"
)

// Config is the agent's configuration.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// RoutingMode is Routed, Direct or BGP.
	RoutingMode RoutingMode `json:"routingMode"`
	// IPFamilies of the pods, primary first: "IPv6", "IPv4".
	IPFamilies []string `json:"ipFamilies"`
	// NodePrefixLengthIPv6 is the length of each node's own prefix, which holds its pod range; 0 if nodes have none. Routes between
	// nodes cover the node's prefix, or its pod range if there is none.
	NodePrefixLengthIPv6 int `json:"nodePrefixLengthIPv6,omitempty"`
	// MTU of the pods' interfaces in bytes; 0: the uplink's.
	MTU int `json:"mtu,omitempty"`
	// MasqueradeIPv4 translates IPv4 pods on the way out of the cluster. IPv6 never is.
	MasqueradeIPv4 bool `json:"masqueradeIPv4,omitempty"`
	// NonMasqueradeCIDRs are destinations to which IPv4 pods keep their address (pods, nodes, services of the cluster).
	NonMasqueradeCIDRs []string `json:"nonMasqueradeCIDRs,omitempty"`
	// ServiceCIDRs hold every cluster IP.
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`
	// NodePrefixSources say where nodes find their own IPv6 prefixes. The first entry that matches a node counts; a node that none
	// matches gets its prefix from the pool, that is from ipv6-ipam-controller.
	NodePrefixSources []NodePrefixSource `json:"nodePrefixSources,omitempty"`
	// Encapsulation of packets between nodes; nil: none.
	Encapsulation *Encapsulation `json:"encapsulation,omitempty"`
	// BGP is there if, and only if, RoutingMode is BGP.
	BGP *BGPConfig `json:"bgp,omitempty"`
	// LoadBalancerCIDRs hold the LoadBalancer and external addresses that may be announced.
	LoadBalancerCIDRs []string `json:"loadBalancerCIDRs,omitempty"`
	// FastPath takes established connections of IPv6 pods past the node's stack, where the kernel can.
	FastPath bool `json:"fastPath,omitempty"`
}

// PrefixSource is where a node's own prefix comes from.
type PrefixSource string

// The sources.
const (
	// SourcePool: ipv6-ipam-controller cuts it from a range of the cluster; the node does nothing.
	SourcePool PrefixSource = "Pool"
	// SourceMetadata: the metadata server of the node's cloud tells it.
	SourceMetadata PrefixSource = "Metadata"
	// SourceDHCPv6PD: a DHCPv6 server delegates it (RFC 8415).
	SourceDHCPv6PD PrefixSource = "DHCPv6PD"
	// SourceInterface: it is the on-link prefix that a router advertises (RFC 4861).
	SourceInterface PrefixSource = "Interface"
	// SourceCustom: somebody else writes Node.spec.podCIDRs.
	SourceCustom PrefixSource = "Custom"
)

// Reported tells whether nodes ask the source for prefixes of their own, and report them.
func (s PrefixSource) Reported() bool { return s != SourcePool && s != SourceCustom }

// NodePrefixSource is the source of some nodes' prefixes.
type NodePrefixSource struct {
	Source PrefixSource `json:"source"`
	// MatchLabels of the nodes that it is for; every node if empty.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
	// Provider of the metadata server, for Metadata only: aws, gcp, openstack, hetzner or azure.
	Provider string `json:"provider,omitempty"`
	// Interface, for DHCPv6PD and Interface only; empty: the uplink.
	Interface string `json:"interface,omitempty"`
}

// EncapsulationMode says which packets between nodes are wrapped.
type EncapsulationMode string

// The encapsulation modes.
const (
	// EncapsulationAlways wraps all pod traffic to other nodes.
	EncapsulationAlways EncapsulationMode = "Always"
	// EncapsulationCrossSubnet wraps what cannot be routed natively: to nodes behind a router, or in a family that the nodes lack.
	EncapsulationCrossSubnet EncapsulationMode = "CrossSubnet"
)

// Encapsulation is VXLAN (RFC 7348) between the nodes.
type Encapsulation struct {
	Mode EncapsulationMode `json:"mode"`
	// VNI is the VXLAN network identifier, 1 to 16777215.
	VNI int `json:"vni"`
	// Port is the UDP port.
	Port int `json:"port"`
}

// BGPConfig is what all nodes have in common; which peers are a node's own, its labels say.
type BGPConfig struct {
	// ASN of every node.
	ASN   uint32    `json:"asn"`
	Peers []BGPPeer `json:"peers,omitempty"`
	// NodeMesh makes every other node an internal peer.
	NodeMesh bool `json:"nodeMesh,omitempty"`
	// GracefulRestartSeconds that peers keep the node's routes while its agent is away (RFC 4724), 1 to 4095; 0: no graceful restart.
	GracefulRestartSeconds int `json:"gracefulRestartSeconds,omitempty"`
	// Advertise says what is announced.
	Advertise Advertise `json:"advertise"`
}

// Advertise says which kinds of prefixes are announced.
type Advertise struct {
	NodePrefixes    bool `json:"nodePrefixes,omitempty"`
	ServiceRange    bool `json:"serviceRange,omitempty"`
	ClusterIPs      bool `json:"clusterIPs,omitempty"`
	LoadBalancerIPs bool `json:"loadBalancerIPs,omitempty"`
	ExternalIPs     bool `json:"externalIPs,omitempty"`
}

// BGPPeer is a router. Zero values are defaults.
type BGPPeer struct {
	// Address of the router, an address of the link with its interface as zone; empty with DefaultGateway.
	Address string `json:"address,omitempty"`
	// DefaultGateway: the peers are the node's default gateways.
	DefaultGateway bool   `json:"defaultGateway,omitempty"`
	ASN            uint32 `json:"asn"`
	Port           int    `json:"port,omitempty"`
	// MultihopTTL is the number of hops that an external peer may be away; 0: on the link.
	MultihopTTL int  `json:"multihopTTL,omitempty"`
	Passive     bool `json:"passive,omitempty"`
	// PasswordSecret names a Secret in the namespace kube-system with the key "password", for TCP MD5 (RFC 2385).
	PasswordSecret      string `json:"passwordSecret,omitempty"`
	HoldTimeSeconds     int    `json:"holdTimeSeconds,omitempty"`
	ConnectRetrySeconds int    `json:"connectRetrySeconds,omitempty"`
	// Families of the session, "IPv6", "IPv4"; empty: those of the pods that the address' own family carries.
	Families []string `json:"families,omitempty"`
	// Import is None (also if empty), Default or All.
	Import string `json:"import,omitempty"`
	// ImportLimit is the number of routes a family at which no more are taken; 0: no limit.
	ImportLimit uint32 `json:"importLimit,omitempty"`
	// Communities as in "65000:100", or "no-export", "no-advertise", "no-peer".
	Communities []string `json:"communities,omitempty"`
	// LocalPreference of what an internal peer is told.
	LocalPreference uint32 `json:"localPreference,omitempty"`
	// MatchLabels of the nodes that have this peer; every node if empty.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}
