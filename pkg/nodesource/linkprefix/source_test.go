// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package linkprefix

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestDecide(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	route := func(prefix string, expires time.Duration) prefixRoute {
		return prefixRoute{netip.MustParsePrefix(prefix), expires}
	}
	own := func(addr string, index int, deprecated bool) address {
		return address{netip.MustParseAddr(addr), index, deprecated}
	}
	for name, tc := range map[string]struct {
		bits   int
		routes []prefixRoute
		own    []address
		want   string
	}{
		"learnt":             {0, []prefixRoute{route("fe80::/64", 0), route("2001:db8::/64", time.Hour)}, nil, "2001:db8::/64 until 13:00"},
		"of an address":      {0, []prefixRoute{route("2001:db8::/64", 0), route("2001:db8:9::5/128", 0)}, nil, "2001:db8::/64"},
		"over":               {0, []prefixRoute{route("2001:db8::/64", -1)}, nil, "error"},
		"none":               {0, nil, nil, "error"},
		"part":               {80, []prefixRoute{route("2001:db8::/64", 0)}, []address{own("2001:db8::5", 2, false)}, "2001:db8:0:0:ffff::/80"},
		"address elsewhere":  {80, []prefixRoute{route("2001:db8::/64", 0)}, []address{own("2001:db8:0:0:ffff::5", 3, false)}, "2001:db8:0:0:fffe::/80"},
		"part too large":     {60, []prefixRoute{route("2001:db8::/64", 0)}, nil, "error"},
		"deprecated":         {0, []prefixRoute{route("2001:db8::/64", 0)}, []address{own("2001:db8::5", 2, true)}, "2001:db8::/64 deprecated"},
		"half deprecated":    {0, []prefixRoute{route("2001:db8::/64", 0)}, []address{own("2001:db8::5", 2, true), own("2001:db8::6", 2, false)}, "2001:db8::/64"},
		"not ours to judge":  {0, []prefixRoute{route("2001:db8::/64", 0)}, []address{own("2001:db8::5", 3, true)}, "2001:db8::/64"},
		"local, and a point": {0, []prefixRoute{route("fd00:1::/64", 0), route("2001:db8::/127", 0)}, nil, "fd00:1::/64"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Source{options: Options{Interface: "none-such", Bits: tc.bits}, parts: map[netip.Prefix]netip.Prefix{}}
			ps, err := s.decide(2, tc.routes, tc.own, noon)
			if tc.want == "error" {
				NewWithT(t).Expect(err).To(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			var texts []string
			for _, p := range ps {
				text := p.Prefix.String()
				if !p.ValidUntil.IsZero() {
					text += " until " + p.ValidUntil.Format("15:04")
				}
				if p.Deprecated {
					text += " deprecated"
				}
				texts = append(texts, text)
			}
			NewWithT(t).Expect(strings.Join(texts, ",")).To(Equal(tc.want))
		})
	}
}

// Messages that are cut short are errors and no panics.
func FuzzReadRoute(f *testing.F) {
	f.Add([]byte{10, 64, 0, 0, 254, 2, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, message []byte) {
		_, _, _ = readRoute(message, 2)
		for _, kind := range []uint16{20, 21, 24, 25} {
			concerns(kind, message)
		}
	})
}
