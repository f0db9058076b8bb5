// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// TestHostsReachEachOtherAtOnceAfterOthersCameAndWent: neither does the router's MAC change with its ports, nor does the router go
// on sending to the MAC of a machine that was plugged in anew.
func TestHostsReachEachOtherAtOnceAfterOthersCameAndWent(t *testing.T) {
	b := newBed(t, "gx6n")
	g, ctx := b.g, t.Context()
	router, err := b.StartRouter(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.SetGateway(ctx, machine.ShootLink, at(nodesLink, 1))).To(Succeed())
	g.Expect(b.SetGateway(ctx, machine.OutsideLink, at(outsideLink, 1))).To(Succeed())
	start := func(name string, link machine.Link, prefix netip.Prefix, host byte) *machine.Host {
		h, err := b.StartHost(ctx, machine.HostConfig{Name: name, Link: link, Addresses: []netip.Prefix{at(prefix, host)}, Gateways: []netip.Addr{at(prefix, 1).Addr()}})
		g.Expect(err).NotTo(HaveOccurred())
		return h
	}
	mac := func() string {
		out, err := router.Run(ctx, "ip", "-oneline", "link", "show", "br-shoot")
		g.Expect(err).NotTo(HaveOccurred())
		_, address, found := strings.Cut(out, "link/ether ")
		g.Expect(found).To(BeTrue(), out)
		return address
	}
	outside, first := start("outside", machine.OutsideLink, outsideLink, 2), mac()
	stays := start("stays", machine.ShootLink, nodesLink, 2)
	ping := func(from *machine.Host, to netip.Prefix) {
		t.Helper()
		_, err := from.Run(ctx, "ping", "-6", "-c1", "-W2", to.Addr().String())
		g.Expect(err).NotTo(HaveOccurred())
	}
	for round := range 4 {
		var others []*machine.Host
		for i := range byte(4) {
			others = append(others, start(fmt.Sprintf("other%d", i), machine.ShootLink, nodesLink, 10+i))
			ping(outside, at(nodesLink, 10+i))
			ping(stays, at(outsideLink, 2))
		}
		for _, h := range others {
			g.Expect(h.Remove(ctx)).To(Succeed())
			ping(stays, at(outsideLink, 2))
		}
		g.Expect(mac()).To(Equal(first), "MAC of the router in round %d", round)
	}
}
