// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package prefix_test

import (
	"math"
	"math/big"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func pfxs(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, t := range texts {
		ps = append(ps, pfx(t))
	}
	return ps
}

func TestFamily(t *testing.T) {
	g := NewWithT(t)
	g.Expect(prefix.IPv4.String() + " " + prefix.IPv6.String() + " " + prefix.Family(0).String()).To(Equal("IPv4 IPv6 unknown"))
	g.Expect([]int{prefix.IPv4.Bits(), prefix.IPv6.Bits(), prefix.Family(0).Bits()}).To(Equal([]int{32, 128, 0}))
	g.Expect([]prefix.Family{prefix.IPv4.Other(), prefix.IPv6.Other(), prefix.Family(0).Other()}).To(Equal([]prefix.Family{prefix.IPv6, prefix.IPv4, 0}))
	g.Expect(prefix.FamilyOf(netip.MustParseAddr("10.0.0.1"))).To(Equal(prefix.IPv4))
	g.Expect(prefix.FamilyOf(netip.MustParseAddr("::ffff:10.0.0.1"))).To(Equal(prefix.IPv6))
	g.Expect(prefix.FamilyOf(netip.Addr{})).To(Equal(prefix.Family(0)))
}

func TestChild(t *testing.T) {
	for _, tc := range []struct {
		of          string
		bits, index int
		want        string
	}{
		{"2001:db8:1:2::/96", 100, 0xd, "2001:db8:1:2::d000:0/100"}, // the example of docs/keywords.md
		{"2001:db8:1:2::/96", 100, -1, "2001:db8:1:2::f000:0/100"},
		{"2001:db8:1:2::/96", 100, -16, "2001:db8:1:2::/100"},
		{"2001:db8::/32", 48, 0, "2001:db8::/48"},
		{"2001:db8::/32", 48, 0xffff, "2001:db8:ffff::/48"},
		{"2001:db8::/32", 32, 0, "2001:db8::/32"},
		{"2001:db8::/64", 112, 1, "2001:db8::1:0/112"},
		{"::/0", 128, math.MaxInt, "::7fff:ffff:ffff:ffff/128"},
		{"::/0", 128, math.MinInt, "ffff:ffff:ffff:ffff:8000::/128"},
		{"2001:db8::/64", 128, -1, "2001:db8::ffff:ffff:ffff:ffff/128"},
		{"10.250.0.0/16", 24, 3, "10.250.3.0/24"},
		{"10.250.0.0/16", 24, -1, "10.250.255.0/24"},
		{"0.0.0.0/0", 32, -1, "255.255.255.255/32"},
	} {
		g := NewWithT(t)
		got, err := prefix.Child(pfx(tc.of), tc.bits, tc.index)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.String()).To(Equal(tc.want))
	}
	for _, tc := range []struct {
		of          string
		bits, index int
		want        string
	}{
		{"2001:db8::/96", 100, 16, "2001:db8::/96 has no child /100 with index 16"},
		{"2001:db8::/96", 100, -17, "2001:db8::/96 has no child /100 with index -17"},
		{"2001:db8::/96", 95, 0, "2001:db8::/96 has no child of length /95"},
		{"2001:db8::/96", 129, 0, "2001:db8::/96 has no child of length /129"},
		{"10.0.0.0/8", 33, 0, "10.0.0.0/8 has no child of length /33"},
	} {
		_, err := prefix.Child(pfx(tc.of), tc.bits, tc.index)
		NewWithT(t).Expect(err).To(MatchError(tc.want))
	}
	_, err := prefix.Child(netip.Prefix{}, 64, 0)
	NewWithT(t).Expect(err).To(HaveOccurred())
}

