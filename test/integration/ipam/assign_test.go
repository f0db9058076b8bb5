// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"context"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

func config(rs ...nodeprefix.Range) nodeprefix.Config { return nodeprefix.Config{Ranges: rs} }

func TestAssignsToManyNodesAtOnce(t *testing.T) {
	c := start(t)
	p := c.run(config(v6(96, 100)))
	c.createMany("node", 200).Wait()
	prefixes := c.allAssigned(200)
	for name := range prefixes {
		n := c.node(name)
		c.Expect(n.Spec.PodCIDR).To(Equal(n.Spec.PodCIDRs[0]))
		c.Expect(n.Spec.PodCIDRs[0]).To(MatchRegexp(`^2001:db8:1:2:0:[0-9a-f]+:d000:0/100$`))
		c.Expect(c.conditionOf(name)()).To(BeEmpty(), "a node without trouble has no condition")
	}
	p.stop(c)
}

// TestDualStackOrder: the first of podCIDRs is of the primary family, which is the first of the configuration.
func TestDualStackOrder(t *testing.T) {
	v4 := nodeprefix.Range{Family: "IPv4", Pool: netip.MustParsePrefix("100.96.0.0/11"), NodeBits: 24, PodBits: 24}
	for _, tc := range []struct {
		name       string
		config     nodeprefix.Config
		podCIDRs   []string
		annotation string
	}{
		{"IPv6 first", config(v6(96, 100), v4), []string{"2001:db8:1:2:0:1:d000:0/100", "100.96.0.0/24"}, "2001:db8:1:2:0:1::/96,100.96.0.0/24"},
		{"IPv4 first", config(v4, v6(96, 100)), []string{"100.96.0.0/24", "2001:db8:1:2:0:1:d000:0/100"}, "100.96.0.0/24,2001:db8:1:2:0:1::/96"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t)
			p := c.run(tc.config, "--leader-elect=false")
			c.Expect(c.create("node", "2001:db8:1:2::a")).To(Succeed())
			c.Eventually(c.podCIDRs("node")).Should(Equal(tc.podCIDRs))
			c.Expect(c.node("node").Spec.PodCIDR).To(Equal(tc.podCIDRs[0]))
			c.Expect(c.node("node").Annotations).To(HaveKeyWithValue(annotation, tc.annotation))
			p.stop(c)
		})
	}
}

// F25: a node is replaced under its name.
func TestF25SameNameAgainGetsAnotherPrefix(t *testing.T) {
	c := start(t)
	conf := config(v6(96, 100))
	p := c.run(conf, "--leader-elect=false")
	c.Expect(c.create("node", "2001:db8:1:2::a")).To(Succeed())
	c.Eventually(c.podCIDRs("node")).Should(Equal([]string{"2001:db8:1:2:0:1:d000:0/100"}))
	c.remove("node")
	c.Expect(c.create("node", "2001:db8:1:2::a")).To(Succeed())
	c.Eventually(c.podCIDRs("node")).Should(Equal([]string{"2001:db8:1:2:0:2:d000:0/100"}))
	c.Eventually(func() int { return len(c.journal().Tombstones) }).Should(Equal(1))
	p.stop(c)

	// Nobody watches now. The prefix is not remembered by a tombstone, but the search goes on where it stopped.
	c.remove("node")
	p = c.run(conf, "--leader-elect=false")
	c.Expect(c.create("node", "2001:db8:1:2::a")).To(Succeed())
	c.Eventually(c.podCIDRs("node")).Should(Equal([]string{"2001:db8:1:2:0:3:d000:0/100"}))
	p.stop(c)
}

func TestExhaustionIsToldAndEnds(t *testing.T) {
	c := start(t)
	r := v6(66, 70) // four, the first of which is kept for nodes' addresses
	p := c.run(config(r), "--leader-elect=false", "--quarantine", "3s")
	for _, name := range []string{"node-a", "node-b", "node-c"} {
		c.Expect(c.create(name, "2001:db8:1:2::a")).To(Succeed())
		c.Eventually(c.podCIDRs(name)).Should(HaveLen(1))
	}
	c.Expect(c.create("node-d", "2001:db8:1:2::d")).To(Succeed())
	const message = "CIDRNotAvailable: no free /66 is left in 2001:db8:1:2::/64: 3 held by nodes, others hold addresses of nodes"
	c.Eventually(c.conditionOf("node-d")).Should(Equal("False " + message))
	c.Eventually(c.events("node-d")).Should(ConsistOf(message))

	freed := c.node("node-b").Spec.PodCIDRs
	c.remove("node-b")
	c.Eventually(c.podCIDRs("node-d")).Should(Equal(freed), "when the quarantine is over")
	c.Eventually(c.conditionOf("node-d")).Should(Equal("True Assigned: "))
	p.stop(c)
}

