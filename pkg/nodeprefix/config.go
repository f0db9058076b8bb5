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
	Ranges []Range `json:"ranges"`
}

// Range says how the pod ranges of one family are made.
type Range struct {
	// Family is IPv6 or IPv4.
	Family string `json:"family"`
	// Pool is the prefix that nodes' prefixes are cut from: the published nodes range if the pods come from the node's own prefix,
	// else the published pods range.
	Pool netip.Prefix `json:"pool"`
	// NodeBits is the length of each node's prefix.
	NodeBits int `json:"nodeBits"`
	// PodBits is the length of the node's pod range, at least NodeBits. Equal: the whole prefix is for pods.
	PodBits int `json:"podBits"`
	// PodChild is the index of the pods' child in the node's prefix; -1: the highest that holds no address of the node.
	PodChild int `json:"podChild"`
	// HoldsNodes is true if nodes have addresses of their own in Pool: then no prefix is given out that holds a node's address, nor the
	// first one, where gateways and nodes live.
	HoldsNodes bool `json:"holdsNodes,omitempty"`
}
