// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package announce decides what a node tells its routers by BGP: which prefixes, to which peers, and why something is not told. It is a
// pure function over values: what a node, its Services and the configuration say goes in, the desired state of a bgp.Speaker comes out.
package announce

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// ExcludeLabel on a node keeps traffic from outside away from it (KEP-1143): no Service is announced there.
const ExcludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// Phase of a node's life, as far as routers are concerned.
type Phase string

// The phases. Each announces no more than the one before. A node that is merely cordoned stays Staying: its pods serve on, and evicted
// ones withdraw their addresses by themselves.
const (
	// Staying is the usual phase, and that of the zero value.
	Staying Phase = "Staying"
	// Draining: the node will go (it is cordoned, and being drained or deleted). Services are withdrawn, so that no new connection
	// from outside comes in; its pods' routes stay, because they live.
	Draining Phase = "Draining"
	// Leaving: the node's pods are gone or will not be waited for. Nothing is announced.
	Leaving Phase = "Leaving"
)

// Node is one of the cluster.
type Node struct {
	Name   string
	Labels map[string]string
	// Addresses of the node's own, none of them of the link.
	Addresses []netip.Addr
	// Prefixes that are routed to the node as a whole. One that holds an address of the node is not announced, its PodRanges are.
	Prefixes []netip.Prefix
	// PodRanges are the node's podCIDRs.
	PodRanges []netip.Prefix
	// RouterID that a person has given it; usually none, and it is made of the address or name.
	RouterID netip.Addr
	// Phase of this node; of no meaning for others.
	Phase Phase
}

func (n *Node) routerID() netip.Addr {
	if n.RouterID.IsValid() {
		return n.RouterID
	}
	return bgp.RouterID(n.Name, n.Addresses)
}

// Gateway is the next hop of a default route of the node.
type Gateway struct {
	Address netip.Addr
	// Interface that it is reached by.
	Interface string
}

// Policy is a Service's internal or external traffic policy.
type Policy string

// The policies; empty is Cluster.
const (
	Cluster Policy = "Cluster"
	Local   Policy = "Local"
)

// ServiceType is spec.type of a Service.
type ServiceType string

// The types of Services that decide something here. Those without cluster IPs (headless, ExternalName) are nobody's to forward.
const (
	ClusterIP    ServiceType = "ClusterIP"
	NodePort     ServiceType = "NodePort"
	LoadBalancer ServiceType = "LoadBalancer"
	ExternalName ServiceType = "ExternalName"
)

// Ingress is an address in a Service's status.loadBalancer.
type Ingress struct {
	Address netip.Addr
	// Proxy is true for ipMode Proxy (KEP-1860): a load balancer outside holds the address, and nodes do not answer to it.
	Proxy bool
}

// Service is what matters of one.
type Service struct {
	Namespace, Name string
	Type            ServiceType
	// ClusterIPs of all families; none if it is headless.
	ClusterIPs []netip.Addr
	// Ingress addresses of type LoadBalancer.
	Ingress     []Ingress
	ExternalIPs []netip.Addr
	// ExternalPolicy is for Ingress and ExternalIPs, InternalPolicy for ClusterIPs, wherever a packet comes from.
	ExternalPolicy, InternalPolicy Policy
	// ProxyName is the value of the label service.kubernetes.io/service-proxy-name: kube-proxy leaves such a Service to somebody else.
	ProxyName string
	// Endpoints by family.
	Endpoints map[bgp.Family]Endpoints
}

// String is the Service's name as people write it.
func (s *Service) String() string { return s.Namespace + "/" + s.Name }

// Advertise says which kinds of prefixes are announced.
type Advertise struct {
	NodePrefixes, ServiceRange, ClusterIPs, LoadBalancerIPs, ExternalIPs bool
}

// Peer is a router, or all default gateways, as a person configures it.
type Peer struct {
	// Address of the peer, or DefaultGateway.
	Address        netip.Addr
	DefaultGateway bool
	ASN            uint32
	Port           uint16
	MultihopTTL    uint8
	Passive        bool
	// PasswordSecret names the Secret that holds the password for TCP MD5.
	PasswordSecret         string
	HoldTime, ConnectRetry time.Duration
	// Families of the session; by default those of the pods that the address' own family carries.
	Families        []bgp.Family
	Import          bgp.Import
	ImportLimit     uint32
	Communities     []bgp.Community
	LocalPreference uint32
	// NodeSelector: the labels of the nodes that have this peer; every node if empty.
	NodeSelector map[string]string
}

