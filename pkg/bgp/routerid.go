// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"crypto/sha256"
	"net/netip"
)

// RouterID of a node: its first IPv4 address, else a number made of its name, of the block 240.0.0.0/4, which no host has. The
// number stays the same over restarts, as graceful restart wants it (RFC 4724, RFC 6286).
func RouterID(node string, addresses []netip.Addr) netip.Addr {
	for _, a := range addresses {
		if a.Is4() && a.IsGlobalUnicast() {
			return a
		}
	}
	sum := sha256.Sum256([]byte(node))
	return netip.AddrFrom4([4]byte{240 | sum[0]&0x0F, sum[1], sum[2], sum[3]&0xFE | 1})
}
