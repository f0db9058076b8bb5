// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
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
	f.Fuzz(reachesTheNodes)
}

// author writes configurations at random, most of them right.
type author struct{ *rand.Rand }

func (a author) one(texts ...string) string { return texts[a.IntN(len(texts))] }

// mostly what is usual, and one in twenty times something else.
func (a author) mostly(usual string, texts ...string) string {
	if a.IntN(20) > 0 {
		return usual
	}
	return a.one(texts...)
}

func (a author) number(usual string) string {
	return a.mostly(usual, "0", "1", "-1", "255", "256", "65535", "65536", "16777216", "4294967294", "4294967295", "4294967296")
}

func (a author) seconds() string {
	return a.mostly(`"9s"`, `"1s"`, `"3s"`, `"65535s"`, `"65536s"`, `"0s"`, `"1500ms"`, `"4095s"`, `"4096s"`)
}

func (a author) selector() string {
	return `"nodeSelector":` + a.one(`{}`, `{"matchLabels":{"a":"b"}}`, `{"matchLabels":{"a":"c","d":"e"}}`)
}

// some of the fields.
func (a author) some(fields ...string) string {
	var texts []string
	for _, f := range fields {
		if a.IntN(2) > 0 {
			texts = append(texts, f)
		}
	}
	return strings.Join(texts, ",")
}

func object(fields ...string) string {
	return "{" + strings.Join(slices.DeleteFunc(fields, func(f string) bool { return f == "" }), ",") + "}"
}

func (a author) peer() string {
	address := a.one("2001:db8::1", "192.0.2.1", "fe80::1%eth0", "169.254.1.1", a.mostly("2001:db8::2", "fe80::1", "::ffff:1.2.3.4", "::1", "2001:db8::1%eth0"))
	return object(a.one(`"address":"`+address+`"`, `"defaultGateway":true`), `"asn":`+a.one("64512", a.number("65000")), a.some(
		`"passive":true`, `"port":`+a.number("179"), a.one(`"ebgpMultihop":`+a.number("2"), `"localPreference":`+a.number("5")), a.selector(),
		`"families":`+a.one(`["IPv6"]`, `["IPv6","IPv4"]`), a.one(`"passwordSecretName":"bgp"`, `"communities":["1:2","no-peer"]`),
		`"holdTime":`+a.seconds(), `"connectRetryTime":`+a.seconds(), a.one(`"import":"All","importLimit":`+a.number("9"), `"import":"None"`)))
}

func (a author) routing() string {
	peers := a.peer()
	if a.IntN(2) > 0 {
		peers += "," + a.peer()
	}
	bgp := object(`"asn":`+a.number("64512"), `"peers":[`+peers+`]`, a.some(`"nodeMesh":true`, `"gracefulRestart":{"restartTime":`+a.seconds()+`}`, `"advertise":{"serviceRange":true}`))
	return object(`"mode":"`+a.mostly("BGP", "Direct", "Routed")+`"`, `"bgp":`+bgp)
}

func (a author) source() string {
	return a.one(`{"source":"Metadata",`+a.selector()+`}`, `{"source":"Interface","interface":"`+a.one("eth0", "fifteencharacte", "", "a/b")+`"}`, `{"source":"DHCPv6PD",`+a.selector()+`}`,
		`{"source":"Custom"}`, `{"source":"Metadata",`+a.selector()+`},{"source":"Pool"}`)
}

func (a author) config() string {
	return object(a.some(`"routing":`+a.routing(), `"nodePrefix":{"sources":[`+a.source()+`]}`,
		`"encapsulation":`+object(`"mode":"`+a.one("Always", "CrossSubnet", "Never")+`"`, a.some(`"vxlan":`+object(a.some(`"vni":`+a.number("7"), `"port":`+a.number("8472"))))),
		`"loadBalancer":{"pools":[{"name":"a","prefixes":["`+a.one("2001:db8:5::/112", "192.0.2.0/24", "10.250.1.0/24", a.mostly("10.0.0.0/24", "::/0", "fe80::/64"))+`"]}]}`,
		`"mtu":`+a.one("1500", "1280", "65465", a.mostly("65535", "65466", "1279"))))
}

// Fields of every kind, right and wrong, put together at random.
func TestRandomConfigurationsReachTheNodes(t *testing.T) {
	a := author{rand.New(rand.NewPCG(1, 2))}
	valid := 0
	for range 2000 {
		text := a.config()
		reachesTheNodes(t, text, byte(a.IntN(4)))
		if strings.Contains(text, `"BGP"`) && judgedValid(text) {
			valid++
		}
	}
	NewWithT(t).Expect(valid).To(BeNumerically(">", 100), "some of them are right")
}

func judgedValid(text string) bool {
	config, err := helper.DecodeNetworkConfig(&runtime.RawExtension{Raw: []byte(text)})
	return err == nil && len(validation.ValidateNetworkConfig(config, field.NewPath("c"))) == 0
}

// reachesTheNodes fails if the configuration is valid and cannot be handed on.
func reachesTheNodes(t *testing.T, text string, shape byte) {
	shapes := [][3]string{
		{"v6global/64+prefix/96", "v6fromNode", "v6global"}, {"custom+prefix/96,nov4", "v6fromNode", "v6private"},
		{"v4private", "v4private,v6private", "v4private,v6private"}, {"v6global+prefix/80,v4private", "v6fromNode,v4private", "v6private,v4private"},
	}
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
}
