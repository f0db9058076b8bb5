// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"net/netip"
	"reflect"
	"testing"

	. "github.com/onsi/gomega"
	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// TestRoutesSurviveTheConversion fails when a field of Route is not carried to the kernel and back: every field is set in one of them.
func TestRoutesSurviveTheConversion(t *testing.T) {
	g := NewWithT(t)
	routes := []dataplane.Route{
		{
			Dst: netip.MustParsePrefix("2001:db8::/64"), Via: netip.MustParseAddr("fe80::1"), Device: "eth0", OnLink: true,
			Metric: 146, Protocol: 146,
		},
		{Dst: netip.MustParsePrefix("2001:db8::/64"), Type: dataplane.Unreachable, Metric: 65535, Protocol: 146},
		{Dst: netip.MustParsePrefix("10.0.0.1/32"), Device: "eth0", Protocol: 147},
		{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("169.254.1.1"), Device: "eth0", OnLink: true, Protocol: 147},
		{Dst: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fe80::1"), Device: "eth0", Protocol: 147},
		{Dst: netip.MustParsePrefix("10.1.0.0/24"), Via: netip.MustParseAddr("fe80::1"), Device: "eth0", OnLink: true, Protocol: 146},
		{
			Dst: netip.MustParsePrefix("2001:db8::/64"), Via: netip.MustParseAddr("fe80::1"), Device: "eth0", Metric: 32, Protocol: 148,
			More: []dataplane.Hop{{Via: netip.MustParseAddr("fe80::2"), Device: "eth0"}, {Via: netip.MustParseAddr("2001:db8:1::2"), Device: "eth0"}},
		},
		{
			Dst: netip.MustParsePrefix("10.1.0.0/24"), Via: netip.MustParseAddr("10.0.0.2"), Device: "eth0", OnLink: true, Metric: 32, Protocol: 148,
			More: []dataplane.Hop{{Via: netip.MustParseAddr("fe80::2"), Device: "eth0"}},
		},
	}
	set := map[string]bool{}
	for _, r := range routes {
		k, err := toKernel(r, func(name string) (int, error) { g.Expect(name).To(Equal("eth0")); return 7, nil })
		g.Expect(err).NotTo(HaveOccurred())
		back, err := fromKernel(*k, func(index int) (string, error) { g.Expect(index).To(Equal(7)); return "eth0", nil })
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(back).To(Equal(r))
		v := reflect.ValueOf(r)
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				set[v.Type().Field(i).Name] = true
			}
		}
	}
	typ := reflect.TypeFor[dataplane.Route]()
	for i := range typ.NumField() {
		g.Expect(set).To(HaveKey(typ.Field(i).Name), "a field that is not handled")
	}
}

func TestAnUnknownRouteTypeIsRefused(t *testing.T) {
	g := NewWithT(t)
	_, err := toKernel(dataplane.Route{Dst: netip.MustParsePrefix("::/0"), Type: 9}, nil)
	g.Expect(err).To(MatchError(ContainSubstring("unknown type 9")))
}

func TestInterruptedDumpsAreRepeated(t *testing.T) {
	g := NewWithT(t)
	left := 3
	list := func() ([]int, error) {
		if left--; left > 0 {
			return []int{1}, nl.ErrDumpInterrupted
		}
		return []int{1, 2}, nil
	}
	g.Expect(dump(list)).To(Equal([]int{1, 2}), "the whole list")
	out, err := dump(func() ([]int, error) { return []int{1}, nl.ErrDumpInterrupted })
	g.Expect(err).To(MatchError(nl.ErrDumpInterrupted))
	g.Expect(out).To(BeNil(), "never a part of it")
	_, err = dump(func() ([]int, error) { return nil, unix.EPERM })
	g.Expect(err).To(MatchError(unix.EPERM))
}
