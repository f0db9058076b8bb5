// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

var since = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func holds(text, shoot string) reservation.Allocation {
	return reservation.Allocation{
		Owner: reservation.Owner{GardenID: "g", ShootUID: shoot, Range: "nodes-ipv6", Attempt: 1}, ID: "public", Prefix: netip.MustParsePrefix(text), Since: since,
	}
}

func entries(l *reservation.Ledger) []reservation.Allocation { return slices.Collect(l.All()) }

// 2001:db8::/48 |--------------------------------------------|
// held             |--:4::/62--|      |:a::/64|
func TestLedgerRefusesOverlaps(t *testing.T) {
	g := NewWithT(t)
	l := &reservation.Ledger{}
	g.Expect(l.Add(holds("2001:db8:0:a::/64", "a"))).To(Succeed())
	g.Expect(l.Add(holds("2001:db8:0:4::/62", "b"))).To(Succeed())
	for _, text := range []string{
		"2001:db8:0:a::/64", "2001:db8:0:a::/96", "2001:db8:0:a:ffff::/80", "2001:db8:0:8::/61", "2001:db8:0:7::/64", "2001:db8::/48",
		"2001:db8:0:4::/64", "2001:db8:0:4::/62", "::/0",
	} {
		err := l.Add(holds(text, "c"))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict), text)
	}
	g.Expect(l.Add(holds("2001:db8:0:b::/64", "c"))).To(Succeed())
	g.Expect(l.Add(holds("2001:db8:0:8::/63", "c"))).To(Succeed())
	g.Expect(l.Add(holds("2001:db8:ff::1/64", "c"))).To(MatchError("2001:db8:ff::1/64 is not a canonical prefix"))
	g.Expect(l.Add(holds("2001:db8:ff::/64", "c d"))).To(MatchError(
		`2001:db8:ff::/64 of "v1/g/c d/nodes-ipv6/1" with ID "public": a ledger has no place for blanks in names`))
	g.Expect(l.Len()).To(Equal(4))

	_, err := reservation.NewLedger([]reservation.Allocation{holds("2001:db8::/64", "a"), holds("2001:db8::/48", "b"), holds("2001:db9::/48", "b")})
	g.Expect(err).To(MatchError("2001:db8::/64 overlaps 2001:db8::/48, which v1/g/b/nodes-ipv6/1 holds"))
	_, err = reservation.NewLedger([]reservation.Allocation{holds("2001:db8::/64", "a"), holds("2001:db8::/64", "b")})
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))
	_, err = reservation.NewLedger([]reservation.Allocation{holds("2001:db8::1/64", "a")})
	g.Expect(err).To(MatchError("2001:db8::1/64 is not a canonical prefix"))
}

