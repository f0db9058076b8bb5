// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
)

// What the scenario expects is what the seed tells: five prefixes, all within the supernet, no pod range with its node's address.
func TestPlacesOfTalos(t *testing.T) {
	g := NewWithT(t)
	supernet := netip.MustParsePrefix("2001:db8:a000::/36")
	g.Expect(talosNetworking).To(ContainSubstring("podSupernet: " + supernet.String()))

	places := talosPlaces()
	g.Expect(places).To(HaveLen(5))

	for i, p := range places {
		if p.link == delegationLink {
			p.prefix = talosDelegation.Pool
			p.pods = p.prefix
		}

		g.Expect(supernet.Contains(p.prefix.Addr())).To(BeTrue(), p.provider)
		g.Expect(p.prefix.Contains(p.pods.Addr())).To(BeTrue(), p.provider)
		g.Expect(talosNetworking).To(ContainSubstring("{" + providerLabel + ": " + p.provider + "}"))

		if p.address.IsValid() {
			g.Expect(p.pods.Contains(p.address.Addr())).To(BeFalse(), p.provider)
		}

		for _, other := range places[:i] {
			g.Expect(p.prefix.Overlaps(other.prefix)).To(BeFalse(), "%s and %s", p.provider, other.provider)
			g.Expect(p.ipv4.Overlaps(other.ipv4)).To(BeFalse(), "%s and %s", p.provider, other.provider)
		}
	}
}
