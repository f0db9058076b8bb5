// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// The reasons of problems with tunnels.
const (
	ReasonTunnel    = "TunnelFailed"
	ReasonTunnelMTU = "TunnelMTUTooSmall"
	ReasonGuard     = "TunnelUnguarded"
	// ReasonRule: packets to a range of Services that nobody has may go round between the node and its router.
	ReasonRule = "RuleFailed"
)

// tunnels collects what goes encapsulated to other nodes, by the family of the underlay.
type tunnels struct {
	config *agentconfig.Encapsulation
	own    *Node
	ways   map[netip.Addr]Way
	inner  []netip.Addr
	by     map[bool]*dataplane.Tunnel // by Is4 of the underlay
}

// newTunnels also says what MTU pods have by default.
func (d *Decision) newTunnels(cfg agentconfig.Config, own *Node, facts Facts) *tunnels {
	t := &tunnels{config: cfg.Encapsulation, own: own, ways: facts.Ways, by: map[bool]*dataplane.Tunnel{}}
	if t.config == nil {
		return t
	}
	for _, r := range d.Ranges {
		// The network address, which no pod gets.
		t.inner = append(t.inner, r.Addr())
	}
	overhead := dataplane.Overhead(netip.IPv6Unspecified())
	if len(own.Addrs) > 0 && !slices.ContainsFunc(own.Addrs, netip.Addr.Is6) {
		overhead = dataplane.Overhead(own.Addrs[0])
	}
	left := facts.Uplink.MTU - overhead
	if cfg.MTU == 0 {
		d.MTU = left
	}
	if facts.Uplink.MTU > 0 && left < agentconfig.MinMTU {
		d.problem(ReasonTunnelMTU, true, "the uplink %s has an MTU of %d: encapsulation leaves %d of it, and IPv6 needs %d; give the link an MTU of at least %d",
			facts.Uplink.Name, facts.Uplink.MTU, left, agentconfig.MinMTU, agentconfig.MinMTU+overhead)
	}
	return t
}

// wants says whether the way to the prefix of a node is a tunnel: always, or if it cannot be reached on the link in its own family.
func (t *tunnels) wants(p Node, prefix netip.Prefix) bool {
	if t.config == nil || t.config.Mode == agentconfig.EncapsulationAlways {
		return t.config != nil
	}
	i := slices.IndexFunc(p.Addrs, func(a netip.Addr) bool { return a.Is4() == prefix.Addr().Is4() })
	if i < 0 {
		return true
	}
	way := t.ways[p.Addrs[i]]
	return way.Err != nil || !way.OnLink
}

// add leads a prefix of a node through the tunnel. What is wrong is returned as text.
func (t *tunnels) add(p Node, prefix, podRange netip.Prefix) (problem string) {
	local, remote, ok := underlay(t.own.Addrs, p.Addrs)
	if !ok {
		return fmt.Sprintf("node %s has the addresses %v and this node %v: without a common family there is no tunnel for %s", p.Name, p.Addrs, t.own.Addrs, prefix)
	}
	if slices.ContainsFunc(p.Addrs, prefix.Contains) {
		prefix = podRange // the node's own address must be reached outside of the tunnel
	}
	if i := slices.IndexFunc(p.Addrs, prefix.Contains); i >= 0 {
		return fmt.Sprintf("node %s has its own address %s in its pod range %s, which therefore cannot be reached through a tunnel", p.Name, p.Addrs[i], prefix)
	}
	tunnel := t.by[local.Is4()]
	if tunnel == nil {
		tunnel = &dataplane.Tunnel{VNI: t.config.VNI, Port: t.config.Port, Local: local, Inner: t.inner}
		t.by[local.Is4()] = tunnel
	}
	if last := len(tunnel.Remotes) - 1; last < 0 || tunnel.Remotes[last].Name != p.Name {
		tunnel.Remotes = append(tunnel.Remotes, dataplane.Remote{Name: p.Name, Addr: remote})
	}
	last := &tunnel.Remotes[len(tunnel.Remotes)-1]
	last.Prefixes = append(last.Prefixes, prefix)
	return ""
}

// underlay picks the addresses that two nodes reach each other by, so that both pick the same family: IPv6 if both have it.
func underlay(own, other []netip.Addr) (local, remote netip.Addr, ok bool) {
	for _, is4 := range []bool{false, true} {
		family := func(a netip.Addr) bool { return a.Is4() == is4 }
		if i, j := slices.IndexFunc(own, family), slices.IndexFunc(other, family); i >= 0 && j >= 0 {
			return own[i], other[j], true
		}
	}
	return netip.Addr{}, netip.Addr{}, false
}

// all tunnels, that over IPv6 first.
func (t *tunnels) all() []dataplane.Tunnel {
	var out []dataplane.Tunnel
	for _, is4 := range []bool{false, true} {
		if tunnel := t.by[is4]; tunnel != nil {
			out = append(out, *tunnel)
		}
	}
	return out
}

// claims are the remotes as peers with one prefix each, which claimedTwice looks at.
func (t *tunnels) claims() []dataplane.Peer {
	var out []dataplane.Peer
	for _, tunnel := range t.all() {
		for _, r := range tunnel.Remotes {
			for _, p := range r.Prefixes {
				out = append(out, dataplane.Peer{Name: r.Name, Prefixes: []netip.Prefix{p}})
			}
		}
	}
	return out
}

// guarded says whose packets may enter the tunnels: those of every node, tunnelled to or not, so that the two ends need not agree.
func guarded(cfg agentconfig.Config, peers []Node) *dataplane.Guarded {
	if cfg.Encapsulation == nil {
		return nil
	}
	g := &dataplane.Guarded{VNI: cfg.Encapsulation.VNI, Port: cfg.Encapsulation.Port}
	for _, p := range peers {
		g.Nodes = append(g.Nodes, p.Addrs...)
	}
	slices.SortFunc(g.Nodes, netip.Addr.Compare)
	g.Nodes = slices.Compact(g.Nodes)
	return g
}

// applyProblems tells what of the kernel's state could not be set.
func applyProblems(err error) []Problem {
	var some *dataplane.ApplyError
	if !errors.As(err, &some) {
		if err == nil {
			return nil
		}
		return []Problem{{Reason: ReasonSysctl, Message: err.Error(), Blocking: true}}
	}
	var out []Problem
	for _, e := range some.Tunnels {
		out = append(out, Problem{Reason: ReasonTunnel, Message: e.Error()})
	}
	for _, e := range some.Rules {
		out = append(out, Problem{Reason: ReasonRule, Message: e.Error()})
	}
	for _, e := range some.Routes {
		out = append(out, Problem{Reason: ReasonRoute, Message: e.Error()})
	}
	return out
}
