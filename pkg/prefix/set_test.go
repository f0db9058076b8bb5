// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package prefix_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"go4.org/netipx"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

func setOf(texts ...string) prefix.Set[int] {
	var s prefix.Set[int]
	for i, text := range texts {
		s.Insert(prefix.NewItem(pfx(text), i))
	}
	return s
}

func texts[T fmt.Stringer](all []T) []string {
	var list []string
	for _, one := range all {
		list = append(list, one.String())
	}
	return list
}

func items(s prefix.Set[int]) []netip.Prefix {
	var found []netip.Prefix
	for item := range s.All() {
		found = append(found, item.Prefix())
	}
	return found
}

// 2001:db8::/48
// |--------------------------------------------------------------------------|
// |#|.|#|.|....|........|................|.............. ...|###################|
//
//	0   2                                                     8000::/49
func TestSetBestFit(t *testing.T) {
	g := NewWithT(t)
	s := setOf("2001:db8::/64", "2001:db8:0:2::/64", "2001:db8:0:8000::/49", "10.0.0.0/24", "10.0.2.0/24")
	for _, tc := range []struct {
		whole string
		bits  int
		want  string
	}{
		{"2001:db8::/48", 96, "2001:db8:0:1::/64"}, // the smallest hole
		{"2001:db8::/48", 64, "2001:db8:0:1::/64"}, // the lower one of two
		{"2001:db8::/48", 63, "2001:db8:0:4::/62"},
		{"2001:db8::/48", 60, "2001:db8:0:10::/60"},
		{"2001:db8::/48", 50, "2001:db8:0:4000::/50"},
		{"2001:db8:0:2::/63", 64, "2001:db8:0:3::/64"}, // what is outside of the whole does not count
		{"2001:db8:0:4::/63", 64, "2001:db8:0:4::/63"}, // no more than the whole
		{"2001:db8:1::/48", 48, "2001:db8:1::/48"},
		{"10.0.0.0/16", 24, "10.0.1.0/24"},
		{"10.0.0.0/16", 18, "10.0.64.0/18"},
	} {
		got, ok := s.BestFit(pfx(tc.whole), tc.bits)
		g.Expect(ok).To(BeTrue(), "%s /%d", tc.whole, tc.bits)
		g.Expect(got.String()).To(Equal(tc.want), "%s /%d", tc.whole, tc.bits)
	}
	for _, tc := range []struct {
		whole string
		bits  int
	}{
		{"2001:db8::/48", 49}, {"2001:db8::/48", 48}, {"2001:db8::/48", 47}, {"2001:db8::/64", 80}, {"2001:db8::/96", 112},
		{"2001:db8:0:8001::/64", 64}, {"10.0.0.0/16", 33},
	} {
		_, ok := s.BestFit(pfx(tc.whole), tc.bits)
		g.Expect(ok).To(BeFalse(), "%s /%d", tc.whole, tc.bits)
	}
}

func TestSetFree(t *testing.T) {
	g := NewWithT(t)
	s := setOf("2001:db8::/64", "2001:db8:0:2::/64", "2001:db8:8:80::/57")
	g.Expect(texts(slices.Collect(s.Free(pfx("2001:db8::/60"))))).To(Equal([]string{
		"2001:db8:0:1::/64", "2001:db8:0:3::/64", "2001:db8:0:4::/62", "2001:db8:0:8::/61",
	}))
	g.Expect(texts(slices.Collect(s.Free(pfx("2001:db8:8::/56"))))).To(Equal([]string{"2001:db8:8::/57"}))
	g.Expect(texts(slices.Collect(s.Free(pfx("10.0.0.0/8"))))).To(Equal([]string{"10.0.0.0/8"}))
	g.Expect(slices.Collect(s.Free(pfx("2001:db8::/80")))).To(BeEmpty())
}

func TestSetNests(t *testing.T) {
	g := NewWithT(t)
	s := setOf("2001:db8:0:2::/64", "2001:db8::/48", "2001:db8:0:2::/96", "::/0")
	g.Expect(texts(items(s))).To(Equal([]string{"::/0", "2001:db8::/48", "2001:db8:0:2::/64", "2001:db8:0:2::/96"}))
	_, ok := s.BestFit(pfx("2001:db8::/32"), 64)
	g.Expect(ok).To(BeFalse())
	g.Expect(s.Delete(pfx("::/0"))).To(BeTrue())
	got, ok := s.BestFit(pfx("2001:db8::/47"), 64)
	g.Expect(ok).To(BeTrue())
	g.Expect(got.String()).To(Equal("2001:db8:1::/48"))
	g.Expect(s.Delete(pfx("2001:db8::/48"))).To(BeTrue())
	item, ok := s.Overlapping(pfx("2001:db8::/32"))
	g.Expect(ok).To(BeTrue())
	g.Expect([]any{item.Prefix(), item.Value}).To(Equal([]any{pfx("2001:db8:0:2::/64"), 0}))
	g.Expect(s.Delete(pfx("2001:db8::/48"))).To(BeFalse())
}

