// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package plan decides, from the parsed ranges of a Shoot and what is known of its surroundings, what to reserve, what to
// publish and what a person should be warned of. It is pure: no clock, no network, no Kubernetes.
package plan

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"

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

// Encapsulation modes that carry pods' packets between nodes that lack the family.
const (
	EncapsulationAlways      = "Always"
	EncapsulationCrossSubnet = "CrossSubnet"
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
	// NodesReport is true if nodes that are custom report their own IPv6 prefixes, or some of them do.
	NodesReport bool
	// NodeMaskIPv4 and NodeMaskIPv6 are the Shoot's nodeCIDRMaskSize by family, 0 if not set.
	NodeMaskIPv4, NodeMaskIPv6 int
	// PodSupernet is NetworkConfig.podSupernet.
	PodSupernet netip.Prefix
	// SeedNetworks are the Seed's nodes, pods and services ranges.
	SeedNetworks []netip.Prefix
	// Reserved are the prefixes that are already held, by reservation or adoption; how they lie to one another was judged when
	// they were published.
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
	// NodeMaskIPv6 is the nodeCIDRMaskSize that the Shoot should have for IPv6, 0 if it has no IPv6 pods. It lies between 64 and
	// 124, which is what Gardener accepts, even where a node's pod range is longer or shorter.
	NodeMaskIPv6 int
	// PodSupernet is what is published as the pods range of its family if nobody reports one.
	PodSupernet netip.Prefix
	// SeedNetworks are the Seed's ranges, for the check of what is reserved later.
	SeedNetworks []netip.Prefix
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
func Build(ranges keyword.Ranges, facts Facts) (Plan, error) {
	b := &builder{
		facts: facts,
		asked: map[keyword.Name]keyword.Range{},
		plan: Plan{
			Ranges:       ranges,
			Fixed:        map[Key]netip.Prefix{},
			Capacity:     map[prefix.Family]Capacity{},
			PodSupernet:  facts.PodSupernet,
			SeedNetworks: facts.SeedNetworks,
		},
	}
	for _, n := range keyword.Names() {
		if r := ranges.Get(n); r != nil {
			b.asked[n] = *r
		} else {
			b.asked[n] = keyword.Range{Values: []keyword.Value{{Word: keyword.Custom}}}
		}
	}
	b.families()
	b.requests()
	b.nodeRanges()
	b.supernet()
	b.errs = append(b.errs, b.plan.conflicts(b.plan.known(facts.Reserved), facts.Reserved)...)
	b.warn()
	if err := b.errs.OrNil(); err != nil {
		return Plan{}, err
	}
	return b.plan, nil
}

// builder holds what the steps of Build share.
type builder struct {
	facts Facts
	// asked are the ranges; one that was not given is custom, for somebody else has to bring it.
	asked map[keyword.Name]keyword.Range
	plan  Plan
	errs  ErrorList
}

func (b *builder) fail(e Error) { b.errs = append(b.errs, e) }

func (b *builder) warnf(n keyword.Name, format string, args ...any) {
	b.plan.Warnings = append(b.plan.Warnings, Warning{Range: n, Message: fmt.Sprintf(format, args...)})
}

// requests sorts the values into those that name a prefix by themselves and those for which one must be reserved.
func (b *builder) requests() {
	for _, n := range keyword.Names() {
		for _, v := range b.asked[n].Values {
			k := Key{Range: n, Family: v.Family()}
			if p, ok := v.Fixed(n); ok {
				b.plan.Fixed[k] = p
				continue
			}
			r := Request{Key: k, Bits: v.Effective(n), PublishedBits: publishedBits(k, v.Effective(n))}
			switch v.Word {
			case keyword.V6Global:
				r.Scope = Global
			case keyword.V6Private:
				r.Scope = Private
			default:
				continue
			}
			b.plan.Requests = append(b.plan.Requests, r)
		}
	}
	b.sharedULA()
}

// ULABits is the length of the prefix that RFC 4193 draws: a private request of this length draws one of its own, longer ones are
// cut from one that the whole shoot shares.
const ULABits = 48

// sharedULA checks that the private ranges longer than /48 fit together in the one /48 that is drawn for the shoot.
func (b *builder) sharedULA() {
	var (
		sum   = new(big.Int)
		texts []string
		last  Request
	)
	for _, r := range b.plan.Requests {
		if r.Scope == Private && r.Bits > ULABits {
			sum.Add(sum, new(big.Int).Lsh(big.NewInt(1), uint(128-r.Bits))) //nolint:gosec // the language allows /48 to /112
			texts = append(texts, fmt.Sprintf("%s /%d", r.Range, r.Bits))
			last = r
		}
	}
	if sum.Cmp(new(big.Int).Lsh(big.NewInt(1), 128-ULABits)) > 0 {
		b.fail(b.at(last.Key, "ula-space", fmt.Sprintf("%s do not fit together in the one /48 that is drawn for the shoot", strings.Join(texts, ", ")),
			"ask for longer prefixes, or for /48, which draws one of its own"))
	}
}

// servicesBits is the least length at which services are published: kube-apiserver rejects more than 20 bits before 1.34, and
// once crashed with more than 16.
const servicesBits = 112

func publishedBits(k Key, bits int) int {
	if k.Range == keyword.Services && k.Family == prefix.IPv6 {
		return max(bits, servicesBits)
	}
	return bits
}
