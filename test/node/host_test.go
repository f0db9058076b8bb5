// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// advertise sends a router advertisement from br0 to all nodes of the link: a default router for half an hour.
func (l *link) advertise() {
	l.t.Helper()
	err := l.within(func() error {
		s, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(s) //nolint:errcheck // a test
		br0, err := net.InterfaceByName("br0")
		if err != nil {
			return err
		}
		// RFC 4861, 6.1.2: advertisements that did not come with hop limit 255 are not of this link.
		if err := unix.SetsockoptInt(s, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
			return err
		}
		message := []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}
		return unix.Sendto(s, message, 0, &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(br0.Index)})
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// learnsRoute advertises until the node has a default route from it.
func (l *link) learnsRoute(n *node) {
	l.t.Helper()
	NewWithT(l.t).Eventually(func() string {
		l.advertise()
		return n.ip(l.t, "-6", "route", "show", "default")
	}, "10s", "100ms").Should(ContainSubstring("proto ra"))
}

// TestTheAdvertisedDefaultRouteSurvivesForwarding: with accept_ra=1, forwarding makes the kernel forget it, and ignore new ones.
func TestTheAdvertisedDefaultRouteSurvivesForwarding(t *testing.T) {
	needsRoot(t)
	for name, prepare := range map[string]func(l *link, n *node){
		"a fresh node": func(l *link, n *node) { l.learnsRoute(n) },
		"forwarding is on already, as Gardener's nodes have it, and an address was advertised": func(_ *link, n *node) {
			n.sysctl(t, "net/ipv6/conf/all/forwarding", "1")
			n.ip(t, "addr", "add", "2001:db8::5/64", "dev", "eth0", "valid_lft", "3600", "preferred_lft", "3600", "nodad")
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			l := newLink(t)
			l.sysctl(t, "net/ipv6/conf/all/forwarding", "1")
			n := newNode(t, "n1", v6())
			l.plug(n.space, "fd00:cafe::11/64")
			n.ip(t, "-6", "route", "del", "default")
			g.Expect(n.sysctl(t, "net/ipv6/conf/eth0/accept_ra")).To(Equal("1"), "the kernel's default")
			prepare(l, n)
			n.file.View = viewOf(agent.Node{Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("fd00:cafe::11")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::/100")}})
			n.start()
			n.ready()
			g.Expect(n.sysctl(t, "net/ipv6/conf/all/forwarding")).To(Equal("1"))
			g.Expect(n.sysctl(t, "net/ipv6/conf/eth0/accept_ra")).To(Equal("2"))
			g.Expect(n.sysctl(t, "net/ipv6/conf/all/accept_ra")).To(Equal("1"), "all is not touched: it has no effect")
			l.learnsRoute(n)
		})
	}
}

// TestRouterAdvertisementsStayOff where the node does not live on them: accept_ra=0 is someone's decision.
func TestRouterAdvertisementsStayOff(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	l := newLink(t)
	n := newNode(t, "n1", v6())
	l.plug(n.space, "fd00:cafe::11/64")
	n.sysctl(t, "net/ipv6/conf/eth0/accept_ra", "0")
	n.file.View = viewOf(agent.Node{Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("fd00:cafe::11")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::/100")}})
	n.start()
	n.ready()
	g.Expect(n.sysctl(t, "net/ipv6/conf/eth0/accept_ra")).To(Equal("0"))
}

func TestThePodRangeChanges(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	old := n.newPod(t, "old").add(t)
	n.echo(t, netip.MustParseAddr("fd00:cafe::11"))
	own := *n.file.View.Own
	own.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("fd00:20::d000:0/100")}
	n.tell(viewOf(own))
	g.Eventually(n.logged, "10s", "20ms").Should(ContainSubstring("EVENT PodRangeChanged: 1 pods have addresses outside of the node's present pod range [fd00:20::d000:0/100]; they keep them until they are created anew: [default/old]"))
	n.ready()
	g.Expect(old.ask(t, netip.MustParseAddr("fd00:cafe::11"))).To(Equal("fd00:10::1:d000:1"), "a running pod is not touched")
	g.Expect(old.try("CHECK")).To(Succeed())
	g.Expect(n.newPod(t, "new").add(t).addr(t)).To(Equal(netip.MustParseAddr("fd00:20::d000:1")))
	g.Expect(lines(n.ip(t, "-6", "route", "show", "proto", "146"))).To(ConsistOf(
		"unreachable fd00:20::d000:0/100 dev lo metric 65535 pref medium", "unreachable fd00:20::/96 dev lo metric 65535 pref medium"))
}

// TestAnOldDisk: the node was re-created under its name, with the store of its former life.
func TestAnOldDisk(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	n.newPod(t, "former").add(t)
	_ = n.signal(syscall.SIGKILL)
	for _, w := range n.wires(t) { // a reboot takes the wires
		n.ip(t, "link", "del", w)
	}
	own := *n.file.View.Own
	own.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("fd00:20::d000:0/100")}
	n.tell(viewOf(own))
	n.start()
	n.ready()
	g.Expect(n.records(t)).To(BeEmpty())
	g.Expect(n.newPod(t, "a").add(t).addr(t).String()).To(HavePrefix("fd00:20::d000:"))
}

func TestTheKernelMakesUpForALostStore(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	a, b := n.newPod(t, "a").add(t), n.newPod(t, "b").add(t)
	_ = n.signal(syscall.SIGKILL)
	g.Expect(os.Remove(n.file.path("addresses/a:eth0.json"))).To(Succeed())
	g.Expect(os.WriteFile(n.file.path("addresses/b:eth0.json"), []byte("{"), 0o600)).To(Succeed())
	n.start()
	n.ready()
	g.Expect(n.logged()).To(ContainSubstring("EVENT DamagedRecord"))
	g.Expect(n.records(t)).To(ConsistOf("a:eth0.json", "b:eth0.json", "b:eth0.json.damaged"))
	distinct(t, []*pod{a, b, n.newPod(t, "c").add(t)})
	g.Expect(a.try("CHECK")).To(Succeed())
	g.Expect(b.try("CHECK")).To(Succeed())
	g.Expect(a.try("DEL")).To(Succeed())
	g.Expect(n.wires(t)).NotTo(ContainElement(a.hostInterface()))
}

// TestOnlyOurRoutesAreTouched: neither those of others, nor those of pods, are; a peer's route is moved without a gap.
func TestOnlyOurRoutesAreTouched(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	_, nodes := cluster(t, v6(), n1(), n2())
	n := nodes[0]
	p := n.newPod(t, "a").add(t)
	n.ip(t, "-6", "route", "add", "fd00:99::/64", "via", "fd00:cafe::1")
	n.ip(t, "-6", "route", "add", "fd00:98::/64", "via", "fd00:cafe::1", "proto", "146")
	n.ip(t, "-6", "route", "del", "fd00:10::2:0:0/96")
	ours := func() []string { return lines(n.ip(t, "-6", "route", "show", "proto", "146")) }
	g.Eventually(ours, "10s", "50ms").Should(ConsistOf(
		ContainSubstring("unreachable fd00:10::1:d000:0/100"), ContainSubstring("unreachable fd00:10::1:0:0/96"),
		ContainSubstring("fd00:10::2:0:0/96 via fd00:cafe::12")), "what bears our mark is put right")
	g.Expect(n.ip(t, "-6", "route", "show", "fd00:99::/64")).To(ContainSubstring("via fd00:cafe::1"))
	g.Expect(p.try("CHECK")).To(Succeed())

	view := n.file.View
	view.Peers[0].Addrs = []netip.Addr{netip.MustParseAddr("fd00:cafe::22")}
	n.tell(view)
	g.Eventually(ours, "10s", "50ms").Should(ContainElement(ContainSubstring("fd00:10::2:0:0/96 via fd00:cafe::22")))
	g.Expect(n.logged()).To(ContainSubstring(`replaced="[fd00:10::2:0:0/96 via fd00:cafe::22`))

	view.Peers = nil
	n.tell(view)
	g.Eventually(ours, "10s", "50ms").Should(HaveLen(2))
}

// TestTheUplinkGoesDownAndUp: the kernel drops the routes through it, and nobody waits for the next resync.
func TestTheUplinkGoesDownAndUp(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	_, nodes := cluster(t, v6(), n1(), n2())
	n := nodes[0]
	_ = n.signal(syscall.SIGTERM)
	n.file.Resync = time.Hour
	n.start()
	n.ready()
	p := n.newPod(t, "a").add(t)
	route := func() string { return n.ip(t, "-6", "route", "show", "fd00:10::2:0:0/96") }
	g.Expect(route()).NotTo(BeEmpty())
	n.sysctl(t, "net/ipv6/conf/eth0/keep_addr_on_down", "1")
	n.ip(t, "link", "set", "eth0", "down")
	g.Expect(route()).To(BeEmpty())
	n.ip(t, "link", "set", "eth0", "up")
	g.Eventually(route, "10s", "20ms").Should(ContainSubstring("via fd00:cafe::12"))
	nodes[1].echo(t, netip.MustParseAddr("fd00:cafe::12"))
	g.Eventually(func() (string, error) { return p.ask(t, netip.MustParseAddr("fd00:cafe::12")) }, "10s").Should(Equal(p.addr(t).String()))
}

// TestANodeIsMadeAgain: its new interface has the old address, and another MAC than its peers remember.
func TestANodeIsMadeAgain(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	_, nodes := cluster(t, v6(), n1(), n2())
	n := nodes[0]
	b := nodes[1].newPod(t, "b").add(t)
	b.echo(t, b.addr(t))

	view := n.file.View
	peers := view.Peers
	route := func() string { return n.ip(t, "-6", "route", "show", "fd00:10::2:0:0/96") }
	view.Peers = nil
	n.tell(view)
	g.Eventually(route, "10s", "20ms").Should(BeEmpty())
	n.ip(t, "-6", "neigh", "replace", "fd00:cafe::12", "dev", "eth0", "lladdr", "02:00:00:00:00:01", "nud", "reachable")
	_, err := n.ask(t, netip.MustParseAddr("fd00:cafe::12"))
	g.Expect(err).To(HaveOccurred(), "the old MAC is still believed")

	view.Peers = peers
	n.tell(view)
	g.Eventually(route, "10s", "20ms").Should(ContainSubstring("via fd00:cafe::12"))
	g.Eventually(func() (string, error) { return n.ask(t, b.addr(t)) }, "3s", "20ms").Should(Equal("fd00:cafe::11"))
}

func TestAForeignRouteInThePlaceOfOurs(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	l := newLink(t)
	n := newNode(t, "n1", v6())
	l.plug(n.space, "fd00:cafe::11/64")
	n.ip(t, "-6", "route", "add", "fd00:10::2:0:0/96", "via", "fd00:cafe::1", "metric", "146")
	n.file.View = viewOf(
		agent.Node{Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("fd00:cafe::11")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::1:0:0/96")}},
		agent.Node{Name: "n2", Addrs: []netip.Addr{netip.MustParseAddr("fd00:cafe::12")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::2:0:0/96")}},
		agent.Node{Name: "n3", Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::3")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::3:0:0/96")}})
	n.start()
	n.ready()
	g.Expect(n.logged()).To(And(
		ContainSubstring("EVENT RouteFailed: add route fd00:10::2:0:0/96 via fd00:cafe::12 dev eth0 proto 146 metric 146 onlink: someone else's route is in its place"),
		ContainSubstring("EVENT PeerNotOnLink: node n3 (2001:db8::3) is behind a router; routing mode Direct needs the nodes on one link")))
	g.Expect(n.ip(t, "-6", "route", "show", "fd00:10::2:0:0/96")).To(ContainSubstring("via fd00:cafe::1 "))
}

func TestRoutedModeLeavesRoutingToOthers(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	cfg := v6()
	cfg.RoutingMode = agentconfig.Routed
	_, nodes := cluster(t, cfg, n1(), n2())
	g.Expect(lines(nodes[0].ip(t, "-6", "route", "show", "proto", "146"))).To(ConsistOf(
		ContainSubstring("unreachable fd00:10::1:d000:0/100"), ContainSubstring("unreachable fd00:10::1:0:0/96")))
}

func TestAFirewallThatDropsIsReported(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	n.run(t, "nft", "add table inet host; add chain inet host forward { type filter hook forward priority 0; policy drop; }")
	n.run(t, "nft", "add table ip fine; add chain ip fine forward { type filter hook forward priority 0; policy accept; }; add chain ip fine input { type filter hook input priority 0; policy drop; }")
	g.Eventually(n.logged, "10s", "50ms").Should(ContainSubstring("EVENT FirewallDropsForwarded: the firewall chain inet host forward drops forwarded packets unless a rule accepts them"))
	g.Expect(strings.Count(n.logged(), "EVENT FirewallDropsForwarded")).To(Equal(1), "once, and of that chain only")
	_, metrics, err := n.get("/metrics")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(metrics).To(ContainSubstring(`ipv6_agent_problems{reason="FirewallDropsForwarded"} 1`))
	n.ready() // a rule of the chain may accept pods' packets
}

func TestAnotherNetworkIsReported(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	g.Expect(os.WriteFile(n.file.path("net.d/05-other.conflist"), nil, 0o600)).To(Succeed())
	g.Eventually(n.logged, "10s", "50ms").Should(ContainSubstring("EVENT OtherNetworkComesFirst: the runtime reads 05-other.conflist in " + n.file.path("net.d") + " before 10-ipv6.conflist"))
}

func TestMetrics(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	n.newPod(t, "a").add(t)
	_, err := n.cni("GC", "", "", map[string]any{"cni.dev/valid-attachments": []map[string]string{{"containerID": "a", "ifname": "eth0"}}})
	g.Expect(err).NotTo(HaveOccurred())
	_, metrics, err := n.get("/metrics")
	g.Expect(err).NotTo(HaveOccurred())
	for _, want := range []string{
		`ipv6_agent_cni_operation_duration_seconds_count{code="0",command="ADD"} 1`,
		`ipv6_agent_cni_operation_duration_seconds_count{code="0",command="GC"} 1`,
		`ipv6_agent_pod_addresses{range="fd00:10::1:d000:0/100",state="used"} 1`,
		`ipv6_agent_pod_addresses{range="fd00:10::1:d000:0/100",state="free"} 2.68435326e+08`,
		"ipv6_agent_routes 2", "ipv6_agent_ready 1",
	} {
		g.Expect(metrics).To(ContainSubstring(want))
	}
}

// TestAPluginInUseIsReplaced: writing to a program that runs is ETXTBSY.
func TestAPluginInUseIsReplaced(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	_ = n.signal(syscall.SIGTERM)
	plugin := n.file.path("bin/ipv6-cni")
	sleep, err := os.ReadFile("/bin/sleep")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Remove(plugin)).To(Succeed())
	g.Expect(os.WriteFile(plugin, sleep, 0o755)).To(Succeed()) //nolint:gosec // a program
	process, err := os.StartProcess(plugin, []string{"sleep", "60"}, &os.ProcAttr{})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = process.Kill(); _, _ = process.Wait() }()
	g.Eventually(func() error { return os.WriteFile(plugin, nil, 0o755) }).Should(MatchError(syscall.ETXTBSY)) //nolint:gosec // a program
	n.start()
	n.ready()
	n.newPod(t, "a").add(t)
}

func TestDualStack(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	cfg := agentconfig.Config{
		RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6", "IPv4"}, NodePrefixLengthIPv6: 96,
		MasqueradeIPv4: true, NonMasqueradeCIDRs: []string{"10.60.0.8/29", "10.96.0.0/16"},
	}
	first, second := n1(), n2()
	first.addrs, first.ranges = append(first.addrs, "10.60.0.11/24"), append(first.ranges, "10.96.1.0/24")
	second.addrs, second.ranges = append(second.addrs, "10.60.0.12/24"), append(second.ranges, "10.96.2.0/24")
	l, nodes := cluster(t, cfg, first, second)
	a, b := nodes[0].newPod(t, "a").add(t), nodes[1].newPod(t, "b").add(t)
	g.Expect(fmt.Sprint(a.addrs(t))).To(Equal("[fd00:10::1:d000:1 10.96.1.1]"))
	g.Expect(string(a.result)).To(And(ContainSubstring(`"gateway": "169.254.1.1"`), ContainSubstring(`"dst": "0.0.0.0/0"`)))
	g.Expect(a.try("CHECK")).To(Succeed())
	for _, addr := range b.addrs(t) {
		b.echo(t, addr)
	}
	g.Expect(a.ask(t, b.addrs(t)[0])).To(Equal("fd00:10::1:d000:1"))
	g.Expect(a.ask(t, b.addrs(t)[1])).To(Equal("10.96.1.1"), "pod to pod is not masqueraded")
	nodes[1].echo(t, netip.MustParseAddr("10.60.0.12"))
	g.Expect(a.ask(t, netip.MustParseAddr("10.60.0.12"))).To(Equal("10.96.1.1"), "pod to node is not, being an exception")
	g.Expect(nodes[1].ask(t, b.addrs(t)[1])).NotTo(BeEmpty(), "node to its pod")

	l.echo(t, netip.MustParseAddr("10.60.0.1"))
	l.echo(t, netip.MustParseAddr("fd00:cafe::1"))
	l.ip(t, "route", "add", "fd00:10::1:0:0/96", "via", "fd00:cafe::11")
	g.Expect(a.ask(t, netip.MustParseAddr("10.60.0.1"))).To(Equal("10.60.0.11"), "IPv4 leaves under the node's address")
	g.Expect(a.ask(t, netip.MustParseAddr("fd00:cafe::1"))).To(Equal("fd00:10::1:d000:1"), "IPv6 never does")

	// Still so after the table was written again.
	_ = nodes[0].signal(syscall.SIGTERM)
	nodes[0].start()
	nodes[0].ready()
	g.Expect(a.ask(t, netip.MustParseAddr("10.60.0.1"))).To(Equal("10.60.0.11"))
	g.Expect(a.try("DEL")).To(Succeed())
	g.Expect(nodes[0].ip(t, "route", "show", "proto", "147")).To(BeEmpty())
}

// TestUnallocatedAddressesAnswer: the sender learns at once, and nothing goes round between node and router.
func TestUnallocatedAddressesAnswer(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	_, nodes := cluster(t, v6(), n1(), n2())
	a := nodes[0].newPod(t, "a").add(t)
	conn := a.dial(t, netip.MustParseAddr("fd00:10::2:d000:77"))
	g.Expect(conn.SetDeadline(time.Now().Add(2 * time.Second))).To(Succeed())
	raw, err := conn.SyscallConn()
	g.Expect(err).NotTo(HaveOccurred())
	// Without this the kernel keeps errors from UDP sockets that may pass.
	g.Expect(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1) })).To(Succeed())
	g.Expect(err).NotTo(HaveOccurred())
	_, err = conn.Write([]byte("?"))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = conn.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(syscall.ENETUNREACH))
}
