// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// echo answers every UDP packet to port 7 of an address in the namespace, until the test ends.
func (s *space) echo(t testing.TB, a netip.Addr) {
	t.Helper()
	var conn *net.UDPConn
	err := s.within(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 7)))
		return err
	})
	if err != nil {
		t.Fatalf("listen on %s in %s: %v", a, s.name, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 64*1024)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				// The answer says whom it saw.
				_, _ = conn.WriteToUDPAddrPort([]byte(from.Addr().Unmap().String()), from)
			}
		}
	}()
}

// dial makes a UDP socket in the namespace.
func (s *space) dial(t testing.TB, to netip.Addr) *net.UDPConn {
	t.Helper()
	return s.dialPort(t, netip.AddrPortFrom(to, 7))
}

func (s *space) dialPort(t testing.TB, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	err := s.within(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	if err != nil {
		t.Fatalf("dial %s in %s: %v", to, s.name, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends one packet and returns the address that the other side saw.
func (s *space) ask(t testing.TB, to netip.Addr) (string, error) {
	t.Helper()
	return s.askPort(t, netip.AddrPortFrom(to, 7))
}

func (s *space) askPort(t testing.TB, to netip.AddrPort) (string, error) {
	t.Helper()
	conn := s.dialPort(t, to)
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("?")); err != nil {
		return "", err
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	return string(buf[:n]), err
}

func TestPodsOfTwoNodesReachEachOther(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	l, nodes := cluster(t, v6(), n1(), n2())
	a, b := nodes[0].newPod(t, "a").add(t), nodes[1].newPod(t, "b").add(t)
	g.Expect(a.addr(t)).To(Equal(netip.MustParseAddr("fd00:10::1:d000:1")))
	g.Expect(b.addr(t)).To(Equal(netip.MustParseAddr("fd00:10::2:d000:1")))

	b.echo(t, b.addr(t))
	nodes[1].echo(t, netip.MustParseAddr("fd00:cafe::12"))
	g.Expect(a.ask(t, b.addr(t))).To(Equal("fd00:10::1:d000:1"), "pod to pod, no NAT")
	g.Expect(a.ask(t, netip.MustParseAddr("fd00:cafe::12"))).To(Equal("fd00:10::1:d000:1"), "pod to another node")
	g.Expect(nodes[1].ask(t, b.addr(t))).To(Equal("fd00:cafe::12"), "node to its pod")
	g.Expect(nodes[0].ask(t, b.addr(t))).To(Equal("fd00:cafe::11"), "node to another's pod")

	// The host outside knows the way to the nodes' prefixes.
	l.ip(t, "route", "add", "fd00:10::1:0:0/96", "via", "fd00:cafe::11")
	l.echo(t, netip.MustParseAddr("fd00:cafe::1"))
	g.Expect(a.ask(t, netip.MustParseAddr("fd00:cafe::1"))).To(Equal("fd00:10::1:d000:1"), "pod to outside, no NAT")
}

func TestKernelStateOfANode(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	_, nodes := cluster(t, v6(), n1(), n2())
	n := nodes[0]
	p := n.newPod(t, "a").add(t)
	var result struct {
		Interfaces []struct{ Name string }
	}
	g.Expect(json.Unmarshal(p.result, &result)).To(Succeed())
	host := result.Interfaces[0].Name
	g.Expect(host).To(MatchRegexp("^v6p[a-z2-7]{11}$"))

	g.Expect(lines(n.ip(t, "-6", "route", "show", "proto", "146"))).To(ConsistOf(
		"fd00:10::2:0:0/96 via fd00:cafe::12 dev eth0 metric 146 onlink pref medium",
		"unreachable fd00:10::1:d000:0/100 dev lo metric 65535 pref medium",
		"unreachable fd00:10::1:0:0/96 dev lo metric 65535 pref medium",
	))
	g.Expect(lines(n.ip(t, "-6", "route", "show", "proto", "147"))).To(ConsistOf(
		fmt.Sprintf("fd00:10::1:d000:1 dev %s metric 1024 pref medium", host)))
	g.Expect(n.ip(t, "-6", "addr", "show", "dev", host)).To(ContainSubstring("inet6 fe80::1/64 scope link nodad"))
	g.Expect(strings.Count(n.ip(t, "-6", "addr", "show", "dev", host), "inet6")).To(Equal(1), "no address but fe80::1")
	g.Expect(lines(p.ip(t, "-6", "route", "show", "default"))).To(ConsistOf("default via fe80::1 dev eth0 proto 147 metric 1024 onlink pref medium"))
	g.Expect(p.ip(t, "-6", "addr", "show", "dev", "eth0")).To(ContainSubstring("inet6 fd00:10::1:d000:1/128 scope global nodad"))
	g.Expect(p.ip(t, "-6", "neigh", "show", "nud", "permanent")).To(ContainSubstring("fe80::1 dev eth0 lladdr"))
	g.Expect(n.ip(t, "-6", "neigh", "show", "nud", "permanent")).To(ContainSubstring("fd00:10::1:d000:1 dev " + host + " lladdr"))
	for path, want := range map[string]string{
		"net/ipv6/conf/all/forwarding":                "1",
		"net/ipv6/conf/eth0/forwarding":               "1",
		"net/ipv6/conf/" + host + "/forwarding":       "1",
		"net/ipv6/conf/" + host + "/accept_ra":        "0",
		"net/ipv6/conf/" + host + "/accept_redirects": "0",
	} {
		g.Expect(n.sysctl(t, path)).To(Equal(want), path)
	}
	g.Expect(p.sysctl(t, "net/ipv6/conf/eth0/accept_ra")).To(Equal("0"))

	// Unallocated addresses of the node's own prefix go nowhere, instead of to the router and back.
	_, err := n.try("ip", "route", "get", "fd00:10::1:d000:99")
	g.Expect(err).To(HaveOccurred())
}

func TestTheNetworkIsAnnouncedWhenReadyOnly(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	l := newLink(t)
	n := newNode(t, "n1", v6())
	l.plug(n.space, "fd00:cafe::11/64")
	view := n.file.View
	n.start()
	g.Eventually(func() (string, error) { _, body, err := n.get("/readyz"); return body, err }, "10s", "20ms").
		Should(ContainSubstring("Node.spec.podCIDRs has no IPv6 range yet"))
	conflist := n.file.path("net.d/10-ipv6.conflist")
	g.Expect(conflist).NotTo(BeAnExistingFile())
	_, err := n.cni("STATUS", "", "", nil)
	g.Expect(code(err)).To(Equal(uint(50)), "%v", err)
	g.Expect(code(n.newPod(t, "a").try("ADD"))).To(Equal(uint(11)))

	own := *view.Own
	own.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("fd00:10::/100")}
	n.tell(viewOf(own))
	n.ready()
	g.Expect(os.ReadFile(conflist)).To(MatchJSON(fmt.Sprintf(`{
		"cniVersion": "1.0.0", "cniVersions": ["1.0.0", "1.1.0"], "name": "ipv6", "plugins": [
			{"type": "ipv6-cni", "socket": %q},
			{"type": "portmap", "backend": "nftables", "snat": true, "capabilities": {"portMappings": true}}]}`, n.file.path("cni.sock"))))
	_, err = n.cni("STATUS", "", "", nil)
	g.Expect(err).NotTo(HaveOccurred())
	n.newPod(t, "a").add(t)
	for _, p := range []string{"ipv6-cni", "portmap", "loopback"} {
		g.Expect(n.file.path("bin/" + p)).To(BeARegularFile())
	}
}
