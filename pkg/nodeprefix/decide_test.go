// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

var (
	noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	one  = noon.Add(time.Hour)
)

func addrs(texts ...string) (as []netip.Addr) {
	for _, t := range texts {
		as = append(as, netip.MustParseAddr(t))
	}
	return as
}

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

func node(name string, addresses ...string) nodeprefix.Node {
	return nodeprefix.Node{Name: name, UID: "uid-" + name, Addresses: addrs(addresses...)}
}

func with(n nodeprefix.Node, podCIDRs ...string) nodeprefix.Node {
	n.PodCIDRs = prefixes(podCIDRs...)
	return n
}

func assignment(ps, podCIDRs []netip.Prefix) nodeprefix.Assignment {
	return nodeprefix.Assignment{Prefixes: ps, PodCIDRs: podCIDRs}
}

// TestPodRange is the paragraph of docs/keywords.md about v6fromNode.
func TestPodRange(t *testing.T) {
	for _, tc := range []struct {
		name       string
		change     func(*nodeprefix.Range)
		nodePrefix string
		addresses  []netip.Addr
		want, err  string
	}{
		{"without a size: 4 bits more, child 0xd", nil, "2001:db8:1:2::/96", addrs("2001:db8:1:2::1"), "2001:db8:1:2:0:0:d000:0/100", ""},
		{"of a later node", nil, "2001:db8:1:2:0:7::/96", nil, "2001:db8:1:2:0:7:d000:0/100", ""},
		{"the node lives in child 0xd", nil, "2001:db8:1:2::/96", addrs("2001:db8:1:2::d000:1"), "", "pod range 2001:db8:1:2::d000:0/100 holds the node's own address 2001:db8:1:2::d000:1"},
		{"with a size: the highest child", func(r *nodeprefix.Range) { r.PodBits, r.PodChild = 98, -1 }, "2001:db8:1:2::/96", nil, "2001:db8:1:2::c000:0/98", ""},
		{"with a size: the highest child without an address", func(r *nodeprefix.Range) { r.PodBits, r.PodChild = 98, -1 },
			"2001:db8:1:2::/96", addrs("2001:db8:1:2::ffff:1", "2001:db8:1:2::8000:1"), "2001:db8:1:2::4000:0/98", ""},
		{"every child has an address", func(r *nodeprefix.Range) { r.PodBits, r.PodChild = 97, -1 },
			"2001:db8:1:2::/96", addrs("2001:db8:1:2::1", "2001:db8:1:2::8000:1"), "", "every /97 of 2001:db8:1:2::/96 holds an address of the node"},
		{"the whole prefix", func(r *nodeprefix.Range) { r.PodBits, r.PodChild = 96, -1 }, "2001:db8:1:2::/96", nil, "2001:db8:1:2::/96", ""},
		{"not a node prefix", nil, "2001:db8:1:2::/95", nil, "", "node prefix 2001:db8:1:2::/95 is not a /96"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			r := fromNode()
			if tc.change != nil {
				tc.change(&r)
			}
			got, err := r.PodRange(netip.MustParsePrefix(tc.nodePrefix), tc.addresses)
			if tc.err != "" {
				g.Expect(err).To(MatchError(tc.err))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(netip.MustParsePrefix(tc.want)))
			g.Expect(r.NodePrefix(got)).To(Equal(netip.MustParsePrefix(tc.nodePrefix)))
		})
	}
}

func TestForAssigns(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(config(fromNode(), ownPods()))
	b.Set(node("a", "2001:db8:1:2::a"), one)
	b.Set(node("b", "2001:db8:1:2:0:2::b"), one) // lives in the third prefix
	b.Set(node("c", "2001:db8:1:2::c"), one)

	a := assignment(prefixes("2001:db8:1:2:0:1::/96", "100.96.0.0/24"), prefixes("2001:db8:1:2:0:1:d000:0/100", "100.96.0.0/24"))
	g.Expect(b.For("a")).To(Equal(nodeprefix.Decision{Verdict: nodeprefix.Assign, Assignment: a}), "not the first prefix: nodes live there")
	g.Expect(b.For("a").Assignment).To(Equal(a), "the same when asked again")
	g.Expect(b.For("b").Assignment.PodCIDRs).To(Equal(prefixes("2001:db8:1:2:0:3:d000:0/100", "100.96.1.0/24")), "not the one with an address of b")
	g.Expect(b.For("c").Assignment.PodCIDRs).To(Equal(prefixes("2001:db8:1:2:0:4:d000:0/100", "100.96.2.0/24")))
	g.Expect(b.For("d").Verdict).To(Equal(nodeprefix.Unknown))

	b.Set(with(node("a", "2001:db8:1:2::a"), "2001:db8:1:2:0:1:d000:0/100", "100.96.0.0/24"), one)
	g.Expect(b.For("a")).To(Equal(nodeprefix.Decision{Verdict: nodeprefix.Keep, Assignment: a}))
	g.Expect(b.Usage()).To(Equal([]nodeprefix.Usage{{Family: "IPv6", Capacity: 1<<32 - 1, Nodes: 3}, {Family: "IPv4", Capacity: 8192, Nodes: 3}}))
}

