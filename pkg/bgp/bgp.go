// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package bgp is the language between what decides which routes a node announces and what speaks BGP (RFC 4271, RFC 4760 for
// IPv6): peers, advertisements, the desired state of a speaker and what became of it. It does no I/O.
package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Family is an address family that a session carries: IPv4 or IPv6 unicast.
type Family string

// The families.
const (
	IPv4Unicast Family = "ipv4-unicast"
	IPv6Unicast Family = "ipv6-unicast"
)

// FamilyOf a prefix.
func FamilyOf(p netip.Prefix) Family {
	if p.Addr().Is4() {
		return IPv4Unicast
	}
	return IPv6Unicast
}

// Community is a standard community (RFC 1997): two numbers of 16 bits.
type Community uint32

// ParseCommunity reads "65000:100" or the name of a well-known one: "no-export", "no-advertise", "no-peer".
func ParseCommunity(text string) (Community, error) {
	if c, ok := wellKnown[text]; ok {
		return c, nil
	}
	var high, low uint16
	if n, err := fmt.Sscanf(text, "%d:%d", &high, &low); n != 2 || err != nil || text != fmt.Sprintf("%d:%d", high, low) {
		return 0, fmt.Errorf("community %q: want two numbers up to 65535, as in 65000:100, or no-export, no-advertise, no-peer", text)
	}
	return Community(uint32(high)<<16 | uint32(low)), nil
}

var wellKnown = map[string]Community{"no-export": 0xFFFFFF01, "no-advertise": 0xFFFFFF02, "no-peer": 0xFFFFFF04}

// String is the form that ParseCommunity reads.
func (c Community) String() string {
	for name, known := range wellKnown {
		if c == known {
			return name
		}
	}
	return fmt.Sprintf("%d:%d", uint32(c)>>16, uint32(c)&0xFFFF)
}

// Import says which routes of a peer reach the node's kernel.
type Import string

// What is imported.
const (
	ImportNone    Import = "None"
	ImportDefault Import = "Default"
	ImportAll     Import = "All"
)

// Peer is a router to hold a session with.
type Peer struct {
	// Address of the peer; one of the link has its interface as zone.
	Address netip.Addr
	// ASN of the peer. That of the speaker makes an internal session.
	ASN uint32
	// Port of the peer; 179 if zero.
	Port uint16
	// MultihopTTL is the number of hops that an external peer may be away; 0 or 1: on the link.
	MultihopTTL uint8
	// Password for TCP MD5 (RFC 2385); empty: none.
	Password string
	// HoldTime; 90 s if zero. Keepalives are sent three times as often.
	HoldTime time.Duration
	// ConnectRetry is the time between two attempts to connect; 5 s if zero.
	ConnectRetry time.Duration
	// LocalAddress is the node's address to speak from; the kernel's choice if it is the zero Addr.
	LocalAddress netip.Addr
	// Families that the session carries. They are always negotiated explicitly.
	Families []Family
	// Import of the peer's routes; None if empty.
	Import Import
	// ImportLimit is the number of routes a family at which no more are taken from the peer; 0: no limit.
	ImportLimit uint32
	// Passive peers connect to us; we do not.
	Passive bool
	// Communities are added to everything that this peer is told, sorted.
	Communities []Community
	// LocalPreference of everything that this peer is told, if it is internal; 0: the advertisement's own.
	LocalPreference uint32
}

// String names the peer without its password.
func (p Peer) String() string { return fmt.Sprintf("%s (AS %d)", p.Address, p.ASN) }

// GracefulRestart of the speaker (RFC 4724).
type GracefulRestart struct {
	Enabled bool
	// Time that peers keep our routes while we are away; 120 s if zero.
	Time time.Duration
}

// Advertisement is a prefix that is announced to every peer that carries its family.
type Advertisement struct {
	Prefix netip.Prefix
	// NextHop; the session's own address if it is the zero Addr.
	NextHop netip.Addr
	// Communities, sorted.
	Communities []Community
	// LocalPreference on internal sessions; 100 if zero.
	LocalPreference uint32
}

// Desired is the whole state that a speaker should have.
type Desired struct {
	// ASN of the node.
	ASN uint32
	// RouterID, IPv4 in form, unique within the AS.
	RouterID netip.Addr
	// ListenPort for peers that connect to us; 0: none may.
	ListenPort uint16
	// ListenAddresses; every one if empty.
	ListenAddresses []netip.Addr
	GracefulRestart GracefulRestart
	Peers           []Peer
	Advertisements  []Advertisement
}

// Route is one that a peer has told of and that the node shall have. Several to one prefix share its packets.
type Route struct {
	Prefix  netip.Prefix
	NextHop netip.Addr
	Peer    netip.Addr
}

// SessionState as RFC 4271 section 8.2.2 names it.
type SessionState string

// The states of a session that matter; the others are Connecting.
const (
	Established SessionState = "Established"
	Connecting  SessionState = "Connecting"
	Idle        SessionState = "Idle"
)

// Session is what became of a peer.
type Session struct {
	Peer  Peer
	State SessionState
	// Since is when the state was reached.
	Since time.Time
	// Told is true when the peer has told all that it knows: it said so (RFC 4724, section 2), or has had the time to.
	Told bool
	// Reason of the last end of the session, for people.
	Reason string
	// Received, Accepted and Advertised routes of the session.
	Received, Accepted, Advertised uint64
	// Flaps counts the ends of the session.
	Flaps uint64
}

// Status of a speaker.
type Status struct {
	Sessions []Session
	// Routes that are to be in the node's kernel.
	Routes []Route
}

// Speaker speaks BGP. It takes whole desired states; applying one twice does nothing.
type Speaker interface {
	// Apply makes the speaker's state the desired one: it announces before it withdraws, and touches no session that stays the
	// same. A part that fails does not keep the others; the errors are joined.
	Apply(context.Context, Desired) error
	// Status tells what became of it.
	Status(context.Context) (Status, error)
	// Changed is sent to, without blocking, when a session or an imported route has changed.
	Changed() <-chan struct{}
	// Withdraw takes back all that is announced and ends the sessions with Cease, so that no peer sends here any more: before a
	// planned stop.
	Withdraw(context.Context) error
	// Leave ends the process's part without telling the peers: with graceful restart they keep our routes until we are back.
	Leave()
}