func TestWhatOthersWroteIsKeptAndTold(t *testing.T) {
	c := start(t)
	ctx := context.Background()
	c.Expect(c.create("outside", "2001:db8:1:2::1", "2001:db8:9::/100")).To(Succeed())
	c.Expect(c.create("fitting", "2001:db8:1:2::2", "2001:db8:1:2:0:2:d000:0/100")).To(Succeed())
	c.Expect(c.create("twin", "2001:db8:1:2::3", "2001:db8:1:2:0:2:e000:0/100")).To(Succeed())
	// As kube-controller-manager's own node IPAM does it.
	c.Expect(c.create("kcm", "2001:db8:1:2::4")).To(Succeed())
	byKCM := c.node("kcm")
	before := byKCM.DeepCopy()
	byKCM.Spec.PodCIDR, byKCM.Spec.PodCIDRs = "2001:db8:1:2:8000::/80", []string{"2001:db8:1:2:8000::/80"}
	c.Expect(c.Client.Patch(ctx, byKCM, client.StrategicMergeFrom(before), client.FieldOwner("kube-controller-manager"))).To(Succeed())

	p := c.run(config(v6(96, 100)), "--leader-elect=false")
	c.Expect(c.create("ours-1", "2001:db8:1:2::5")).To(Succeed())
	c.Eventually(c.podCIDRs("ours-1")).Should(Equal([]string{"2001:db8:1:2:0:1:d000:0/100"}))
	c.Expect(c.create("ours-2", "2001:db8:1:2::6")).To(Succeed())
	c.Eventually(c.podCIDRs("ours-2")).Should(Equal([]string{"2001:db8:1:2:0:3:d000:0/100"}), "not the prefix that fitting and twin have")

	c.Eventually(c.conditionOf("outside")).Should(Equal("False PodCIDROutsidePool: pod range 2001:db8:9::/100 is outside of 2001:db8:1:2::/64"))
	c.Eventually(c.conditionOf("fitting")).Should(Equal("False PodCIDROverlap: prefix 2001:db8:1:2:0:2::/96 overlaps that of twin"))
	c.Eventually(c.conditionOf("twin")).Should(Equal("False PodCIDROverlap: prefix 2001:db8:1:2:0:2::/96 overlaps that of fitting"))
	c.Eventually(c.conditionOf("kcm")).Should(Equal("False PodCIDRLengthDiffers: pod range 2001:db8:1:2:8000::/80 is not a /100"))
	c.Eventually(c.events("kcm")).Should(ContainElement(
		"PodCIDRsWrittenByOther: the pod ranges 2001:db8:1:2:8000::/80 were not written by ipv6-ipam-controller; " +
			"if kube-controller-manager writes them, start it with --allocate-node-cidrs=false"))
	c.Expect(c.node("outside").Spec.PodCIDRs).To(Equal([]string{"2001:db8:9::/100"}))
	c.Expect(c.node("kcm").Spec.PodCIDRs).To(Equal([]string{"2001:db8:1:2:8000::/80"}))
	p.stop(c)
}

func TestAnnotationIsRestored(t *testing.T) {
	c := start(t)
	p := c.run(config(v6(96, 100)), "--leader-elect=false")
	c.Expect(c.create("node", "2001:db8:1:2::a")).To(Succeed())
	c.Eventually(c.podCIDRs("node")).Should(HaveLen(1))
	n := c.node("node")
	before := n.DeepCopy()
	metav1.SetMetaDataAnnotation(&n.ObjectMeta, annotation, "2001:db8::/32")
	c.Expect(c.Client.Patch(context.Background(), n, client.MergeFrom(before))).To(Succeed())
	c.Eventually(func() string { return c.node("node").Annotations[annotation] }).Should(Equal("2001:db8:1:2:0:1::/96"))
	p.stop(c)
}

func TestBadConfigurationIsNamed(t *testing.T) {
	c := start(t)
	p := c.run(config(v6(96, 100)), "--config", "/nonexistent/config.json")
	c.Eventually(p.done).Should(BeClosed())
	c.Expect(p.cmd.ProcessState.ExitCode()).To(Equal(1))
	c.Expect(p.text()).To(ContainSubstring("ipv6-ipam-controller: read --config: open /nonexistent/config.json: no such file or directory"))
}
