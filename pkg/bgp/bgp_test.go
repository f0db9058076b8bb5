// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

func TestCommunities(t *testing.T) {
	for text, want := range map[string]uint32{"65000:100": 4259840100, "no-export": 0xFFFFFF01, "no-advertise": 0xFFFFFF02, "0:0": 0} {
		g := NewWithT(t)
		c, err := bgp.ParseCommunity(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(uint32(c)).To(Equal(want))
		g.Expect(c.String()).To(Equal(text))
	}
	for _, text := range []string{"", "65000", "65000:65536", "-1:2", "65000:100x", " 1:2", "1:2:3", "nope"} {
		_, err := bgp.ParseCommunity(text)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring("want two numbers up to 65535")), text)
	}
}

func FuzzParseCommunity(f *testing.F) {
	for _, text := range []string{"65000:100", "no-export", "0:65535", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := bgp.ParseCommunity(text)
		if err != nil {
			return
		}
		again, err := bgp.ParseCommunity(c.String())
		if err != nil || again != c {
			t.Fatalf("%q is %d, which prints as %q and reads as %d, %v", text, c, c, again, err)
		}
	})
}

func peer(address string) bgp.Peer {
	return bgp.Peer{Address: netip.MustParseAddr(address), ASN: 65000, Families: []bgp.Family{bgp.IPv6Unicast}}
}

func ad(cidr string) bgp.Advertisement { return bgp.Advertisement{Prefix: netip.MustParsePrefix(cidr)} }

func desired() bgp.Desired {
	return bgp.Desired{
		ASN: 65001, RouterID: netip.MustParseAddr("192.0.2.1"),
		Peers: []bgp.Peer{peer("2001:db8::1")}, Advertisements: []bgp.Advertisement{ad("2001:db8:1::/80")},
	}
}

func TestValidate(t *testing.T) {
	NewWithT(t).Expect(desired().Validate()).To(Succeed())
	for name, tc := range map[string]struct {
		change func(*bgp.Desired)
		want   string
	}{
		"no number":      {func(d *bgp.Desired) { d.ASN = 0 }, "the node has no autonomous system number"},
		"no router ID":   {func(d *bgp.Desired) { d.RouterID = netip.Addr{} }, "router ID \"invalid IP\": want four numbers"},
		"IPv6 router ID": {func(d *bgp.Desired) { d.RouterID = netip.MustParseAddr("::1") }, "router ID \"::1\": want four numbers"},
		"twice":          {func(d *bgp.Desired) { d.Peers = append(d.Peers, d.Peers[0]) }, "peer 2001:db8::1 is there twice"},
		"no zone": {
			func(d *bgp.Desired) { d.Peers = []bgp.Peer{peer("fe80::1")} },
			"peer fe80::1 is of the link: want its interface, as in fe80::1%eth0",
		},
		"hops inside": {
			func(d *bgp.Desired) { d.ASN, d.Peers[0].MultihopTTL = 65000, 2 },
			"peer 2001:db8::1 is internal (AS 65000): a number of hops is for external ones",
		},
		"short hold": {func(d *bgp.Desired) { d.Peers[0].HoldTime = time.Second }, "hold time 1s: want at least 3s"},
		"long hold":  {func(d *bgp.Desired) { d.Peers[0].HoldTime = 19 * time.Hour }, "hold time 19h0m0s: want at most 18h12m15s"},
		"retry":      {func(d *bgp.Desired) { d.Peers[0].ConnectRetry = -1 }, "connect retry time -1ns: want up to 18h12m15s"},
		"long restart": {
			func(d *bgp.Desired) { d.GracefulRestart.Time = 4096 * time.Second },
			"graceful restart time 1h8m16s: want 1s to 1h8m15s",
		},
		"from the other family": {
			func(d *bgp.Desired) { d.Peers[0].LocalAddress = netip.MustParseAddr("192.0.2.1") },
			"peer 2001:db8::1: cannot be spoken to from 192.0.2.1",
		},
		"long password":  {func(d *bgp.Desired) { d.Peers[0].Password = strings.Repeat("x", 81) }, "its password has 81 bytes: TCP MD5 takes at most 80"},
		"unknown import": {func(d *bgp.Desired) { d.Peers[0].Import = "Some" }, "import \"Some\": want None, Default or All"},
		"unknown family": {func(d *bgp.Desired) { d.Peers[0].Families = []bgp.Family{"l2vpn"} }, "family \"l2vpn\": want ipv4-unicast or ipv6-unicast"},
		"family twice": {
			func(d *bgp.Desired) { d.Peers[0].Families = append(d.Peers[0].Families, d.Peers[0].Families...) },
			"family ipv6-unicast is there twice",
		},
		"next hop": {
			func(d *bgp.Desired) { d.Advertisements[0].NextHop = netip.MustParseAddr("192.0.2.1") },
			"the next hop 192.0.2.1 is of the other family",
		},
		"no family":     {func(d *bgp.Desired) { d.Peers[0].Families = nil }, "peer 2001:db8::1 carries no family"},
		"not canonical": {func(d *bgp.Desired) { d.Advertisements[0].Prefix = netip.MustParsePrefix("2001:db8::1/64") }, "want a canonical prefix"},
		"announced twice": {
			func(d *bgp.Desired) { d.Advertisements = append(d.Advertisements, d.Advertisements[0]) },
			"2001:db8:1::/80 is advertised twice",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := desired()
			tc.change(&d)
			NewWithT(t).Expect(d.Validate()).To(MatchError(ContainSubstring(tc.want)))
		})
	}
}

