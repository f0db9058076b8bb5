// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

const (
	simulated   = 1000
	simulatedAS = 65000
)

// BenchmarkThousandPeers is the time from nothing to a thousand sessions with a prefix each, both ways, and what the speaker's process takes
// for it. GoBGP waits one to two seconds before it first connects.
func BenchmarkThousandPeers(b *testing.B) {
	needsRoot(b)
	for b.Loop() {
		node, others := newSpace(b, "node"), newSpace(b, "others")
		link(node, others, []string{"fd00::2/64"}, []string{"fd00::1/64"})
		// Every address of the range is the others' own.
		others.run("ip", "-6", "route", "add", "local", "fd00:1::/64", "dev", "lo")
		node.run("ip", "-6", "route", "add", "fd00:1::/64", "via", "fd00::1")
		told := simulate(b, others)
		speaker := start(b, node, "quiet")
		speaker.status() // it has begun
		idle := resident(b, speaker)

		d := desired(bgp.Peer{}, "2001:db8:2::/80")
		d.Peers = nil
		for i := range simulated {
			p := tor()
			p.Address, p.ASN, p.Import, p.HoldTime = peerAddress(i+1), simulatedAS, bgp.ImportAll, 90*time.Second
			d.Peers = append(d.Peers, p)
		}
		begin := time.Now()
		speaker.apply(d)
		applied := time.Since(begin)
		g := NewWithT(b)
		g.Eventually(told.Load).WithTimeout(time.Minute).WithPolling(10 * time.Millisecond).Should(BeEquivalentTo(simulated))
		g.Eventually(func() int { return len(speaker.status().Routes) }).WithTimeout(time.Minute).WithPolling(20 * time.Millisecond).Should(Equal(simulated))
		b.ReportMetric(applied.Seconds(), "s-until-applied")
		b.ReportMetric(time.Since(begin).Seconds(), "s-until-converged")
		b.ReportMetric(resident(b, speaker)-idle, "MiB-more")
		b.ReportMetric(idle, "MiB-before")

		begin = time.Now()
		told.Store(0)
		d.Advertisements = append(d.Advertisements, bgp.Advertisement{Prefix: netip.MustParsePrefix("2001:db8:3::/80")})
		speaker.apply(d)
		g.Eventually(told.Load).WithTimeout(time.Minute).WithPolling(time.Millisecond).Should(BeEquivalentTo(simulated))
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms-until-a-new-prefix-is-told-all")
		speaker.kill()
	}
}

func peerAddress(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd00:1::%x", i)) }

// resident memory of a process in MiB.
func resident(b *testing.B, p *process) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	var kib float64
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS:") {
			if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err != nil {
				b.Fatal(err)
			}
		}
	}
	return kib / 1024
}

// simulate peers: each connection to an address of theirs is with another router, which announces one prefix. It counts the updates that
// bring a route.
func simulate(b *testing.B, s *space) *atomic.Int64 {
	b.Helper()
	var listener net.Listener
	if err := s.within(func() (err error) {
		listener, err = net.Listen("tcp6", "[::]:179")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	told := &atomic.Int64{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if err := converse(conn, told); err != nil && err != io.EOF { //nolint:errorlint // as io.ReadFull returns it
					fmt.Fprintln(os.Stderr, "simulated peer:", err)
				}
				_ = conn.Close()
			}()
		}
	}()
	return told
}

func converse(conn net.Conn, told *atomic.Int64) error {
	own := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	bytes := own.As16()
	number := binary.BigEndian.Uint16(bytes[14:])
	open := packet.NewBGPOpenMessage(simulatedAS, 90, fmt.Sprintf("10.9.%d.%d", number>>8, number&0xFF), []packet.OptionParameterInterface{
		packet.NewOptionParameterCapability([]packet.ParameterCapabilityInterface{
			packet.NewCapMultiProtocol(packet.RF_IPv6_UC), packet.NewCapFourOctetASNumber(simulatedAS),
		}),
	})
	prefix := packet.NewIPv6AddrPrefix(64, fmt.Sprintf("2001:db8:1:%x::", number))
	update := packet.NewBGPUpdateMessage(nil, []packet.PathAttributeInterface{
		packet.NewPathAttributeOrigin(0),
		packet.NewPathAttributeAsPath([]packet.AsPathParamInterface{packet.NewAs4PathParam(packet.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{simulatedAS})}),
		packet.NewPathAttributeMpReachNLRI(own.String(), []packet.AddrPrefixInterface{prefix}),
	}, nil)
	for _, message := range []*packet.BGPMessage{open, packet.NewBGPKeepAliveMessage(), update} {
		data, err := message.Serialize()
		if err != nil {
			return err
		}
		if _, err := conn.Write(data); err != nil {
			return err
		}
	}
	for {
		header := make([]byte, packet.BGP_HEADER_LENGTH)
		if _, err := io.ReadFull(conn, header); err != nil {
			return err
		}
		body := make([]byte, int(binary.BigEndian.Uint16(header[16:]))-len(header))
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		if header[18] == packet.BGP_MSG_UPDATE && len(body) > 10 {
			told.Add(1)
		}
	}
}
