// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"maps"
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
)

// reservedFor are prefixes as somebody could have reserved them.
func reservedFor(p plan.Plan) map[plan.Key]netip.Prefix {
	found := maps.Clone(p.Fixed)
	for i, r := range p.Requests {
		found[r.Key] = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0xaa, byte(i)}), r.PublishedBits)
	}
	for _, r := range p.NodeRanges {
		if k := (plan.Key{Range: keyword.Pods, Family: r.Family}); r.From == keyword.Nodes && !found[k].IsValid() {
			found[k] = netip.MustParsePrefix("fdbb::/48")
		}
	}
	return found
}

// What validation lets pass the agents and the IPAM controller understand: they are the ones to read it where nobody is there to tell.
func FuzzValidConfigurationsReachTheNodes(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"mtu":1280,"encapsulation":{"mode":"Always","vxlan":{"vni":1}}}`, `{"mtu":65466,"encapsulation":{"mode":"CrossSubnet"}}`, `{"encapsulation":{"vxlan":{"port":1}}}`,
		`{"routing":{"mode":"BGP","bgp":{"asn":64512,"peers":[{"address":"fe80::1%eth0","asn":4294967294},{"defaultGateway":true,"asn":64512,"localPreference":1}]}}}`,
		`{"routing":{"mode":"BGP","bgp":{"asn":4294967296,"peers":[{"address":"2001:db8::1","asn":65536,"port":179,"ebgpMultihop":255,"holdTime":"3s","connectRetryTime":"1s"}]}}}`,
		`{"routing":{"mode":"BGP","bgp":{"asn":1,"nodeMesh":true,"gracefulRestart":{"restartTime":"1h8m15s"},"peers":[{"address":"192.0.2.1","asn":2,"families":["IPv6"],"passwordSecretName":"a","import":"All","importLimit":4294967295}]}}}`,
		`{"nodePrefix":{"sources":[{"source":"Metadata","metadata":{"provider":"hetzner"},"nodeSelector":{"matchLabels":{"a":"b"}}},{"source":"DHCPv6PD","interface":"eth1"}]}}`,
		`{"nodePrefix":{"sources":[{"source":"Interface","interface":"a%b"}]}}`, `{"nodePrefix":{"sources":[{"source":"Custom"}]}}`, `{"nodePrefix":{"sources":[{"source":"Pool"}]}}`,
		`{"loadBalancer":{"pools":[{"name":"a","prefixes":["2001:db8:5::/112","192.0.2.0/24"]}]}}`, `{"loadBalancer":{"pools":[{"name":"a","prefixes":["::ffff:0:0/112"]}]}}`,
		`{"routing":{"mode":"BGP","bgp":{"asn":1,"peers":[{"address":"2001:db8::1","asn":2,"communities":["no-export","65535:65535"]}]}}}`,
	} {
		for shape := range byte(4) {
			f.Add(text, shape)
		}
	}
	shapes := [][3]string{
		{"v6global/64+prefix/96", "v6fromNode", "v6global"}, {"custom+prefix/96,nov4", "v6fromNode", "v6private"},
		{"v4private", "v4private,v6private", "v4private,v6private"}, {"v6global+prefix/80,v4private", "v6fromNode,v4private", "v6private,v4private"},
	}
	f.Fuzz(func(t *testing.T, text string, shape byte) {
		config, err := helper.DecodeNetworkConfig(&runtime.RawExtension{Raw: []byte(text)})
		if err != nil || len(validation.ValidateNetworkConfig(config, field.NewPath("c"))) > 0 {
			return
		}
		words := shapes[int(shape)%len(shapes)]
		ranges, err := keyword.ParseRanges(&words[0], &words[1], &words[2])
		if err != nil {
			t.Fatal(err)
		}
		made, err := plan.Build(ranges, plan.Facts{NetworkType: "ipv6", Encapsulation: string(*config.Encapsulation.Mode)})
		if err != nil || len(validation.ValidatePlanned(config, validation.Surroundings{Plan: made, ProviderType: "aws"}, field.NewPath("c"))) > 0 {
			return
		}
		fact := facts{config: config, plan: made, providerType: "aws", ranges: reservedFor(made)}
		if err := agentConfig(fact).Validate(); err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		prefixes, err := nodePrefixes(fact)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nodeprefix.Encode(prefixes); err != nil && len(prefixes.Ranges)+len(prefixes.LoadBalancerPools) > 0 {
			t.Fatalf("%s\n%v", text, err)
		}
		if _, err := agentconfig.Encode(agentConfig(fact)); err != nil {
			t.Fatal(err)
		}
	})
}