// A copy is a Set by itself.
func TestSetCopies(t *testing.T) {
	g := NewWithT(t)
	s := setOf("2001:db8::/64", "2001:db8:0:1::/64", "10.0.0.0/8")
	before := s
	s.Insert(prefix.NewItem(pfx("2001:db8:0:2::/64"), 7))
	s.Insert(prefix.NewItem(pfx("10.0.0.0/8"), 8))
	s.Delete(pfx("2001:db8::/64"))
	g.Expect(texts(items(before))).To(Equal([]string{"10.0.0.0/8", "2001:db8::/64", "2001:db8:0:1::/64"}))
	g.Expect(texts(items(s))).To(Equal([]string{"10.0.0.0/8", "2001:db8:0:1::/64", "2001:db8:0:2::/64"}))
	g.Expect([]int{before.Len(), s.Len()}).To(Equal([]int{3, 3}))

	var removed, added []string
	before.Diff(&s,
		func(i *prefix.Item[int]) { removed = append(removed, fmt.Sprint(i.Prefix(), " ", i.Value)) },
		func(i *prefix.Item[int]) { added = append(added, fmt.Sprint(i.Prefix(), " ", i.Value)) })
	g.Expect(removed).To(Equal([]string{"10.0.0.0/8 2", "2001:db8::/64 0"}))
	g.Expect(added).To(Equal([]string{"10.0.0.0/8 8", "2001:db8:0:2::/64 7"}))
}

// naive is a Set that looks at everything.
type naive map[netip.Prefix]int

func (n naive) sorted() []netip.Prefix {
	return prefix.Sort(slices.Collect(maps.Keys(n)))
}

func (n naive) overlapping(p netip.Prefix) (netip.Prefix, bool) {
	var best netip.Prefix
	for _, q := range n.sorted() {
		switch {
		case !q.Overlaps(p):
		case !best.IsValid(), best.Bits() > p.Bits() && q.Bits() <= p.Bits(), q.Bits() <= p.Bits() && q.Bits() < best.Bits():
			best = q
		}
	}
	return best, best.IsValid()
}

func (n naive) free(whole netip.Prefix) []netip.Prefix {
	var b netipx.IPSetBuilder
	b.AddPrefix(whole)
	for p := range n {
		b.RemovePrefix(p)
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err)
	}
	return set.Prefixes()
}

func (n naive) bestFit(whole netip.Prefix, bits int) (netip.Prefix, bool) {
	var best netip.Prefix
	for _, p := range n.free(whole) {
		if p.Bits() <= bits && bits <= p.Addr().BitLen() && (!best.IsValid() || p.Bits() > best.Bits()) {
			best = p
		}
	}
	return best, best.IsValid()
}

// against drives a Set and its model with what the bytes say, and compares them after each step.
type against struct {
	set    prefix.Set[int]
	model  naive
	before prefix.Set[int]
	then   naive
}

// pick makes a prefix of three bytes: few addresses, so that they meet, of both families, at the upper, the middle and the lower
// end of an address.
func pick(b []byte) netip.Prefix {
	where, bits := b[0], int(b[0]>>2)%10
	switch where % 4 {
	case 0:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, b[1]}), 23+bits).Masked()
	case 1:
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{b[1], b[2] & 0xc0}), bits).Masked()
	case 2:
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: b[1], 8: b[2] & 0xc0}), 57+bits).Masked()
	default:
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: b[1]}), 119+bits).Masked()
	}
}

func (a *against) step(b []byte) error {
	p, op := pick(b[1:]), b[0]
	switch op % 8 {
	case 0, 1, 2:
		a.set.Insert(prefix.NewItem(p, int(op)))
		a.model[p] = int(op)
	case 3:
		if _, taken := a.set.Overlapping(p); !taken { // as a ledger does
			a.set.Insert(prefix.NewItem(p, int(op)))
			a.model[p] = int(op)
		}
	case 4, 5:
		_, had := a.model[p]
		if got := a.set.Delete(p); got != had {
			return fmt.Errorf("Delete(%s) = %v, want %v", p, got, had)
		}
		delete(a.model, p)
	case 6:
		a.before, a.then = a.set, maps.Clone(a.model)
	}
	return a.compare(p, int(binary.BigEndian.Uint16(b[1:]))%16)
}

