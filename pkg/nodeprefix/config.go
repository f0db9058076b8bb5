// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package nodeprefix decides which prefix each node gets and which part of it the node's pods use. It is pure.
package nodeprefix

import "net/netip"

// ConfigAPIVersion is the version of the configuration file of ipv6-ipam-controller.
const ConfigAPIVersion = "ipam.ipv6.networking.extensions.gardener.cloud/v1"

// Config is the configuration file of ipv6-ipam-controller.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"` // IPAMConfiguration
	// Ranges, one a family of the pods, primary family first: the order of Node.spec.podCIDRs.
	// None, if somebody else gives nodes their pod ranges and only LoadBalancerPools are of use.
	Ranges []Range `json:"ranges"`
	// Sources say who gives nodes their own IPv6 prefixes. The first entry that matches a node counts; a node that none matches gets
	// its prefix from Pool. IPv4 ranges are always cut from Pool.
	Sources []Source `json:"sources,omitempty"`
	// LoadBalancerPools hold the addresses for Services of type LoadBalancer; none: somebody else gives those out.
	LoadBalancerPools []LoadBalancerPool `json:"loadBalancerPools,omitempty"`
	// LoadBalancerClassOnly leaves Services without spec.loadBalancerClass to the load balancer controller of the cloud.
	LoadBalancerClassOnly bool `json:"loadBalancerClassOnly,omitempty"`
}

// Origin of nodes' prefixes.
type Origin string

// The origins.
const (
	// FromPool: this controller cuts them from Range.Pool.
	FromPool Origin = "Pool"
	// FromNode: each node reports its own in AnnotationReportedPrefix, because its infrastructure gave it one.
	FromNode Origin = "Node"
	// FromElsewhere: somebody else writes Node.spec.podCIDRs; they are only checked.
	FromElsewhere Origin = "Elsewhere"
)

// The scopes of Range.Scope.
const (
	// ScopeGlobal unicast addresses (RFC 4291).
	ScopeGlobal = "Global"
	// ScopeUniqueLocal addresses (RFC 4193).
	ScopeUniqueLocal = "UniqueLocal"
)

// Source says who gives some nodes their prefixes.
type Source struct {
	Origin Origin `json:"origin"`
	// MatchLabels of the nodes that it is for; every node if empty.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// Range says how the pod ranges of one family are made.
type Range struct {
	// Family is IPv6 or IPv4.
	Family string `json:"family"`
	// Pool is the prefix that nodes' prefixes are cut from: the published nodes range if the pods come from the node's own prefix,
	// else the published pods range. The zero value, if no node gets its prefix from it.
	Pool netip.Prefix `json:"pool"`
	// NodeBits is the length of each node's prefix.
	NodeBits int `json:"nodeBits"`
	// PodBits is the length of the node's pod range, at least NodeBits. Equal: the whole prefix is for pods.
	PodBits int `json:"podBits"`
	// PodChild is the index of the pods' child in the node's prefix; -1: the highest that holds no address of the node.
	PodChild int `json:"podChild"`
	// Within are the prefixes that hold every prefix that a node may report; none: any of the Scope.
	Within []netip.Prefix `json:"within,omitempty"`
	// Scope that a reported prefix must have, Global or UniqueLocal; empty: either.
	Scope string `json:"scope,omitempty"`
	// HoldsNodes is true if nodes have addresses of their own in Pool: then no prefix is given out that holds a node's address, nor the
	// first one, where gateways and nodes live.
	HoldsNodes bool `json:"holdsNodes,omitempty"`
}

// Annotations of a node that its own agent writes, and nobody else.
const (
	// AnnotationReportedPrefix are the prefixes that the node's infrastructure gave it, comma-separated.
	AnnotationReportedPrefix = "ipv6.networking.extensions.gardener.cloud/reported-node-prefix"
	// AnnotationPrefixSource tells people where it is from, or why there is none.
	AnnotationPrefixSource = "ipv6.networking.extensions.gardener.cloud/node-prefix-source"
)
