// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strconv"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

const (
	// nibble is the step of reverse DNS delegation, and of what some clouds accept.
	nibble = 4
	// usualPodsLog2 is room for the 110 pods that kubelet allows by default.
	usualPodsLog2 = 7
	// fewNodesLog2 is a number of nodes that is hardly meant.
	fewNodesLog2 = 2
)

// warn says what a person should know that is no error.
func (b *builder) warn() {
	for _, n := range keyword.Names() {
		for _, v := range b.asked[n].Values {
			b.warnNibbles(n, v)
			b.warnServices(n, v)
			if v.NodePrefix != 0 && !b.usesNodePrefix(v) {
				b.warnf(n, "every node gets a /%d that no pod uses: pods would use it with v6fromNode or v4fromNode", v.NodePrefix)
			}
		}
	}
	for _, p := range b.seedOverlaps() {
		b.warnf(p.Range, "%s overlaps the Seed's networks; Gardener translates the addresses of such IPv4 shoots", b.plan.Fixed[p])
	}
	for _, nr := range b.plan.NodeRanges {
		b.warnNodeRange(nr)
	}
}

func (b *builder) warnNibbles(n keyword.Name, v keyword.Value) {
	if bits := v.Effective(n); v.Family() == prefix.IPv6 && bits%nibble != 0 {
		b.warnOffNibble(n, "/"+strconv.Itoa(bits), bits)
	}
	if v.NodePrefix%nibble != 0 && (v.Family() == prefix.IPv6 || v.Word == keyword.Custom && v.NodePrefix > maxNodePrefix(prefix.IPv4)) {
		b.warnOffNibble(n, "+prefix/"+strconv.Itoa(v.NodePrefix), v.NodePrefix)
	}
}

func (b *builder) warnOffNibble(n keyword.Name, what string, bits int) {
	b.warnf(n, "%s is not a multiple of 4, as reverse DNS delegation and some clouds want it: /%d or /%d would be",
		what, bits/nibble*nibble, bits/nibble*nibble+nibble)
}

func (b *builder) warnServices(n keyword.Name, v keyword.Value) {
	if n == keyword.Services && v.CIDR.IsValid() && v.Family() == prefix.IPv6 && v.CIDR.Bits() < servicesBits {
		b.warnf(n, "Kubernetes gets the first /%d of %s: it cannot use more", servicesBits, v.CIDR)
	}
}

// usesNodePrefix tells whether pods are cut from the prefixes that the nodes value gives.
func (b *builder) usesNodePrefix(v keyword.Value) bool {
	for _, nr := range b.plan.NodeRanges {
		if nr.From == keyword.Nodes && (v.Family() == nr.Family || v.Word == keyword.Custom) {
			return true
		}
	}
	return len(b.plan.NodeRanges) == 0 // the pods have errors of their own
}

func (b *builder) warnNodeRange(nr NodeRange) {
	c := b.plan.Capacity[nr.Family]
	if nr.From == keyword.Nodes && nr.Custom && (nr.Family != prefix.IPv6 || !b.facts.NodesReport) {
		b.warnf(keyword.Nodes, "nobody here knows the %s prefixes of custom nodes: whoever addresses the nodes has to write each one's pod range "+
			"to Node.spec.podCIDRs, too; until then no pod starts there%s", nr.Family, b.orSource(nr.Family))
	}
	if nr.From == keyword.Nodes && nr.Custom && !b.podsKnown(nr.Family) {
		b.warnf(keyword.Pods, "the nodes are custom: the Shoot waits until the Infrastructure reports a range for them, or until "+
			"providerConfig.podSupernet names an %s CIDR that covers every node's prefix", nr.Family)
	}
	if c.PodsPerNodeLog2 >= 0 && c.PodsPerNodeLog2 < usualPodsLog2 {
		b.warnf(keyword.Pods, "a node's pod range of /%d holds %d addresses, fewer than the 110 pods that kubelet allows by default", nr.PodBits, 1<<c.PodsPerNodeLog2)
	}
	if c.NodesLog2 >= 0 && c.NodesLog2 <= fewNodesLog2 {
		b.warnf(nr.From, "there is room for %d node prefixes of /%d only", 1<<c.NodesLog2, nr.NodeBits)
	}
}

// orSource is the other way out, where the network is ours.
func (b *builder) orSource(f prefix.Family) string {
	if f != prefix.IPv6 || b.facts.NetworkType != TypeIPv6 {
		return ""
	}
	return ". providerConfig.nodePrefix.sources can say where the nodes find out by themselves"
}

func (b *builder) podsKnown(f prefix.Family) bool {
	if b.plan.PodSupernet.IsValid() && prefix.FamilyOf(b.plan.PodSupernet.Addr()) == f {
		return true
	}
	for _, n := range []keyword.Name{keyword.Pods, keyword.Nodes} {
		if _, ok := b.facts.Reserved[Key{n, f}]; ok {
			return true
		}
	}
	return false
}

// seedOverlaps are the fixed IPv4 ranges that overlap with the Seed's.
func (b *builder) seedOverlaps() []Key {
	var keys []Key
	for _, n := range keyword.Names() {
		k := Key{n, prefix.IPv4}
		if own, ok := b.plan.Fixed[k]; ok {
			if _, overlaps := prefix.OverlapsAny(own, b.facts.SeedNetworks...); overlaps {
				keys = append(keys, k)
			}
		}
	}
	return keys
}
