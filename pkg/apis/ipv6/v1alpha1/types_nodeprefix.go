// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// NodePrefix says where nodes' own prefixes come from.
type NodePrefix struct {
	// Sources by node: the first entry that selects a node counts. A node that none selects gets its prefix from the pool. Without any
	// entry the provider type of the Shoot decides.
	// +optional
	Sources []NodePrefixSource `json:"sources,omitempty"`
}

// PrefixSource is where nodes' IPv6 prefixes come from.
type PrefixSource string

const (
	// SourcePool means that each node's prefix is cut from a range of the cluster.
	SourcePool PrefixSource = "Pool"
	// SourceMetadata means that each node asks the metadata server of its cloud.
	SourceMetadata PrefixSource = "Metadata"
	// SourceDHCPv6PD means that each node asks a DHCPv6 server to delegate it a prefix (RFC 8415).
	SourceDHCPv6PD PrefixSource = "DHCPv6PD"
	// SourceInterface means that each node uses the prefix that a router advertises on its link (RFC 4861).
	SourceInterface PrefixSource = "Interface"
	// SourceCustom means that somebody else writes Node.spec.podCIDRs.
	SourceCustom PrefixSource = "Custom"
)

// NodePrefixSource is the source of some nodes' IPv6 prefixes.
type NodePrefixSource struct {
	// Source is Pool (cut from a range of the cluster), Metadata (the metadata server of the node's cloud), DHCPv6PD (delegated by a DHCPv6
	// server), Interface (the prefix that a router advertises on the node's link) or Custom (somebody else writes Node.spec.podCIDRs).
	Source PrefixSource `json:"source"`
	// NodeSelector selects the nodes; by default all of them.
	// +optional
	NodeSelector *NodeSelector `json:"nodeSelector,omitempty"`
	// Metadata configures the source Metadata.
	// +optional
	Metadata *MetadataSource `json:"metadata,omitempty"`
	// Interface of the node, for the sources DHCPv6PD and Interface. By default it is that of the default route.
	// +optional
	Interface *string `json:"interface,omitempty"`
}

// MetadataProvider is a cloud with a metadata server.
type MetadataProvider string

const (
	// MetadataAWS is Amazon Web Services (IMDSv2).
	MetadataAWS MetadataProvider = "aws"
	// MetadataGCP is Google Compute Engine.
	MetadataGCP MetadataProvider = "gcp"
	// MetadataOpenStack is OpenStack Nova.
	MetadataOpenStack MetadataProvider = "openstack"
	// MetadataHetzner is Hetzner Cloud.
	MetadataHetzner MetadataProvider = "hetzner"
	// MetadataAzure is Microsoft Azure.
	MetadataAzure MetadataProvider = "azure"
)

// MetadataSource configures the source Metadata.
type MetadataSource struct {
	// Provider is aws, gcp, openstack, hetzner or azure; by default the provider type of the Shoot.
	// +optional
	Provider *MetadataProvider `json:"provider,omitempty"`
}

// NodeSelector selects nodes by their labels.
type NodeSelector struct {
	// MatchLabels are labels that a node must have, with these values.
	// +optional
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// LoadBalancer says which addresses Services may have that the world can reach.
type LoadBalancer struct {
	// Pools of addresses. Services of type LoadBalancer get theirs from them; and no address outside of them is announced to routers.
	// +optional
	Pools []LoadBalancerPool `json:"pools,omitempty"`
	// ClassOnly leaves Services without spec.loadBalancerClass to somebody else, for example the load balancers of the cloud. By default
	// the pools are for them, too.
	// +optional
	ClassOnly bool `json:"classOnly,omitempty"`
}

// LoadBalancerPool is a pool of addresses for Services.
type LoadBalancerPool struct {
	// Name of the pool: lower-case letters, digits and "-".
	Name string `json:"name"`
	// Prefixes of the pool, for example 2001:db8:5::/112. They are the owner's: nothing reserves them.
	Prefixes []string `json:"prefixes"`
}
