// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netns"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/netlink"
)

// enter has the test go on in the namespace; its thread ends with it.
func (s *space) enter(t testing.TB) *netlink.Kernel {
	t.Helper()
	runtime.LockOSThread()
	if err := netns.Set(s.handle); err != nil {
		t.Fatal(err)
	}
	return netlink.New()
}

func imported(dst string, hops ...dataplane.Hop) dataplane.State {
	return dataplane.Plan(dataplane.Intent{Imported: []dataplane.Imported{{Dst: netip.MustParsePrefix(dst), Hops: hops}}})
}

// TestSeveralNextHops share a node's packets, of both families.
func TestSeveralNextHops(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := newSpace(t, "node")
	for _, family := range []string{"ipv4", "ipv6"} { // by port: this test has two addresses only
		n.sysctl(t, "net/"+family+"/fib_multipath_hash_policy", "1")
	}
	var hops []dataplane.Hop
	var routers []*capture
	for i := range 2 {
		r := newSpace(t, fmt.Sprint("router", i))
		device := fmt.Sprint("eth", i)
		n.ip(t, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", r.name)
		for s, name := range map[*space]string{n: device, r: "eth0"} {
			s.sysctl(t, "net/ipv6/conf/"+name+"/accept_dad", "0")
			s.ip(t, "link", "set", name, "up")
		}
		r.ip(t, "addr", "add", "fe80::1/64", "dev", "eth0", "nodad")
		n.ip(t, "addr", "add", fmt.Sprintf("2001:db8::%d/128", i), "dev", device, "nodad")
		n.ip(t, "addr", "add", fmt.Sprintf("10.0.0.%d/32", i+1), "dev", device)
		hops, routers = append(hops, dataplane.Hop{Via: netip.MustParseAddr("fe80::1"), Device: device}), append(routers, r.capture(t, "eth0"))
	}
	k := n.enter(t)
	for dst, a := range map[string]string{"::/0": "2001:db8:ffff::1", "0.0.0.0/0": "192.0.2.1"} {
		_, err := k.Apply(t.Context(), imported(dst, hops...))
		g.Expect(err).NotTo(HaveOccurred())
		for i := range 64 {
			conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(a), uint16(1000+i)).String())
			g.Expect(err).NotTo(HaveOccurred())
			_, err = conn.Write([]byte("to " + a))
			g.Expect(err).NotTo(HaveOccurred())
			_ = conn.Close()
		}
		for _, r := range routers {
			g.Eventually(func() [][]byte { return r.with("to " + a) }, "5s").ShouldNot(BeEmpty(), "by way of every router")
		}
	}
}

// TestImportedRoutesAreReplacedAtOnce: with no moment without any, while the number of next hops changes to and fro.
func TestImportedRoutesAreReplacedAtOnce(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	l := newLink(t)
	n := newSpace(t, "node")
	l.plug(n, "fd00:cafe::11/64", "10.60.0.11/24")
	for _, family := range []string{"-6", "-4"} {
		n.ip(t, family, "route", "del", "default")
	}
	k := n.enter(t)
	hop := func(s string) dataplane.Hop { return dataplane.Hop{Via: netip.MustParseAddr(s), Device: "eth0"} }
	for dst, to := range map[string]string{"::/0": "2001:db8::1", "0.0.0.0/0": "192.0.2.1"} {
		states := []dataplane.State{
			imported(dst, hop("fe80::a")), imported(dst, hop("fe80::a"), hop("fe80::b")), imported(dst, hop("fe80::c"), hop("fe80::d"), hop("fe80::e")), imported(dst, hop("fe80::d")),
		}
		_, err := k.Apply(t.Context(), states[0])
		g.Expect(err).NotTo(HaveOccurred())
		stop, lost := make(chan struct{}), make(chan int, 1)
		go func() {
			gone := 0
			_ = n.within(func() error {
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(to), 9).String()) // a look-up of a route
					if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) {
						gone++
					} else if err == nil {
						_ = conn.Close()
					}
				}
			})
			lost <- gone
		}()
		for i := range 400 {
			done, err := k.Apply(t.Context(), states[(i+1)%len(states)])
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(done.Replaced).To(HaveLen(1))
		}
		close(stop)
		g.Expect(<-lost).To(BeZero(), dst)
	}
}

// TestAnImportedDefaultRoute wins over what router advertisements and DHCP gave, which is there again when it is withdrawn.
func TestAnImportedDefaultRoute(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	l := newLink(t)
	n := newSpace(t, "node")
	l.plug(n, "fd00:cafe::11/64", "10.60.0.11/24")
	n.ip(t, "-6", "route", "replace", "default", "via", "fd00:cafe::1", "metric", "1024", "proto", "ra")
	n.ip(t, "route", "del", "default")
	n.ip(t, "route", "add", "default", "via", "10.60.0.1", "metric", "100", "proto", "dhcp")
	k := n.enter(t)
	s := dataplane.Plan(dataplane.Intent{Imported: []dataplane.Imported{
		{Dst: netip.MustParsePrefix("::/0"), Hops: []dataplane.Hop{{Via: netip.MustParseAddr("fe80::b"), Device: "eth0"}}},
		{Dst: netip.MustParsePrefix("0.0.0.0/0"), Hops: []dataplane.Hop{{Via: netip.MustParseAddr("10.60.0.2"), Device: "eth0"}}},
	}})
	for _, c := range []struct {
		state     dataplane.State
		six, four string
	}{{s, "via fe80::b", "via 10.60.0.2"}, {dataplane.State{}, "via fd00:cafe::1", "via 10.60.0.1"}} {
		_, err := k.Apply(t.Context(), c.state)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n.ip(t, "route", "get", "2001:db8::1")).To(ContainSubstring(c.six))
		g.Expect(n.ip(t, "route", "get", "192.0.2.1")).To(ContainSubstring(c.four))
	}
}