// The ledger says the same as a list in which everything is compared with everything.
func TestLedgerAgainstModel(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test repeats itself
	l, model := &reservation.Ledger{}, []reservation.Allocation{}
	for range 6000 {
		address := netip.MustParseAddr("2001:db8::").As16()
		address[14], address[15] = byte(random.IntN(4)), byte(random.IntN(256))
		a := holds(netip.PrefixFrom(netip.AddrFrom16(address), 118+random.IntN(11)).Masked().String(), shootUID(random.IntN(40)))
		a.Owner.Attempt, a.Since = random.IntN(3), since.Add(time.Duration(random.IntN(100))*time.Second)

		at := slices.IndexFunc(model, func(b reservation.Allocation) bool { return b.Prefix == a.Prefix })
		if random.IntN(3) == 0 {
			stranger := at >= 0 && model[at].Owner != a.Owner
			g.Expect(l.Remove(a.Prefix, a.Owner) != nil).To(Equal(stranger), "%v", a)
			if at >= 0 && !stranger {
				model = slices.Delete(model, at, at+1)
			}
		} else {
			overlaps := slices.ContainsFunc(model, func(b reservation.Allocation) bool { return b.Prefix.Overlaps(a.Prefix) })
			again := at >= 0 && model[at].Owner == a.Owner
			g.Expect(l.Claim(a) != nil).To(Equal(overlaps && !again), "%v", a)
			if !overlaps {
				model = append(model, a)
			}
		}
		g.Expect(l.HeldBy(a.Owner)).To(Equal(filter(model, func(o reservation.Owner) bool { return o == a.Owner })))
		g.Expect(l.HeldByShoot(a.Owner)).To(Equal(filter(model, func(o reservation.Owner) bool { return o.ShootUID == a.Owner.ShootUID })))
	}
	g.Expect(l.HeldByGarden("g")).To(Equal(filter(model, func(reservation.Owner) bool { return true })))
	g.Expect(l.HeldByGarden("other")).To(BeEmpty())
	slices.SortFunc(model, func(a, b reservation.Allocation) int { return prefix.Compare(a.Prefix, b.Prefix) })
	g.Expect(entries(l)).To(Equal(model))
	random.Shuffle(len(model), func(i, j int) { model[i], model[j] = model[j], model[i] })
	atOnce, err := reservation.NewLedger(model)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(atOnce.Equal(l)).To(BeTrue())
	for i := range 40 {
		o := reservation.Owner{GardenID: "g", ShootUID: shootUID(i)}
		g.Expect(atOnce.HeldByShoot(o)).To(Equal(l.HeldByShoot(o)))
	}
	for _, a := range model {
		g.Expect(l.Remove(a.Prefix, a.Owner)).To(Succeed())
	}
	g.Expect(*l).To(Equal(reservation.Ledger{}), "nothing is left behind in its trees")
}

// shootUID is a UUID, or another text, as tests and other systems have.
func shootUID(i int) string {
	if i%2 == 0 {
		return fmt.Sprintf("uid-%d", i)
	}
	return fmt.Sprintf("a7e0c2f4-0000-4000-8000-%012x", i)
}

func filter(all []reservation.Allocation, want func(reservation.Owner) bool) []reservation.Allocation {
	var found []reservation.Allocation
	for _, a := range all {
		if want(a.Owner) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b reservation.Allocation) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return a.Prefix.Addr().Compare(b.Prefix.Addr())
	})
	return found
}

func TestLedgerKeepsEveryField(t *testing.T) {
	g := NewWithT(t)
	for i, uid := range []string{
		"a7e0c2f4-1b2c-4d3e-8f90-a1b2c3d4e5f6", "A7E0C2F4-1B2C-4D3E-8F90-A1B2C3D4E5F6", "a7e0c2f41-b2c-4d3e-8f90-a1b2c3d4e5f6",
		"00000000-0000-0000-0000-000000000000", "a7e0c2f4-1b2c-4d3e-8f90-a1b2c3d4e5fg", "demo", "",
	} {
		l := &reservation.Ledger{}
		a := reservation.Allocation{
			Owner: reservation.Owner{GardenID: "garden/1", ShootUID: uid, Range: "pods-ipv4", Attempt: i}, ID: "some-pool",
			Prefix: netip.MustParsePrefix("10.1.0.0/16"), Since: since,
		}
		g.Expect(l.Add(a)).To(Succeed())
		g.Expect(entries(l)).To(Equal([]reservation.Allocation{a}))
		g.Expect(l.HeldBy(a.Owner)).To(Equal([]reservation.Allocation{a}))
		a.Owner.Attempt++
		g.Expect(l.HeldBy(a.Owner)).To(BeEmpty())
	}
	l := &reservation.Ledger{}
	g.Expect(l.Add(reservation.Allocation{Prefix: netip.MustParsePrefix("::/0")})).To(Succeed())
	g.Expect(entries(l)[0].Since.IsZero()).To(BeTrue())
}

