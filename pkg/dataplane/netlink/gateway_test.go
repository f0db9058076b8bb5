// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"net"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// The default routes that count are others', and of those the ones that the kernel uses.
func TestBestDefaultRoutes(t *testing.T) {
	by := func(link, metric int, protocol uint8) nl.Route {
		return nl.Route{Gw: net.ParseIP("fe80::1"), Priority: metric, Protocol: nl.RouteProtocol(protocol), Type: unix.RTN_UNICAST, LinkIndex: link}
	}
	unreachable := by(9, 1, unix.RTPROT_STATIC)
	unreachable.Type = unix.RTN_UNREACHABLE
	found := best([]nl.Route{
		by(1, 1024, unix.RTPROT_RA), by(2, 32, dataplane.ProtocolImported), by(3, 100, unix.RTPROT_STATIC), by(4, 100, unix.RTPROT_DHCP), unreachable,
	})
	var links []int
	for _, r := range found {
		links = append(links, r.LinkIndex)
	}
	NewWithT(t).Expect(links).To(Equal([]int{3, 4}))
	NewWithT(t).Expect(best(nil)).To(BeEmpty())
}

func TestConnectedRoutes(t *testing.T) {
	route := func(dst string, change func(*nl.Route)) nl.Route {
		_, p, err := net.ParseCIDR(dst)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		r := nl.Route{Dst: p, Type: unix.RTN_UNICAST, Protocol: unix.RTPROT_KERNEL}
		if change != nil {
			change(&r)
		}
		return r
	}
	for what, c := range map[string]struct {
		route nl.Route
		want  string
	}{
		"a link":                 {route("2001:db8:1::/64", nil), "2001:db8:1::/64"},
		"a link of IPv4":         {route("192.0.2.0/24", nil), "192.0.2.0/24"},
		"link-local":             {route("fe80::/64", nil), ""},
		"multicast":              {route("ff00::/8", nil), ""},
		"behind a router":        {route("2001:db8:1::/64", func(r *nl.Route) { r.Gw = net.ParseIP("fe80::1") }), ""},
		"behind several routers": {route("2001:db8:1::/64", func(r *nl.Route) { r.MultiPath = []*nl.NexthopInfo{{}} }), ""},
		"unreachable":            {route("2001:db8:1::/64", func(r *nl.Route) { r.Type = unix.RTN_UNREACHABLE }), ""},
		"a pod":                  {route("2001:db8:1::1/128", func(r *nl.Route) { r.Protocol = nl.RouteProtocol(dataplane.ProtocolPod) }), ""},
		"ours":                   {route("2001:db8:1::/64", func(r *nl.Route) { r.Protocol = nl.RouteProtocol(dataplane.ProtocolNode) }), ""},
		"a default route":        {nl.Route{Type: unix.RTN_UNICAST}, ""},
	} {
		p, ok := connected(c.route)
		NewWithT(t).Expect(ok).To(Equal(c.want != ""), what)
		if ok {
			NewWithT(t).Expect(p.String()).To(Equal(c.want), what)
		}
	}
}

// A router of IPv4 may be one of IPv6 (RFC 8950): the kernel then names no IPv4 gateway.
func TestDirectWays(t *testing.T) {
	to := netip.MustParseAddr("192.0.2.7")
	g := NewWithT(t)
	g.Expect(direct(nl.Route{}, to)).To(BeTrue())
	g.Expect(direct(nl.Route{Gw: net.ParseIP("192.0.2.7")}, to)).To(BeTrue(), "its own next hop")
	g.Expect(direct(nl.Route{Gw: net.ParseIP("192.0.2.1")}, to)).To(BeFalse())
	g.Expect(direct(nl.Route{Via: &nl.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::1")}}, to)).To(BeFalse())
}
