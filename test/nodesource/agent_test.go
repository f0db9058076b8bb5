// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource_test

import (
	"context"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/test/nodesource/metadatafake"
)

// TestFromTheSourceToPodCIDRs is the whole way, with the real programs: what gives the node its prefix, ipv6-agent on the node with the
// token of its pod, kube-apiserver with the policy, ipv6-ipam-controller. One cluster, a source a node.
func TestFromTheSourceToPodCIDRs(t *testing.T) {
	needsRoot(t)
	at := func(cloud string) map[string]string { return map[string]string{"cloud": cloud} }
	c := newCluster(t, agentconfig.Config{
		RoutingMode: agentconfig.Routed, IPFamilies: []string{agentconfig.IPv6}, NodePrefixLengthIPv6: 80,
		NodePrefixSources: []agentconfig.NodePrefixSource{
			{Source: agentconfig.SourceMetadata, Provider: "aws", MatchLabels: at("aws")},
			{Source: agentconfig.SourceDHCPv6PD, MatchLabels: at("dhcp")},
			{Source: agentconfig.SourceInterface, Interface: "eth0", MatchLabels: at("link")},
		},
	}, nodeprefix.Config{
		Ranges: []nodeprefix.Range{{
			Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:f::/64"), NodeBits: 80, PodBits: 84, PodChild: 0xd,
			Within: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, Scope: nodeprefix.ScopeGlobal,
		}},
		Sources: []nodeprefix.Source{
			{Origin: nodeprefix.FromNode, MatchLabels: at("aws")}, {Origin: nodeprefix.FromNode, MatchLabels: at("dhcp")},
			{Origin: nodeprefix.FromNode, MatchLabels: at("link")}, {Origin: nodeprefix.FromPool},
		},
	})
	t.Run("pool", func(t *testing.T) { poolNode(t, c) })
	t.Run("metadata", func(t *testing.T) { metadataNode(t, c, at("aws")) })
	t.Run("dhcpv6", func(t *testing.T) { dhcpv6Node(t, c, at("dhcp")) })
	t.Run("link", func(t *testing.T) { linkNode(t, c, at("link")) })
}

func poolNode(t *testing.T, all *cluster) {
	space, _ := newLink(t)
	space.run("ip", "address", "add", "2001:db8:ffff::9/64", "dev", "eth0")
	c := all.on(t)
	node := c.node(space, "pool", nil, "2001:db8:ffff::9")
	c.Eventually(node.podCIDRs).Should(Equal([]string{"2001:db8:f::d000:0:0/84"}))
	c.Eventually(node.ready).Should(Succeed())
	c.Expect(node.annotation("node-prefix-source")()).To(BeEmpty(), "there is nobody to ask")
}

func metadataNode(t *testing.T, all *cluster, labels map[string]string) {
	fake := metadatafake.New("aws", nodeMAC)
	space := cloud(t, fake, "169.254.169.254")
	c := all.on(t)
	node := c.node(space, "aws", labels, "2001:db8:ffff::2")
	const none = "aws metadata: /latest/meta-data/network/interfaces/macs/<mac>/ipv6-prefix: the node has no prefix there: " +
		"want a prefix (/80) assigned to the network interface: Ipv6PrefixCount: 1"
	c.Eventually(node.condition).Should(Equal("False NoReportedPrefix: the node has no prefix to report: " + none))
	c.Eventually(node.warnings).Should(And(ContainSubstring("NodePrefixNone: "+none), ContainSubstring("NoReportedPrefix: ")))

	fake.Set("2001:db8:a:0:7::/80")
	node.stop(syscall.SIGTERM) // instead of a minute's patience
	node.start()
	c.Eventually(node.podCIDRs).Should(Equal([]string{"2001:db8:a:0:7:d000::/84"}))
	c.Eventually(node.ready).Should(Succeed(), "pods can start")
	c.Expect(node.annotation("node-prefix")()).To(Equal("2001:db8:a:0:7::/80"))
	c.Expect(node.annotation("node-prefix-source")()).To(Equal("aws metadata at 169.254.169.254"))
	c.Eventually(node.condition).Should(Equal("True Assigned: "))

	// The machine is rebooted, and has another prefix.
	fake.Set("2001:db8:a:0:8::/80")
	node.stop(syscall.SIGKILL)
	node.start()
	c.Eventually(node.condition).Should(Equal("False ReportedPrefixChanged: the node reports 2001:db8:a:0:8::/80 now, and its pod range is 2001:db8:a:0:7:d000::/84; " +
		"pod ranges cannot be changed: replace the node"))
	c.Expect(node.podCIDRs()).To(Equal([]string{"2001:db8:a:0:7:d000::/84"}))

	// The metadata server fails: what is known stays known.
	fake.Behave(metadatafake.Failing)
	node.stop(syscall.SIGKILL)
	node.start()
	c.Eventually(node.warnings).Should(ContainSubstring("NodePrefixSourceSilent: "))
	c.Expect(node.annotation("reported-node-prefix")()).To(Equal("2001:db8:a:0:8::/80"))
}

