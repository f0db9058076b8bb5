// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

const (
	reported     = "ipv6.networking.extensions.gardener.cloud/reported-node-prefix"
	prefixSource = "ipv6.networking.extensions.gardener.cloud/node-prefix-source"
)

// clouds is a cluster with nodes of three clouds, that bring their prefixes, and some that have theirs from the pool.
func clouds() nodeprefix.Config {
	c := config(
		nodeprefix.Range{
			Family: "IPv6", Pool: netip.MustParsePrefix("fd00:1:2:3::/64"), NodeBits: 80, PodBits: 84, PodChild: 0xd,
			Within: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fd00::/8")},
		},
		nodeprefix.Range{Family: "IPv4", Pool: netip.MustParsePrefix("100.96.0.0/11"), NodeBits: 24, PodBits: 24},
	)
	c.Sources = []nodeprefix.Source{
		{Origin: nodeprefix.FromPool, MatchLabels: map[string]string{"cloud": "own"}},
		{Origin: nodeprefix.FromNode},
	}
	return c
}

// report writes as the node's agent does; empty texts remove.
func (c *cluster) report(name, prefixes, source string) {
	c.t.Helper()
	n := c.node(name)
	before := n.DeepCopy()
	for k, v := range map[string]string{reported: prefixes, prefixSource: source} {
		if v == "" {
			delete(n.Annotations, k)
		} else {
			metav1.SetMetaDataAnnotation(&n.ObjectMeta, k, v)
		}
	}
	c.Expect(c.Client.Patch(context.Background(), n, client.MergeFrom(before), client.FieldOwner("ipv6-agent"))).To(Succeed())
}

func (c *cluster) recorded(name string) func() string {
	return func() string { return c.node(name).Annotations[annotation] }
}

func TestNodesOfSeveralClouds(t *testing.T) {
	c := start(t)
	p := c.run(clouds(), "--leader-elect=false")
	c.Expect(c.create("aws", "2001:db8:a::5")).To(Succeed())
	c.Expect(c.create("gcp", "2001:db8:b:1::1")).To(Succeed())
	c.Expect(c.create("hetzner", "2001:db8:c:1::1")).To(Succeed())
	own := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "own", Labels: map[string]string{"cloud": "own"}}}
	c.Expect(c.Client.Create(context.Background(), own)).To(Succeed())
	c.Eventually(c.podCIDRs("own")).Should(Equal([]string{"fd00:1:2:3:0:d000::/84", "100.96.0.0/24"}))

	c.report("aws", "2001:db8:a:0:7::/80", "aws metadata")
	c.Eventually(c.podCIDRs("aws")).Should(Equal([]string{"2001:db8:a:0:7:d000::/84", "100.96.1.0/24"}))
	c.Eventually(c.recorded("aws")).Should(Equal("2001:db8:a:0:7::/80,100.96.1.0/24"))
	c.report("gcp", "2001:db8:b:1::/64", "DHCPv6 on eth1")
	c.Eventually(c.podCIDRs("gcp")).Should(Equal([]string{"2001:db8:b:1:ffff:d000::/84", "100.96.2.0/24"}))
	c.report("hetzner", "2a01:4f8::/64,2001:db8:c:1::/64", "link of eth0")
	c.Eventually(c.podCIDRs("hetzner")).Should(Equal([]string{"2001:db8:c:1:ffff:d000::/84", "100.96.3.0/24"}), "of two the one that the cluster may use")
	c.Eventually(c.recorded("hetzner")).Should(Equal("2001:db8:c:1::/64,100.96.3.0/24"), "the whole prefix is the node's")
	for _, name := range []string{"aws", "gcp", "hetzner", "own"} {
		c.Expect(c.conditionOf(name)()).To(BeEmpty(), name)
		c.Expect(c.events(name)()).To(BeEmpty(), name)
	}
	p.stop(c)
}

func TestTwoNodesReportOnePrefix(t *testing.T) {
	c := start(t)
	p := c.run(clouds(), "--leader-elect=false", "--quarantine", "3s")
	c.Expect(c.create("first", "10.250.0.1")).To(Succeed())
	c.Expect(c.create("second", "10.250.0.2")).To(Succeed())
	c.report("second", "2001:db8:1:2::/64", "aws metadata")
	c.Eventually(c.podCIDRs("second")).Should(HaveLen(2), "the older node has not asked for it")
	c.report("first", "2001:db8:1:2:8::/80", "aws metadata")
	const message = "ReportedPrefixOverlap: reported prefix 2001:db8:1:2:8::/80 overlaps that of second"
	c.Eventually(c.conditionOf("first")).Should(Equal("False " + message))
	c.Eventually(c.events("first")).Should(ConsistOf(message))
	c.Expect(c.node("first").Spec.PodCIDRs).To(BeEmpty(), "neither the one family nor the other")
	c.Expect(c.conditionOf("second")()).To(BeEmpty())

	c.remove("second")
	c.Eventually(c.conditionOf("first")).Should(Equal("False ReportedPrefixOverlap: reported prefix 2001:db8:1:2:8::/80 is still in quarantine after second was deleted"))
	c.Eventually(c.podCIDRs("first")).Should(HaveExactElements("2001:db8:1:2:8:d000::/84", "100.96.1.0/24"), "as soon as it is over")
	c.Eventually(c.conditionOf("first")).Should(Equal("True Assigned: "))
	p.stop(c)
}

func TestReportsThatAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, report, source, want string }{
		{"outside", "2a00:1:2:3::/64", "link of eth0",
			"ReportedPrefixInvalid: the node reports what it cannot have: prefix 2a00:1:2:3::/64 is outside of what the cluster may use: want one in 2001:db8::/32,fd00::/8"},
		{"address-of-another", "2001:db8:9::/64", "openstack metadata", "PrefixHoldsOtherNode: reported prefix 2001:db8:9::/64 holds an address of neighbour"},
		{"small", "2001:db8:1:2:3:4::/96", "gcp metadata",
			"ReportedPrefixInvalid: the node reports what it cannot have: prefix 2001:db8:1:2:3:4::/96 is too small: want a /80 or larger"},
		{"none", "", "aws metadata: the node has no prefix there: want a prefix (/80) assigned to the network interface",
			"NoReportedPrefix: the node has no prefix to report: aws metadata: the node has no prefix there: want a prefix (/80) assigned to the network interface"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t)
			p := c.run(clouds(), "--leader-elect=false")
			c.Expect(c.create("neighbour", "2001:db8:9::7")).To(Succeed())
			c.Expect(c.create("node", "2001:db8:9::8")).To(Succeed())
			c.report("node", tc.report, tc.source)
			c.Eventually(c.conditionOf("node")).Should(Equal("False " + tc.want))
			c.Eventually(c.events("node")).Should(ConsistOf(tc.want))
			c.report("node", "2001:db8:8::/64", "another source")
			c.Eventually(c.podCIDRs("node")).Should(Equal([]string{"2001:db8:8:0:ffff:d000::/84", "100.96.0.0/24"}), "a report that is put right counts at once")
			c.Eventually(c.conditionOf("node")).Should(Equal("True Assigned: "))
			p.stop(c)
		})
	}
}

// TestPodsLieBesideTheNodesOwnAddress, wherever in its prefix the node has it.
func TestPodsLieBesideTheNodesOwnAddress(t *testing.T) {
	for address, want := range map[string]string{
		"2001:db8:1:2::1":           "2001:db8:1:2:ffff:d000::/84",
		"2001:db8:1:2:ffff:d000::1": "2001:db8:1:2:fffe:d000::/84",
		"2001:db8:1:2:ffff::d000:1": "2001:db8:1:2:ffff:d000::/84",
	} {
		c := start(t)
		p := c.run(clouds(), "--leader-elect=false")
		c.Expect(c.create("node", address)).To(Succeed())
		c.report("node", "2001:db8:1:2::/64", "link of eth0")
		c.Eventually(c.podCIDRs("node")).Should(HaveExactElements(want, "100.96.0.0/24"))
		c.Expect(c.conditionOf("node")()).To(BeEmpty())
		p.stop(c)
	}
}

// TestReportChangesUnderPods: podCIDRs cannot be changed, so people are told, and pods keep their addresses.
func TestReportChangesUnderPods(t *testing.T) {
	c := start(t)
	p := c.run(clouds(), "--leader-elect=false")
	c.Expect(c.create("node", "10.250.0.1")).To(Succeed())
	c.report("node", "2001:db8:1:2::/64", "DHCPv6 on eth0")
	c.Eventually(c.podCIDRs("node")).Should(HaveLen(2))
	before := c.node("node").Spec

	c.report("node", "2001:db8:7::/64", "DHCPv6 on eth0")
	const changed = "ReportedPrefixChanged: the node reports 2001:db8:7::/64 now, and its pod range is 2001:db8:1:2:ffff:d000::/84; pod ranges cannot be changed: replace the node"
	c.Eventually(c.conditionOf("node")).Should(Equal("False " + changed))
	c.Eventually(c.events("node")).Should(ConsistOf(changed))

	c.report("node", "", "DHCPv6 on eth0: prefix 2001:db8:7::/64 is lost since 2026-11-21T12:00:00Z: no server renewed it")
	const lost = "ReportedPrefixLost: the prefix of pod range 2001:db8:1:2:ffff:d000::/84 is not the node's any more: " +
		"DHCPv6 on eth0: prefix 2001:db8:7::/64 is lost since 2026-11-21T12:00:00Z: no server renewed it"
	c.Eventually(c.conditionOf("node")).Should(Equal("False " + lost))
	c.Eventually(c.events("node")).Should(ConsistOf(changed, lost))

	c.Expect(c.create("other", "10.250.0.2")).To(Succeed())
	c.report("other", "2001:db8:1:2::/64", "DHCPv6 on eth0")
	c.Eventually(c.conditionOf("other")).Should(Equal("False ReportedPrefixOverlap: reported prefix 2001:db8:1:2::/64 overlaps that of node"),
		"the server gave it to another, while pods of the first still use it")

	c.report("node", "2001:db8:1:2::/64", "DHCPv6 on eth0")
	c.Eventually(c.conditionOf("node")).Should(Equal("True Assigned: "))
	c.Expect(c.node("node").Spec).To(Equal(before))
	c.Expect(c.recorded("node")()).To(Equal("2001:db8:1:2::/64,100.96.0.0/24"))
	p.stop(c)
}