func TestRelatives(t *testing.T) {
	g := NewWithT(t)
	parent, err := prefix.Parent(pfx("2001:db8:1:2::/64"), 48)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(parent).To(Equal(pfx("2001:db8:1::/48")))
	_, err = prefix.Parent(pfx("2001:db8::/32"), 33)
	g.Expect(err).To(MatchError("2001:db8::/32 has no parent of length /33"))

	next, ok := prefix.Next(pfx("2001:db8:0:ffff::/64"))
	g.Expect(ok).To(BeTrue())
	g.Expect(next).To(Equal(pfx("2001:db8:1::/64")))
	_, ok = prefix.Next(pfx("ffff:ffff::/32"))
	g.Expect(ok).To(BeFalse())
	_, ok = prefix.Next(pfx("255.255.255.0/24"))
	g.Expect(ok).To(BeFalse())
	_, ok = prefix.Next(pfx("::/0"))
	g.Expect(ok).To(BeFalse())

	g.Expect(prefix.Last(pfx("2001:db8::/64")).String()).To(Equal("2001:db8::ffff:ffff:ffff:ffff"))
	g.Expect(prefix.Last(pfx("10.0.0.0/30")).String()).To(Equal("10.0.0.3"))

	index, ok := prefix.Index(pfx("2001:db8::/64"), pfx("2001:db8::7:0:0/96"))
	g.Expect(ok).To(BeTrue())
	g.Expect(index).To(Equal(7))
	_, ok = prefix.Index(pfx("2001:db8::/64"), pfx("2001:db9::/96"))
	g.Expect(ok).To(BeFalse())
	_, ok = prefix.Index(pfx("::/0"), pfx("ffff::/128"))
	g.Expect(ok).To(BeFalse(), "does not fit")
}

// pool   |---------------|
// same   |---------------|  covers, overlaps
// part       |---|          covers, overlaps
// whole  |-----------------------|  overlaps
// beside                 |-------|  neither
func TestCoversAndOverlaps(t *testing.T) {
	pool := pfx("2001:db8::/48")
	for _, tc := range []struct {
		other            string
		covers, overlaps bool
	}{
		{"2001:db8::/48", true, true},
		{"2001:db8:0:5::/64", true, true},
		{"2001:db8::/47", false, true},
		{"2001:db8:1::/48", false, false},
		{"10.0.0.0/8", false, false},
	} {
		g := NewWithT(t)
		g.Expect(prefix.Covers(pool, pfx(tc.other))).To(Equal(tc.covers), tc.other)
		g.Expect(prefix.Overlaps(pool, pfx(tc.other))).To(Equal(tc.overlaps), tc.other)
		_, found := prefix.OverlapsAny(pool, pfx("192.0.2.0/24"), pfx(tc.other))
		g.Expect(found).To(Equal(tc.overlaps), tc.other)
	}
	NewWithT(t).Expect(prefix.Covers(netip.Prefix{}, pool)).To(BeFalse())
}

func TestFreeAndCut(t *testing.T) {
	g := NewWithT(t)
	pool := pfxs("2001:db8::/48", "2001:db8:8::/56")
	used := pfxs("2001:db8::/64", "2001:db8:0:2::/64", "2001:db8:8:80::/57")

	free, err := prefix.Free(pool, used)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(free[:4]).To(Equal(pfxs("2001:db8:0:1::/64", "2001:db8:0:3::/64", "2001:db8:0:4::/62", "2001:db8:0:8::/61")))
	g.Expect(free[len(free)-1]).To(Equal(pfx("2001:db8:8::/57")))

	for bits, want := range map[int]string{
		64: "2001:db8:0:1::/64", // the smallest hole
		63: "2001:db8:0:4::/63",
		57: "2001:db8:0:80::/57", // the lower one of two that fit exactly
		49: "2001:db8:0:8000::/49",
	} {
		got, ok, err := prefix.Cut(pool, used, bits)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(ok).To(BeTrue())
		g.Expect(got.String()).To(Equal(want))
	}
	_, ok, err := prefix.Cut(pool, used, 48)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ok).To(BeFalse())
	_, ok = prefix.BestFit(pfxs("10.0.0.0/8"), 64)
	g.Expect(ok).To(BeFalse(), "IPv4 has no /64")
}

func TestSort(t *testing.T) {
	NewWithT(t).Expect(prefix.Sort(pfxs("2001:db8::/64", "10.0.0.0/8", "2001:db8::/48"))).To(Equal(pfxs("10.0.0.0/8", "2001:db8::/48", "2001:db8::/64")))
}

// model is the naive way: addresses are numbers.
func model(a netip.Addr) *big.Int { return new(big.Int).SetBytes(a.AsSlice()) }

func modelChild(p netip.Prefix, bits, index int) *big.Int {
	step := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-bits))
	n := big.NewInt(int64(index))
	if index < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(bits-p.Bits())))
	}
	return n.Mul(n, step).Add(n, model(p.Addr()))
}

func fuzzPrefix(raw []byte, is4 bool, bits uint8) netip.Prefix {
	var b [16]byte
	copy(b[:], raw)
	if is4 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), int(bits)%33).Masked()
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), int(bits)%129).Masked()
}

