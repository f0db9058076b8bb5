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
		p, a := netip.MustParsePrefix(prefixOf(i)).String(), netip.MustParseAddr(addressOf(i)).String()
		if p != prefixOf(i) || a != addressOf(i) || seen[p] || seen[a] {
			t.Fatalf("node %d has %s and %s", i, prefixOf(i), addressOf(i))
		}
		seen[p], seen[a] = true, true
	}
	g.Expect(addressOf(1)).To(Equal(link+"1"), "the agent's own")
}
