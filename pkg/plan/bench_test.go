// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"net/netip"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
)

func BenchmarkBuild(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"IPv6", "v6global/64+prefix/96 v6fromNode v6global/64"},
		{"dual-stack", "v6global/64+prefix/96,10.250.0.0/16+prefix/24 v6fromNode,v4private v6global/64,v4private"},
	} {
		b.Run(c.name, func(b *testing.B) {
			asked := ranges(b, c.text)
			facts := plan.Facts{
				SeedNetworks: pfxs("fd00:1::/48", "fd00:2::/48", "fd00:3::/112"),
				Reserved:     map[plan.Key]netip.Prefix{nodesV6: pfx("2001:db8:0:1::/64"), servicesV6: pfx("2001:db8:0:2::/64")},
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Build(asked, facts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
