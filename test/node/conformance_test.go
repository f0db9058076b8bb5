// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netns"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/dataplanetest"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/netlink"
)

// TestTheKernelConforms holds the real kernel to the suite that the fake passes.
func TestTheKernelConforms(t *testing.T) {
	needsRoot(t)
	dataplanetest.Run(t, func(t *testing.T) dataplanetest.Machine {
		s := newSpace(t, "machine")
		s.ip(t, "link", "add", "eth0", "type", "veth", "peer", "name", "far")
		s.ip(t, "link", "set", "far", "up")
		s.ip(t, "link", "set", "eth0", "up")
		s.ip(t, "addr", "add", "2001:db8:cafe::1/64", "dev", "eth0", "nodad")
		// The test goes on in the namespace; its thread ends with it.
		runtime.LockOSThread()
		if err := netns.Set(s.handle); err != nil {
			t.Fatal(err)
		}
		k := netlink.New()
		return dataplanetest.Machine{
			Wirer: k, Host: k,
			Netns: func(t *testing.T) *os.File {
				f, err := os.Open(newSpace(t, "pod").path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = f.Close() })
				return f
			},
			AddRoute: func(t *testing.T, r dataplane.Route) {
				s.ip(t, "-6", "route", "add", r.Dst.String(), "via", r.Via.String(), "dev", r.Device, "onlink", "metric", fmt.Sprint(r.Metric), "proto", fmt.Sprint(r.Protocol))
			},
			Routes: func(t *testing.T) []string { return routesTo(t, s) },
		}
	})
}

// routesTo returns the routes to 2001:db8:1::/48, with numbers for protocols and without what this iproute2 adds.
func routesTo(t *testing.T, s *space) []string {
	t.Helper()
	var out []string
	for _, l := range lines(s.ip(t, "-6", "-N", "route", "show")) {
		_, dst, found := strings.Cut(l, "2001:db8:1:")
		if !found || dst == "" {
			continue
		}
		for _, noise := range []string{" pref medium", " pref 0", " linkdown"} {
			l = strings.ReplaceAll(l, noise, "")
		}
		l = strings.ReplaceAll(l, " dev lo ", " ")
		l = strings.Replace(l, "7 2001", "unreachable 2001", 1)
		if p, err := netip.ParsePrefix(strings.Fields(strings.TrimPrefix(l, "unreachable "))[0]); err != nil || p.Bits() > 64 {
			continue
		}
		out = append(out, l)
	}
	return out
}
