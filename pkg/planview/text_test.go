// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package planview

import (
	"testing"

	. "github.com/onsi/gomega"
)

// The commands' scenarios in cmd/ipv6ctl test what is printed as a whole.

func TestPower(t *testing.T) {
	for n, want := range map[int]string{0: "1", 4: "16", 10: "1,024", 16: "65,536", 32: "4,294,967,296", 40: "1,099,511,627,776", 41: "2^41", 96: "2^96"} {
		NewWithT(t).Expect(power(n)).To(Equal(want))
	}
}

func TestCount(t *testing.T) {
	g := NewWithT(t)
	g.Expect(count(nil, "node", "")).To(BeEmpty())
	g.Expect(count(new(0), "node", "")).To(Equal("1 node"))
	g.Expect(count(new(8), "pod", " each")).To(Equal("256 pods each"))
}

func TestFrom(t *testing.T) {
	g := NewWithT(t)
	g.Expect(from(nil)).To(BeEmpty())
	g.Expect(from(&IPAM{Error: "no"})).To(Equal(", which no backend serves"))
	g.Expect(from(&IPAM{Backend: "ula", Type: "ula"})).To(Equal(" from ula"))
	g.Expect(from(&IPAM{Backend: "pool", Type: "pool", Pools: []string{"a", "b"}})).To(Equal(" from operator's pools a, b"))
	g.Expect(from(&IPAM{Backend: "neutron", Type: "openstack", Pools: []string{"a"}})).To(Equal(" from neutron (openstack), pool a"))
}

func TestWrap(t *testing.T) {
	g := NewWithT(t)
	g.Expect(wrap("a bb ccc dddd", 6)).To(Equal([]string{"a bb", "ccc", "dddd"}))
	g.Expect(wrap("unbreakable", 3)).To(Equal([]string{"unbreakable"}))
}

func TestEscape(t *testing.T) {
	NewWithT(t).Expect(escape(`<a & "b">`)).To(Equal("&lt;a &amp; &quot;b&quot;&gt;"))
}
