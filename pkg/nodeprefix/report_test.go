// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// brought is a cluster whose nodes bring a /80 or more, the pods' part being a /84, and have IPv4 from a pool.
func brought(change ...func(*nodeprefix.Config)) nodeprefix.Config {
	c := config(nodeprefix.Range{Family: "IPv6", NodeBits: 80, PodBits: 84, PodChild: 0xd}, ownPods())
	c.Sources = []nodeprefix.Source{
		{Origin: nodeprefix.FromPool, MatchLabels: map[string]string{"at": "home"}},
		{Origin: nodeprefix.FromElsewhere, MatchLabels: map[string]string{"at": "others"}},
		{Origin: nodeprefix.FromNode},
	}
	c.Ranges[0].Pool = prefixes("2001:db8:aaaa::/64")[0]
	for _, f := range change {
		f(&c)
	}
	return c
}

// reporting is a node that reports; the later its name, the younger it is.
func reporting(name, report string, addresses ...string) nodeprefix.Node {
	if len(addresses) == 0 {
		addresses = []string{"10.250.0.1"}
	}
	n := node(name, addresses...)
	n.Created = noon.Add(time.Duration(name[0]) * time.Second)
	n.Report, n.ReportSource = report, "aws metadata at 169.254.169.254"
	return n
}

func labelled(n nodeprefix.Node, at string) nodeprefix.Node {
	n.Labels = map[string]string{"at": at}
	return n
}

func wait(reason nodeprefix.Reason, message string) nodeprefix.Decision {
	return nodeprefix.Decision{Verdict: nodeprefix.Wait, Reason: reason, Message: message}
}

