// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"net/netip"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// provided is a landscape with a host outside, and links as infrastructure providers make them.
func provided(t *testing.T, name string, links ...machine.Link) (*bed, *machine.Host) {
	t.Helper()
	b := newBed(t, name)
	g, ctx := b.g, t.Context()
	_, err := b.StartRouter(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	for _, link := range links {
		g.Expect(b.StartLink(ctx, link)).To(Succeed())
	}
	g.Expect(b.SetGateway(ctx, machine.OutsideLink, at(outsideLink, 1), netip.MustParsePrefix("203.0.113.1/24"))).To(Succeed())
	outside, err := b.StartHost(ctx, machine.HostConfig{Name: "outside", Link: machine.OutsideLink,
		Addresses: []netip.Prefix{at(outsideLink, 2), netip.MustParsePrefix("203.0.113.2/24")},
		Gateways:  []netip.Addr{at(outsideLink, 1).Addr(), netip.MustParseAddr("203.0.113.1")}})
	g.Expect(err).NotTo(HaveOccurred())
	return b, outside
}

func expectPing(t *testing.T, from *machine.Host, to string) {
	t.Helper()
	_, err := from.Run(t.Context(), "ping", "-n", "-c1", "-W2", to)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// A cloud's host has a gateway that is the same on every link, and prefixes that the cloud routes to it, of either family.
func TestAHostOfACloud(t *testing.T) {
	const link machine.Link = "cloud-a"
	b, outside := provided(t, "gx6c", link)
	g, ctx := b.g, t.Context()
	gateway := netip.MustParsePrefix("fe80::1/64")
	g.Expect(b.SetGateway(ctx, link, gateway)).To(Succeed())
	host, err := b.StartHost(ctx, machine.HostConfig{Name: "a", Link: link, Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8:a::1/64")},
		Gateways: []netip.Addr{gateway.Addr()}})
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(host.AddLoopback(ctx, netip.MustParseAddr("2001:db8:b::5"), netip.MustParseAddr("10.7.0.5"))).To(Succeed())
	for _, p := range []string{"2001:db8:a::/64", "2001:db8:b::/80", "10.7.0.0/24"} {
		g.Expect(b.RouteTo(ctx, netip.MustParsePrefix(p), "a")).To(Succeed())
		g.Expect(b.RouteTo(ctx, netip.MustParsePrefix(p), "a")).To(Succeed(), "a second time")
	}
	for _, to := range []string{"2001:db8:a::1", "2001:db8:b::5"} {
		expectPing(t, outside, to)
	}
	// the way back, which the host's owner makes
	_, err = host.Run(ctx, "ip", "-4", "route", "add", "default", "via", "inet6", "fe80::1", "dev", "eth0")
	g.Expect(err).NotTo(HaveOccurred())
	expectPing(t, outside, "10.7.0.5")

	g.Expect(b.ClearLink(ctx, link)).To(Succeed())
	for _, family := range []string{"-4", "-6"} {
		out, err := b.Router().Run(ctx, "ip", family, "route", "show", "dev", "br-cloud-a")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out).NotTo(ContainSubstring("via"), "routes over hosts of the link")
	}

	g.Expect(host.StartMetadata(ctx, "hetzner", netip.MustParsePrefix("2001:db8:a::/64"))).To(Succeed())
	ask := func() (string, error) {
		return host.Run(ctx, "curl", "--silent", "--fail", "--max-time", "2", "http://169.254.169.254/hetzner/v1/metadata/network-config")
	}
	g.Eventually(ask).WithTimeout(10 * time.Second).Should(And(ContainSubstring("2001:db8:a::1/64"), ContainSubstring(host.MAC().String())))
	b.expectNoTrace(t)
}

// A host that makes its address from advertisements; a load balancer between families; a DHCPv6 server.
func TestAHostOfALinkWithRouterAdvertisements(t *testing.T) {
	const link machine.Link = "ra"
	b, outside := provided(t, "gx6r", link)
	g, ctx := b.g, t.Context()
	prefix := netip.MustParsePrefix("2001:db8:c::/64")
	g.Expect(b.SetGateway(ctx, link, at(prefix, 1), netip.MustParsePrefix("10.8.0.1/24"))).To(Succeed())
	g.Expect(b.StartRadvd(ctx, link, prefix)).To(Succeed())
	config := machine.HostConfig{Name: "a", Link: link, FromRA: true, Gateways: []netip.Addr{netip.MustParseAddr("10.8.0.1")},
		Addresses: []netip.Prefix{b.Autoconfigured(prefix, "a"), netip.MustParsePrefix("10.8.0.2/24")}}
	host, err := b.StartHost(ctx, config)
	g.Expect(err).NotTo(HaveOccurred())
	expectPing(t, outside, b.Autoconfigured(prefix, "a").Addr().String())
	_, err = b.StartHost(ctx, config)
	g.Expect(err).NotTo(HaveOccurred())
	expectPing(t, host, at(outsideLink, 2).Addr().String())

	g.Expect(outside.Start(ctx, machine.Process{Name: "agnhost", Command: []string{"agnhost", "netexec", "--http-port=8080", "--udp-port=8081"}})).To(Succeed())
	g.Expect(b.StartFrontend(ctx, "web", netip.MustParseAddrPort("192.0.2.1:80"), netip.AddrPortFrom(at(outsideLink, 2).Addr(), 8080))).To(Succeed())
	ask := func() (string, error) {
		return host.Run(ctx, "curl", "--silent", "--fail", "--max-time", "2", "http://192.0.2.1/clientip")
	}
	g.Eventually(ask).WithTimeout(10*time.Second).Should(ContainSubstring(at(outsideLink, 1).Addr().String()), "the router asks, over IPv6")

	delegation := machine.Delegation{Link: link, Subnet: prefix, Pool: netip.MustParsePrefix("2001:db8:d000::/44"), Bits: 64}
	g.Expect(b.StartKea(ctx, delegation)).To(Succeed())
	log := func() (string, error) {
		text, err := os.ReadFile(b.Router().LogFile("kea-ra"))
		return string(text), err
	}
	g.Eventually(log).WithTimeout(10 * time.Second).Should(ContainSubstring("DHCP6_STARTED"))
	leases, err := b.Delegated(delegation)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(leases).To(BeEmpty())
	b.expectNoTrace(t)
}
