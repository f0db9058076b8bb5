// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package dataplane is what the kernel of a node shall look like, in types of its own: a pod's wire (a veth pair with one address a
// family and no bridge), the node's routes and sysctls, the masquerading of IPv4. It decides; the adapters below it
// (dataplane/netlink, dataplane/nft) act, each taking a whole desired state, adding before deleting, and touching only what bears our
// mark: the protocol number of routes, the prefix of interfaces, the name of the nft table.
package dataplane

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// The marks, numbers that iproute2's rt_protos leaves free.
const (
	// ProtocolNode marks the routes and rules of State.
	ProtocolNode uint8 = 146
	// ProtocolPod marks the routes to a pod and inside it. They come and go with the pod's wire, not with State.
	ProtocolPod uint8 = 147
	// ProtocolImported marks the routes of State that BGP peers told of.
	ProtocolImported uint8 = 148
)

var (
	// Gateway6 is the pods' IPv6 gateway: the same link-local address at the host's end of every wire.
	Gateway6 = netip.MustParseAddr("fe80::1")
	// Gateway4 is the pods' IPv4 gateway. No interface holds it; a permanent neighbour entry stands for it.
	Gateway4 = netip.MustParseAddr("169.254.1.1")
)

// MAC is an Ethernet address.
type MAC [6]byte

// String is the usual form with colons.
func (m MAC) String() string {
	out := hex.EncodeToString(m[:1])
	for _, b := range m[1:] {
		out += ":" + hex.EncodeToString([]byte{b})
	}
	return out
}

// Sysctl is a file under /proc/sys.
type Sysctl struct {
	// Path has slashes, since interface names may have dots: "net/ipv6/conf/eth0/accept_ra".
	Path  string
	Value string
}

// RouteType says what happens to packets.
type RouteType uint8

// The route types.
const (
	Unicast RouteType = iota
	// Unreachable answers with an ICMP error.
	Unreachable
)

// Route is an entry of the main table.
type Route struct {
	Dst  netip.Prefix
	Type RouteType
	// Via is the next hop; the zero value if Dst is on the link. One of IPv6 may serve IPv4, too (RFC 8950).
	Via netip.Addr
	// Device is the interface's name; empty for Unreachable.
	Device string
	// More are further next hops, which share the packets equally, in their order.
	More []Hop
	// OnLink means that the next hops are neighbours, whatever the other routes say.
	OnLink bool
	// Metric in the sense of the kernel, the lowest wins; 0 leaves it to the kernel (1024 in IPv6).
	Metric int
	// Protocol is the mark.
	Protocol uint8
}

// Equal compares all fields.
func (r Route) Equal(o Route) bool {
	return r.Dst == o.Dst && r.Type == o.Type && r.Via == o.Via && r.Device == o.Device && slices.Equal(r.More, o.More) &&
		r.OnLink == o.OnLink && r.Metric == o.Metric && r.Protocol == o.Protocol
}

// String is like iproute2's.
func (r Route) String() string {
	s := r.Dst.String()
	if r.Type == Unreachable {
		s = "unreachable " + s
	}
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Device != "" {
		s += " dev " + r.Device
	}
	for _, h := range r.More {
		s += " and " + h.String()
	}
	s += fmt.Sprintf(" proto %d", r.Protocol)
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	if r.OnLink {
		s += " onlink"
	}
	return s
}

// MarshalText lets logs show a route as text.
func (r Route) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Neighbour is a permanent entry of the neighbour table. Such entries are not counted against gc_thresh, and spare the first packet a
// solicitation.
type Neighbour struct {
	Addr netip.Addr
	MAC  MAC
}

// RouteError is the failure of one route, which leaves the others in place.
type RouteError struct {
	// Action is "add", "replace" or "delete".
	Action string
	Route  Route
	Err    error
}

// Error implements error.
func (e *RouteError) Error() string { return fmt.Sprintf("%s route %s: %v", e.Action, e.Route, e.Err) }

// Unwrap implements errors.Unwrap.
func (e *RouteError) Unwrap() error { return e.Err }

// RuleError is the failure of one rule.
type RuleError struct {
	// Action is "add" or "delete".
	Action string
	Rule   Rule
	Err    error
}

// Error implements error.
func (e *RuleError) Error() string { return fmt.Sprintf("%s rule %s: %v", e.Action, e.Rule, e.Err) }

// Unwrap implements errors.Unwrap.
func (e *RuleError) Unwrap() error { return e.Err }

