// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	const addresses = "20010db8000000000000000000000001" + "20010db8000000000000000000000002"

	one, two := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")

	for _, test := range []struct {
		name     string
		protocol uint16
		bytes    string
		want     Packet
		wrapped  bool
	}{
		{"a first packet of TCP", unix.ETH_P_IPV6, "60000000 0014 06 40" + addresses + "d431 0050 00000000 00000000 5002 ffff 0000 0000",
			Packet{Source: one, Destination: two, HopLimit: 64, Protocol: 6, SourcePort: 54321, DestinationPort: 80, SYN: true}, false},
		{"its answer", unix.ETH_P_IPV6, "60000000 0014 06 40" + addresses + "0050 d431 00000000 00000000 5012 ffff 0000 0000",
			Packet{Source: one, Destination: two, HopLimit: 64, Protocol: 6, SourcePort: 80, DestinationPort: 54321}, false},
		{"address unreachable", unix.ETH_P_IPV6, "60000000 0030 3a 3f" + addresses + "0103 0000 00000000",
			Packet{Source: one, Destination: two, HopLimit: 63, Protocol: 58, Type: 1, Code: 3}, false},
		{"a first fragment", unix.ETH_P_IPV6, "60000000 0010 2c 40" + addresses + "11000001 00000007 1388 1389 0008 0000",
			Packet{Source: one, Destination: two, HopLimit: 64, Protocol: 17, SourcePort: 5000, DestinationPort: 5001}, false},
		{"a later fragment", unix.ETH_P_IPV6, "60000000 0010 2c 40" + addresses + "110005a8 00000007 12b5 12b5 0008 0000",
			Packet{Source: one, Destination: two, HopLimit: 64, Protocol: 17}, false},
		{"VXLAN over IPv4", unix.ETH_P_IP, "45000032 00000000 40 11 0000 c0000201 c0000202 d431 12b5 001e 0000",
			Packet{Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddr("192.0.2.2"), HopLimit: 64, Protocol: 17,
				SourcePort: 54321, DestinationPort: 4789}, true},
		{"a packet of IPv6 in VXLAN over IPv4", unix.ETH_P_IP, "45000062 00000000 40 11 0000 c0000201 c0000202 d431 12b5 004e 0000" +
			"08000000 00100000" + "020000000002 020000000001 86dd" + "60000000 0008 3a 3f" + addresses + "8000 0000 00000000",
			Packet{Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddr("192.0.2.2"), HopLimit: 64, Protocol: 17,
				SourcePort: 54321, DestinationPort: 4789, Inner: &Packet{Source: one, Destination: two, HopLimit: 63, Protocol: 58, Type: 128}}, true},
		{"IPv6 in IPv6", unix.ETH_P_IPV6, "60000000 0028 29 40" + addresses + "60000000",
			Packet{Source: one, Destination: two, HopLimit: 64, Protocol: 41}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			data, err := hex.DecodeString(strings.ReplaceAll(test.bytes, " ", ""))
			g.Expect(err).NotTo(HaveOccurred())

			got, ok := parse(test.protocol, data)
			g.Expect(ok).To(BeTrue())
			g.Expect(got).To(Equal(test.want))
			g.Expect(got.Encapsulated()).To(Equal(test.wrapped))
		})
	}

	_, ok := parse(unix.ETH_P_IPV6, []byte{0x60})
	NewWithT(t).Expect(ok).To(BeFalse(), "a short packet")

	_, ok = parse(unix.ETH_P_ARP, make([]byte, 64))
	NewWithT(t).Expect(ok).To(BeFalse(), "no packet of IP")
}