func (a *against) compare(p netip.Prefix, more int) error {
	if got, want := a.set.Len(), len(a.model); got != want {
		return fmt.Errorf("Len() = %d, want %d", got, want)
	}
	value, had := a.model[p]
	if got, ok := a.set.Get(p); ok != had || ok && (got.Value != value || got.Prefix() != p) {
		return fmt.Errorf("Get(%s) = %v, %v; want %v, %v", p, got, ok, value, had)
	}
	for _, whole := range []netip.Prefix{p, netip.PrefixFrom(p.Addr(), max(0, p.Bits()-more)).Masked()} {
		want, overlaps := a.model.overlapping(whole)
		if got, ok := a.set.Overlapping(whole); ok != overlaps || ok && got.Prefix() != want {
			return fmt.Errorf("Overlapping(%s) = %v, %v; want %v, %v", whole, got, ok, want, overlaps)
		}
		if got, want := slices.Collect(a.set.Free(whole)), a.model.free(whole); !slices.Equal(got, want) {
			return fmt.Errorf("Free(%s) = %v, want %v", whole, got, want)
		}
		bits := whole.Bits() + more
		want, fits := a.model.bestFit(whole, bits)
		if got, ok := a.set.BestFit(whole, bits); ok != fits || got != want {
			return fmt.Errorf("BestFit(%s, %d) = %v, %v; want %v, %v", whole, bits, got, ok, want, fits)
		}
	}
	if got := items(a.set); !slices.Equal(got, a.model.sorted()) {
		return fmt.Errorf("All() = %v, want %v", got, a.model.sorted())
	}
	if err := a.compareBuilt(); err != nil {
		return err
	}
	return a.compareDiff()
}

// compareBuilt makes the same Set at once; some items twice.
func (a *against) compareBuilt() error {
	var list []*prefix.Item[int]
	for p, v := range a.model {
		if v%2 == 0 {
			list = append(list, prefix.NewItem(p, v))
		}
		list = append(list, prefix.NewItem(p, v))
	}
	built := prefix.NewSet(list)
	if built.Len() != a.set.Len() {
		return fmt.Errorf("built at once it has %d items, want %d", built.Len(), a.set.Len())
	}
	var differs []string
	differ := func(i *prefix.Item[int]) { differs = append(differs, fmt.Sprint(i.Prefix(), " ", i.Value)) }
	a.set.Diff(&built, differ, differ)
	whole := netip.MustParsePrefix("2001:db8::/32")
	if len(differs) > 0 || !slices.Equal(slices.Collect(built.Free(whole)), slices.Collect(a.set.Free(whole))) {
		return fmt.Errorf("built at once it differs in %v", differs)
	}
	return nil
}

// compareDiff looks from the copy that was taken some steps before.
func (a *against) compareDiff() error {
	if got := items(a.before); !slices.Equal(got, a.then.sorted()) {
		return fmt.Errorf("the copy has changed: %v, want %v", got, a.then.sorted())
	}
	gone, came := naive{}, naive{}
	a.before.Diff(&a.set, func(i *prefix.Item[int]) { gone[i.Prefix()] = i.Value }, func(i *prefix.Item[int]) { came[i.Prefix()] = i.Value })
	for p, v := range a.then {
		now, there := a.model[p]
		if value, listed := gone[p]; listed != (!there || now != v) || listed && value != v {
			return fmt.Errorf("Diff: %s was %d and is %d (%v), but among the removed it is %d (%v)", p, v, now, there, value, listed)
		}
	}
	for p, v := range a.model {
		then, there := a.then[p]
		if value, listed := came[p]; listed != (!there || then != v) || listed && value != v {
			return fmt.Errorf("Diff: %s is %d and was %d (%v), but among the added it is %d (%v)", p, v, then, there, value, listed)
		}
	}
	return nil
}

func FuzzSet(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		steps := make([]byte, 4*150)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		f.Add(steps)
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		a := &against{model: naive{}, then: naive{}}
		for n := 0; len(steps) >= 4 && n < 300; n++ {
			if err := a.step(steps[:4]); err != nil {
				t.Fatalf("step %d: %v", n, err)
			}
			steps = steps[4:]
		}
	})
}
