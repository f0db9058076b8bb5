// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// TypeIPv6 is the network type of this extension.
const TypeIPv6 = "ipv6"

const (
	// grown is by how many bits v6fromNode without a size is longer than the node's prefix.
	grown = 4
	// podChild is the child of the node's prefix that v6fromNode without a size takes: child 0 is where clouds put the node's own
	// address, and the "d" in it lets people tell a pod's address by eye.
	podChild = 0xd
	// controllerManagerBits is how many bits kube-controller-manager's nodeipam can hand out of one range.
	controllerManagerBits = 16
	// defaultMaskIPv4 is Kubernetes' own default.
	defaultMaskIPv4 = 24
)

// maskBounds are what Gardener accepts as nodeCIDRMaskSize.
var maskBounds = map[prefix.Family]struct{ min, max int }{
	prefix.IPv4: {16, 28},
	prefix.IPv6: {64, 124},
}

// nodeRanges decides how each node's pod range is made, one a family: rules 3 and 7.
func (b *builder) nodeRanges() {
	for _, f := range b.podFamilies() {
		v, _ := b.asked[keyword.Pods].Value(f)
		var (
			nr NodeRange
			ok bool
		)
		switch {
		case v.FromNode():
			nr, ok = b.fromNode(f, v)
		case v.Word == keyword.Custom:
			nr, ok = b.customPods(f), true
		default:
			nr, ok = b.fromPods(f, v)
		}
		if !ok {
			continue
		}
		b.plan.NodeRanges = append(b.plan.NodeRanges, nr)
		b.plan.Capacity[f] = b.capacity(nr)
		if f == prefix.IPv6 {
			bounds := maskBounds[f]
			b.plan.NodeMaskIPv6 = min(max(nr.PodBits, bounds.min), bounds.max)
		}
	}
}

// supernet checks that providerConfig.podSupernet has a use. Where it has none, because the pods' range is known or comes with the
// nodes, it would be a second pods range of the family, which kube-controller-manager and kube-proxy refuse.
func (b *builder) supernet() {
	s := b.facts.PodSupernet
	if !s.IsValid() {
		return
	}
	f := prefix.FamilyOf(s.Addr())
	i := slices.IndexFunc(b.plan.NodeRanges, func(nr NodeRange) bool { return nr.Family == f })
	switch {
	case i >= 0 && b.plan.NodeRanges[i].From == keyword.Nodes && b.plan.NodeRanges[i].Custom:
		return
	case i < 0 && b.needsNodePrefix(f):
		return // what the nodes lack is said already
	}
	b.fail(b.at(Key{keyword.Pods, f}, RuleSupernet, fmt.Sprintf("providerConfig.podSupernet, %s, is for %s pods that come from nodes that are custom; here it would be a second pods range", s, f),
		"leave podSupernet out"))
}

// fromNode makes the pods' range a part of each node's own prefix.
func (b *builder) fromNode(f prefix.Family, v keyword.Value) (NodeRange, bool) {
	podsKey := Key{keyword.Pods, f}
	nodes, ok := b.asked[keyword.Nodes].Value(f)
	if !ok || nodes.NodePrefix == 0 || nodes.NodePrefix > maxNodePrefix(f) {
		b.fail(b.at(podsKey, RuleFromNode, fmt.Sprintf("%s takes its addresses from each node's own prefix, but nodes have no %s value with +prefix", v.Word, f),
			"write "+b.withNodePrefix(f)+" for nodes"))
		return NodeRange{}, false
	}
	nr := NodeRange{Family: f, From: keyword.Nodes, NodeBits: nodes.NodePrefix, PodBits: v.Size, Child: -1, Custom: nodes.Word == keyword.Custom}
	if v.Size == 0 {
		nr.PodBits, nr.Child = nodes.NodePrefix+grown, podChild
	}
	if nr.PodBits <= nr.NodeBits {
		b.fail(b.at(podsKey, RuleFromNode, fmt.Sprintf("a node's pods get a part of its /%d, so their size must be longer than /%d, not /%d",
			nr.NodeBits, nr.NodeBits, nr.PodBits), fmt.Sprintf("write %s, which is /%d, or a size above %d", v.Word, nr.NodeBits+grown, nr.NodeBits)))
		return NodeRange{}, false
	}
	if nr.PodBits > f.Bits() {
		b.fail(b.at(podsKey, RuleFromNode, fmt.Sprintf("%s without a size is 4 bits longer than the node's /%d, which is more than %s has", v.Word, nr.NodeBits, f),
			fmt.Sprintf("write %s/%d, or give nodes a shorter +prefix", v.Word, f.Bits())))
		return NodeRange{}, false
	}
	return nr, true
}

func maxNodePrefix(f prefix.Family) int {
	if f == prefix.IPv4 {
		return 30
	}
	return 120
}