func FuzzChild(f *testing.F) {
	f.Add([]byte{0x20, 0x01, 0x0d, 0xb8}, false, uint8(96), uint8(4), int64(13))
	f.Add([]byte{0x20, 0x01, 0x0d, 0xb8}, false, uint8(0), uint8(128), int64(-1))
	f.Add([]byte{10, 250}, true, uint8(16), uint8(8), int64(255))
	f.Fuzz(func(t *testing.T, raw []byte, is4 bool, bits, more uint8, index int64) {
		p := fuzzPrefix(raw, is4, bits)
		length := p.Bits() + int(more)
		got, err := prefix.Child(p, length, int(index))
		total := new(big.Int).Lsh(big.NewInt(1), uint(more))
		n := big.NewInt(index)
		exists := length <= p.Addr().BitLen() && (index >= 0 && n.Cmp(total) < 0 || index < 0 && new(big.Int).Neg(n).Cmp(total) <= 0)
		if exists != (err == nil) {
			t.Fatalf("Child(%v, %d, %d): %v, but exists is %v", p, length, index, err, exists)
		}
		if !exists {
			return
		}
		if model(got.Addr()).Cmp(modelChild(p, length, int(index))) != 0 || got.Bits() != length || got != got.Masked() {
			t.Fatalf("Child(%v, %d, %d) = %v", p, length, index, got)
		}
		if !prefix.Covers(p, got) {
			t.Fatalf("%v does not cover its child %v", p, got)
		}
		if at, ok := prefix.Index(p, got); index >= 0 && (!ok || at != int(index)) {
			t.Fatalf("Index(%v, %v) = %d, %v, want %d", p, got, at, ok, index)
		}
		if parent, err := prefix.Parent(got, p.Bits()); err != nil || parent != p {
			t.Fatalf("Parent(%v, %d) = %v, %v, want %v", got, p.Bits(), parent, err, p)
		}
	})
}

func FuzzNextAndLast(f *testing.F) {
	f.Add([]byte{0x20, 0x01}, false, uint8(64))
	f.Add([]byte{255, 255, 255, 255}, true, uint8(32))
	f.Fuzz(func(t *testing.T, raw []byte, is4 bool, bits uint8) {
		p := fuzzPrefix(raw, is4, bits)
		size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
		end := new(big.Int).Add(model(p.Addr()), size)
		if last := new(big.Int).Sub(end, big.NewInt(1)); model(prefix.Last(p)).Cmp(last) != 0 {
			t.Fatalf("Last(%v) = %v", p, prefix.Last(p))
		}
		next, ok := prefix.Next(p)
		if over := end.BitLen() > p.Addr().BitLen(); ok == over {
			t.Fatalf("Next(%v) = %v, %v", p, next, ok)
		}
		if ok && (model(next.Addr()).Cmp(end) != 0 || next.Bits() != p.Bits()) {
			t.Fatalf("Next(%v) = %v", p, next)
		}
	})
}

// FuzzCut takes prefixes out of a small pool, one by one, and keeps a naive map of its addresses beside.
func FuzzCut(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 2, 2})
	f.Fuzz(func(t *testing.T, lengths []byte) {
		const poolBits, slots = 120, 256 // addresses are the smallest slots
		pool := pfxs("2001:db8::/120")
		var (
			used  []netip.Prefix
			taken [slots]bool
		)
		for _, b := range lengths[:min(len(lengths), 300)] {
			bits := poolBits + int(b)%9
			size := 1 << (128 - bits)
			fits := false
			for at := 0; at < slots; at += size {
				free := true
				for i := at; i < at+size; i++ {
					free = free && !taken[i]
				}
				fits = fits || free
			}
			got, ok, err := prefix.Cut(pool, used, bits)
			if err != nil || ok != fits {
				t.Fatalf("Cut(%d) with %v used: %v, %v, %v; fits is %v", bits, used, got, ok, err, fits)
			}
			if !ok {
				continue
			}
			at, _ := prefix.Index(pool[0], netip.PrefixFrom(got.Addr(), 128))
			for i := at; i < at+size; i++ {
				if taken[i] {
					t.Fatalf("%v overlaps what is used: %v", got, used)
				}
				taken[i] = true
			}
			used = append(used, got)
		}
	})
}
