// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package plan decides, from the parsed ranges of a Shoot and what is known of its surroundings, what to reserve, what to
// publish and what a person should be warned of. It is pure: no clock, no network, no Kubernetes.
package plan

import (
	"net/netip"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Scope of a request.
type Scope string

// The scopes.
const (
	Global  Scope = "Global"
	Private Scope = "Private"
)

// Encapsulation modes that matter to a plan.
const (
	EncapsulationNever = "Never"
	EncapsulationVXLAN = "VXLAN"
)

// Key names a range of one family.
type Key struct {
	Range  keyword.Name
	Family prefix.Family
}

// Facts are what a plan depends on beside the ranges. The zero value is a Shoot of which nothing else is known.
type Facts struct {
	// NetworkType of the Shoot: ipv6, calico, cilium.
	NetworkType string
	// IPFamilies that the owner set, in order; empty: not set.
	IPFamilies []prefix.Family
	// Encapsulation mode, "" is Never.
	Encapsulation string
	// NodeMaskIPv4 and NodeMaskIPv6 are the Shoot's nodeCIDRMaskSize by family, 0 if not set.
	NodeMaskIPv4, NodeMaskIPv6 int
	// PodSupernet is NetworkConfig.podSupernet.
	PodSupernet netip.Prefix
	// SeedNetworks are the Seed's nodes, pods and services ranges.
	SeedNetworks []netip.Prefix
	// Reserved are the prefixes that are already held, by reservation or adoption.
	Reserved map[Key]netip.Prefix
}

// Request is one prefix to reserve.
type Request struct {
	Key
	Scope Scope
	// Bits is the greatest acceptable prefix length.
	Bits int
	// PublishedBits is the length of the part that is published: the first child of that length.
	PublishedBits int
}

// Capacity tells how much fits; exponents of two because the numbers do not fit any integer.
type Capacity struct {
	// NodesLog2 is the number of node prefixes, as a power of two; -1 if not limited by a prefix.
	NodesLog2 int
	// PodsPerNodeLog2 is the number of pod addresses a node, as a power of two; -1 if unknown.
	PodsPerNodeLog2 int
}

// NodeRange says how each node's pod range of one family is made.
type NodeRange struct {
	Family prefix.Family
	// From is the range that nodes' prefixes are cut from: nodes (then the pods are a part of the node's own prefix) or pods.
	From keyword.Name
	// NodeBits is the length of the prefix cut for a node.
	NodeBits int
	// PodBits is the length of the node's pod range; equal to NodeBits if From is pods.
	PodBits int
	// Child of the node prefix that the pods get; -1: the highest that holds no address of the node.
	Child int
	// Custom means that somebody else brings the prefix.
	Custom bool
}

// Plan is what follows from the ranges and the facts.
type Plan struct {
	Ranges     keyword.Ranges
	IPFamilies []prefix.Family
	Requests   []Request
	// Fixed are the ranges that need no reservation: CIDRs and v4private.
	Fixed map[Key]netip.Prefix
	// NodeRanges say how each node's pod ranges are made, one a family of the pods, in the order of IPFamilies.
	NodeRanges []NodeRange
	Capacity   map[prefix.Family]Capacity
	// NodeMaskIPv6 is the nodeCIDRMaskSize that the Shoot should have for IPv6, 0 if it has no IPv6 pods.
	NodeMaskIPv6 int
	Warnings     []Warning
}

// Warning is something a person should know that is no error.
type Warning struct {
	Range   keyword.Name
	Message string
}

// Published are the CIDRs handed to Kubernetes, at most one a family and range, primary family first.
type Published struct {
	Nodes, Pods, Services []netip.Prefix
	// Missing are the keys that no prefix is known for yet.
	Missing []Key
}

// Build makes the plan, or reports every rule that the ranges break (an ErrorList).
func Build(ranges keyword.Ranges, facts Facts) (Plan, error) { panic("not written yet") }

// Publish merges the fixed ranges with the reserved ones: the first child of PublishedBits of every reservation.
func (p Plan) Publish(reserved map[Key]netip.Prefix) (Published, error) { panic("not written yet") }

// Adoptable tells whether a range that the infrastructure provider reports satisfies the range asked for.
func (p Plan) Adoptable(k Key, reported netip.Prefix) error { panic("not written yet") }
