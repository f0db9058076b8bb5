// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/validation/field"

	. "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// around plans nodes, pods and services, separated by blanks.
func around(t *testing.T, text string) Surroundings {
	t.Helper()
	g := NewWithT(t)
	words := strings.Fields(text)
	ranges, err := keyword.ParseRanges(&words[0], &words[1], &words[2])
	g.Expect(err).NotTo(HaveOccurred())
	p, err := plan.Build(ranges, plan.Facts{NetworkType: "ipv6", Encapsulation: "Always", SeedNetworks: []netip.Prefix{netip.MustParsePrefix("2001:db8:5eed::/48")}})
	g.Expect(err).NotTo(HaveOccurred())
	known := map[plan.Key]netip.Prefix{{Range: keyword.Pods, Family: prefix.IPv6}: netip.MustParsePrefix("2001:db8:b0d::/64")}
	return Surroundings{Plan: p, Known: known, ProviderType: "openstack"}
}

func TestValidatePlanned(t *testing.T) {
	const (
		fromNode = "v6global/64+prefix/96 v6fromNode v6global"
		ownRange = "v6global/64 v6global/56 v6global"
		custom   = "custom+prefix/96 v6fromNode v6private"
		ipv4     = "v4private v4private v4private"
	)
	source := func(fields string) string { return "{nodePrefix: {sources: [{" + fields + "}]}}" }
	peer := func(fields string) string {
		return "{routing: {mode: BGP, bgp: {asn: 64512, peers: [{asn: 65000, " + fields + "}]}}}"
	}
	pool := func(cidr string) string {
		return `{loadBalancer: {pools: [{name: a, prefixes: ["192.0.2.0/24"]}, {name: b, prefixes: ["` + cidr + `"]}]}}`
	}
	const (
		sources    = "c.nodePrefix.sources[0]."
		families   = "c.routing.bgp.peers[0].families"
		poolPrefix = "c.loadBalancer.pools[1].prefixes[0]: Invalid value: "
		other      = "; choose a range that nothing else has"
	)
	for _, test := range []struct{ ranges, config, want string }{
		{fromNode, `{}`, ""},
		{"v6global/64+prefix/96,v4private v6fromNode,v4private v6global,v4private", everything, ""},
		{fromNode, source(`source: Pool`), ""},
		{fromNode, source(`source: Metadata`), ""},
		{ownRange, source(`source: Custom`), ""},
		{custom, source(`source: Interface`), ""},
		{custom, source(`source: Custom`), ""},
		{"custom+prefix/96 v6fromNode,v4private v6private,v4private", source(`source: DHCPv6PD`), ""},

		{ownRange, source(`source: DHCPv6PD`), sources + `source: Invalid value: "DHCPv6PD": gives each node a prefix of its own, but the pods have a range for themselves; write v6fromNode for pods, or leave the source out`},
		{"custom custom v6private", source(`source: Interface`), sources + `source: Invalid value: "Interface": gives each node a prefix of its own, but the pods have a range for themselves`},
		{custom, source(`source: Pool`), sources + `source: Invalid value: "Pool": has nothing to cut prefixes from: the range is custom; name another source, or leave it out`},
		{ipv4, source(`source: Pool`), sources + `source: Invalid value: "Pool": is where IPv6 prefixes come from, but pods have no IPv6; leave nodePrefix out, or give pods an IPv6 value`},
		{"custom+prefix/24 v6fromNode,v4fromNode v6private,v4private", source(`source: Interface`), sources + `source: Invalid value: "Interface": cannot be used beside IPv4 pods that are custom`},

		{fromNode, peer(`address: 192.0.2.1, families: [IPv6]`), ""},
		{fromNode, peer(`defaultGateway: true`), ""},
		{fromNode, peer(`address: 192.0.2.1`), families + `: Required value: the router has an IPv4 address, and pods have no IPv4; name the families that the session shall carry, for example [IPv6]`},
		{ipv4, peer(`address: "2001:db8::1"`), families + `: Required value: the router has an IPv6 address, and pods have no IPv6; name the families that the session shall carry, for example [IPv4]`},
		{fromNode, peer(`address: "2001:db8::1", families: [IPv6, IPv4]`), families + `[1]: Invalid value: "IPv4": pods have no IPv4: there is nothing to tell this router`},

		{"2001:db8:a::/64+prefix/96 v6fromNode 2001:db8:c::/64", pool("2001:db8:c::1:0/112"), ""}, // reserved with the services, and not published
		{"2001:db8:a::/64+prefix/96 v6fromNode 2001:db8:c::/64", pool("2001:db8:c::/112"), poolPrefix + `"2001:db8:c::/112": overlaps the range of services, 2001:db8:c::/112` + other},
		{"2001:db8:a::/64+prefix/96 v6fromNode v6global", pool("2001:db8:a::/112"), poolPrefix + `"2001:db8:a::/112": overlaps the range of nodes, 2001:db8:a::/64` + other},
		{fromNode, pool("2001:db8:b0d::/112"), poolPrefix + `"2001:db8:b0d::/112": overlaps the range of pods, 2001:db8:b0d::/64` + other},
		{ipv4, pool("100.64.5.0/24"), poolPrefix + `"100.64.5.0/24": overlaps the range of services, 100.64.0.0/13` + other},
		{fromNode, pool("2001:db8:5eed::/64"), poolPrefix + `"2001:db8:5eed::/64": overlaps the Seed's network 2001:db8:5eed::/48` + other},
		{fromNode, pool("fd8f:6d53:b97a:1::/112"), poolPrefix + `"fd8f:6d53:b97a:1::/112": overlaps fd8f:6d53:b97a:1::/96, which Gardener keeps for the VPN` + other},
	} {
		t.Run(strings.ReplaceAll(fmt.Sprintf("%s %.60s", test.ranges, test.config), "/", "|"), func(t *testing.T) {
			g := NewWithT(t)
			config := written(t, test.config)
			g.Expect(messages(ValidateNetworkConfig(config, field.NewPath("c")))).To(BeEmpty(), "right by itself")
			got := messages(ValidatePlanned(config, around(t, test.ranges), field.NewPath("c")))
			if test.want == "" {
				g.Expect(got).To(BeEmpty())
				return
			}
			g.Expect(got).To(ConsistOf(HavePrefix(test.want)))
		})
	}
}