// TunnelError is the failure of one tunnel.
type TunnelError struct {
	Name string
	Err  error
}

// Error implements error.
func (e *TunnelError) Error() string { return fmt.Sprintf("tunnel %s: %v", e.Name, e.Err) }

// Unwrap implements errors.Unwrap.
func (e *TunnelError) Unwrap() error { return e.Err }

// ApplyError is all that failed, while everything else was done.
type ApplyError struct {
	Routes  []*RouteError
	Rules   []*RuleError
	Tunnels []*TunnelError
}

// Err is nil if nothing failed.
func (e *ApplyError) Err() error {
	if len(e.Routes)+len(e.Rules)+len(e.Tunnels) == 0 {
		return nil
	}
	return e
}

// Tunnel says whether the tunnel of that name is among what failed.
func (e *ApplyError) Tunnel(name string) bool {
	return slices.ContainsFunc(e.Tunnels, func(t *TunnelError) bool { return t.Name == name })
}

// Error implements error.
func (e *ApplyError) Error() string {
	var lines []string
	for _, one := range e.Tunnels {
		lines = append(lines, one.Error())
	}
	for _, one := range e.Rules {
		lines = append(lines, one.Error())
	}
	for _, one := range e.Routes {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "; ")
}

// FoundWire is a wire found in the kernel.
type FoundWire struct {
	HostInterface string
	// Owner is the Wire.Owner it was made with.
	Owner string
	MTU   int
	// Addrs have a route to the wire.
	Addrs []netip.Addr
}

// Wirer wires pods. All of its methods are idempotent.
type Wirer interface {
	// Wire connects the network namespace as said. What is there and right stays; what is there and wrong is made anew.
	Wire(ctx context.Context, netns *os.File, w Wire) error
	// Unwire removes the pair by the name of its host's end, if it is there; with it go its routes and neighbours.
	Unwire(ctx context.Context, hostInterface string) error
	// Check returns what differs from the wire, one sentence a finding.
	Check(ctx context.Context, netns *os.File, w Wire) ([]string, error)
	// Exists says whether the host's end is there.
	Exists(ctx context.Context, hostInterface string) (bool, error)
	// List returns the wires there are.
	List(ctx context.Context) ([]FoundWire, error)
}

// Host is the node's own network.
type Host interface {
	// Uplink finds the interface that holds one of the node's addresses, else the one of the default route.
	Uplink(ctx context.Context, node []netip.Addr) (Uplink, error)
	// Addrs returns the addresses of all of the node's interfaces but link-local ones and those of our tunnels.
	Addrs(ctx context.Context) ([]netip.Addr, error)
	// Neighbour says through which interface an address is reached, and whether without a router.
	Neighbour(ctx context.Context, a netip.Addr) (device string, onLink bool, err error)
	// Gateways are the next hops of the default routes that others have made, of each family those of the lowest metric, sorted.
	Gateways(ctx context.Context) ([]Hop, error)
	// Connected are the prefixes of the node's links, pods' wires apart: what lies in them is reached without a router.
	Connected(ctx context.Context) ([]netip.Prefix, error)
	// Apply brings the kernel to the desired state. If all that failed are single routes, rules or tunnels, the error is an *ApplyError.
	Apply(ctx context.Context, s State) (Changes, error)
	// Watch calls changed whenever an interface of the node has, pods' wires apart, until the context ends: with an interface that goes
	// down, the kernel drops its IPv6 routes.
	Watch(ctx context.Context, changed func()) error
	// ForwardDrops names the firewall chains of others that drop forwarded packets by default.
	ForwardDrops(ctx context.Context) ([]string, error)
}

// Masquerader translates the addresses of IPv4 pods. There is none for IPv6.
type Masquerader interface {
	// Masquerade brings the table to the desired state; nil removes it.
	Masquerade(ctx context.Context, m *Masquerade) error
}

// Guard keeps others than the cluster's nodes from putting packets into tunnels.
type Guard interface {
	// Guard brings the table to the desired state; nil removes it.
	Guard(ctx context.Context, g *Guarded) error
}

// Guarded are tunnels and who may send into them.
type Guarded struct {
	VNI, Port int
	// Nodes are the underlay's addresses of the other nodes.
	Nodes []netip.Addr
}

// Masquerade says which packets leave under the node's address.
type Masquerade struct {
	// Sources are the node's IPv4 pod ranges.
	Sources []netip.Prefix
	// Except are destinations that see the pods' own addresses.
	Except []netip.Prefix
}
