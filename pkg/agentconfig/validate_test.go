// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

type change = func(*agentconfig.Config)

func peer(change func(*agentconfig.BGPPeer)) change {
	return func(c *agentconfig.Config) { change(&c.BGP.Peers[0]) }
}

func source(s agentconfig.NodePrefixSource) change {
	return func(c *agentconfig.Config) { c.NodePrefixSources = []agentconfig.NodePrefixSource{s} }
}

// Each of these is the only thing wrong with a configuration that is right otherwise.
func TestValidateNamesTheMistake(t *testing.T) {
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"routing mode":    {func(c *agentconfig.Config) { c.RoutingMode, c.BGP = "direct", nil }, `routingMode is "direct", want Routed, Direct or BGP`},
		"family":          {func(c *agentconfig.Config) { c.IPFamilies = []string{"IPv6", "IPv4", "ipv4"} }, "ipFamilies has 3 entries, want one or two\nipFamilies[2] is \"ipv4\", want IPv4 or IPv6"},
		"family twice":    {func(c *agentconfig.Config) { c.IPFamilies = []string{"IPv6", "IPv6"}; c.MasqueradeIPv4 = false }, `ipFamilies[1]: IPv6 is there twice`},
		"masquerade":      {func(c *agentconfig.Config) { c.IPFamilies = []string{"IPv6"} }, `masqueradeIPv4 is set, but ipFamilies has no IPv4`},
		"IPv6 masquerade": {func(c *agentconfig.Config) { c.NonMasqueradeCIDRs = []string{"2001:db8::/64"} }, `nonMasqueradeCIDRs[0]: 2001:db8::/64 is not an IPv4 range; IPv6 is never masqueraded`},
		"prefix length":   {func(c *agentconfig.Config) { c.NodePrefixLengthIPv6 = 128 }, `nodePrefixLengthIPv6 is 128, want 1 to 127, or 0 for none`},
		"mtu too small":   {func(c *agentconfig.Config) { c.MTU = 1279 }, `mtu is 1279, want 1280 to 65465 (encapsulation adds 70), or 0 for the uplink's`},
		"mtu too large":   {func(c *agentconfig.Config) { c.MTU, c.Encapsulation = 65536, nil }, `mtu is 65536, want 1280 to 65535, or 0 for the uplink's`},
		"mtu and tunnel":  {func(c *agentconfig.Config) { c.MTU = 65466 }, `mtu is 65466, want 1280 to 65465 (encapsulation adds 70), or 0 for the uplink's`},

		"service range":         {func(c *agentconfig.Config) { c.ServiceCIDRs[0] = "2001:db8:2::1/112" }, `serviceCIDRs[0]: 2001:db8:2::1/112 has host bits set, write 2001:db8:2::/112`},
		"service range missing": {func(c *agentconfig.Config) { c.ServiceCIDRs = nil }, `bgp.advertise.serviceRange is set, but serviceCIDRs are not`},
		"load balancers":        {func(c *agentconfig.Config) { c.LoadBalancerCIDRs = []string{"10.0.0.0/8", "10.1.0.0/16"} }, `loadBalancerCIDRs[1]: 10.1.0.0/16 overlaps 10.0.0.0/8, which is there already`},

		"source":             {source(agentconfig.NodePrefixSource{Source: "pool"}), `nodePrefixSources[0]: source is "pool", want Pool, Metadata, DHCPv6PD, Interface or Custom`},
		"no provider":        {source(agentconfig.NodePrefixSource{Source: agentconfig.SourceMetadata}), `nodePrefixSources[0]: provider is "", want aws, gcp, openstack, hetzner, azure`},
		"needless provider":  {source(agentconfig.NodePrefixSource{Source: agentconfig.SourcePool, Provider: "aws"}), `nodePrefixSources[0]: provider is for Metadata only, not for Pool`},
		"needless interface": {source(agentconfig.NodePrefixSource{Source: agentconfig.SourceCustom, Interface: "eth0"}), `nodePrefixSources[0]: interface is for DHCPv6PD and Interface only, not for Custom`},
		"interface":          {source(agentconfig.NodePrefixSource{Source: agentconfig.SourceInterface, Interface: "a-very-long-name"}), `nodePrefixSources[0]: interface "a-very-long-name" cannot be the name of one: want 1 to 15 characters without blank, slash and colon`},
		"no prefix of its own": {func(c *agentconfig.Config) {
			c.NodePrefixSources, c.NodePrefixLengthIPv6 = []agentconfig.NodePrefixSource{{Source: agentconfig.SourceDHCPv6PD}}, 0
		}, `nodePrefixSources[0]: DHCPv6PD gives the node a prefix of its own, but nodePrefixLengthIPv6 says that nodes have none`},

		"encapsulation": {func(c *agentconfig.Config) { c.Encapsulation.Mode = "Never" }, `encapsulation.mode is "Never", want Always or CrossSubnet`},
		"vni":           {func(c *agentconfig.Config) { c.Encapsulation.VNI = 1 << 24 }, `encapsulation.vni is 16777216, want 1 to 16777215`},
		"tunnel's port": {func(c *agentconfig.Config) { c.Encapsulation.Port = 0 }, `encapsulation.port is 0, want 1 to 65535`},

		"bgp missing":     {func(c *agentconfig.Config) { c.BGP = nil }, `bgp is missing, but routingMode is BGP`},
		"bgp needless":    {func(c *agentconfig.Config) { c.RoutingMode = agentconfig.Routed }, `bgp is set, but routingMode is "Routed"`},
		"asn":             {func(c *agentconfig.Config) { c.BGP.ASN = 23456; c.BGP.Peers = nil }, `bgp.asn is 23456, want one of 1 to 4294967294 that is not reserved`},
		"restart time":    {func(c *agentconfig.Config) { c.BGP.GracefulRestartSeconds = 4096 }, `bgp.gracefulRestartSeconds is 4096, want 1 to 4095, or 0 for none`},
		"peer twice":      {func(c *agentconfig.Config) { c.BGP.Peers[0] = c.BGP.Peers[1] }, `bgp.peers[1]: is the same router for the same nodes as peers[0]`},
		"both addresses":  {peer(func(p *agentconfig.BGPPeer) { p.DefaultGateway = true }), `bgp.peers[0]: want either address or defaultGateway`},
		"no address":      {peer(func(p *agentconfig.BGPPeer) { p.Address = "" }), `bgp.peers[0]: want either address or defaultGateway`},
		"address":         {peer(func(p *agentconfig.BGPPeer) { p.Address = "router" }), `bgp.peers[0]: address: ParseAddr("router"): unable to parse IP`},
		"mapped":          {peer(func(p *agentconfig.BGPPeer) { p.Address = "::ffff:192.0.2.1" }), `bgp.peers[0]: address: ::ffff:192.0.2.1 is IPv4 in the form of IPv6, write 192.0.2.1`},
		"multicast":       {peer(func(p *agentconfig.BGPPeer) { p.Address = "ff02::2" }), `bgp.peers[0]: address: ff02::2 can be no router's`},
		"no zone":         {peer(func(p *agentconfig.BGPPeer) { p.Address, p.MultihopTTL, p.PasswordSecret = "fe80::1", 0, "" }), `bgp.peers[0]: address: fe80::1 is of the link: want its interface, as in fe80::1%eth0`},
		"needless zone":   {peer(func(p *agentconfig.BGPPeer) { p.Address = "2001:db8::1%eth0" }), `bgp.peers[0]: address: 2001:db8::1%eth0 is not of the link and takes no interface`},
		"zone":            {peer(func(p *agentconfig.BGPPeer) { p.Address, p.MultihopTTL, p.PasswordSecret = "fe80::1%a b", 0, "" }), `bgp.peers[0]: interface "a b" cannot be the name of one: want 1 to 15 characters without blank, slash and colon`},
		"MD5 on the link": {peer(func(p *agentconfig.BGPPeer) { p.Address, p.MultihopTTL = "fe80::1%eth0", 0 }), `bgp.peers[0]: passwordSecret: there is no TCP MD5 to addresses of the link`},
		"hops on the link": {peer(func(p *agentconfig.BGPPeer) { p.Address, p.PasswordSecret = "fe80::1%eth0", "" }),
			`bgp.peers[0]: multihopTTL is for routers that are not on the node's link`},
		"peer's asn":       {peer(func(p *agentconfig.BGPPeer) { p.ASN = 0 }), `bgp.peers[0]: asn is 0, want one of 1 to 4294967294 that is not reserved`},
		"port":             {peer(func(p *agentconfig.BGPPeer) { p.Port = 65536 }), `bgp.peers[0]: port is 65536, want 1 to 65535, or 0 for 179`},
		"hops":             {peer(func(p *agentconfig.BGPPeer) { p.MultihopTTL = 256 }), `bgp.peers[0]: multihopTTL is 256, want 1 to 255, or 0 for a router on the link`},
		"internal hops":    {peer(func(p *agentconfig.BGPPeer) { p.ASN = 64512 }), `bgp.peers[0]: multihopTTL is for external peers, but asn 64512 is the nodes' own`},
		"hold time":        {peer(func(p *agentconfig.BGPPeer) { p.HoldTimeSeconds = 2 }), `bgp.peers[0]: holdTimeSeconds is 2, want 3 to 65535, or 0 for 90`},
		"retry":            {peer(func(p *agentconfig.BGPPeer) { p.ConnectRetrySeconds = -1 }), `bgp.peers[0]: connectRetrySeconds is -1, want 1 to 65535, or 0 for 5`},
		"peer's family":    {peer(func(p *agentconfig.BGPPeer) { p.Families = []string{"IPv6", "IPv6"} }), `bgp.peers[0]: families[1]: IPv6 is there twice`},
		"import":           {peer(func(p *agentconfig.BGPPeer) { p.Import = "all" }), `bgp.peers[0]: import is "all", want None, Default or All`},
		"community":        {peer(func(p *agentconfig.BGPPeer) { p.Communities = []string{"65536:1"} }), `bgp.peers[0]: communities[0]: community "65536:1": want two numbers up to 65535, as in 65000:100, or no-export, no-advertise, no-peer`},
		"local preference": {peer(func(p *agentconfig.BGPPeer) { p.LocalPreference = 1 }), `bgp.peers[0]: localPreference is for internal peers, but asn 65000 is not the nodes' own`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			config := fullConfig()
			g.Expect(config.Validate()).To(Succeed())
			c.change(&config)
			g.Expect(config.Validate()).To(MatchError(c.want))
		})
	}
}
