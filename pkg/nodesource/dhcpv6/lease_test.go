// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dhcpv6

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	. "github.com/onsi/gomega"
	"go4.org/netipx"
)

var (
	noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	us   = identity{DUID: []byte{0, 3, 0, 1, 2, 0, 0x5e, 0x10, 0, 1}, IAID: [4]byte{1, 2, 3, 4}}
)

func cidr(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func delegated(prefix string, preferred, valid time.Duration) *dhcpv6.OptIAPrefix {
	o := &dhcpv6.OptIAPrefix{PreferredLifetime: preferred, ValidLifetime: valid}
	if prefix != "" {
		o.Prefix = netipx.PrefixIPNet(netip.MustParsePrefix(prefix))
	}
	return o
}

// reply to us, as it comes off the wire.
func reply(t *testing.T, t1, t2 time.Duration, more func(*dhcpv6.Message, *dhcpv6.OptIAPD), prefixes ...*dhcpv6.OptIAPrefix) *dhcpv6.Message {
	t.Helper()
	m, err := dhcpv6.NewMessage()
	if err != nil {
		t.Fatal(err)
	}
	m.MessageType = dhcpv6.MessageTypeReply
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: us.DUID})
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: []byte{0, 2, 0, 0, 0x7e, 0xd9, 0xc0}})
	ia := &dhcpv6.OptIAPD{IaId: us.IAID, T1: t1, T2: t2}
	for _, p := range prefixes {
		ia.Options.Add(p)
	}
	if more != nil {
		more(m, ia)
	}
	m.AddOption(ia)
	read, err := dhcpv6.MessageFromBytes(m.ToBytes())
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestRead(t *testing.T) {
	g := NewWithT(t)
	l, taken, err := us.read(reply(t, 100*time.Second, 160*time.Second, nil,
		delegated("2001:db8:1::/64", 200*time.Second, 300*time.Second), delegated("2001:db8:2::/64", 0, 0)), noon)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(taken).To(Equal([]netip.Prefix{cidr("2001:db8:2::/64")}))
	g.Expect(l).To(Equal(&lease{
		Server: []byte{0, 2, 0, 0, 0x7e, 0xd9, 0xc0}, RenewAt: noon.Add(100 * time.Second), RebindAt: noon.Add(160 * time.Second),
		Prefixes: []leasedPrefix{{cidr("2001:db8:1::/64"), noon.Add(200 * time.Second), noon.Add(300 * time.Second)}},
	}))
}

// What a server leaves to us, and what lasts for ever.
func TestTimes(t *testing.T) {
	const s = time.Second
	for name, tc := range map[string]struct {
		t1, t2, preferred, valid time.Duration
		renew, rebind, end       time.Duration // -1: never
	}{
		"ours":           {0, 0, 100 * s, 200 * s, 50 * s, 80 * s, 200 * s},
		"theirs":         {10 * s, 20 * s, 100 * s, 200 * s, 10 * s, 20 * s, 200 * s},
		"T1 only":        {90 * s, 0, 100 * s, 200 * s, 90 * s, 90 * s, 200 * s},
		"deprecated":     {0, 0, 0, 200 * s, 100 * s, 160 * s, 200 * s},
		"for ever":       {0, 0, forever, forever, -1, -1, -1},
		"asked for ever": {10 * s, 20 * s, forever, forever, 10 * s, 20 * s, -1},
		"never renewed":  {forever, forever, 100 * s, 200 * s, -1, -1, 200 * s},
	} {
		t.Run(name, func(t *testing.T) {
			l, _, err := us.read(reply(t, tc.t1, tc.t2, nil, delegated("2001:db8:1::/64", tc.preferred, tc.valid)), noon)
			g := NewWithT(t)
			g.Expect(err).NotTo(HaveOccurred())
			at := func(d time.Duration) time.Time {
				if d < 0 {
					return time.Time{}
				}
				return noon.Add(d)
			}
			g.Expect([]time.Time{l.RenewAt, l.RebindAt, l.end()}).To(Equal([]time.Time{at(tc.renew), at(tc.rebind), at(tc.end)}))
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const s = time.Second
	good := delegated("2001:db8:1::/64", 100*s, 200*s)
	for name, tc := range map[string]struct {
		t1, t2 time.Duration
		more   func(*dhcpv6.Message, *dhcpv6.OptIAPD)
		prefix *dhcpv6.OptIAPrefix
		want   string
	}{
		"another client": {
			more: func(m *dhcpv6.Message, _ *dhcpv6.OptIAPD) {
				m.UpdateOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: []byte{0, 3, 0, 1, 9, 9, 9, 9, 9, 9}})
			},
			prefix: good, want: "the answer is for another client",
		},
		"no server":         {more: func(m *dhcpv6.Message, _ *dhcpv6.OptIAPD) { m.Options.Del(dhcpv6.OptionServerID) }, prefix: good, want: "want a server identifier"},
		"another IAID":      {more: func(_ *dhcpv6.Message, ia *dhcpv6.OptIAPD) { ia.IaId[0] = 9 }, prefix: good, want: "has no IA_PD with our IAID 01020304"},
		"T2 before T1":      {t1: 20 * s, t2: 10 * s, prefix: good, want: "wants to be asked to renew after 20s and to rebind after 10s: want T1 ≤ T2"},
		"host bits":         {prefix: delegated("2001:db8:1::1/64", 100*s, 200*s), want: "delegated prefix 2001:db8:1::1/64 is not canonical: want 2001:db8:1::/64"},
		"link-local":        {prefix: delegated("fe80::/64", 100*s, 200*s), want: "delegated prefix fe80::/64 cannot be a node's"},
		"no length":         {prefix: delegated("", 100*s, 200*s), want: "a delegated prefix of length 0"},
		"preferred longer":  {prefix: delegated("2001:db8:1::/64", 300*s, 200*s), want: "is preferred for 5m0s and valid for 3m20s"},
		"without any":       {prefix: &dhcpv6.OptIAPrefix{}, more: func(_ *dhcpv6.Message, ia *dhcpv6.OptIAPD) { ia.Options.Del(dhcpv6.OptionIAPrefix) }, want: "says NoPrefixAvail"},
		"status of all":     {prefix: good, more: status(false), want: `server 000200007ed9c0 says NotOnLink ("go away")`},
		"status of the IA":  {prefix: good, more: status(true), want: `server 000200007ed9c0 says NotOnLink ("go away")`},
		"impossible length": {prefix: &dhcpv6.OptIAPrefix{PreferredLifetime: s, ValidLifetime: s, Prefix: &net.IPNet{IP: net.ParseIP("2001:db8::"), Mask: net.CIDRMask(1, 128)}}, want: "is not canonical"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := us.read(reply(t, tc.t1, tc.t2, tc.more, tc.prefix), noon)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(tc.want)))
		})
	}
}

