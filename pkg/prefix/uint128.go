// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package prefix

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// uint128 is an address as a number. IPv4 addresses use the low 32 bits; arithmetic wraps, addr cuts off what is beyond.
type uint128 struct{ hi, lo uint64 }

func fromAddr(a netip.Addr) uint128 {
	if a.Is4() {
		b := a.As4()
		return uint128{lo: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return uint128{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
}

func (u uint128) addr(is4 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], u.hi)
	binary.BigEndian.PutUint64(b[8:], u.lo)
	if is4 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}

// ones is 2^n - 1.
func ones(n int) uint128 {
	switch {
	case n >= 128:
		return uint128{hi: ^uint64(0), lo: ^uint64(0)}
	case n >= 64:
		return uint128{hi: 1<<(n-64) - 1, lo: ^uint64(0)}
	default:
		return uint128{lo: 1<<n - 1}
	}
}

func (u uint128) add(v uint128) uint128 {
	lo, carry := bits.Add64(u.lo, v.lo, 0)
	hi, _ := bits.Add64(u.hi, v.hi, carry)
	return uint128{hi: hi, lo: lo}
}

func (u uint128) sub(v uint128) uint128 {
	lo, borrow := bits.Sub64(u.lo, v.lo, 0)
	hi, _ := bits.Sub64(u.hi, v.hi, borrow)
	return uint128{hi: hi, lo: lo}
}

func (u uint128) and(v uint128) uint128 { return uint128{hi: u.hi & v.hi, lo: u.lo & v.lo} }

func (u uint128) xor(v uint128) uint128 { return uint128{hi: u.hi ^ v.hi, lo: u.lo ^ v.lo} }

func (u uint128) shl(n int) uint128 {
	if n >= 64 {
		return uint128{hi: u.lo << (n - 64)}
	}
	return uint128{hi: u.hi<<n | u.lo>>(64-n), lo: u.lo << n}
}

func (u uint128) shr(n int) uint128 {
	if n >= 64 {
		return uint128{lo: u.hi >> (n - 64)}
	}
	return uint128{hi: u.hi >> n, lo: u.lo>>n | u.hi<<(64-n)}
}
