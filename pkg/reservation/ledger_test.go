// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func entry(text, owner string) reservation.Entry {
	return reservation.Entry{Prefix: netip.MustParsePrefix(text), Owner: owner, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// 2001:db8::/48 |--------------------------------------------|
// held             |--:4::/62--|      |:a::/64|
func TestLedgerRefusesOverlaps(t *testing.T) {
	g := NewWithT(t)
	l := &reservation.Ledger{}
	g.Expect(l.Add(entry("2001:db8:0:a::/64", "a"))).To(Succeed())
	g.Expect(l.Add(entry("2001:db8:0:4::/62", "b"))).To(Succeed())
	for _, text := range []string{
		"2001:db8:0:a::/64", "2001:db8:0:a::/96", "2001:db8:0:a:ffff::/80", "2001:db8:0:8::/61", "2001:db8:0:7::/64", "2001:db8::/48",
		"2001:db8:0:4::/64", "2001:db8:0:4::/62", "::/0",
	} {
		err := l.Add(entry(text, "c"))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict), text)
	}
	g.Expect(l.Add(entry("2001:db8:0:b::/64", "c"))).To(Succeed())
	g.Expect(l.Add(entry("2001:db8:0:8::/63", "c"))).To(Succeed())
	g.Expect(l.Add(reservation.Entry{Prefix: netip.MustParsePrefix("2001:db8:ff::1/64"), Owner: "c"})).NotTo(Succeed(), "host bits")
}

// The ledger says the same as a list that compares all with all.
func TestLedgerAgainstModel(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test repeats itself
	l, model := &reservation.Ledger{}, map[netip.Prefix]string{}
	for range 5000 {
		bits := 118 + random.IntN(11)
		address := netip.MustParseAddr("2001:db8::").As16()
		address[14], address[15] = byte(random.IntN(4)), byte(random.IntN(256))
		p := netip.PrefixFrom(netip.AddrFrom16(address), bits).Masked()
		if random.IntN(3) == 0 {
			g.Expect(l.Remove(p, "o") == nil).To(BeTrue())
			delete(model, p)
			continue
		}
		overlaps := false
		for q := range model {
			overlaps = overlaps || q.Overlaps(p)
		}
		err := l.Add(reservation.Entry{Prefix: p, Owner: "o"})
		g.Expect(err != nil).To(Equal(overlaps), "%s", p)
		if err == nil {
			model[p] = "o"
		}
	}
	g.Expect(l.Prefixes()).To(HaveLen(len(model)))
}

func TestLedgerRemovesOnlyForTheOwner(t *testing.T) {
	g := NewWithT(t)
	l := &reservation.Ledger{}
	g.Expect(l.Add(entry("2001:db8::/64", "a"))).To(Succeed())
	g.Expect(l.Remove(netip.MustParsePrefix("2001:db8::/64"), "b")).To(MatchError("2001:db8::/64 is held by a, not by b"))
	g.Expect(l.Remove(netip.MustParsePrefix("2001:db8::/96"), "b")).To(Succeed(), "nothing to remove")
	g.Expect(l.Remove(netip.MustParsePrefix("2001:db8::/64"), "a")).To(Succeed())
	g.Expect(l.Entries()).To(BeEmpty())
}

func TestLedgerJSON(t *testing.T) {
	g := NewWithT(t)
	l := &reservation.Ledger{}
	g.Expect(l.Add(entry("2001:db8::/64", "v1/g/u/nodes-ipv6/1"))).To(Succeed())
	text, err := json.Marshal(l)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(Equal(`[{"prefix":"2001:db8::/64","owner":"v1/g/u/nodes-ipv6/1","since":"2026-01-02T03:04:05Z"}]`))
	back := &reservation.Ledger{}
	g.Expect(json.Unmarshal(text, back)).To(Succeed())
	g.Expect(back.Equal(l)).To(BeTrue())

	for name, broken := range map[string]string{
		"overlap":       `[{"prefix":"2001:db8::/64","owner":"a","since":"2026-01-02T03:04:05Z"},{"prefix":"2001:db8::/96","owner":"b","since":"2026-01-02T03:04:05Z"}]`,
		"host bits":     `[{"prefix":"2001:db8::1/64","owner":"a","since":"2026-01-02T03:04:05Z"}]`,
		"no prefix":     `[{"prefix":"","owner":"a","since":"2026-01-02T03:04:05Z"}]`,
		"cut off":       `[{"prefix":"2001:db8::/64"`,
		"not a ledger":  `{"prefix":"2001:db8::/64"}`,
		"not a prefix!": `[{"prefix":"x","owner":"a"}]`,
	} {
		g.Expect(json.Unmarshal([]byte(broken), &reservation.Ledger{})).NotTo(Succeed(), name)
	}
}