// withNodePrefix is what the nodes would have to say for pods fromNode, as near as possible to what they say.
func (b *builder) withNodePrefix(f prefix.Family) string {
	bits := map[prefix.Family]int{prefix.IPv4: 24, prefix.IPv6: 96}[f]
	v, ok := b.asked[keyword.Nodes].Value(f)
	if !ok || b.plan.Ranges.Nodes == nil {
		v = keyword.Value{Word: keyword.V6Global, Size: 64}
		if f == prefix.IPv4 {
			v = keyword.Value{Word: keyword.V4Private}
		}
	}
	if v.Effective(keyword.Nodes) < bits {
		v.NodePrefix = bits
	} else {
		v.NodePrefix = min(v.Effective(keyword.Nodes)+grown, maxNodePrefix(f))
	}
	return v.String()
}

// fromPods cuts each node's pod range from the pods range.
func (b *builder) fromPods(f prefix.Family, v keyword.Value) (NodeRange, bool) {
	mask, ok := b.nodeMask(f, v.Effective(keyword.Pods))
	return NodeRange{Family: f, From: keyword.Pods, NodeBits: mask, PodBits: mask}, ok
}

// customPods leaves the pods' ranges to somebody else.
func (b *builder) customPods(f prefix.Family) NodeRange {
	bits := b.ownersMask(f)
	return NodeRange{Family: f, From: keyword.Pods, NodeBits: bits, PodBits: bits, Custom: true}
}

func (b *builder) ownersMask(f prefix.Family) int {
	if f == prefix.IPv4 {
		return b.facts.NodeMaskIPv4
	}
	return b.facts.NodeMaskIPv6
}

// nodeMask is the length of each node's part of a pods range of the given length: what the owner set, or the default.
func (b *builder) nodeMask(f prefix.Family, pods int) (int, bool) {
	key, bounds := Key{keyword.Pods, f}, maskBounds[f]
	least, most := max(pods+1, bounds.min), bounds.max
	kcm := b.facts.NetworkType != "" && b.facts.NetworkType != TypeIPv6
	if kcm {
		most = min(most, pods+controllerManagerBits)
	}
	if pods >= bounds.max {
		b.fail(b.at(key, RuleNodeMask, fmt.Sprintf("a pods range of /%d is too small: every node gets a part of it, of at most /%d", pods, bounds.max),
			fmt.Sprintf("ask for /%d or shorter", bounds.max-grown)))
		return 0, false
	}
	mask := b.ownersMask(f)
	if mask == 0 {
		mask = DefaultNodeMask(f, pods)
	}
	switch {
	case kcm && mask-pods > controllerManagerBits:
		fit := fmt.Sprintf("a node mask of /%d to /%d, or a pods range of /%d to /%d, would fit", least, most, mask-controllerManagerBits, mask-1)
		if least > most {
			fit = fmt.Sprintf("a pods range of /%d to /%d would fit", mask-controllerManagerBits, mask-1)
		}
		b.fail(b.at(key, RuleNodeMask, fmt.Sprintf("node mask /%d less pods range /%d is %d bits, but kube-controller-manager, which hands out the ranges for network type %s, can do at most %d",
			mask, pods, mask-pods, b.facts.NetworkType, controllerManagerBits), fit))
	case mask < least || mask > bounds.max:
		b.fail(b.at(key, RuleNodeMask, fmt.Sprintf("the node mask /%d does not fit a pods range of /%d: every node gets a part of that range, and Gardener accepts /%d to /%d",
			mask, pods, bounds.min, bounds.max), fmt.Sprintf("set nodeCIDRMaskSize to between %d and %d, or leave it out", least, most)))
	default:
		return mask, true
	}
	return 0, false
}

// DefaultNodeMask is the length of each node's part of a pods range of the given length if the owner set none. For IPv6 it is 16
// bits longer, so that 65,536 nodes fit, but between /64 and /120, so that 256 pods fit; and 4 bits longer where that is
// no part of the range any more. For IPv4 it is /24, or 4 bits longer.
func DefaultNodeMask(f prefix.Family, pods int) int {
	bounds := maskBounds[f]
	mask := defaultMaskIPv4
	if f == prefix.IPv6 {
		mask = min(max(pods+controllerManagerBits, bounds.min), 120)
	}
	if mask <= pods {
		mask = min(pods+grown, bounds.max)
	}
	return mask
}

// capacity counts nodes and pods as powers of two.
func (b *builder) capacity(nr NodeRange) Capacity {
	c := Capacity{NodesLog2: -1, PodsPerNodeLog2: -1}
	if v, ok := b.asked[nr.From].Value(nr.Family); ok && !nr.Custom {
		c.NodesLog2 = nr.NodeBits - v.Effective(nr.From)
	}
	if nr.PodBits > 0 {
		c.PodsPerNodeLog2 = nr.Family.Bits() - nr.PodBits
	}
	return c
}
