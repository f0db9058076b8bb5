// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet is what the headers of a packet say.
type Packet struct {
	// Interface that it passed, and whether outwards.
	Interface string
	Out       bool
	// Source, Destination and HopLimit (IPv4: TTL) of the IP header.
	Source, Destination netip.Addr
	HopLimit            uint8
	// Protocol is that of the payload: unix.IPPROTO_TCP, and so on. IPv6 extension headers but fragments' are not looked through.
	Protocol uint8
	// SourcePort and DestinationPort of TCP and UDP.
	SourcePort, DestinationPort uint16
	// Type and Code of ICMP.
	Type, Code uint8
	// SYN is the first packet of a TCP connection.
	SYN bool
	// Inner is the packet of IP that VXLAN wraps (RFC 7348), if this is one to its port.
	Inner *Packet
}

// String shows a packet as people write it.
func (p Packet) String() string {
	return fmt.Sprintf("%s: protocol %d from %s to %s", p.Interface, p.Protocol,
		netip.AddrPortFrom(p.Source, p.SourcePort), netip.AddrPortFrom(p.Destination, p.DestinationPort))
}

// Encapsulated tells whether there is another packet inside: IP in IP, GRE, or UDP to a port of VXLAN, Geneve or WireGuard.
func (p Packet) Encapsulated() bool {
	switch p.Protocol {
	case unix.IPPROTO_IPIP, unix.IPPROTO_IPV6, unix.IPPROTO_GRE:
		return true
	case unix.IPPROTO_UDP:
		switch p.DestinationPort {
		case 4789, 8472, 6081, 51820:
			return true
		}
	}

	return false
}

const (
	// vxlanPort is the one that IANA gave; vxlanHeader and ethernetHeader are octets.
	vxlanPort, vxlanHeader, ethernetHeader, udpHeader = 4789, 8, 14, 8

	ipv4Header, ipv6Header, fragmentHeader = 20, 40, 8
	// syn is the one flag of TCP's that the first packet of a connection has, of SYN and ACK.
	syn, ack = 0x02, 0x10
)

func parse(protocol uint16, data []byte) (Packet, bool) {
	switch {
	case protocol == unix.ETH_P_IPV6 && len(data) >= ipv6Header:
		p := Packet{HopLimit: data[7], Protocol: data[6]}
		p.Source, _ = netip.AddrFromSlice(data[8:24])
		p.Destination, _ = netip.AddrFromSlice(data[24:40])
		rest := data[ipv6Header:]

		if p.Protocol == unix.IPPROTO_FRAGMENT && len(rest) >= fragmentHeader {
			p.Protocol = rest[0]
			if binary.BigEndian.Uint16(rest[2:])>>3 != 0 {
				return p, true // no header of the payload in here
			}

			rest = rest[fragmentHeader:]
		}

		p.payload(rest)

		return p, true
	case protocol == unix.ETH_P_IP && len(data) >= ipv4Header:
		p := Packet{HopLimit: data[8], Protocol: data[9]}
		p.Source, _ = netip.AddrFromSlice(data[12:16])
		p.Destination, _ = netip.AddrFromSlice(data[16:20])

		if header := int(data[0]&0xf) * 4; len(data) >= header && binary.BigEndian.Uint16(data[6:])&0x1fff == 0 {
			p.payload(data[header:])
		}

		return p, true
	}

	return Packet{}, false
}

func (p *Packet) payload(data []byte) {
	switch p.Protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP:
		if len(data) < 4 {
			return
		}

		p.SourcePort, p.DestinationPort = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
		p.SYN = p.Protocol == unix.IPPROTO_TCP && len(data) > 13 && data[13]&(syn|ack) == syn

		if frame := udpHeader + vxlanHeader; p.Protocol == unix.IPPROTO_UDP && p.DestinationPort == vxlanPort && len(data) >= frame+ethernetHeader {
			if inner, ok := parse(binary.BigEndian.Uint16(data[frame+12:]), data[frame+ethernetHeader:]); ok {
				p.Inner = &inner
			}
		}
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		if len(data) >= 2 {
			p.Type, p.Code = data[0], data[1]
		}
	}
}

// interfaces of the network namespace that this thread is in.
func interfaces(names map[int]string) error {
	list, err := net.Interfaces() // by netlink, on this thread
	for _, i := range list {
		names[i.Index] = i.Name
	}

	return err
}
