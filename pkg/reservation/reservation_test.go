// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func TestRequestAccepts(t *testing.T) {
	for name, tc := range map[string]struct {
		scope  plan.Scope
		prefix string
		want   string
	}{
		"global":              {plan.Global, "2001:db8::/64", ""},
		"larger":              {plan.Global, "2001:db8::/56", ""},
		"smaller":             {plan.Global, "2001:db8::/65", "2001:db8::/65 is smaller than the /64 asked for"},
		"unique local":        {plan.Private, "fd00:1::/64", ""},
		"local, not global":   {plan.Global, "fd00:1::/64", "fd00:1::/64 is not global, but unique local (RFC 4193)"},
		"global, not local":   {plan.Private, "2001:db8::/64", "2001:db8::/64 is not unique local (RFC 4193)"},
		"another family":      {plan.Global, "10.0.0.0/8", "10.0.0.0/8 is not IPv6"},
		"taken by another":    {plan.Global, "2001:db8:f::/64", "2001:db8:f::/64 overlaps 2001:db8:f::/48, which is in use elsewhere"},
		"with bits of a host": {plan.Global, "2001:db8::1/64", "2001:db8::1/64 is not a canonical prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			request := reservation.Request{
				Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: tc.scope, Bits: 64,
				Avoid: reservation.AvoidAll(netip.MustParsePrefix("2001:db8:f::/48")),
			}
			err := request.Accepts(netip.MustParsePrefix(tc.prefix))
			if tc.want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
			} else {
				NewWithT(t).Expect(err).To(MatchError(tc.want))
			}
		})
	}
}
