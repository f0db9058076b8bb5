// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
)

// The agent says what it has as netip prints it: what is waited for must be written the same way, and be each Node's own.
func TestWhatNodesHave(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]bool{}
	for i := 1; i < 5000; i++ {
		g.Expect(netip.MustParsePrefix(prefixOf(i)).String()).To(Equal(prefixOf(i)))
		g.Expect(netip.MustParseAddr(addressOf(i)).String()).To(Equal(addressOf(i)))
		g.Expect(seen).NotTo(HaveKey(prefixOf(i)))
		g.Expect(seen).NotTo(HaveKey(addressOf(i)))
		seen[prefixOf(i)], seen[addressOf(i)] = true, true
	}
	g.Expect(addressOf(1)).To(Equal(link+"1"), "the agent's own")
}
