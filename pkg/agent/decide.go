// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Node is what the agent needs to know of a node.
type Node struct {
	Name string
	// Addrs are its internal addresses.
	Addrs []netip.Addr
	// PodCIDRs are what Node.spec.podCIDRs says.
	PodCIDRs []netip.Prefix
	// Labels of this node; those of others are not kept.
	Labels map[string]string
	// Annotations of the project: of this node all, of others that of the router ID.
	Annotations map[string]string
	// Phase of this node's life.
	Phase announce.Phase
	// Deleting: this node's object is being deleted. LabelsPending: nobody has told yet what the node is.
	Deleting, LabelsPending bool
}

// View is what the cluster says.
type View struct {
	// Known is true if all nodes were listed.
	Known bool
	// Own is this node; nil if the cluster does not know it (yet).
	Own *Node
	// Peers are the other nodes, if routes to them are wanted.
	Peers []Node
}

// Facts are what the kernel says.
type Facts struct {
	Uplink dataplane.Uplink
	// Addrs are the node's own addresses.
	Addrs []netip.Addr
	// Ways to the addresses of peers, and to the next hops that they told of by BGP.
	Ways map[netip.Addr]Way
	// Gateways are the next hops of the node's default routes, with BGP.
	Gateways []dataplane.Hop
	// Connected are the prefixes of the node's links, if routes are imported.
	Connected []netip.Prefix
	// Imported are the routes that BGP peers told of; KeepImported says that they have not had the time to.
	Imported     []dataplane.Imported
	KeepImported bool
	// Unforwarded are the ranges of Services that routers send here.
	Unforwarded []netip.Prefix
}

// Way is how an address is reached.
type Way struct {
	Device string
	OnLink bool
	Err    error
}

// Problem is something a person should know. Reason is one word, as in events.
type Problem struct {
	Reason  string
	Message string
	// Blocking problems keep new pods off the node.
	Blocking bool
}

// The reasons of problems.
const (
	ReasonNodeUnknown      = "NodeUnknown"
	ReasonHostUnknown      = "HostNetworkUnknown"
	ReasonNoPodRange       = "NoPodRange"
	ReasonPodRangeInvalid  = "PodRangeInvalid"
	ReasonPodRangeChanged  = "PodRangeChanged"
	ReasonAddressInRange   = "NodeAddressInPodRange"
	ReasonPrefixClaimed    = "PrefixClaimedTwice"
	ReasonPeerNotOnLink    = "PeerNotOnLink"
	ReasonSysctl           = "SysctlFailed"
	ReasonRoute            = "RouteFailed"
	ReasonForwardDrop      = "FirewallDropsForwarded"
	ReasonMasquerade       = "MasqueradeFailed"
	ReasonOtherNetwork     = "OtherNetworkComesFirst"
	ReasonInstall          = "InstallFailed"
	ReasonDamagedRecord    = "DamagedRecord"
	ReasonAddressConflict  = "AddressConflict"
	ReasonAddressExhausted = "PodRangeExhausted"
)

// Decision is what to do.
type Decision struct {
	// Ranges to give addresses out of, one a family, in the order of the pods' families; none if one is missing.
	Ranges []netip.Prefix
	// Reserved addresses are never given out.
	Reserved []netip.Addr
	// MTU of new pods.
	MTU int
	// State of the kernel.
	State dataplane.State
	// Keep means that the cluster does not say what the node is: routes and masquerading stay as they are, for the pods that run.
	Keep bool
	// Masquerade is nil if nothing shall be masqueraded.
	Masquerade *dataplane.Masquerade
	// Guarded is nil if there are no tunnels.
	Guarded  *dataplane.Guarded
	Problems []Problem
}

// Decide makes a decision out of what is known. It has no side effects.
func Decide(cfg agentconfig.Config, view View, facts Facts) Decision {
	d := Decision{MTU: cfg.MTU, Reserved: facts.Addrs}
	if d.MTU == 0 {
		d.MTU = facts.Uplink.MTU
	}
	intent := dataplane.Intent{
		Uplink: facts.Uplink,
		IPv6:   slices.Contains(cfg.IPFamilies, agentconfig.IPv6),
		IPv4:   slices.Contains(cfg.IPFamilies, agentconfig.IPv4),
	}
	if view.Own == nil {
		d.problem(ReasonNodeUnknown, true, "the API server does not know this node yet")
		d.State = dataplane.Plan(intent)
		d.Keep, d.State.KeepRoutes = true, true
		return d
	}
	d.ranges(cfg, view.Own)
	for _, r := range d.Ranges {
		for _, a := range facts.Addrs {
			if r.Contains(a) {
				d.problem(ReasonAddressInRange, false, "the node's own address %s lies in its pod range %s; no pod will get it", a, r)
			}
		}
	}
	intent.Own = slices.Concat(brought(view.Own), prefixes(cfg, view.Own), d.Ranges)
	through := d.newTunnels(cfg, view.Own, facts)
	if cfg.RoutingMode == agentconfig.Direct || cfg.Encapsulation != nil {
		for _, p := range view.Peers {
			intent.Peers = append(intent.Peers, d.peer(cfg, p, view.Own, facts, through)...)
		}
		d.claimedTwice(slices.Concat(intent.Peers, through.claims()))
	}
	intent.Tunnels, d.Guarded = through.all(), guarded(cfg, view.Peers)
	intent.Imported, intent.KeepImported, intent.Unforwarded = facts.Imported, facts.KeepImported, facts.Unforwarded
	d.State = dataplane.Plan(intent)
	d.masquerade(cfg)
	return d
}