func TestForAwaitsAnAddress(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(config(fromNode()))
	b.Set(node("a"), one)
	g.Expect(b.For("a")).To(Equal(nodeprefix.Decision{
		Verdict: nodeprefix.Wait, Reason: "AwaitingAddress", Message: "the node has no address yet, and its prefix must not hold one",
	}))
	b.Set(node("a", "2001:db8:1:2::a"), one)
	g.Expect(b.For("a").Verdict).To(Equal(nodeprefix.Assign))

	apart := nodeprefix.NewBook(config(ownPods()))
	apart.Set(node("a"), one)
	g.Expect(apart.For("a").Verdict).To(Equal(nodeprefix.Assign), "nodes do not live in the pods' pool")
}

func TestForTellsOfExhaustion(t *testing.T) {
	g := NewWithT(t)
	r := fromNode()
	r.NodeBits, r.PodBits = 66, 70 // four, the first of which is kept
	b := nodeprefix.NewBook(config(r))
	for _, name := range []string{"a", "b", "c", "d"} {
		b.Set(node(name, "fe80::1"), one)
	}
	g.Expect(b.For("a").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:4000::/66")))
	g.Expect(b.For("b").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:8000::/66")))
	g.Expect(b.For("c").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:c000::/66")))
	b.Delete("a", one)
	g.Expect(b.For("d")).To(Equal(nodeprefix.Decision{
		Verdict: nodeprefix.Wait, Reason: "CIDRNotAvailable",
		Message: "no free /66 is left in 2001:db8:1:2::/64: 2 held by nodes, 1 still in quarantine after their node was deleted",
	}))
	g.Expect(b.NextExpiry()).To(Equal(one))
	g.Expect(b.Expire(noon)).To(BeFalse(), "not over yet")
	g.Expect(b.For("d").Verdict).To(Equal(nodeprefix.Wait))
	g.Expect(b.Expire(one)).To(BeTrue())
	g.Expect(b.NextExpiry()).To(BeZero())
	g.Expect(b.For("d").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:4000::/66")), "wrapped around")
}

func TestSameNameAgain(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(config(fromNode()))
	b.Set(node("a", "2001:db8:1:2::a"), one)
	first := b.For("a").Assignment.Prefixes
	again := node("a", "2001:db8:1:2::a")
	again.UID = "another"
	g.Expect(b.Set(again, one)).To(BeTrue())
	g.Expect(first).To(Equal(prefixes("2001:db8:1:2:0:1::/96")))
	g.Expect(b.For("a").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:0:2::/96")), "not the prefix of its predecessor")
	g.Expect(b.Journal().Tombstones).To(Equal([]nodeprefix.Tombstone{{Prefix: first[0], Node: "a", Until: one}}))
}

func TestProblems(t *testing.T) {
	type problems = []nodeprefix.Problem
	for _, tc := range []struct {
		name   string
		nodes  []nodeprefix.Node
		want   problems
		ranges []nodeprefix.Range
	}{
		{"none", []nodeprefix.Node{with(node("a", "2001:db8:1:2::a"), "2001:db8:1:2:0:1:d000:0/100")}, nil, nil},
		{"none: its own address is in the prefix, beside the pods", []nodeprefix.Node{with(node("a", "2001:db8:1:2:0:1::a"), "2001:db8:1:2:0:1:d000:0/100")}, nil, nil},
		{"outside the pool", []nodeprefix.Node{with(node("a"), "2001:db8:9::/100")},
			problems{{"PodCIDROutsidePool", "pod range 2001:db8:9::/100 is outside of 2001:db8:1:2::/64"}}, nil},
		{"larger than the pool", []nodeprefix.Node{with(node("a"), "2001:db8:1::/48")},
			problems{{"PodCIDROutsidePool", "pod range 2001:db8:1::/48 is outside of 2001:db8:1:2::/64"}}, nil},
		{"another length: someone else cut it", []nodeprefix.Node{with(node("a"), "2001:db8:1:2:8000::/80")},
			problems{{"PodCIDRLengthDiffers", "pod range 2001:db8:1:2:8000::/80 is not a /100"}}, nil},
		{"overlap", []nodeprefix.Node{with(node("a"), "2001:db8:1:2:0:1:d000:0/100"), with(node("b"), "2001:db8:1:2:0:1:d000:0/100"), with(node("c"), "2001:db8:1:2:0:1:e000:0/100")},
			problems{{"PodCIDROverlap", "prefix 2001:db8:1:2:0:1::/96 overlaps that of b, c"}}, nil},
		{"overlap with a larger one", []nodeprefix.Node{with(node("a"), "2001:db8:1:2:0:1:d000:0/100"), with(node("b"), "2001:db8:1:2::/80")},
			problems{{"PodCIDROverlap", "prefix 2001:db8:1:2:0:1::/96 overlaps that of b"}}, nil},
		{"overlap with smaller ones", []nodeprefix.Node{with(node("a"), "2001:db8:1:2:0:8000::/81"), with(node("b"), "2001:db8:1:2:0:8001:d000:0/100")},
			problems{{"PodCIDRLengthDiffers", "pod range 2001:db8:1:2:0:8000::/81 is not a /100"}, {"PodCIDROverlap", "prefix 2001:db8:1:2:0:8000::/81 overlaps that of b"}}, nil},
		{"its own address", []nodeprefix.Node{with(node("a", "2001:db8:1:2:0:1:d000:7"), "2001:db8:1:2:0:1:d000:0/100")},
			problems{{"PodCIDRHoldsNodeAddress", "pod range 2001:db8:1:2:0:1:d000:0/100 holds the node's own address 2001:db8:1:2:0:1:d000:7"}}, nil},
		{"another's address", []nodeprefix.Node{with(node("a"), "2001:db8:1:2:0:1:d000:0/100"), node("b", "2001:db8:1:2:0:1:d000:7")},
			problems{{"PrefixHoldsOtherNode", "prefix 2001:db8:1:2:0:1::/96 holds an address of b"}}, nil},
		{"a family too many", []nodeprefix.Node{with(node("a"), "2001:db8:1:2:0:1:d000:0/100", "100.96.0.0/24")},
			problems{{"PodCIDRFamiliesDiffer", "the pod ranges are IPv6, IPv4, the cluster's are IPv6"}}, nil},
		{"the other order", []nodeprefix.Node{with(node("a"), "100.96.0.0/24", "2001:db8:1:2:0:1:d000:0/100")},
			problems{{"PodCIDRFamiliesDiffer", "the pod ranges are IPv4, IPv6, the cluster's are IPv6, IPv4"}}, []nodeprefix.Range{fromNode(), ownPods()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			ranges := tc.ranges
			if ranges == nil {
				ranges = []nodeprefix.Range{fromNode()}
			}
			b := nodeprefix.NewBook(config(ranges...))
			for _, n := range tc.nodes {
				b.Set(n, one)
			}
			d := b.For("a")
			g.Expect(d.Verdict).To(Equal(nodeprefix.Keep))
			g.Expect(d.Problems).To(Equal(tc.want))
		})
	}
}

func TestWhatOthersWroteIsNotGivenOut(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(config(fromNode()))
	b.Set(with(node("foreign"), "2001:db8:1:2::/80"), one) // covers the first 65536 prefixes
	b.Set(node("a", "fe80::1"), one)
	g.Expect(b.For("a").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:1::/96")))
}

func TestRestore(t *testing.T) {
	claim := func(name, uid, p, podCIDR string) nodeprefix.Claim {
		return nodeprefix.Claim{Node: name, UID: uid, Assignment: assignment(prefixes(p), prefixes(podCIDR))}
	}
	journal := nodeprefix.Journal{
		APIVersion: nodeprefix.JournalAPIVersion, Kind: nodeprefix.JournalKind,
		Cursors: map[string]netip.Addr{"IPv6": netip.MustParseAddr("2001:db8:1:2:0:9::")},
		Claims: []nodeprefix.Claim{
			claim("done", "uid-done", "2001:db8:1:2:0:5::/96", "2001:db8:1:2:0:5:d000:0/100"),
			claim("gone", "uid-gone", "2001:db8:1:2:0:6::/96", "2001:db8:1:2:0:6:d000:0/100"),
			claim("pending", "uid-pending", "2001:db8:1:2:0:7::/96", "2001:db8:1:2:0:7:d000:0/100"),
			claim("replaced", "uid-before", "2001:db8:1:2:0:8::/96", "2001:db8:1:2:0:8:d000:0/100"),
		},
		Tombstones: []nodeprefix.Tombstone{{Prefix: prefixes("2001:db8:1:2:0:9::/96")[0], Node: "old", Until: noon.Add(time.Minute)}},
	}
	g := NewWithT(t)
	text, err := nodeprefix.EncodeJournal(journal)
	g.Expect(err).NotTo(HaveOccurred())
	read, err := nodeprefix.DecodeJournal(text)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(read).To(Equal(journal))

	b := nodeprefix.Restore(config(fromNode()), read, []nodeprefix.Node{
		with(node("done", "fe80::1"), "2001:db8:1:2:0:5:d000:0/100"), node("pending", "fe80::1"), node("replaced", "fe80::1"),
	}, one)
	g.Expect(b.For("done").Verdict).To(Equal(nodeprefix.Keep))
	g.Expect(b.For("pending").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:0:7::/96")), "what was claimed is carried out")
	g.Expect(b.For("replaced").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:0:a::/96")), "from the cursor on, past the tombstone")
	j := b.Journal()
	g.Expect(j.Tombstones).To(Equal([]nodeprefix.Tombstone{
		journal.Tombstones[0],
		{Prefix: prefixes("2001:db8:1:2:0:6::/96")[0], Node: "gone", Until: one},
		{Prefix: prefixes("2001:db8:1:2:0:8::/96")[0], Node: "replaced", Until: one},
	}))
	g.Expect(j.Cursors).To(Equal(map[string]netip.Addr{"IPv6": netip.MustParseAddr("2001:db8:1:2:0:b::")}))
	g.Expect(j.Claims).To(HaveLen(2))
}

func TestDecodeJournal(t *testing.T) {
	g := NewWithT(t)
	j, err := nodeprefix.DecodeJournal("")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(nodeprefix.Restore(config(fromNode()), j, nil, one).Journal().Cursors).To(HaveLen(1))
	_, err = nodeprefix.DecodeJournal(`{"apiVersion":"v9","kind":"IPAMJournal"}`)
	g.Expect(err).To(MatchError(`decode the IPAM journal: it is "v9" "IPAMJournal", want "ipam.ipv6.networking.extensions.gardener.cloud/v1" "IPAMJournal"`))
	_, err = nodeprefix.DecodeJournal(`{"claimz":[]}`)
	g.Expect(err).To(HaveOccurred())
}

// TestJournalFits: the largest journal is smaller than the MiB that an object may have.
func TestJournalFits(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(config(fromNode(), ownPods()))
	long := strings.Repeat("n", 50)
	for i := range 8000 {
		name := fmt.Sprintf("%s-%d", long, i)
		b.Set(node(name, "fe80::1"), one)
		g.Expect(b.For(name).Verdict).To(Equal(nodeprefix.Assign))
		b.Delete(name, noon.Add(time.Duration(i)*time.Second))
	}
	text, err := nodeprefix.EncodeJournal(b.Journal())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(text)).To(BeNumerically("<", 1<<20-4096))
}

// BenchmarkTenThousandNodes is a cluster as large as they get, from nothing.
func BenchmarkTenThousandNodes(b *testing.B) {
	for b.Loop() {
		book := nodeprefix.NewBook(config(fromNode()))
		for i := range 10000 {
			name := fmt.Sprint("node-", i)
			book.Set(node(name, fmt.Sprintf("2001:db8:1:2:%x:ff:fe00:%x", i*7%65521, i)), one)
			if d := book.For(name); d.Verdict != nodeprefix.Assign {
				b.Fatal(d)
			}
		}
	}
}

func TestSearchGoesAroundThePool(t *testing.T) {
	g := NewWithT(t)
	r := fromNode()
	r.NodeBits, r.PodBits = 66, 70
	b := nodeprefix.NewBook(config(r))
	b.Set(node("a", "fe80::1"), one)
	b.Set(node("b", "fe80::1"), one)
	g.Expect(b.For("a").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:4000::/66")))
	g.Expect(b.For("b").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:8000::/66")))
	b.Set(with(node("foreign"), "2001:db8:1:2:f000::/70"), one)
	b.Delete("a", noon)
	b.Expire(noon)
	b.Set(node("c", "fe80::1"), one)
	g.Expect(b.For("c").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:4000::/66")), "nothing is free behind b's")
}

// TestOlderView: a watch may be behind what was listed or written.
func TestOlderView(t *testing.T) {
	g := NewWithT(t)
	b := nodeprefix.NewBook(config(fromNode()))
	b.Set(with(node("a", "fe80::1"), "2001:db8:1:2:0:1:d000:0/100"), one)
	b.Set(node("a", "fe80::1", "fe80::2"), one)
	g.Expect(b.For("a").Verdict).To(Equal(nodeprefix.Keep))
	b.Set(node("b", "fe80::1"), one)
	g.Expect(b.For("b").Assignment.Prefixes).To(Equal(prefixes("2001:db8:1:2:0:2::/96")))
}