func TestLedgerRemovesOnlyForTheOwner(t *testing.T) {
	g := NewWithT(t)
	l := &reservation.Ledger{}
	a, b := holds("2001:db8::/64", "a"), holds("2001:db8::/64", "b")
	g.Expect(l.Add(a)).To(Succeed())
	g.Expect(l.Remove(a.Prefix, b.Owner)).To(MatchError("2001:db8::/64 is held by v1/g/a/nodes-ipv6/1, not by v1/g/b/nodes-ipv6/1"))
	g.Expect(l.Remove(netip.MustParsePrefix("2001:db8::/96"), b.Owner)).To(Succeed(), "nothing to remove")
	g.Expect(l.Remove(a.Prefix, a.Owner)).To(Succeed())
	g.Expect(entries(l)).To(BeEmpty())
}

func TestLedgerCopies(t *testing.T) {
	g := NewWithT(t)
	l := &reservation.Ledger{}
	g.Expect(l.Add(holds("2001:db8::/64", "a"))).To(Succeed())
	g.Expect(l.Add(holds("2001:db8:0:1::/64", "a"))).To(Succeed())
	before := l.Clone()
	g.Expect(l.Remove(holds("2001:db8::/64", "a").Prefix, holds("2001:db8::/64", "a").Owner)).To(Succeed())
	g.Expect(l.Add(holds("2001:db8::/63", "b"))).To(HaveOccurred())
	g.Expect(l.Add(holds("2001:db8::/64", "b"))).To(Succeed())

	g.Expect(before.HeldByShoot(holds("::/0", "a").Owner)).To(HaveLen(2))
	g.Expect(l.HeldByShoot(holds("::/0", "a").Owner)).To(HaveLen(1))
	removed, added := before.Diff(l)
	g.Expect(removed).To(Equal([]reservation.Allocation{holds("2001:db8::/64", "a")}))
	g.Expect(added).To(Equal([]reservation.Allocation{holds("2001:db8::/64", "b")}))
	g.Expect(before.Equal(l)).To(BeFalse())

	g.Expect(l.Remove(holds("2001:db8::/64", "b").Prefix, holds("2001:db8::/64", "b").Owner)).To(Succeed())
	g.Expect(l.Add(holds("2001:db8::/64", "a"))).To(Succeed())
	g.Expect(before.Equal(l)).To(BeTrue(), "made differently, but the same")
}

func TestLedgerBestFit(t *testing.T) {
	g := NewWithT(t)
	l := &reservation.Ledger{}
	g.Expect(l.Add(holds("2001:db8::/64", "a"))).To(Succeed())
	whole := []netip.Prefix{netip.MustParsePrefix("2001:db8::/60"), netip.MustParsePrefix("2001:db9::/63")}
	for _, tc := range []struct {
		bits  int
		avoid []string
		want  string
		space int
	}{
		{64, nil, "2001:db8:0:1::/64", 64},
		{63, nil, "2001:db8:0:2::/63", 63},
		{64, []string{"2001:db8:0:1:8000::/96"}, "2001:db8:0:2::/64", 63},
		{64, []string{"2001:db8:0:1::/64", "2001:db8:0:2::/96"}, "2001:db8:0:3::/64", 64},
		{64, []string{"2001:db8::/48", "2001:db9::/96"}, "2001:db9:0:1::/64", 64},
		{60, nil, "invalid Prefix", -1},
		{64, []string{"2001:db8::/31"}, "invalid Prefix", -1},
	} {
		var avoid []netip.Prefix
		for _, text := range tc.avoid {
			avoid = append(avoid, netip.MustParsePrefix(text))
		}
		fit, space, ok := l.BestFit(whole, tc.bits, reservation.AvoidAll(avoid...))
		g.Expect([]any{fit.String(), space, ok}).To(Equal([]any{tc.want, tc.space, tc.space >= 0}), "%v", tc)
	}
	_, _, ok := l.BestFit(whole, 64, func(netip.Prefix) (netip.Prefix, bool) { return netip.Prefix{}, true })
	g.Expect(ok).To(BeFalse(), "ends also if everything is to be avoided")
}
