// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package prefix

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Bits is the number of bits of an address of the family, 0 for no family.
func (f Family) Bits() int {
	switch f {
	case IPv4:
		return 32
	case IPv6:
		return 128
	}
	return 0
}

// Other is the other of the two families.
func (f Family) Other() Family {
	switch f {
	case IPv4:
		return IPv6
	case IPv6:
		return IPv4
	}
	return 0
}

// FamilyOf an address; IPv4-mapped IPv6 addresses are IPv6. 0 for the zero address.
func FamilyOf(a netip.Addr) Family {
	switch {
	case a.Is4():
		return IPv4
	case a.Is6():
		return IPv6
	}
	return 0
}

// Covers tells whether every address of q is in p.
func Covers(p, q netip.Prefix) bool {
	return p.IsValid() && q.IsValid() && p.Bits() <= q.Bits() && p.Contains(q.Addr())
}

// Overlaps tells whether the two have an address in common. Prefixes of different families never have.
func Overlaps(p, q netip.Prefix) bool { return p.Overlaps(q) }

// OverlapsAny returns the first of others that overlaps p.
func OverlapsAny(p netip.Prefix, others ...netip.Prefix) (netip.Prefix, bool) {
	for _, q := range others {
		if p.Overlaps(q) {
			return q, true
		}
	}
	return netip.Prefix{}, false
}

// Compare orders by family, address and length: the order of every result of this package.
func Compare(p, q netip.Prefix) int {
	if c := p.Addr().Compare(q.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(p.Bits(), q.Bits())
}

// Sort sorts in place and returns its argument.
func Sort(ps []netip.Prefix) []netip.Prefix {
	slices.SortFunc(ps, Compare)
	return ps
}

// Parent is the prefix of the given length that covers p.
func Parent(p netip.Prefix, bits int) (netip.Prefix, error) {
	if !p.IsValid() || bits < 0 || bits > p.Bits() {
		return netip.Prefix{}, fmt.Errorf("%v has no parent of length /%d", p, bits)
	}
	return netip.PrefixFrom(p.Addr(), bits).Masked(), nil
}

// Child is the part of p with the given length and index. A negative index counts from the end: -1 is the last child.
func Child(p netip.Prefix, bits, index int) (netip.Prefix, error) {
	if !p.IsValid() || bits < p.Bits() || bits > p.Addr().BitLen() {
		return netip.Prefix{}, fmt.Errorf("%v has no child of length /%d", p, bits)
	}
	width := bits - p.Bits()
	var offset uint128
	if index >= 0 {
		offset = uint128{lo: uint64(index)}
		if width < 63 && index>>width != 0 {
			return netip.Prefix{}, fmt.Errorf("%v has no child /%d with index %d", p, bits, index)
		}
	} else {
		// -index is computed on the unsigned value so that the least int does not overflow.
		back := -uint64(index) - 1
		if width < 63 && back>>width != 0 {
			return netip.Prefix{}, fmt.Errorf("%v has no child /%d with index %d", p, bits, index)
		}
		offset = ones(width).sub(uint128{lo: back})
	}
	base := fromAddr(p.Masked().Addr())
	return netip.PrefixFrom(base.add(offset.shl(p.Addr().BitLen()-bits)).addr(p.Addr().Is4()), bits), nil
}

// Next is the prefix of the same length right behind p; false if p is the last one of its family.
func Next(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() || p.Bits() == 0 {
		return netip.Prefix{}, false
	}
	p = p.Masked()
	sum := fromAddr(p.Addr()).add(uint128{lo: 1}.shl(p.Addr().BitLen() - p.Bits()))
	next := sum.addr(p.Addr().Is4())
	if !p.Addr().Less(next) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(next, p.Bits()), true
}

// Last is the last address of p.
func Last(p netip.Prefix) netip.Addr {
	p = p.Masked()
	return fromAddr(p.Addr()).add(ones(p.Addr().BitLen() - p.Bits())).addr(p.Addr().Is4())
}

// Index is the place of child among the children of its length in p, if that place fits 63 bits.
func Index(p, child netip.Prefix) (int, bool) {
	if !Covers(p, child) {
		return 0, false
	}
	diff := fromAddr(child.Masked().Addr()).sub(fromAddr(p.Masked().Addr())).shr(p.Addr().BitLen() - child.Bits())
	if diff.hi != 0 || diff.lo>>63 != 0 {
		return 0, false
	}
	return int(diff.lo), true //nolint:gosec // the top bit was just found to be zero
}
