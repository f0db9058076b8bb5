// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbip

import (
	"math"
	"net/netip"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// space is one prefix of a pool.
type space struct {
	pool   string
	prefix netip.Prefix
	// cursor is where the search for a free address goes on. Because it goes on and does not begin anew, an address that was given back
	// is the last to be given out again.
	cursor netip.Addr
	// used addresses of it.
	used int
}

func newSpace(pool string, p netip.Prefix) *space {
	return &space{pool: pool, prefix: p, cursor: p.Addr()}
}

func (s *space) family() prefix.Family { return prefix.FamilyOf(s.prefix.Addr()) }

// reserved says what else an address of the space is, or nothing. Routers that have the prefix on a link answer for these: the
// subnet-router anycast address (RFC 4291, 2.6.1), IPv4's network and broadcast addresses. Links between two routers have
// none (RFC 6164, RFC 3021).
func (s *space) reserved(a netip.Addr) string {
	hostBits := a.BitLen() - s.prefix.Bits()
	switch {
	case hostBits < 2:
		return ""
	case a == s.prefix.Addr() && a.Is6():
		return "the subnet-router anycast address"
	case a == s.prefix.Addr():
		return "the network address"
	case a.Is4() && a == prefix.Last(s.prefix):
		return "the broadcast address"
	}
	return ""
}

func (s *space) capacity() float64 {
	n := math.Exp2(float64(s.prefix.Addr().BitLen() - s.prefix.Bits()))
	if s.reserved(s.prefix.Addr()) != "" {
		n--
	}
	if s.reserved(prefix.Last(s.prefix)) != "" {
		n--
	}
	return n
}

// next free address from the cursor on, and around; false if there is none. At most that many are taken or reserved.
func (s *space) next(taken func(netip.Addr) bool, atMost int) (netip.Addr, bool) {
	a := s.cursor
	for range atMost + 1 {
		if !taken(a) && s.reserved(a) == "" {
			return a, true
		}
		if a = s.after(a); a == s.cursor {
			break
		}
	}
	return netip.Addr{}, false
}

func (s *space) after(a netip.Addr) netip.Addr {
	if next := a.Next(); s.prefix.Contains(next) {
		return next
	}
	return s.prefix.Addr()
}
