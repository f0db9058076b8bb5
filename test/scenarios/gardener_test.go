// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/capture"
)

func TestUntouchedPackets(t *testing.T) {
	g := NewWithT(t)
	known := map[netip.Addr]bool{netip.MustParseAddr("2001:db8::1"): true, netip.MustParseAddr("2001:db8::2"): true}

	own := opening("2001:db8::1", "2001:db8::2")
	count, err := untouched([]capture.Packet{own, {Protocol: 58}, own, opening("10.0.0.1", "10.0.0.2")}, known)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(count).To(Equal(2))

	_, err = untouched([]capture.Packet{own, opening("2001:db8::9", "2001:db8::2")}, known)
	g.Expect(err).To(MatchError(ContainSubstring("neither caller's nor server's")), "the source is translated")

	_, err = untouched([]capture.Packet{own, inVXLAN("2001:db8::1", "2001:db8::2", own)}, known)
	g.Expect(err).To(MatchError(ContainSubstring("encapsulated")))

	_, err = untouched([]capture.Packet{{Protocol: 58}}, known)
	g.Expect(err).To(MatchError("none of 1 packets at the router opens a connection"))
}

func TestParts(t *testing.T) {
	g := NewWithT(t)
	subnet := netip.MustParsePrefix("2001:db8:1:2::/64")
	g.Expect(part(subnet, 96, 10, 0, 3).String()).To(Equal("2001:db8:1:2:0:3::/96"))
	g.Expect(part(netip.MustParsePrefix("2001:db8:1:2:0:3::/96"), 100, 12, 0xd0).String()).To(Equal("2001:db8:1:2:0:3:d000:0/100"))
	g.Expect(part(subnet, 80, 8, 0, 3).String()).To(Equal("2001:db8:1:2:3::/80"))
	g.Expect(inSubnet(netip.MustParsePrefix("10.1.0.0/24"), 10).String()).To(Equal("10.1.0.10/24"))
}