// TestServiceRangesAreNotForwarded: an address that nobody has goes round between router and node without our rules, and is refused with
// them; addresses that kube-proxy translates are reached from outside, by pods, and by the node itself.
func TestServiceRangesAreNotForwarded(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	cfg := v6()
	cfg.IPFamilies = []string{agentconfig.IPv6, agentconfig.IPv4}
	spec := n1()
	spec.addrs, spec.ranges = append(spec.addrs, "10.60.0.11/24"), append(spec.ranges, "10.96.1.0/24")
	l, nodes := cluster(t, cfg, spec)
	n := nodes[0]
	server, client := n.newPod(t, "server").add(t), n.newPod(t, "client").add(t)
	_ = n.signal(syscall.SIGTERM)               // its agent does not know of Services
	n.sysctl(t, "net/ipv4/icmp_ratelimit", "0") // this test asks often
	n.sysctl(t, "net/ipv6/icmp/ratelimit", "0")
	l.sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	l.sysctl(t, "net/ipv4/ip_forward", "1")
	outside := newSpace(t, "outside")
	l.plug(outside, "fd00:cafe::99/64", "10.60.0.99/24")
	ranges := []netip.Prefix{netip.MustParsePrefix("2001:db8:5::/112"), netip.MustParsePrefix("10.97.0.0/16")}
	services, nobody := []string{"2001:db8:5::1", "10.97.0.1"}, []string{"2001:db8:5::99", "10.97.0.99"}
	for i, via := range []string{"fd00:cafe::11", "10.60.0.11"} {
		l.ip(t, "route", "add", ranges[i].String(), "via", via)
		server.echo(t, server.addrs(t)[i])
		// Replies to the outside go by the router, as its packets do.
		outside.ip(t, "route", "add", ranges[i].String(), "via", []string{"fd00:cafe::1", "10.60.0.1"}[i])
	}
	n.run(t, "nft", proxy(services, server.addrs(t)))

	packets := func(port, text string, to netip.Addr) int {
		c := l.capture(t, port)
		conn := outside.dial(t, to)
		_, err := conn.Write([]byte(text))
		g.Expect(err).NotTo(HaveOccurred())
		last := -1
		g.Eventually(func() bool { // until no more come
			before := last
			last = len(c.with(text))
			return last > 0 && last == before
		}, "5s", "100ms").Should(BeTrue())
		return last
	}
	for _, a := range nobody {
		g.Expect(packets("port1", "unguarded "+a, netip.MustParseAddr(a))).To(BeNumerically(">", 50), "it goes to and fro until its hop limit is used up")
	}

	k := n.enter(t)
	_, err := k.Apply(t.Context(), dataplane.Plan(dataplane.Intent{Unforwarded: ranges}))
	g.Expect(err).NotTo(HaveOccurred())
	for i, a := range nobody {
		to := netip.MustParseAddr(a)
		// The frame with the answer quotes the packet.
		g.Expect(packets("port1", "guarded "+a, to)).To(BeNumerically("<=", 2))
		g.Expect(outside.connect(to)).To(Or(MatchError(syscall.ENETUNREACH), MatchError(syscall.EHOSTUNREACH)), "it is told")
		g.Expect(client.connect(to)).To(Or(MatchError(syscall.ENETUNREACH), MatchError(syscall.EHOSTUNREACH)), "a pod is told, too")
		service := netip.MustParseAddr(services[i])
		for who, from := range map[string]*space{"outside": outside, "a pod": client.space, "the node": n.space} {
			seen, err := from.ask(t, service)
			g.Expect(err).NotTo(HaveOccurred(), "%s asks %s", who, service)
			g.Expect(seen).NotTo(BeEmpty())
		}
	}
	_, err = k.Apply(t.Context(), dataplane.State{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(n.ip(t, "-6", "rule", "show")).NotTo(ContainSubstring("2001:db8:5::"))
	g.Expect(n.ip(t, "rule", "show")).NotTo(ContainSubstring("10.97"))
}

// proxy translates as kube-proxy does: what comes in and what the node itself sends, before and after routing.
func proxy(services []string, to []netip.Addr) string {
	var b strings.Builder
	b.WriteString("add table inet proxy\n")
	for chain, hook := range map[string]string{"in": "prerouting", "out": "output"} {
		fmt.Fprintf(&b, "add chain inet proxy %s { type nat hook %s priority -100; }\n", chain, hook)
		fmt.Fprintf(&b, "add rule inet proxy %s ip6 daddr %s udp dport 7 dnat ip6 to %s\n", chain, services[0], to[0])
		fmt.Fprintf(&b, "add rule inet proxy %s ip daddr %s udp dport 7 dnat ip to %s\n", chain, services[1], to[1])
	}
	return b.String()
}
