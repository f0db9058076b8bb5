// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/sourcetest"
)

func cidr(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func addrs(texts ...string) []netip.Addr {
	var as []netip.Addr
	for _, text := range texts {
		as = append(as, netip.MustParseAddr(text))
	}
	return as
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"2001:db8:1::/64": "", "fd12:3456:789a::/80": "", "10.1.0.0/28": "", "2600:1f18:0:0::/80": "",
		"2001:db8::1/64": `prefix "2001:db8::1/64": bits behind the length are set: want 2001:db8::/64`,
		"2001:db8::1":    `prefix "2001:db8::1": the length is missing: want something like 2001:db8::1/80`,
		"":               `prefix "": want something like 2001:db8:1:2::/80`,
		"<html>":         `prefix "<html>": want something like 2001:db8:1:2::/80`,
		"fe80::/64":      `prefix "fe80::/64" cannot be a node's: want a global (2000::/3) or unique local (fd00::/8) one`,
		"::/0":           `prefix "::/0" cannot be a node's`, "ff02::/16": "cannot be a node's", "::1/128": "cannot be a node's",
		"169.254.169.0/24": "cannot be a node's", "0.0.0.0/0": "cannot be a node's", "fe80::%eth0/64": "want something like",
		"::ffff:192.0.2.0/120": "an IPv4 address in IPv6's clothes",
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			p, err := nodesource.Parse(text)
			if want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(p).To(Equal(p.Masked()))
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(want)))
		})
	}
	_, err := nodesource.Parse(string(make([]byte, 1<<20)))
	NewWithT(t).Expect(len(err.Error())).To(BeNumerically("<", 400), "an error is no place for a megabyte")
}

func TestParseList(t *testing.T) {
	g := NewWithT(t)
	ps, err := nodesource.ParseList("2001:db8:1::/80, fd00:1::/64")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(nodesource.FormatList(ps)).To(Equal("2001:db8:1::/80,fd00:1::/64"))
	_, err = nodesource.ParseList("2001:db8::1/64,2001:db8:1::/64,2001:db8:1::/64,x")
	g.Expect(err).To(MatchError(`prefix "2001:db8::1/64": bits behind the length are set: want 2001:db8::/64` + "\n" +
		"prefix 2001:db8:1::/64 is there twice\n" + `prefix "x": want something like 2001:db8:1:2::/80`))
}

func FuzzParseList(f *testing.F) {
	for _, text := range []string{"2001:db8::/64", "2001:db8::/64,fd00::/8", ",", "10.0.0.0/8"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ps, err := nodesource.ParseList(text)
		if err != nil {
			return
		}
		again, err := nodesource.ParseList(nodesource.FormatList(ps))
		if err != nil || nodesource.FormatList(again) != nodesource.FormatList(ps) {
			t.Fatalf("%q is %v, which reads as %v, %v", text, ps, again, err)
		}
	})
}

func TestRule(t *testing.T) {
	rule := nodesource.Rule{
		Within: []netip.Prefix{cidr("2001:db8::/32")}, MaxBits: 80, Scope: nodesource.Global,
		Addresses: addrs("2001:db8:1::1"), PartBits: 96,
	}
	for text, want := range map[string]string{
		"2001:db8:2::/64": "", "2001:db8:1::/64": "", "2001:db8:2::/80": "",
		"2001:db8:2::/96": "prefix 2001:db8:2::/96 is too small: want a /80 or larger",
		"2001:db9::/64":   "prefix 2001:db9::/64 is outside of what the cluster may use: want one in 2001:db8::/32",
		"fd00:1::/64":     "prefix fd00:1::/64 is private: want a global one\nprefix fd00:1::/64 is outside of what the cluster may use: want one in 2001:db8::/32",
		"fe80::/64":       "prefix fe80::/64 cannot be a node's: want a global (2000::/3) or unique local (fd00::/8) one",
	} {
		t.Run(text, func(t *testing.T) {
			g, err := NewWithT(t), rule.Check(cidr(text))
			if want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(want))
		})
	}
	whole := rule
	whole.PartBits = 0
	NewWithT(t).Expect(whole.Check(cidr("2001:db8:1::/64"))).To(MatchError("prefix 2001:db8:1::/64 holds an address of the node: a part of it would be free"))
	NewWithT(t).Expect(nodesource.Rule{}.Check(netip.MustParsePrefix("2001:db8::1/64"))).To(MatchError("prefix 2001:db8::1/64 is not canonical: want 2001:db8::/64"))
}

