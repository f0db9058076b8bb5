// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"slices"
)

// Changes lead from one desired state to another, in the order in which they are to be made.
type Changes struct {
	// Restart is true if the speaker itself must begin anew: its number, router ID, port or graceful restart is another one.
	Restart bool
	// Advertise what is new or differs. It comes before everything that takes something away.
	Advertise []Advertisement
	// AddPeers are new.
	AddPeers []Peer
	// ReplacePeers differ in something that a session is opened with.
	ReplacePeers []Peer
	// UpdatePeers differ only in what is taken from or told to them: the session stays.
	UpdatePeers []Peer
	// RemovePeers are not wanted any more.
	RemovePeers []Peer
	// Withdraw what is not to be announced any more.
	Withdraw []Advertisement
}

// Empty tells whether there is nothing to do.
func (c Changes) Empty() bool {
	return !c.Restart && len(c.Advertise) == 0 && len(c.AddPeers) == 0 && len(c.ReplacePeers) == 0 && len(c.UpdatePeers) == 0 &&
		len(c.RemovePeers) == 0 && len(c.Withdraw) == 0
}

// Compare says what leads from what a speaker has to what is desired.
func Compare(has, desired Desired) Changes {
	var c Changes
	c.Restart = has.ASN != desired.ASN || has.RouterID != desired.RouterID || has.ListenPort != desired.ListenPort ||
		!slices.Equal(has.ListenAddresses, desired.ListenAddresses) || has.GracefulRestart != desired.GracefulRestart
	if c.Restart {
		has.Peers, has.Advertisements = nil, nil
	}
	hasAds := index(has.Advertisements, func(a Advertisement) netip.Prefix { return a.Prefix })
	wantAds := index(desired.Advertisements, func(a Advertisement) netip.Prefix { return a.Prefix })
	for _, a := range desired.Advertisements {
		if old, ok := hasAds[a.Prefix]; !ok || !old.equal(a) {
			c.Advertise = append(c.Advertise, a)
		}
	}
	for _, a := range has.Advertisements {
		if _, ok := wantAds[a.Prefix]; !ok {
			c.Withdraw = append(c.Withdraw, a)
		}
	}
	hasPeers := index(has.Peers, func(p Peer) netip.Addr { return p.Address })
	wantPeers := index(desired.Peers, func(p Peer) netip.Addr { return p.Address })
	for _, p := range desired.Peers {
		switch old, ok := hasPeers[p.Address]; {
		case !ok:
			c.AddPeers = append(c.AddPeers, p)
		case !old.sameSession(p):
			c.ReplacePeers = append(c.ReplacePeers, p)
		case !old.samePolicy(p):
			c.UpdatePeers = append(c.UpdatePeers, p)
		}
	}
	for _, p := range has.Peers {
		if _, ok := wantPeers[p.Address]; !ok {
			c.RemovePeers = append(c.RemovePeers, p)
		}
	}
	return c
}

func index[K comparable, V any](values []V, key func(V) K) map[K]V {
	m := make(map[K]V, len(values))
	for _, v := range values {
		m[key(v)] = v
	}
	return m
}

func (a Advertisement) equal(b Advertisement) bool {
	return a.Prefix == b.Prefix && a.NextHop == b.NextHop && a.LocalPreference == b.LocalPreference && slices.Equal(a.Communities, b.Communities)
}

// sameSession tells whether a session that is open may stay.
func (p Peer) sameSession(q Peer) bool {
	return p.Address == q.Address && p.ASN == q.ASN && p.Port == q.Port && p.MultihopTTL == q.MultihopTTL && p.Password == q.Password &&
		p.HoldTime == q.HoldTime && p.ConnectRetry == q.ConnectRetry && p.LocalAddress == q.LocalAddress &&
		p.ImportLimit == q.ImportLimit && p.Passive == q.Passive &&
		slices.Equal(slices.Sorted(slices.Values(p.Families)), slices.Sorted(slices.Values(q.Families)))
}

// samePolicy tells whether the same is taken from and told to both.
func (p Peer) samePolicy(q Peer) bool {
	return p.Import == q.Import && p.LocalPreference == q.LocalPreference && slices.Equal(p.Communities, q.Communities)
}