func status(inIA bool) func(*dhcpv6.Message, *dhcpv6.OptIAPD) {
	return func(m *dhcpv6.Message, ia *dhcpv6.OptIAPD) {
		o := &dhcpv6.OptStatusCode{StatusCode: iana.StatusNotOnLink, StatusMessage: "go away"}
		if inIA {
			ia.Options.Add(o)
		} else {
			m.AddOption(o)
		}
	}
}

// An answer that does not mention a prefix leaves it as it was; one that gives it no time takes it.
func TestMerge(t *testing.T) {
	at := func(prefix string, seconds int) leasedPrefix {
		return leasedPrefix{Prefix: cidr(prefix), ValidUntil: noon.Add(time.Duration(seconds) * time.Second)}
	}
	old := &lease{Server: []byte{1}, Prefixes: []leasedPrefix{at("2001:db8:1::/64", 1), at("2001:db8:2::/64", 2), at("2001:db8:3::/64", 3)}}
	fresh := &lease{Server: []byte{2}, Prefixes: []leasedPrefix{at("2001:db8:1::/64", 11)}}
	merged := merge(old, fresh, []netip.Prefix{cidr("2001:db8:3::/64")})
	NewWithT(t).Expect(merged).To(Equal(&lease{Server: []byte{2}, Prefixes: []leasedPrefix{at("2001:db8:1::/64", 11), at("2001:db8:2::/64", 2)}}))
}

// A node that lost its file is the same client to its server, another interface is another client.
func TestIdentity(t *testing.T) {
	g := NewWithT(t)
	link := &net.Interface{Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0x5e, 0x10, 0, 1}}
	path := filepath.Join(t.TempDir(), "lease.json")
	first, err := load(path, link)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first.DUID).To(Equal([]byte{0, 3, 0, 1, 2, 0, 0x5e, 0x10, 0, 1}))
	g.Expect(newIdentity(link)).To(Equal(first.identity))
	g.Expect(newIdentity(&net.Interface{Name: "eth1", HardwareAddr: link.HardwareAddr}).IAID).NotTo(Equal(first.IAID))

	replaced := &net.Interface{Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0x5e, 0x10, 0, 9}}
	again, err := load(path, replaced)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(first), "the file outlives the network card")
	info, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
}

func FuzzRead(f *testing.F) {
	m := reply(&testing.T{}, time.Second, 2*time.Second, nil, delegated("2001:db8:1::/64", time.Hour, 2*time.Hour))
	f.Add(m.ToBytes())
	f.Fuzz(func(t *testing.T, packet []byte) {
		m, err := dhcpv6.MessageFromBytes(packet)
		if err != nil {
			return
		}
		l, taken, err := us.read(m, noon)
		if err != nil {
			return
		}
		if len(l.Prefixes)+len(taken) == 0 {
			t.Fatal("neither a prefix nor an error")
		}
		for _, p := range append(l.list(), taken...) {
			if p != p.Masked() || p.Addr().Is4In6() {
				t.Fatalf("%s was let through", p)
			}
		}
		if !l.RebindAt.IsZero() && l.RebindAt.Before(l.RenewAt) {
			t.Fatalf("rebind at %s, renew at %s", l.RebindAt, l.RenewAt)
		}
	})
}