func TestCompare(t *testing.T) {
	g := NewWithT(t)
	has := desired()
	g.Expect(bgp.Compare(has, desired()).Empty()).To(BeTrue())

	want := desired()
	want.Peers = []bgp.Peer{peer("2001:db8::2")}
	want.Advertisements = []bgp.Advertisement{ad("2001:db8:2::/80")}
	g.Expect(bgp.Compare(has, want)).To(Equal(bgp.Changes{
		Advertise: []bgp.Advertisement{ad("2001:db8:2::/80")}, AddPeers: []bgp.Peer{peer("2001:db8::2")},
		RemovePeers: []bgp.Peer{peer("2001:db8::1")}, Withdraw: []bgp.Advertisement{ad("2001:db8:1::/80")},
	}))

	other := desired()
	other.Peers[0].Password = "new"
	other.Advertisements[0].Communities = []bgp.Community{1}
	changes := bgp.Compare(has, other)
	g.Expect(changes.ReplacePeers).To(HaveLen(1))
	g.Expect(changes.Advertise).To(HaveLen(1))
	g.Expect(changes.Withdraw).To(BeEmpty(), "an announcement replaces the one before: withdrawing it would lose packets")

	policy := desired()
	policy.Peers[0].Import, policy.Peers[0].Communities, policy.Peers[0].LocalPreference = bgp.ImportAll, []bgp.Community{1}, 200
	changes = bgp.Compare(has, policy)
	g.Expect(changes.Empty()).To(BeFalse())
	g.Expect(changes.UpdatePeers).To(Equal(policy.Peers), "the session can stay")
	g.Expect(changes.ReplacePeers).To(BeEmpty())

	renamed := desired()
	renamed.RouterID = netip.MustParseAddr("192.0.2.9")
	changes = bgp.Compare(has, renamed)
	g.Expect(changes.Restart).To(BeTrue())
	g.Expect(changes.AddPeers).To(HaveLen(1))
	g.Expect(changes.Advertise).To(HaveLen(1))
}

// Whatever differs is a change, also in fields that will be added.
func TestCompareSeesEveryField(t *testing.T) {
	template := desired()
	for _, part := range []func(*bgp.Desired) any{
		func(d *bgp.Desired) any { return d },
		func(d *bgp.Desired) any { return &d.Peers[0] },
		func(d *bgp.Desired) any { return &d.Advertisements[0] },
	} {
		kind := reflect.TypeOf(part(&template))
		for i := range kind.Elem().NumField() {
			t.Run(kind.Elem().Name()+"."+kind.Elem().Field(i).Name, func(t *testing.T) {
				other := desired()
				alter(t, reflect.ValueOf(part(&other)).Elem().Field(i))
				NewWithT(t).Expect(bgp.Compare(desired(), other).Empty()).To(BeFalse())
			})
		}
	}
}

// alter a field's value.
func alter(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("2001:db8::99")))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("2001:db8:99::/64")))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Struct:
		alter(t, v.Field(0))
	default:
		t.Fatalf("teach this test about %s", v.Type())
	}
}

func TestRouterIDs(t *testing.T) {
	g := NewWithT(t)
	v4, v6 := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")
	g.Expect(bgp.RouterID("a", []netip.Addr{v6, v4}).String()).To(Equal("10.0.0.7"))
	made := bgp.RouterID("a", []netip.Addr{v6})
	g.Expect(made).To(Equal(bgp.RouterID("a", nil)), "it must not change with the addresses")
	g.Expect(netip.MustParsePrefix("240.0.0.0/4").Contains(made)).To(BeTrue())
	g.Expect(bgp.RouterID("b", nil)).NotTo(Equal(made))
}
