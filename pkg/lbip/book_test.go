// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbip_test

import (
	"fmt"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

func addrs(texts ...string) (out []netip.Addr) {
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// version is the next resourceVersion.
var version uint64

// service that wants an IPv6 address, changed as the test needs it.
func service(name string, changes ...func(*lbip.Service)) lbip.Service {
	version++
	s := lbip.Service{Name: name, UID: "uid-" + name, Version: version, Wants: true, Families: []prefix.Family{prefix.IPv6}}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func holding(texts ...string) func(*lbip.Service) {
	return func(s *lbip.Service) { s.Holds = addrs(texts...) }
}

func requesting(texts ...string) func(*lbip.Service) {
	return func(s *lbip.Service) { s.Requested = addrs(texts...) }
}

func dual(all bool) func(*lbip.Service) {
	return func(s *lbip.Service) { s.Families, s.AllFamilies = []prefix.Family{prefix.IPv6, prefix.IPv4}, all }
}

func TestDecisions(t *testing.T) {
	public := poolOf("public", "2001:db8:5::/126", "192.0.2.0/30")
	inner := poolOf("inner", "fd00:5::/112")
	for _, tc := range []struct {
		name    string
		pools   []nodeprefix.LoadBalancerPool
		others  []lbip.Service
		service lbip.Service
		want    string
	}{
		{"the first but the anycast address", nil, nil, service("a"), "Assign [2001:db8:5::1]"},
		{"both families", nil, nil, service("a", dual(true)), "Assign [2001:db8:5::1 192.0.2.1]"},
		{"the other family first", nil, nil, service("a", func(s *lbip.Service) { s.Families = []prefix.Family{prefix.IPv4} }), "Assign [192.0.2.1]"},
		{"none of ours", nil, nil, service("a", func(s *lbip.Service) { s.Wants = false }), "Ignore []"},
		{"what it has", nil, nil, service("a", holding("2001:db8:5::3")), "Keep [2001:db8:5::3]"},
		{"the family that it lacks", nil, nil, service("a", dual(false), holding("2001:db8:5::3")), "Assign [2001:db8:5::3 192.0.2.1]"},
		{"a family that it had", nil, nil, service("a", holding("192.0.2.1", "2001:db8:5::3")), "Assign [2001:db8:5::3]"},
		{"taken", nil, []lbip.Service{service("b", holding("2001:db8:5::1"))}, service("a"), "Assign [2001:db8:5::2]"},
		{"an external IP of another", nil, []lbip.Service{service("b", func(s *lbip.Service) { s.Wants, s.Uses = false, addrs("2001:db8:5::1") })}, service("a"), "Assign [2001:db8:5::2]"},
		{"the next pool", []nodeprefix.LoadBalancerPool{poolOf("one", "2001:db8:5::/128"), inner}, []lbip.Service{service("b", holding("2001:db8:5::"))}, service("a"), "Assign [fd00:5::1]"},
		{"exhausted", nil, []lbip.Service{service("b", holding("2001:db8:5::1", "2001:db8:5::2", "2001:db8:5::3"))}, service("a"),
			"Wait [] PoolExhausted: no free IPv6 address is left in public: all 3 are in use"},
		{"no pool of the family", []nodeprefix.LoadBalancerPool{inner}, nil, service("a", func(s *lbip.Service) { s.Families = []prefix.Family{prefix.IPv4} }), "Wait [] NoPoolOfFamily: no pool has IPv4 addresses"},
		{"one family is enough", []nodeprefix.LoadBalancerPool{inner}, nil, service("a", dual(false)), "Assign [fd00:5::1]"},
		{"one family is not enough", []nodeprefix.LoadBalancerPool{inner}, nil, service("a", dual(true)),
			"Wait [] NoPoolOfFamily: no pool has IPv4 addresses; the Service takes an address of each family or none (RequireDualStack)"},
		{"it became dual-stack, and goes on with what it has", []nodeprefix.LoadBalancerPool{inner}, nil, service("a", dual(true), holding("fd00:5::1")),
			"Keep [fd00:5::1] NoPoolOfFamily: no pool has IPv4 addresses; the Service takes an address of each family or none (RequireDualStack)"},
		{"requested", nil, nil, service("a", requesting("2001:db8:5::3")), "Assign [2001:db8:5::3]"},
		{"requested, the other family is any", nil, nil, service("a", dual(true), requesting("192.0.2.2")), "Assign [2001:db8:5::1 192.0.2.2]"},
		{"requested instead of what it has", nil, nil, service("a", requesting("2001:db8:5::3"), holding("2001:db8:5::1")), "Assign [2001:db8:5::3]"},
		{"requested and taken", nil, []lbip.Service{service("b", holding("2001:db8:5::3"))}, service("a", requesting("2001:db8:5::3")),
			"Wait [] AddressNotAvailable: 2001:db8:5::3 is asked for, which Service b has"},
		{"requested and taken, it has another", nil, []lbip.Service{service("b", holding("2001:db8:5::3"))}, service("a", requesting("2001:db8:5::3"), holding("2001:db8:5::1")),
			"Keep [2001:db8:5::1] AddressNotAvailable: 2001:db8:5::3 is asked for, which Service b has"},
		{"the network address", nil, nil, service("a", dual(false), requesting("192.0.2.0")),
			"Assign [2001:db8:5::1] AddressNotAvailable: 192.0.2.0 is asked for, which is the network address of 192.0.2.0/30"},
		{"the broadcast address", nil, nil, service("a", dual(false), requesting("192.0.2.3")),
			"Assign [2001:db8:5::1] AddressNotAvailable: 192.0.2.3 is asked for, which is the broadcast address of 192.0.2.0/30"},
		{"requested of another pool", []nodeprefix.LoadBalancerPool{public, inner}, nil, service("a", requesting("fd00:5::1"), func(s *lbip.Service) { s.Pool = "public" }),
			"Wait [] AddressOutsidePools: fd00:5::1 is asked for, which is not in pool public but in inner"},
		{"invalid", nil, nil, service("a", func(s *lbip.Service) { s.Invalid = "no address" }), "Wait [] RequestInvalid: no address"},
		{"invalid, and it has one", nil, nil, service("a", holding("2001:db8:5::1"), func(s *lbip.Service) { s.Invalid = "no address" }), "Keep [2001:db8:5::1] RequestInvalid: no address"},
		{"a pool without the family", []nodeprefix.LoadBalancerPool{public, inner}, nil, service("a", dual(false), func(s *lbip.Service) { s.Pool = "inner" }),
			"Assign [fd00:5::1] NoPoolOfFamily: no pool inner has IPv4 addresses"},
		{"outside of the pools", nil, nil, service("a", holding("2001:db8:9::1")), "Keep [2001:db8:9::1] AddressOutsidePools: it keeps 2001:db8:9::1, which is in no pool: routers are not told of it"},
		{"twice", nil, []lbip.Service{service("b", holding("2001:db8:5::1"))}, service("a", holding("2001:db8:5::1")),
			"Keep [2001:db8:5::1] AddressConflict: 2001:db8:5::1 is also an address of Service b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			pools := tc.pools
			if pools == nil {
				pools = []nodeprefix.LoadBalancerPool{public}
			}
			b := lbip.NewBook(pools)
			for _, o := range tc.others {
				b.Set(o)
			}
			b.Set(tc.service)
			d := b.For("a")
			text := fmt.Sprintf("%s %v", d.Verdict, d.Addresses)
			for _, p := range d.Problems {
				text += fmt.Sprintf(" %s: %s", p.Reason, p.Message)
			}
			g.Expect(text).To(Equal(tc.want))
			g.Expect(d.New).To(Equal(d.Verdict == lbip.Assign))
			again := b.For("a")
			g.Expect(again.Addresses).To(Equal(d.Addresses), "it is not decided anew")
			g.Expect(again.New).To(BeFalse())
		})
	}
}

// TestClaims go through what becomes of one.
func TestClaims(t *testing.T) {
	g := NewWithT(t)
	b := lbip.NewBook([]nodeprefix.LoadBalancerPool{poolOf("public", "2001:db8:5::/112")})
	first := service("a")
	b.Set(first)
	g.Expect(b.For("a").Addresses).To(Equal(addrs("2001:db8:5::1")))
	g.Expect(b.Claims()).To(Equal(1))
	g.Expect(b.Journal().Claims).To(Equal([]lbip.Claim{{Service: "a", UID: "uid-a", Version: first.Version, Addresses: addrs("2001:db8:5::1")}}))

	g.Expect(b.Set(first)).To(BeFalse(), "the same view again")
	g.Expect(b.Claims()).To(Equal(1))
	b.Set(service("a")) // somebody changed something else
	g.Expect(b.Claims()).To(BeZero(), "void")
	g.Expect(b.For("a").Addresses).To(Equal(addrs("2001:db8:5::1")), "but as good as any other")
	written := service("a", holding("2001:db8:5::1"))
	b.Set(written)
	g.Expect(b.Claims()).To(BeZero(), "carried out")
	g.Expect(b.For("a").Verdict).To(Equal(lbip.Keep))
	b.Set(first)
	g.Expect(b.For("a").Verdict).To(Equal(lbip.Keep), "older views do not count")
	g.Expect(b.Version("a")).To(Equal(written.Version))

	b.Set(service("b"))
	g.Expect(b.For("b").Addresses).To(Equal(addrs("2001:db8:5::2")))
	g.Expect(b.Delete("a")).To(BeTrue())
	g.Expect(b.Delete("b")).To(BeTrue())
	g.Expect(b.Claims()).To(BeZero())
	g.Expect(b.Usage()).To(Equal([]lbip.Usage{{Pool: "public", Family: prefix.IPv6, Capacity: 65535}}))
	b.Set(service("c"))
	g.Expect(b.For("c").Addresses).To(Equal(addrs("2001:db8:5::3")), "what was given back is the last")
}

// TestRestore is what becomes of claims in a journal.
func TestRestore(t *testing.T) {
	g := NewWithT(t)
	old := []nodeprefix.LoadBalancerPool{poolOf("old", "2001:db8:5::/112")}
	alive, changed := service("alive"), service("changed")
	claim := func(s lbip.Service, address string) lbip.Claim {
		return lbip.Claim{Service: s.Name, UID: s.UID, Version: s.Version, Addresses: addrs(address)}
	}
	other := alive
	other.UID = "before"
	text, err := lbip.EncodeJournal(lbip.Journal{
		APIVersion: lbip.JournalAPIVersion, Kind: lbip.JournalKind, Cursors: map[string]netip.Addr{"2001:db8:5::/112": netip.MustParseAddr("2001:db8:5::9")},
		Claims: []lbip.Claim{claim(alive, "2001:db8:5::1"), claim(changed, "2001:db8:5::2"), claim(other, "2001:db8:5::3"), claim(service("gone"), "2001:db8:5::4")},
	})
	g.Expect(err).NotTo(HaveOccurred())
	j, err := lbip.DecodeJournal(text)
	g.Expect(err).NotTo(HaveOccurred())
	changed = service("changed")
	b := lbip.Restore(old, j, []lbip.Service{alive, changed})
	g.Expect(b.Claims()).To(Equal(1))
	d := b.For("alive")
	g.Expect(d).To(Equal(lbip.Decision{Verdict: lbip.Assign, Addresses: addrs("2001:db8:5::1")}), "as claimed: the request may arrive yet")
	g.Expect(b.For("changed").Addresses).To(Equal(addrs("2001:db8:5::9")))

	// With other pools it gets another address, and nobody else gets the one that it may get yet.
	b = lbip.Restore([]nodeprefix.LoadBalancerPool{poolOf("new", "2001:db8:5::1/128", "2001:db8:6::/127")}, j, []lbip.Service{alive, changed})
	b.Set(service("wants-it", requesting("2001:db8:5::1")))
	g.Expect(b.For("wants-it").Problems).To(HaveLen(1))
	b = lbip.Restore([]nodeprefix.LoadBalancerPool{poolOf("new", "2001:db8:6::/127")}, j, []lbip.Service{alive, changed})
	d = b.For("alive")
	g.Expect(d).To(Equal(lbip.Decision{Verdict: lbip.Assign, Addresses: addrs("2001:db8:6::"), New: true}))
	g.Expect(b.Claims()).To(Equal(2))
	g.Expect(b.For("alive").New).To(BeFalse())
}

func TestDecodeJournal(t *testing.T) {
	g := NewWithT(t)
	g.Expect(lbip.DecodeJournal("")).To(Equal(lbip.Journal{APIVersion: lbip.JournalAPIVersion, Kind: lbip.JournalKind}))
	for text, message := range map[string]string{
		"{":                "decode the load balancers' journal: unexpected EOF",
		`{"kind":"Other"}`: `decode the load balancers' journal: it is "" "Other", want "ipam.ipv6.networking.extensions.gardener.cloud/v1" "LoadBalancerJournal"`,
		`{"claim":[]}`:     `decode the load balancers' journal: json: unknown field "claim"`,
		`{} {}`:            "decode the load balancers' journal: something follows the document",
	} {
		_, err := lbip.DecodeJournal(text)
		g.Expect(err).To(MatchError(message))
	}
}

// FuzzNext compares the search with looking at every address.
func FuzzNext(f *testing.F) {
	f.Add(uint16(0b1010), uint8(2), true)
	f.Add(uint16(0xffff), uint8(0), false)
	f.Add(uint16(0x7ffe), uint8(15), false)
	f.Fuzz(func(t *testing.T, taken uint16, given uint8, is6 bool) {
		g := NewWithT(t)
		base, family := netip.MustParsePrefix("192.0.2.0/28"), prefix.IPv4
		if is6 {
			base, family = netip.MustParsePrefix("2001:db8:5::/124"), prefix.IPv6
		}
		b := lbip.NewBook([]nodeprefix.LoadBalancerPool{{Name: "p", Prefixes: []netip.Prefix{base}}})
		var all []netip.Addr
		for a := base.Addr(); base.Contains(a); a = a.Next() {
			all = append(all, a)
		}
		want := func(s *lbip.Service) { s.Families = []prefix.Family{family} }
		// So many were given out and given back, which moves on the place where the search begins.
		for range given {
			b.Set(service("x", want))
			b.For("x")
			b.Delete("x")
		}
		usable := all[1:]
		if !is6 {
			usable = all[1:15]
		}
		var held []netip.Addr
		for i, a := range all {
			if taken>>i&1 == 1 {
				held = append(held, a)
			}
		}
		b.Set(service("holder", func(s *lbip.Service) { s.Wants, s.Holds = false, held }))
		expected := ""
		for i := range usable {
			if a := usable[(int(given)+i)%len(usable)]; taken>>(a.As16()[15]&15)&1 == 0 {
				expected = a.String()
				break
			}
		}
		b.Set(service("a", want))
		got := ""
		if d := b.For("a"); len(d.Addresses) > 0 {
			got = d.Addresses[0].String()
		}
		g.Expect(got).To(Equal(expected))
		g.Expect(b.Usage()[0].Capacity).To(BeEquivalentTo(len(usable)))
	})
}