func TestValidatePlannedWantsTheCloudOfAMetadataServer(t *testing.T) {
	g := NewWithT(t)
	place := around(t, "v6global/64+prefix/96 v6fromNode v6global")
	place.ProviderType = "metal"
	g.Expect(messages(ValidatePlanned(written(t, `{nodePrefix: {sources: [{source: Metadata}]}}`), place, field.NewPath("c")))).To(ConsistOf(
		`c.nodePrefix.sources[0].metadata.provider: Required value: the Shoot's provider type "metal" is no cloud whose metadata server is known; name one of ["aws" "azure" "gcp" "hetzner" "openstack"]`))
	g.Expect(messages(ValidatePlanned(written(t, `{nodePrefix: {sources: [{source: Metadata, metadata: {provider: gcp}}]}}`), place, field.NewPath("c")))).To(BeEmpty())
}

// A supernet merely covers the nodes' prefixes: a pool may be in it.
func TestValidatePlannedLetsPoolsBeInTheSupernet(t *testing.T) {
	g := NewWithT(t)
	place := around(t, "custom+prefix/96 v6fromNode v6private")
	place.Plan.PodSupernet = netip.MustParsePrefix("2001:db8::/32")
	place.Known[plan.Key{Range: keyword.Pods, Family: prefix.IPv6}] = place.Plan.PodSupernet
	g.Expect(ValidatePlanned(written(t, `{loadBalancer: {pools: [{name: a, prefixes: ["2001:db8:5::/112"]}]}}`), place, field.NewPath("c"))).To(BeEmpty())
}