func dhcpv6Node(t *testing.T, all *cluster, labels map[string]string) {
	space, server := newLink(t)
	space.run("ip", "address", "add", "2001:db8:ffff::3/64", "dev", "eth0")
	space.run("ip", "route", "add", "default", "via", "2001:db8:ffff::1")
	k := newKea(server)
	k.start(brief("2001:db8:8000::"))
	c := all.on(t)
	node := c.node(space, "dhcp", labels, "2001:db8:ffff::3")
	c.Eventually(node.podCIDRs).Should(ConsistOf(MatchRegexp(`^2001:db8:8000:[0-9a-f]+:ffff:d000::/84$`)))
	c.Eventually(node.ready).Should(Succeed())
	before := node.object().Spec
	delegated := node.annotation("reported-node-prefix")()
	c.Expect(delegated).To(MatchRegexp(inPool))
	c.Expect(node.annotation("node-prefix")()).To(Equal(delegated), "the whole of it is the node's")
	c.Expect(netip.MustParsePrefix(delegated).Contains(netip.MustParsePrefix(before.PodCIDR).Addr())).To(BeTrue())
	c.Expect(node.warnings()).NotTo(ContainSubstring("NodePrefix"), "that the first answer takes a moment is no news")

	// A crash: the lease is on disk, and is the same.
	node.stop(syscall.SIGKILL)
	asks := capture(server)
	node.start()
	asks.sees("dhcp6 rebind")
	c.Consistently(node.annotation("reported-node-prefix"), "2s", "100ms").Should(Equal(delegated))

	// The server goes, and the lease with it.
	k.stop()
	lost := ContainSubstring("prefix " + delegated + " is lost since ")
	c.Eventually(node.condition).Should(And(HavePrefix("False ReportedPrefixLost: the prefix of pod range "+before.PodCIDR+" is not the node's any more: DHCPv6 on eth0: "), lost))
	c.Eventually(node.warnings).Should(And(ContainSubstring("NodePrefixLost: DHCPv6 on eth0: "), ContainSubstring("ReportedPrefixLost: "), lost))
	c.Expect(node.annotation("reported-node-prefix")()).To(BeEmpty())
	c.Expect(node.object().Spec).To(Equal(before), "pods go on as long as anybody lets them")

	// It comes back, and gives what it gave before.
	k.start(brief("2001:db8:8000::"))
	c.Eventually(node.condition).Should(Equal("True Assigned: "))

	// An ordinary stop keeps the lease; that of a node that is deleted gives it back.
	node.stop(syscall.SIGTERM)
	node.start()
	c.Eventually(node.log.said).Should(ContainSubstring("the node's prefix comes from"))
	c.Expect(asks.said()).NotTo(ContainSubstring("dhcp6 release"))
	c.Expect(c.Client.Delete(context.Background(), node.object())).To(Succeed())
	c.Eventually(node.log.said).Should(ContainSubstring("the API server does not know this node"))
	node.stop(syscall.SIGTERM)
	asks.sees("dhcp6 release")
}

func linkNode(t *testing.T, all *cluster, labels map[string]string) {
	space, router := newLink(t)
	radvd(router, advertised{prefix: "2001:db8:c:1::/64", valid: 600, preferred: 300})
	c := all.on(t)
	var own string
	c.Eventually(func() string {
		fields := strings.Fields(space.run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "global"))
		if len(fields) > 3 {
			own = strings.TrimSuffix(fields[3], "/64")
		}
		return own
	}).ShouldNot(BeEmpty(), "an address by SLAAC")
	node := c.node(space, "link", labels, own)
	c.Eventually(node.podCIDRs).Should(Equal([]string{"2001:db8:c:1:ffff:d000::/84"}))
	c.Eventually(node.ready).Should(Succeed())
	c.Expect(node.annotation("reported-node-prefix")()).To(Equal("2001:db8:c:1::/64"))
	c.Expect(node.annotation("node-prefix-source")()).To(Equal("link of eth0"))
	c.Expect(netip.MustParsePrefix(node.podCIDRs()[0]).Contains(netip.MustParseAddr(own))).To(BeFalse())
	c.Expect(space.run("ip", "route", "get", "2001:db8:c:1::1")).To(ContainSubstring("dev eth0"), "routers and servers of the link are reached: they are numbered from below")
	c.Expect(space.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra")).To(Equal("2\n"), "the next advertisement is heeded, too")
}