// TestNodesOfOthers are checked, and written nothing to but a condition.
func TestNodesOfOthers(t *testing.T) {
	c := start(t)
	conf := clouds()
	conf.Sources = []nodeprefix.Source{{Origin: nodeprefix.FromElsewhere, MatchLabels: map[string]string{"cloud": "others"}}, {Origin: nodeprefix.FromNode}}
	p := c.run(conf, "--leader-elect=false")
	others := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "others", Labels: map[string]string{"cloud": "others"}}}
	c.Expect(c.Client.Create(context.Background(), others)).To(Succeed())
	c.report("others", "2001:db8:5::/64", "whatever it says")
	c.Expect(c.create("mine", "10.250.0.1")).To(Succeed())
	c.report("mine", "2001:db8:1:2::/64", "link of eth0")
	c.Eventually(c.podCIDRs("mine")).Should(HaveLen(2))
	c.Expect(c.podCIDRs("others")()).To(BeEmpty())

	before := others.DeepCopy()
	others.Spec.PodCIDR, others.Spec.PodCIDRs = "2001:db8:1:2::/84", []string{"2001:db8:1:2::/84", "100.96.9.0/24"}
	c.Expect(c.Client.Patch(context.Background(), others, client.StrategicMergeFrom(before), client.FieldOwner("somebody"))).To(Succeed())
	const message = "PodCIDROverlap: prefix 2001:db8:1:2::/84 overlaps that of mine"
	c.Eventually(c.conditionOf("others")).Should(Equal("False " + message))
	c.Expect(c.events("others")()).To(ConsistOf(message), "that others wrote it is as it should be")
	c.Expect(c.node("others").Annotations).NotTo(HaveKey(annotation))
	p.stop(c)
}

// TestKilledBetweenJournalAndNode: a program that may not write nodes is one that dies before it does.
func TestKilledBetweenJournalAndNode(t *testing.T) {
	c := start(t)
	_, kubeconfig := c.AddUser(t, "halfway", "system:authenticated")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	c.Expect(os.WriteFile(file, kubeconfig, 0o600)).To(Succeed())
	meta := metav1.ObjectMeta{Name: "halfway"}
	for _, obj := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "update"}},
		}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "halfway"}},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "halfway"},
		},
	} {
		c.Expect(c.Client.Create(context.Background(), obj)).To(Succeed())
		t.Cleanup(func() { _ = c.Client.Delete(context.Background(), obj) })
	}
	c.Expect(c.create("node", "10.250.0.1")).To(Succeed())
	c.report("node", "2001:db8:1:2::/64", "DHCPv6 on eth0")
	halfway := c.runAs(file, clouds(), "--leader-elect=false")
	c.Eventually(halfway.text).Should(ContainSubstring("write the podCIDRs of node node"))
	halfway.kill()
	c.Expect(c.journal().Claims).To(HaveLen(1))
	c.Expect(c.node("node").Spec.PodCIDRs).To(BeEmpty())

	// Meanwhile everything changes that the decision rested on.
	c.report("node", "2001:db8:7::/64", "DHCPv6 on eth0")
	c.Expect(c.create("other", "10.250.0.2")).To(Succeed())
	c.report("other", "2001:db8:1:2::/64", "DHCPv6 on eth0")
	p := c.run(clouds(), "--leader-elect=false")
	c.Eventually(c.podCIDRs("node")).Should(Equal([]string{"2001:db8:1:2:ffff:d000::/84", "100.96.0.0/24"}), "carried out as claimed: the write may be under way")
	c.Eventually(c.conditionOf("node")).Should(HavePrefix("False ReportedPrefixChanged: "))
	c.Eventually(c.conditionOf("other")).Should(Equal("False ReportedPrefixOverlap: reported prefix 2001:db8:1:2::/64 overlaps that of node"))
	p.stop(c)
}

// TestManyNodesReport at once, some the same; no two get it.
func TestManyNodesReport(t *testing.T) {
	c := start(t)
	p := c.run(clouds(), "--leader-elect=false")
	const count, distinct = 60, 40
	c.createMany("node", count).Wait()
	for i := range count {
		c.report(fmt.Sprint("node-", i), netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 5, byte(i % distinct)}), 64).String(), "aws metadata")
	}
	c.Eventually(c.assigned).Should(Equal(distinct))
	c.Eventually(func() (waiting int) {
		for i := range count {
			if c.conditionOf(fmt.Sprint("node-", i))() != "" {
				waiting++
			}
		}
		return waiting
	}).Should(Equal(count - distinct))
	c.Consistently(c.assigned).Should(Equal(distinct))
	p.stop(c)
}