func TestReported(t *testing.T) {
	assign := func(p, podCIDR string) nodeprefix.Decision {
		return nodeprefix.Decision{Verdict: nodeprefix.Assign, Assignment: assignment(prefixes(p, "100.96.0.0/24"), prefixes(podCIDR, "100.96.0.0/24"))}
	}
	within := func(c *nodeprefix.Config) { c.Ranges[0].Within = prefixes("2001:db8::/32", "fd00::/8") }
	scope := func(s string) func(*nodeprefix.Config) {
		return func(c *nodeprefix.Config) { c.Ranges[0].Scope = s }
	}
	for _, tc := range []struct {
		name   string
		change func(*nodeprefix.Config)
		node   nodeprefix.Node
		want   nodeprefix.Decision
	}{
		{"as long as asked for", nil, reporting("a", "2001:db8:1:2:3::/80"), assign("2001:db8:1:2:3::/80", "2001:db8:1:2:3:d000::/84")},
		{"shorter: the highest part", nil, reporting("a", "2001:db8:1:2::/64"), assign("2001:db8:1:2::/64", "2001:db8:1:2:ffff:d000::/84")},
		{"the node lives beside its pods", nil, reporting("a", "2001:db8:1:2::/64", "2001:db8:1:2::1"), assign("2001:db8:1:2::/64", "2001:db8:1:2:ffff:d000::/84")},
		{"the node lives where its pods would: the next part", nil, reporting("a", "2001:db8:1:2::/64", "2001:db8:1:2:ffff:d000::1"), assign("2001:db8:1:2::/64", "2001:db8:1:2:fffe:d000::/84")},
		{"there is no next part: the highest child", nil, reporting("a", "2001:db8:1:2:3::/80", "2001:db8:1:2:3:d000::1"), assign("2001:db8:1:2:3::/80", "2001:db8:1:2:3:f000::/84")},
		{"no part is free", func(c *nodeprefix.Config) { c.Ranges[0].PodBits, c.Ranges[0].PodChild = 80, -1 }, reporting("a", "2001:db8:1:2:3::/80", "2001:db8:1:2:3::1"),
			wait("PodCIDRHoldsNodeAddress", "every /80 of 2001:db8:1:2:3::/80 holds an address of the node")},
		{"several: the first that is usable", within, reporting("a", "2a00::/64,2001:db8:1:2::/64,2001:db8:1:3::/64"), assign("2001:db8:1:2::/64", "2001:db8:1:2:ffff:d000::/84")},
		{"unique local", within, reporting("a", "fd00:1:2:3::/64"), assign("fd00:1:2:3::/64", "fd00:1:2:3:ffff:d000::/84")},
		{"nothing said yet", nil, node("a", "10.250.0.1"), wait("AwaitingReportedPrefix", "the node has not reported a prefix yet")},
		{"nothing to report", nil, reporting("a", ""), wait("NoReportedPrefix", "the node has no prefix to report: aws metadata at 169.254.169.254")},
		{"no address yet", nil, nodeprefix.Node{Name: "a", Report: "2001:db8:1:2::/64"}, wait("AwaitingAddress", "the node has no address yet, and its prefix must not hold one")},
		{"outside of what the cluster may use", within, reporting("a", "2a00:1:2:3::/64"),
			wait("ReportedPrefixInvalid", "the node reports what it cannot have: prefix 2a00:1:2:3::/64 is outside of what the cluster may use: want one in 2001:db8::/32,fd00::/8")},
		{"private where global is wanted", scope("Global"), reporting("a", "fd00:1:2:3::/64"),
			wait("ReportedPrefixInvalid", "the node reports what it cannot have: prefix fd00:1:2:3::/64 is private: want a global one")},
		{"global where private is wanted", scope("UniqueLocal"), reporting("a", "2001:db8:1:2::/64"),
			wait("ReportedPrefixInvalid", "the node reports what it cannot have: prefix 2001:db8:1:2::/64 is global: want a private one")},
		{"too small", nil, reporting("a", "2001:db8:1:2:3:4::/96"),
			wait("ReportedPrefixInvalid", "the node reports what it cannot have: prefix 2001:db8:1:2:3:4::/96 is too small: want a /80 or larger")},
		{"everything", nil, reporting("a", "2000::/3"),
			wait("ReportedPrefixInvalid", "the node reports what it cannot have: prefix 2000::/3 is too large for one node: want a /48 or smaller")},
		{"IPv4", nil, reporting("a", "10.1.0.0/24"),
			wait("ReportedPrefixInvalid", "the node reports what it cannot have: prefix 10.1.0.0/24 is not IPv6: nodes report IPv6 prefixes only")},
		{"not canonical", nil, reporting("a", "2001:db8:1:2::1/64"),
			wait("ReportedPrefixInvalid", `the node reports what it cannot have: prefix "2001:db8:1:2::1/64": bits behind the length are set: want 2001:db8:1:2::/64`)},
		{"link-local", nil, reporting("a", "fe80::/64"),
			wait("ReportedPrefixInvalid", `the node reports what it cannot have: prefix "fe80::/64" cannot be a node's: want a global (2000::/3) or unique local (fd00::/8) one`)},
		{"another source: the pool", nil, labelled(reporting("a", "2001:db8:1:2::/64"), "home"), assign("2001:db8:aaaa::/80", "2001:db8:aaaa:0:0:d000::/84")},
		{"another source: somebody else", nil, labelled(reporting("a", "2001:db8:1:2::/64"), "others"), wait("AwaitingPodCIDRs", "somebody else writes this node's pod ranges")},
		{"labels to come", nil, func() nodeprefix.Node { n := reporting("a", "2001:db8:1:2::/64"); n.LabelsPending = true; return n }(),
			wait("AwaitingLabels", "the node's labels, which say where its prefix comes from, are still to come")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			c := brought()
			if tc.change != nil {
				c = brought(tc.change)
			}
			g.Expect(c.Validate()).To(Succeed())
			b := nodeprefix.NewBook(c)
			b.Set(tc.node, one)
			g.Expect(b.For("a")).To(Equal(tc.want))
		})
	}
}

