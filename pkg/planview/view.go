// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package planview shows a plan: as a tree for people, as data for machines, as a picture. It decides nothing.
package planview

import (
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// View is a plan as data. Its field names are an interface: programs read them.
type View struct {
	// IPFamilies of the Shoot, primary first.
	IPFamilies []string `json:"ipFamilies"`
	// Ranges are nodes, pods and services, in this order.
	Ranges []Range `json:"ranges"`
	// NodeCIDRMaskSizeIPv6 is what the Shoot's kubeControllerManager gets for IPv6, 0 if it has no IPv6 pods.
	NodeCIDRMaskSizeIPv6 int `json:"nodeCIDRMaskSizeIPv6,omitempty"`
	// Network is how packets travel, if the Shoot is known.
	Network  *Network  `json:"network,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
}

// Range is one of the Shoot's ranges.
type Range struct {
	Name string `json:"name"`
	// Asked is the canonical text, "" if the range was not given.
	Asked    string   `json:"asked,omitempty"`
	Families []Family `json:"families"`
}

// Source says where a range's prefix comes from.
type Source string

// The sources.
const (
	Reserved Source = "Reserved"
	Fixed    Source = "Fixed"
	Nodes    Source = "Nodes"
	Custom   Source = "Custom"
)

// Family is one family of a range.
type Family struct {
	Family string `json:"family"`
	Source Source `json:"source"`
	// Scope is Global or Private if the source is Reserved.
	Scope string `json:"scope,omitempty"`
	// ReservedBits is the greatest acceptable length of what is reserved, 0 if nothing is.
	ReservedBits int `json:"reservedBits,omitempty"`
	// PublishedBits is the length of what Kubernetes gets, 0 if it is not known.
	PublishedBits int `json:"publishedBits,omitempty"`
	// Published is what Kubernetes gets, "" if it is not known yet.
	Published string `json:"published,omitempty"`
	// IPAM is where it would be reserved, if the operator's configuration is known.
	IPAM *IPAM `json:"ipam,omitempty"`
	// PerNode says how the range is divided among the nodes.
	PerNode *PerNode `json:"perNode,omitempty"`
}

// PerNode is what each node gets of a range.
type PerNode struct {
	// PrefixBits is the length of each node's part.
	PrefixBits int `json:"prefixBits,omitempty"`
	// NodesLog2 is how many there are, as a power of two; absent if a prefix does not limit it.
	NodesLog2 *int `json:"nodesLog2,omitempty"`
	// PodBits is the length of the node's pod range in that part; equal to PrefixBits if it is all for pods, 0 if none is.
	PodBits int `json:"podBits,omitempty"`
	// PodChild is the index of the pod range in the part; -1: the highest that holds no address of the node.
	PodChild int `json:"podChild"`
	// PodsLog2 is how many pod addresses a node has, as a power of two; absent if unknown.
	PodsLog2 *int `json:"podsLog2,omitempty"`
	// Custom means that somebody else brings each node's part.
	Custom bool `json:"custom,omitempty"`
}

// Warning is what a person should know.
type Warning struct {
	// Range that it is about, or the field of the providerConfig.
	Range   string `json:"range"`
	Message string `json:"message"`
}

// Of makes the view of a plan; status are the ranges that were published already, as the Shoot's status has them.
func Of(p plan.Plan, status map[plan.Key]netip.Prefix) (View, error) {
	published, err := p.PublishAdopted(nil, status)
	if err != nil {
		return View{}, err
	}
	v := View{NodeCIDRMaskSizeIPv6: p.NodeMaskIPv6}
	for _, f := range p.IPFamilies {
		v.IPFamilies = append(v.IPFamilies, f.String())
	}
	for _, n := range keyword.Names() {
		r := Range{Name: string(n)}
		families := p.IPFamilies
		if asked := p.Ranges.Get(n); asked != nil {
			r.Asked = asked.String()
			families = namedFamilies(p, *asked)
		}
		for _, f := range families {
			r.Families = append(r.Families, family(p, published, plan.Key{Range: n, Family: f}))
		}
		v.Ranges = append(v.Ranges, r)
	}
	for _, w := range p.Warnings {
		v.Warnings = append(v.Warnings, Warning{Range: string(w.Range), Message: w.Message})
	}
	return v, nil
}

// namedFamilies are the families of a range; custom, which stands for any, has those of the Shoot.
func namedFamilies(p plan.Plan, asked keyword.Range) []prefix.Family {
	var fs []prefix.Family
	for _, f := range asked.Families() {
		v, _ := asked.Value(f)
		if v.Word != keyword.Custom || slices.Contains(p.IPFamilies, f) {
			fs = append(fs, f)
		}
	}
	return fs
}

func family(p plan.Plan, published plan.Published, k plan.Key) Family {
	f := Family{Family: k.Family.String(), Source: Custom}
	if _, ok := p.Fixed[k]; ok {
		f.Source = Fixed
	}
	for _, r := range p.Requests {
		if r.Key == k {
			f.Source, f.Scope, f.ReservedBits, f.PublishedBits = Reserved, string(r.Scope), r.Bits, r.PublishedBits
		}
	}
	if asked := p.Ranges.Get(k.Range); asked != nil {
		if v, ok := asked.Value(k.Family); ok && v.FromNode() {
			f.Source = Nodes
		}
	}
	for _, cidr := range published.Of(k.Range) {
		if prefix.FamilyOf(cidr.Addr()) == k.Family {
			f.Published, f.PublishedBits = cidr.String(), cidr.Bits()
		}
	}
	f.PerNode = perNode(p, k)
	return f
}

// perNode is how the range of the key is divided among the nodes; nil if it is not.
func perNode(p plan.Plan, k plan.Key) *PerNode {
	for _, nr := range p.NodeRanges {
		if nr.Family != k.Family || nr.From != k.Range || nr.Custom && nr.NodeBits == 0 {
			continue
		}
		c := p.Capacity[k.Family]
		return &PerNode{
			PrefixBits: nr.NodeBits, NodesLog2: known(c.NodesLog2), PodBits: nr.PodBits, PodChild: nr.Child, PodsLog2: known(c.PodsPerNodeLog2),
			Custom: nr.Custom,
		}
	}
	if asked := p.Ranges.Get(k.Range); asked != nil && k.Range == keyword.Nodes {
		v, ok := asked.Value(k.Family)
		switch {
		case !ok || v.NodePrefix == 0 || v.NodePrefix >= k.Family.Bits(): // custom+prefix stands for both families, and its length fits one
		case v.Word == keyword.Custom:
			return &PerNode{PrefixBits: v.NodePrefix, Custom: true}
		default:
			return &PerNode{PrefixBits: v.NodePrefix, NodesLog2: known(v.NodePrefix - v.Effective(k.Range))}
		}
	}
	return nil
}

func known(log2 int) *int {
	if log2 < 0 {
		return nil
	}
	return &log2
}
