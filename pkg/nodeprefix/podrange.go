// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// PodRange is the part of a node's prefix that its pods use, never one that holds an address of the node itself: the node would
// answer for the pod. It fails if the range asks for a fixed child and an address lies there, or if every child holds one.
func (r Range) PodRange(nodePrefix netip.Prefix, addresses []netip.Addr) (netip.Prefix, error) {
	if nodePrefix.Bits() != r.NodeBits {
		return netip.Prefix{}, fmt.Errorf("node prefix %s is not a /%d", nodePrefix, r.NodeBits)
	}
	if r.PodChild >= 0 {
		child, err := prefix.Child(nodePrefix, r.PodBits, r.PodChild)
		if err != nil {
			return netip.Prefix{}, err
		}
		if a, ok := held(child, addresses); ok {
			return netip.Prefix{}, fmt.Errorf("pod range %s holds the node's own address %s", child, a)
		}
		return child, nil
	}
	// Every address can spoil one child only, so this many tries suffice.
	for index := -1; index >= -1-len(addresses); index-- {
		child, err := prefix.Child(nodePrefix, r.PodBits, index)
		if err != nil {
			break
		}
		if _, ok := held(child, addresses); !ok {
			return child, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("every /%d of %s holds an address of the node", r.PodBits, nodePrefix)
}

// PartOf a prefix that a node brings is its pod range: of the highest part of length NodeBits that has one, because routers and servers,
// which the node must reach, are numbered from below. The fixed child is a matter of looks, so if every such child holds an address of the
// node, which nobody but its infrastructure can change, the highest free one does.
func (r Range) PartOf(brought netip.Prefix, addresses []netip.Addr) (netip.Prefix, error) {
	if podRange, err := r.partOf(brought, addresses); err == nil || r.PodChild < 0 {
		return podRange, err
	}
	r.PodChild = -1
	return r.partOf(brought, addresses)
}

func (r Range) partOf(brought netip.Prefix, addresses []netip.Addr) (netip.Prefix, error) {
	var first error
	// Every address can spoil one part only, so this many tries suffice.
	for index := -1; index >= -1-len(addresses); index-- {
		part, err := prefix.Child(brought, r.NodeBits, index)
		if err != nil {
			break
		}
		podRange, err := r.PodRange(part, addresses)
		if err == nil {
			return podRange, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("prefix %s has no part of length /%d", brought, r.NodeBits)
	}
	return netip.Prefix{}, first
}

// NodePrefix is the node's prefix that a pod range of the node belongs to.
func (r Range) NodePrefix(podRange netip.Prefix) netip.Prefix {
	if podRange.Bits() <= r.NodeBits {
		return podRange
	}
	return netip.PrefixFrom(podRange.Addr(), r.NodeBits).Masked()
}

func held(p netip.Prefix, addresses []netip.Addr) (netip.Addr, bool) {
	if i := slices.IndexFunc(addresses, p.Contains); i >= 0 {
		return addresses[i], true
	}
	return netip.Addr{}, false
}