// TestReportsOfTwoNodes: whoever has it keeps it; else the older node gets it; the other is told whose it is.
func TestReportsOfTwoNodes(t *testing.T) {
	const p = "2001:db8:1:2:3::/80"
	g := NewWithT(t)
	b := nodeprefix.NewBook(brought())
	b.Set(reporting("a", p), one)
	b.Set(reporting("b", p), one)
	older := wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2:3::/80 is reported by a, too, which is older")
	g.Expect(b.For("b")).To(Equal(older))
	g.Expect(b.Usage()[1].Nodes).To(BeZero(), "no IPv4 range without the IPv6 one")
	g.Expect(b.For("a").Verdict).To(Equal(nodeprefix.Assign))
	g.Expect(b.Retry()).To(Equal([]string{"b"}), "a's state has changed")
	g.Expect(b.For("b")).To(Equal(wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2:3::/80 overlaps that of a")))
	g.Expect(b.Usage()).To(Equal([]nodeprefix.Usage{{Family: "IPv6", Capacity: 1 << 16, Brought: 1}, {Family: "IPv4", Capacity: 8192, Nodes: 1}}))

	// The one that has its pod ranges comes before an older one.
	late := reporting("A", p)
	b.Set(late, one)
	g.Expect(b.For("A")).To(Equal(wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2:3::/80 overlaps that of a")))

	// A larger one is the same matter.
	b.Set(reporting("c", "2001:db8:1:2::/64"), one)
	g.Expect(b.For("c")).To(Equal(wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2::/64 overlaps that of a")))

	b.Delete("a", noon)
	g.Expect(b.Retry()).To(Equal([]string{"A", "b", "c"}))
	g.Expect(b.For("b")).To(Equal(wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2:3::/80 is still in quarantine after a was deleted")))
	g.Expect(b.Expire(noon)).To(BeTrue())
	g.Expect(b.Retry()).To(ContainElement("b"))
	g.Expect(b.For("b").Message).To(Equal("reported prefix 2001:db8:1:2:3::/80 is reported by A, too, which is older"))
	g.Expect(b.For("A").Verdict).To(Equal(nodeprefix.Assign))
}

// TestReportedPrefixReturns: a node that is made again on the same machine has the same prefix, whatever the quarantine.
func TestReportedPrefixReturns(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(brought())
	b.Set(reporting("a", "2001:db8:1:2:3::/80"), one)
	g.Expect(b.For("a").Verdict).To(Equal(nodeprefix.Assign))
	again := reporting("a", "2001:db8:1:2:3::/80")
	again.UID = "another"
	g.Expect(b.Set(again, one)).To(BeTrue())
	g.Expect(b.For("a").Assignment.PodCIDRs).To(Equal(prefixes("2001:db8:1:2:3:d000::/84", "100.96.1.0/24")), "but of the pool another one")
}

func TestReportsBesideOthers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		other nodeprefix.Node
		want  nodeprefix.Decision
	}{
		{"an address of another node", reporting("b", "2001:db8:9::/64", "2001:db8:1:2:3::5"), wait("PrefixHoldsOtherNode", "reported prefix 2001:db8:1:2:3::/80 holds an address of b")},
		{"pod ranges of another node", with(node("b"), "2001:db8:1:2:3:4::/96"), wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2:3::/80 overlaps that of b")},
		{"a prefix of the pool", labelled(with(node("b"), "2001:db8:1:2::/64"), "home"), wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2:3::/80 overlaps that of b")},
		{"pod ranges that somebody else wrote", labelled(with(node("b"), "2001:db8:1:2:3:8000::/81"), "others"), wait("ReportedPrefixOverlap", "reported prefix 2001:db8:1:2:3::/80 overlaps that of b")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := nodeprefix.NewBook(brought())
			b.Set(tc.other, one)
			b.Set(reporting("a", "2001:db8:1:2:3::/80"), one)
			NewWithT(t).Expect(b.For("a")).To(Equal(tc.want))
		})
	}
	t.Run("the pool passes over what nodes brought", func(t *testing.T) {
		g := NewWithT(t)
		b := nodeprefix.NewBook(brought())
		b.Set(reporting("a", "2001:db8:aaaa::/80"), one)
		g.Expect(b.For("a").Verdict).To(Equal(nodeprefix.Assign))
		b.Set(labelled(node("b", "10.250.0.2"), "home"), one)
		g.Expect(b.For("b").Assignment.Prefixes).To(Equal(prefixes("2001:db8:aaaa:0:1::/80", "100.96.1.0/24")))
	})
	t.Run("all or nothing", func(t *testing.T) {
		g := NewWithT(t)
		b := nodeprefix.NewBook(brought(func(c *nodeprefix.Config) { c.Ranges[1].Pool = prefixes("100.96.0.0/24")[0] }))
		b.Set(reporting("a", "2001:db8:1:2::/64"), one)
		b.Set(reporting("b", "2001:db8:1:3::/64"), one)
		g.Expect(b.For("a").Verdict).To(Equal(nodeprefix.Assign))
		g.Expect(b.For("b")).To(Equal(wait("CIDRNotAvailable", "no free /24 is left in 100.96.0.0/24: 1 held by nodes")))
		g.Expect(b.Usage()[0].Brought).To(Equal(1))
	})
}

// TestReportsAfterwards: podCIDRs can't be changed, so that what a node reports later is told of only.
func TestReportsAfterwards(t *testing.T) {
	const podCIDR = "2001:db8:1:2:0:d000::/84"
	for _, tc := range []struct {
		name, report, source string
		want                 []nodeprefix.Problem
	}{
		{"the same", "2001:db8:1:2::/64", "link of eth0", nil},
		{"another beside it", "2001:db8:5::/64,2001:db8:1:2::/64", "link of eth0", nil},
		{"nothing yet", "", "", nil},
		{"another", "2001:db8:5::/64", "link of eth0", []nodeprefix.Problem{{
			Reason:  "ReportedPrefixChanged",
			Message: "the node reports 2001:db8:5::/64 now, and its pod range is 2001:db8:1:2:0:d000::/84; pod ranges cannot be changed: replace the node",
		}}},
		{"lost", "", "prefix 2001:db8:1:2::/64 is lost since 2026-11-21T12:00:00Z: no server renewed it", []nodeprefix.Problem{{
			Reason: "ReportedPrefixLost",
			Message: "the prefix of pod range 2001:db8:1:2:0:d000::/84 is not the node's any more: " +
				"prefix 2001:db8:1:2::/64 is lost since 2026-11-21T12:00:00Z: no server renewed it",
		}}},
		{"nonsense", "x", "link of eth0", []nodeprefix.Problem{{
			Reason: "ReportedPrefixInvalid", Message: `the node reports what it cannot have: prefix "x": want something like 2001:db8:1:2::/80`,
		}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			b := nodeprefix.NewBook(brought())
			n := with(reporting("a", tc.report), podCIDR, "100.96.0.0/24")
			n.ReportSource, n.Prefixes = tc.source, prefixes("2001:db8:1:2::/64", "100.96.0.0/24")
			b.Set(n, one)
			d := b.For("a")
			g.Expect(d.Verdict).To(Equal(nodeprefix.Keep))
			g.Expect(d.Problems).To(Equal(tc.want))
			g.Expect(d.Assignment).To(Equal(assignment(prefixes("2001:db8:1:2::/64", "100.96.0.0/24"), prefixes(podCIDR, "100.96.0.0/24"))))
			b.Set(reporting("b", "2001:db8:1:2:7::/80"), one)
			g.Expect(b.For("b").Reason).To(Equal(nodeprefix.ReasonReportOverlap), "the whole prefix is still a's")
		})
	}
}

// TestRecordedPrefix: what was recorded of a node is not believed if it cannot be.
func TestRecordedPrefix(t *testing.T) {
	for _, tc := range []struct{ name, recorded, want string }{
		{"recorded", "2001:db8:1:2::/64", "2001:db8:1:2::/64"},
		{"not recorded", "", "2001:db8:1:2::/80"},
		{"of somewhere else", "2001:db8:5::/64", "2001:db8:1:2::/80"},
		{"too large", "2001:db8::/32", "2001:db8:1:2::/80"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := nodeprefix.NewBook(brought())
			n := with(node("a"), "2001:db8:1:2:0:d000::/84", "100.96.0.0/24")
			if tc.recorded != "" {
				n.Prefixes = prefixes(tc.recorded)
			}
			b.Set(n, one)
			NewWithT(t).Expect(b.For("a").Assignment.Prefixes[0].String()).To(Equal(tc.want))
		})
	}
}

// TestReportedClaimIsCarriedOut whatever the node reports by now: the write may be under way.
func TestReportedClaimIsCarriedOut(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(brought())
	b.Set(reporting("a", "2001:db8:1:2::/64"), one)
	want := b.For("a")
	b.Set(reporting("a", "2001:db8:5::/64"), one)
	g.Expect(b.For("a")).To(Equal(want))

	text, err := nodeprefix.EncodeJournal(b.Journal())
	g.Expect(err).NotTo(HaveOccurred())
	j, err := nodeprefix.DecodeJournal(text)
	g.Expect(err).NotTo(HaveOccurred())
	next := nodeprefix.Restore(brought(), j, []nodeprefix.Node{reporting("a", "2001:db8:5::/64"), reporting("b", "2001:db8:1:2::/64")}, one)
	g.Expect(next.For("b").Reason).To(Equal(nodeprefix.ReasonReportOverlap))
	g.Expect(next.For("a")).To(Equal(want))

	moved := brought(func(c *nodeprefix.Config) { c.Ranges[0].Within = prefixes("2001:db8:5::/48") })
	next = nodeprefix.Restore(moved, j, []nodeprefix.Node{reporting("a", "2001:db8:5::/64")}, one)
	g.Expect(next.For("a").Assignment.Prefixes[0]).To(Equal(prefixes("2001:db8:5::/64")[0]), "the cluster may not use the claimed one any more")
	g.Expect(next.Journal().Tombstones).To(HaveLen(2))
}

// TestReportIsNoBook: what a node says does not fill conditions, nor break lines.
func TestReportIsNoBook(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(brought())
	n := reporting("a", "")
	n.ReportSource = "\x1b[31m" + strings.Repeat("ä\n", 10000)
	b.Set(n, one)
	message := b.For("a").Message
	g.Expect(len(message)).To(BeNumerically("<", 500))
	g.Expect(message).NotTo(ContainSubstring("\n"))
	g.Expect(message).To(HavePrefix("the node has no prefix to report:  [31mä ä"))
	b.Set(reporting("a", strings.Repeat("x,\n", 10000)), one)
	g.Expect(len(b.For("a").Message)).To(BeNumerically("<", 500))
}

func TestValidateSources(t *testing.T) {
	source := func(o nodeprefix.Origin, at string) nodeprefix.Source {
		s := nodeprefix.Source{Origin: o}
		if at != "" {
			s.MatchLabels = map[string]string{"at": at}
		}
		return s
	}
	sources := func(ss ...nodeprefix.Source) func(*nodeprefix.Config) {
		return func(c *nodeprefix.Config) { c.Sources, c.Ranges[0].Pool = ss, netip.Prefix{} }
	}
	of := func(f func(*nodeprefix.Range)) func(*nodeprefix.Config) {
		return func(c *nodeprefix.Config) { f(&c.Ranges[0]) }
	}
	for _, tc := range []struct {
		name    string
		change  func(*nodeprefix.Config)
		message string
	}{
		{"no pool, and nobody needs it", sources(source(nodeprefix.FromNode, "a"), source(nodeprefix.FromElsewhere, "")), ""},
		{"no pool, and what comes after the source of every node never counts", sources(source(nodeprefix.FromNode, ""), source(nodeprefix.FromPool, "a")), ""},
		{"no pool, but some nodes are of none", sources(source(nodeprefix.FromNode, "a")), "ranges[0].pool: missing, and the nodes that no source matches get their prefixes from it"},
		{"no pool, but a source", sources(source(nodeprefix.FromPool, "a"), source(nodeprefix.FromNode, "")), "ranges[0].pool: missing, and the nodes of sources[0] get their prefixes from it"},
		{"no IPv4 pool", func(c *nodeprefix.Config) { c.Ranges[1].Pool = netip.Prefix{} }, "ranges[1].pool: missing, and the nodes of sources[0] get their prefixes from it"},
		{"no IPv4 pool for those that bring IPv6", func(c *nodeprefix.Config) {
			c.Ranges[1].Pool, c.Sources = netip.Prefix{}, []nodeprefix.Source{source(nodeprefix.FromNode, "")}
		}, "ranges[1].pool: missing, and the nodes of sources[0] get their prefixes from it"},
		{"no length without a pool", func(c *nodeprefix.Config) {
			sources(source(nodeprefix.FromNode, ""))(c)
			c.Ranges[0].NodeBits = 0
		}, "ranges[0].nodeBits: 0 is not between 1 and 128"},
		{"no origin", sources(source("node", "")), `sources[0].origin: "node" is none of Pool, Node and Elsewhere`},
		{"no IPv6", func(c *nodeprefix.Config) { c.Ranges = c.Ranges[1:] }, "sources[2].origin: nodes report IPv6 prefixes, and no range is IPv6"},
		{"within: IPv4", of(func(r *nodeprefix.Range) { r.Within = prefixes("10.0.0.0/8") }), "ranges[0].within[0]: 10.0.0.0/8 is not IPv6"},
		{"within: host bits", of(func(r *nodeprefix.Range) { r.Within = prefixes("2001:db8::1/48") }), "ranges[0].within[0]: 2001:db8::1/48 has host bits set, write 2001:db8::/48"},
		{"within: too small", of(func(r *nodeprefix.Range) { r.Within = prefixes("2001:db8::/96") }), "ranges[0].within[0]: 2001:db8::/96 holds no /80, which every node is to have"},
		{"scope", of(func(r *nodeprefix.Range) { r.Scope = "global" }), `ranges[0].scope: "global" is neither Global nor UniqueLocal`},
		{"scope of IPv4", func(c *nodeprefix.Config) { c.Ranges[1].Scope = "Global" }, "ranges[1].within and scope are for the IPv6 prefixes that nodes report, not for IPv4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			c := brought(tc.change)
			if tc.message != "" {
				g.Expect(c.Validate()).To(MatchError(ContainSubstring(tc.message)))
				return
			}
			data, err := nodeprefix.Encode(c)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(nodeprefix.Decode(data)).To(Equal(c))
			b := nodeprefix.NewBook(c)
			b.Set(reporting("a", "2001:db8:1:2::/64"), one)
			g.Expect(b.Journal().Cursors).To(HaveLen(1), "IPv4's")
			g.Expect(b.Usage()[0]).To(Equal(nodeprefix.Usage{Family: "IPv6"}))
		})
	}
}

// TestReportsAreLeftOver: what nodes reported once counts for nothing when no source reports any more.
func TestReportsAreLeftOver(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(brought(func(c *nodeprefix.Config) { c.Sources = nil }))
	left := reporting("a", "2001:db8:aaaa::/64", "10.250.0.1")
	left.ReportSource = "prefix 2001:db8:aaaa::/64 is lost"
	b.Set(left, one)
	b.Set(reporting("b", "x", "10.250.0.2"), one)
	g.Expect(b.For("a")).To(Equal(nodeprefix.Decision{Verdict: nodeprefix.Assign, Assignment: assignment(
		prefixes("2001:db8:aaaa::/80", "100.96.0.0/24"), prefixes("2001:db8:aaaa:0:0:d000::/84", "100.96.0.0/24"))}))
	g.Expect(b.For("b").Verdict).To(Equal(nodeprefix.Assign), "nor does it keep others from the pool")
	b.Set(with(left, "2001:db8:aaaa:0:0:d000::/84", "100.96.0.0/24"), one)
	g.Expect(b.For("a").Problems).To(BeEmpty())
}
