// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipv6

// NodePrefix says where nodes' own prefixes come from.
type NodePrefix struct {
	Sources []NodePrefixSource
}

// PrefixSource is where nodes' IPv6 prefixes come from.
type PrefixSource string

// NodePrefixSource is the source of some nodes' IPv6 prefixes.
type NodePrefixSource struct {
	Source       PrefixSource
	NodeSelector *NodeSelector
	Metadata     *MetadataSource
	Interface    *string
}

// MetadataProvider is a cloud with a metadata server.
type MetadataProvider string

// MetadataSource configures the source Metadata.
type MetadataSource struct {
	Provider *MetadataProvider
}

// NodeSelector selects nodes by their labels.
type NodeSelector struct {
	MatchLabels map[string]string
}

// LoadBalancer says which addresses Services may have that the world can reach.
type LoadBalancer struct {
	Pools     []LoadBalancerPool
	ClassOnly bool
}

// LoadBalancerPool is a pool of addresses for Services.
type LoadBalancerPool struct {
	Name     string
	Prefixes []string
}