func (d *Decision) problem(reason string, blocking bool, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{Reason: reason, Message: fmt.Sprintf(format, args...), Blocking: blocking})
}

// ranges picks the node's pod range of each family that pods have.
func (d *Decision) ranges(cfg agentconfig.Config, own *Node) {
	var missing []string
	for _, f := range cfg.IPFamilies {
		i := slices.IndexFunc(own.PodCIDRs, func(p netip.Prefix) bool { return p.Addr().Is4() == (f == agentconfig.IPv4) })
		if i < 0 {
			missing = append(missing, f)
			continue
		}
		d.Ranges = append(d.Ranges, own.PodCIDRs[i])
	}
	if len(missing) > 0 {
		d.Ranges = nil
		d.problem(ReasonNoPodRange, true, "Node.spec.podCIDRs has no %s range yet; ipv6-ipam-controller in the shoot's control plane writes it, or, where nodes are custom, whoever addresses them",
			strings.Join(missing, " and no "))
	}
}

// prefixes are what belongs to a node: its own IPv6 prefix if nodes have one, else its pod range.
func prefixes(cfg agentconfig.Config, n *Node) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range n.PodCIDRs {
		if bits := cfg.NodePrefixLengthIPv6; p.Addr().Is6() && bits > 0 && bits < p.Bits() {
			p = netip.PrefixFrom(p.Addr(), bits).Masked()
		}
		out = append(out, p)
	}
	return out
}

// brought are the prefixes that the node's infrastructure gave it and that its pods are a part of: so it routes them here, the whole of
// them, also where they are larger than the prefixes that the cluster asked for.
func brought(n *Node) []netip.Prefix {
	reported, err := nodesource.ParseList(n.Annotations[nodeprefix.AnnotationReportedPrefix])
	if err != nil {
		return nil // ipv6-ipam-controller tells of it
	}
	return slices.DeleteFunc(reported, func(r netip.Prefix) bool {
		return !slices.ContainsFunc(n.PodCIDRs, func(p netip.Prefix) bool { return prefix.Covers(r, p) })
	})
}

// peer makes the way to another node: through a tunnel, or its address of the family, which must be on the link. With encapsulation that is
// so in every routing mode, which then is about packets from outside.
func (d *Decision) peer(cfg agentconfig.Config, p Node, own *Node, facts Facts, through *tunnels) []dataplane.Peer {
	var out []dataplane.Peer
	for i, prefix := range prefixes(cfg, &p) {
		if i := slices.IndexFunc(own.PodCIDRs, prefix.Overlaps); i >= 0 {
			d.problem(ReasonPrefixClaimed, false, "node %s claims %s, which overlaps this node's pod range %s", p.Name, prefix, own.PodCIDRs[i])
			continue
		}
		if through.wants(p, prefix) {
			if problem := through.add(p, prefix, p.PodCIDRs[i]); problem != "" {
				d.problem(ReasonTunnel, false, "%s", problem)
			}
			continue
		}
		i := slices.IndexFunc(p.Addrs, func(a netip.Addr) bool { return a.Is4() == prefix.Addr().Is4() })
		if i < 0 {
			d.problem(ReasonPeerNotOnLink, false, "node %s has no address to reach its prefix %s by", p.Name, prefix)
			continue
		}
		switch way := facts.Ways[p.Addrs[i]]; {
		case way.Err != nil:
			d.problem(ReasonPeerNotOnLink, false, "node %s: %v", p.Name, way.Err)
		case !way.OnLink:
			d.problem(ReasonPeerNotOnLink, false, "node %s (%s) is behind a router; routing mode Direct needs the nodes on one link", p.Name, p.Addrs[i])
		default:
			out = append(out, dataplane.Peer{Name: p.Name, Prefixes: []netip.Prefix{prefix}, Device: way.Device, Via: p.Addrs[i]})
		}
	}
	return out
}

// claimedTwice tells of peers whose prefixes overlap. Prefixes nest or are disjoint, so in their order each can only overlap the last
// one that no other holds.
func (d *Decision) claimedTwice(peers []dataplane.Peer) {
	sorted := slices.Clone(peers)
	slices.SortStableFunc(sorted, func(a, b dataplane.Peer) int {
		return cmp.Or(a.Prefixes[0].Addr().Compare(b.Prefixes[0].Addr()), cmp.Compare(a.Prefixes[0].Bits(), b.Prefixes[0].Bits()))
	})
	var holder dataplane.Peer
	for i, p := range sorted {
		if i == 0 || !holder.Prefixes[0].Overlaps(p.Prefixes[0]) {
			holder = p
			continue
		}
		if holder.Name != p.Name {
			d.problem(ReasonPrefixClaimed, false, "nodes %s and %s claim overlapping prefixes, %s and %s", holder.Name, p.Name, holder.Prefixes[0], p.Prefixes[0])
		}
	}
}

// masquerade covers IPv4 only, whatever the configuration says.
func (d *Decision) masquerade(cfg agentconfig.Config) {
	if !cfg.MasqueradeIPv4 {
		return
	}
	m := &dataplane.Masquerade{}
	for _, r := range d.Ranges {
		if r.Addr().Is4() {
			m.Sources = append(m.Sources, r)
		}
	}
	if len(m.Sources) == 0 {
		return
	}
	m.Except = slices.Clone(m.Sources)
	for _, s := range cfg.NonMasqueradeCIDRs {
		if p, err := netip.ParsePrefix(s); err == nil && !slices.Contains(m.Except, p) { // Validate has seen to the error
			m.Except = append(m.Except, p)
		}
	}
	d.Masquerade = m
}