// Config is a person's configuration of BGP.
type Config struct {
	ASN   uint32
	Peers []Peer
	// NodeMesh makes every other node an internal peer whose routes are imported.
	NodeMesh        bool
	GracefulRestart bgp.GracefulRestart
	Advertise       Advertise
}

// Input is everything that the decision depends on.
type Input struct {
	Node Node
	// Others are all nodes but this one.
	Others   []Node
	Gateways []Gateway
	Services []Service
	// Families of the pods, in the cluster's order.
	Families []bgp.Family
	// ServiceCIDRs hold every cluster IP.
	ServiceCIDRs []netip.Prefix
	// Pools hold the LoadBalancer and external addresses that may be announced. A user of the cluster may write any address into a
	// Service (CVE-2020-8554), so that nothing outside of them is told to a router.
	Pools  []netip.Prefix
	Config Config
	// Passwords by name of their Secret. A Secret that could not be read just now keeps the value that it had, or its session ends.
	Passwords map[string]string
}

// Output is what is to be.
type Output struct {
	// Desired state of the speaker.
	Desired bgp.Desired
	// Unreachable are the ranges and addresses of Services that routers send here. A packet to one of them that kube-proxy has not
	// translated must not be FORWARDED, or it goes back to the router and round until its hop limit ends. The node's own packets
	// are routed before kube-proxy translates them: an unreachable route in the main table would break its clients ("No route to
	// host"), so this wants a routing rule or filter for what comes in by an interface.
	Unreachable []netip.Prefix
	// Problems for people, sorted.
	Problems []Problem
}

// Decide what this node announces to whom. Its work grows with the number of nodes and Services; whether anything changed is the
// caller's to know.
func Decide(in Input) Output {
	d := &decision{in: in, announced: make(map[netip.Prefix]bool, len(in.Services)), problems: map[Problem]bool{}}
	d.nodePrefixes()
	d.services()
	d.peers()
	d.routerID()

	out := Output{Desired: d.desired, Unreachable: d.unreachable}
	out.Desired.ASN = in.Config.ASN
	out.Desired.RouterID = in.Node.routerID()
	out.Desired.GracefulRestart = in.Config.GracefulRestart
	told := slices.SortedFunc(maps.Keys(d.announced), compare)
	out.Desired.Advertisements = make([]bgp.Advertisement, len(told))
	for i, p := range told {
		out.Desired.Advertisements[i].Prefix = p
	}
	slices.SortFunc(out.Unreachable, compare)
	out.Unreachable = slices.Compact(out.Unreachable)
	for p := range d.problems {
		out.Problems = append(out.Problems, p)
	}
	slices.SortFunc(out.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message))
	})
	return out
}

// decision under way.
type decision struct {
	in          Input
	announced   map[netip.Prefix]bool
	unreachable []netip.Prefix
	// rangeBlocked: the service ranges are unreachable as a whole.
	rangeBlocked bool
	desired      bgp.Desired
	problems     map[Problem]bool
	// nodes is nil until it is needed.
	nodes *nodeRanges
}

// nodePrefixes are announced while pods live.
func (d *decision) nodePrefixes() {
	n := d.in.Node
	if !d.in.Config.Advertise.NodePrefixes || n.Phase == Leaving {
		return
	}
	ranges := slices.Clone(n.PodRanges)
	for _, p := range n.Prefixes {
		own := func(a netip.Addr) bool { return p.Contains(a) }
		if p.IsValid() && !slices.ContainsFunc(n.Addresses, own) {
			ranges = append(ranges, p)
		}
	}
	// The shortest first, so that what lies within another one is not told twice.
	slices.SortStableFunc(ranges, func(a, b netip.Prefix) int { return cmp.Compare(a.Bits(), b.Bits()) })
	var told []netip.Prefix
	for _, p := range ranges {
		within := func(q netip.Prefix) bool { return q.Overlaps(p) }
		if p.IsValid() && !slices.ContainsFunc(told, within) {
			told = append(told, p.Masked())
			d.announced[p.Masked()] = true
		}
	}
}

// routerID must be one node's only.
func (d *decision) routerID() {
	id := d.in.Node.routerID()
	for i := range d.in.Others {
		other := &d.in.Others[i]
		if other.Name != d.in.Node.Name && other.routerID() == id {
			d.problem(RouterIDCollision, "Node "+other.Name, "has the router ID %s, too: routers that know both will refuse one session "+
				"or mix up their routes; give one of them another ID", id)
		}
	}
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func compare(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func within(a netip.Addr, ranges []netip.Prefix) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}
