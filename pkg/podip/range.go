// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package podip

import (
	"fmt"
	"math"
	"net/netip"

	"go4.org/netipx"
)

// reservedAnycast is the number of the highest addresses of an IPv6 subnet that RFC 2526 reserves for anycast.
const reservedAnycast = 128

// ipRange is a pod range with a place in it.
type ipRange struct {
	prefix      netip.Prefix
	first, last netip.Addr // the usable addresses
	cursor      netip.Addr // the address given out last; the search begins after it
	reserved    map[netip.Addr]bool
}

// newRange leaves out the network address (in IPv6 the subnet-router anycast address, RFC 4291, 2.6.1), IPv4's broadcast address, and
// in IPv6 ranges of /112 and larger the anycast addresses of RFC 2526, which smaller ones cannot spare.
func newRange(p netip.Prefix, reserved []netip.Addr, cursor netip.Addr) (*ipRange, error) {
	if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
		return nil, fmt.Errorf("pod range %s is not a prefix without host bits", p)
	}
	hostBits := p.Addr().BitLen() - p.Bits()
	if hostBits < 2 {
		return nil, fmt.Errorf("pod range %s is too small: it holds no address but reserved ones", p)
	}
	r := &ipRange{prefix: p, first: p.Addr().Next(), last: netipx.PrefixLastIP(p), reserved: map[netip.Addr]bool{}}
	switch {
	case p.Addr().Is4():
		r.last = r.last.Prev()
	case hostBits >= 16:
		b := r.last.As16()
		b[15] -= reservedAnycast
		r.last = netip.AddrFrom16(b)
	}
	for _, a := range reserved {
		if r.holds(a) {
			r.reserved[a] = true
		}
	}
	r.cursor = r.last // the first search begins at first
	if r.holds(cursor) {
		r.cursor = cursor
	}
	return r, nil
}

// holds says whether the address is one that the range may give out.
func (r *ipRange) holds(a netip.Addr) bool {
	return a.IsValid() && a.BitLen() == r.first.BitLen() && r.first.Compare(a) <= 0 && a.Compare(r.last) <= 0
}

// next finds the first free address after the cursor, going on at the range's beginning once it is at its end, so that an address
// that has just become free is the last to be given out again.
func (r *ipRange) next(used map[netip.Addr]Key) (netip.Addr, error) {
	a := r.cursor
	for range len(used) + len(r.reserved) + 1 {
		a = a.Next()
		if !r.holds(a) {
			a = r.first
		}
		if _, taken := used[a]; !taken && !r.reserved[a] {
			return a, nil
		}
		if a == r.cursor {
			break // once around
		}
	}
	return netip.Addr{}, fmt.Errorf("pod range %s: %w", r.prefix, ErrExhausted)
}

// size is the number of addresses that the range may give out; at most MaxUint64.
func (r *ipRange) size() uint64 {
	hostBits := r.prefix.Addr().BitLen() - r.prefix.Bits()
	if hostBits >= 64 {
		return math.MaxUint64
	}
	n := uint64(1)<<hostBits - 1
	switch {
	case r.prefix.Addr().Is4():
		n--
	case hostBits >= 16:
		n -= reservedAnycast
	}
	return n - uint64(len(r.reserved))
}
