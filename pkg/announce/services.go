// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// Endpoint is one of an EndpointSlice, with its conditions as the API means them: unknown counts as ready and serving.
type Endpoint struct {
	Node                        string
	Ready, Serving, Terminating bool
}

// Endpoints counts those of a Service in one family.
type Endpoints struct {
	// Ready in the cluster and on this node.
	Ready, ReadyHere int
	// Ending are terminating but still serving.
	Ending, EndingHere int
}

// Count the endpoints of a Service as seen from a node.
func Count(node string, endpoints []Endpoint) Endpoints {
	var e Endpoints
	for _, p := range endpoints {
		here := 0
		if p.Node == node && node != "" {
			here = 1
		}
		switch {
		case p.Ready:
			e.Ready++
			e.ReadyHere += here
		case p.Serving && p.Terminating:
			e.Ending++
			e.EndingHere += here
		}
	}
	return e
}

// anywhere tells whether the Service has an endpoint that kube-proxy would use: a ready one, else one that ends but still serves
// (KEP-1672).
func (e Endpoints) anywhere() bool { return e.Ready > 0 || e.Ending > 0 }

// here tells the same of this node. One that ends counts only while nobody is ready: other nodes take new connections, and during a
// rollout of a single pod nobody would (KEP-1669).
func (e Endpoints) here() bool { return e.ReadyHere > 0 || e.Ready == 0 && e.EndingHere > 0 }

func (e Endpoints) serves(p Policy) bool {
	if p == Local {
		return e.here()
	}
	return e.anywhere()
}

// services decides what is told of Services, and what must not be forwarded.
func (d *decision) services() {
	config := d.in.Config.Advertise
	if config.ServiceRange {
		d.serviceRange()
	}
	_, excluded := d.in.Node.Labels[ExcludeLabel]
	if excluded || d.in.Node.Phase == Draining || d.in.Node.Phase == Leaving {
		return
	}
	for i := range d.in.Services {
		d.serviceOf(&d.in.Services[i])
	}
}

func (d *decision) serviceOf(s *Service) {
	config := d.in.Config.Advertise
	if s.ProxyName != "" || s.Type == ExternalName || len(s.ClusterIPs) == 0 {
		return // kube-proxy does not look at it, so that this node would not answer
	}
	if config.ServiceRange || config.ClusterIPs {
		d.clusterIPs(s)
	}
	if config.LoadBalancerIPs && s.Type == LoadBalancer {
		for _, ingress := range s.Ingress {
			if !ingress.Proxy {
				d.external(s, ingress.Address, "LoadBalancer")
			}
		}
	}
	if config.ExternalIPs {
		for _, a := range s.ExternalIPs {
			d.external(s, a, "external")
		}
	}
}

// serviceRange as a whole: any node's kube-proxy knows every Service. The ranges stay unreachable while routers may still send.
func (d *decision) serviceRange() {
	d.rangeBlocked = true
	_, excluded := d.in.Node.Labels[ExcludeLabel]
	for _, p := range d.in.ServiceCIDRs {
		if !p.IsValid() {
			continue
		}
		d.unreachable = append(d.unreachable, p.Masked())
		if !excluded && d.in.Node.Phase != Draining && d.in.Node.Phase != Leaving {
			d.announced[p.Masked()] = true
		}
	}
}

// clusterIPs are told one by one if that is asked for, and beside the range where only some nodes may take the traffic.
func (d *decision) clusterIPs(s *Service) {
	if !d.in.Config.Advertise.ClusterIPs && s.InternalPolicy != Local {
		return
	}
	for _, a := range s.ClusterIPs {
		if !within(a, d.in.ServiceCIDRs) {
			d.problem(AddressNotAllowed, "Service "+s.String(), "has the cluster IP %s outside of the service ranges: it is not announced", a)
			continue
		}
		endpoints := s.Endpoints[familyOf(a)]
		if endpoints.serves(s.InternalPolicy) {
			d.service(a)
		}
	}
}

// external addresses, of a load balancer or given by a user. Traffic to them is masqueraded by kube-proxy unless it stays on the node.
func (d *decision) external(s *Service, a netip.Addr, kind string) {
	if refused := d.refuse(a); refused != "" {
		d.problem(AddressNotAllowed, "Service "+s.String(), "has the %s address %s %s: it is not announced", kind, a, refused)
		return
	}
	if s.Endpoints[familyOf(a)].serves(s.ExternalPolicy) {
		d.service(a)
	}
}

// refuse says why an address must not be told to routers, or nothing.
func (d *decision) refuse(a netip.Addr) string {
	switch {
	case !a.IsGlobalUnicast() || a.Zone() != "" || a.Is4In6():
		return "that no router can have"
	case !within(a, d.in.Pools):
		return "outside of the pools of load balancers' addresses"
	case within(a, d.in.ServiceCIDRs):
		return "within the service ranges"
	}
	if d.nodes == nil {
		d.nodes = rangesOf(d.in.Node, d.in.Others)
	}
	return d.nodes.refuse(a)
}

func (d *decision) service(a netip.Addr) {
	p := host(a)
	d.announced[p] = true
	if !d.rangeBlocked || !within(a, d.in.ServiceCIDRs) {
		d.unreachable = append(d.unreachable, p)
	}
}

func familyOf(a netip.Addr) bgp.Family { return bgp.FamilyOf(host(a)) }

// nodeRanges finds whether an address is a node's or its pods'.
type nodeRanges struct {
	addresses map[netip.Addr]bool
	ranges    map[netip.Prefix]bool
	bits      []int
}

func rangesOf(own Node, others []Node) *nodeRanges {
	r := &nodeRanges{addresses: make(map[netip.Addr]bool, 2*len(others)), ranges: make(map[netip.Prefix]bool, 2*len(others))}
	r.add(&own)
	for i := range others {
		r.add(&others[i])
	}
	return r
}

func (r *nodeRanges) add(n *Node) {
	for _, a := range n.Addresses {
		r.addresses[a] = true
	}
	for _, p := range n.PodRanges {
		r.ranges[p.Masked()] = true
		if !slices.Contains(r.bits, p.Bits()) {
			r.bits = append(r.bits, p.Bits())
		}
	}
}

func (r *nodeRanges) refuse(a netip.Addr) string {
	if r.addresses[a] {
		return "that is a node's"
	}
	for _, bits := range r.bits {
		if p, err := a.Prefix(bits); err == nil && r.ranges[p] {
			return "within a node's pod range"
		}
	}
	return ""
}

// Plus counts both.
func (e Endpoints) Plus(o Endpoints) Endpoints {
	return Endpoints{e.Ready + o.Ready, e.ReadyHere + o.ReadyHere, e.Ending + o.Ending, e.EndingHere + o.EndingHere}
}

// Minus is the inverse of Plus.
func (e Endpoints) Minus(o Endpoints) Endpoints {
	return Endpoints{e.Ready - o.Ready, e.ReadyHere - o.ReadyHere, e.Ending - o.Ending, e.EndingHere - o.EndingHere}
}

// Alike tells whether Decide makes the same of both.
func (e Endpoints) Alike(o Endpoints) bool {
	return e.anywhere() == o.anywhere() && e.here() == o.here()
}
