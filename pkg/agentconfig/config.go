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
)

// Config is the agent's configuration.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// RoutingMode is Routed or Direct.
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
}