// The node's own address spoils the part it is in: the next lower one is given.
//
//	|-- …:0::/66 --|-- …:4::/66 --|-- …:8::/66 --|-- …:c::/66 --|
//	                                                  ^ node      → 2001:db8:0:0:8000::/66
func TestPart(t *testing.T) {
	for _, tc := range []struct {
		of        string
		addresses []string
		bits      int
		want      string
	}{
		{"2001:db8::/64", nil, 64, "2001:db8::/64"},
		{"2001:db8::/64", []string{"2001:db8::1"}, 66, "2001:db8:0:0:c000::/66"},
		{"2001:db8::/64", []string{"2001:db8::1", "2001:db8:0:0:c000::1"}, 66, "2001:db8:0:0:8000::/66"},
		{"2001:db8::/64", []string{"2001:db8::1%eth0"}, 65, "2001:db8:0:0:8000::/65"},
		{"2001:db8::/64", []string{"2001:db8::1"}, 64, "prefix 2001:db8::/64 holds an address of the node: a part of it would be free"},
		{"2001:db8::/64", []string{"2001:db8::1", "2001:db8:0:0:8000::1"}, 65, "every /65 of 2001:db8::/64 holds an address of the node: want smaller parts"},
		{"2001:db8::/64", nil, 63, "a /63 is no part of 2001:db8::/64: want a length from 64 to 128"},
		{"2001:db8:0:0:1::/96", []string{"2001:db8::1:0:0:0"}, 100, "2001:db8::1:0:f000:0/100"},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			p, err := nodesource.Part(cidr(tc.of), addrs(tc.addresses...), tc.bits)
			if err != nil {
				NewWithT(t).Expect(err).To(MatchError(tc.want))
				return
			}
			NewWithT(t).Expect(p.String()).To(Equal(netip.MustParsePrefix(tc.want).String()))
		})
	}
}

func TestFree(t *testing.T) {
	g := NewWithT(t)
	free, err := nodesource.Free(cidr("2001:db8::/126"), addrs("2001:db8::1", "2001:db8:9::1", "192.0.2.1"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(nodesource.FormatList(free)).To(Equal("2001:db8::/128,2001:db8::2/127"))
}

func TestSort(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	sorted := nodesource.Sort([]nodesource.Prefix{
		{Prefix: cidr("2001:db8:1::/64"), Deprecated: true}, {Prefix: cidr("2001:db8:3::/64"), ValidUntil: noon},
		{Prefix: cidr("2001:db8:3::/64"), ValidUntil: noon.Add(time.Hour)}, {Prefix: cidr("2001:db8:2::/64")},
		{Prefix: cidr("2001:db8:2::/64"), Deprecated: true},
	})
	NewWithT(t).Expect(sorted).To(Equal([]nodesource.Prefix{
		{Prefix: cidr("2001:db8:2::/64")}, {Prefix: cidr("2001:db8:3::/64"), ValidUntil: noon.Add(time.Hour)},
		{Prefix: cidr("2001:db8:1::/64"), Deprecated: true},
	}))
}

func TestSameError(t *testing.T) {
	g := NewWithT(t)
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	lost := &nodesource.LostError{Prefix: cidr("2001:db8::/64"), Since: noon, Reason: "no server renewed it in time"}
	later := &nodesource.LostError{Prefix: cidr("2001:db8::/64"), Since: noon.Add(1)}
	none, other := fmt.Errorf("a: %w", nodesource.ErrNone), errors.New("time-out")
	g.Expect(lost).To(MatchError("prefix 2001:db8::/64 is lost since 2026-01-01T12:00:00Z: no server renewed it in time"))
	for i, a := range []error{nil, lost, later, none, other} {
		for j, b := range []error{nil, fmt.Errorf("x: %w", lost), later, nodesource.ErrNone, errors.New("refused")} {
			g.Expect(nodesource.SameError(a, b)).To(Equal(i == j), "%v, %v", a, b)
		}
	}
}

func TestFake(t *testing.T) {
	g := NewWithT(t)
	fake := nodesource.NewFake()
	fake.Set([]nodesource.Prefix{{Prefix: cidr("2001:db8:1::/64"), Origin: "a test"}}, nil)
	g.Expect(fake.Dump()).To(Equal("2001:db8:1::/64 from \"a test\"\n"))
	sourcetest.Run(t, fake, func() { fake.Set([]nodesource.Prefix{{Prefix: cidr("2001:db8:2::/64"), Origin: "a test"}}, nil) })
	g.Expect(func() { fake.Set([]nodesource.Prefix{{Prefix: netip.MustParsePrefix("2001:db8::1/64")}}, nil) }).To(Panic())
	g.Expect(func() { fake.Set(nil, nil) }).To(Panic())
}
