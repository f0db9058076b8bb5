// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	. "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
)

// written decodes as admission's mutator does: without defaults.
func written(t *testing.T, yaml string) *v1alpha1.NetworkConfig {
	t.Helper()
	config, err := helper.DecodeNetworkConfigAsWritten(&runtime.RawExtension{Raw: []byte(yaml)})
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), yaml)
	return config
}

// judged validates as written and with the defaults, which must come to the same.
func judged(t *testing.T, yaml string) []string {
	t.Helper()
	g := NewWithT(t)
	config := written(t, yaml)
	got := messages(ValidateNetworkConfig(config, field.NewPath("c")))
	v1alpha1.SetObjectDefaults_NetworkConfig(config)
	g.Expect(messages(ValidateNetworkConfig(config, field.NewPath("c")))).To(Equal(got), "defaults make or hide no mistake")
	return got
}

const everything = `
nodePrefix:
  sources:
  - {source: Metadata, nodeSelector: {matchLabels: {cloud: aws}}, metadata: {provider: aws}}
  - {source: Metadata, nodeSelector: {matchLabels: {cloud: own}}}
  - {source: DHCPv6PD, nodeSelector: {matchLabels: {cloud: dhcp}}, interface: eth1}
  - {source: Interface, nodeSelector: {matchLabels: {cloud: slaac, rack: a}}}
  - {source: Custom, nodeSelector: {matchLabels: {cloud: slaac}}}
  - source: Pool
routing:
  mode: BGP
  bgp:
    asn: 64512
    peers:
    - address: 2001:db8::1
      asn: 4294967294
      port: 1179
      ebgpMultihop: 255
      passive: true
      passwordSecretName: bgp-tor
      holdTime: 3s
      connectRetryTime: 1s
      families: [IPv6, IPv4]
      import: All
      importLimit: 4294967295
      communities: ["65000:100", no-export]
      nodeSelector: {matchLabels: {rack: a}}
    - {address: "2001:db8::1", asn: 65000, nodeSelector: {matchLabels: {rack: b}}}
    - {address: "fe80::1%eth0", asn: 64512, localPreference: 1}
    - {defaultGateway: true, asn: 1, ebgpMultihop: 1, import: Default}
    nodeMesh: true
    gracefulRestart: {enabled: true, restartTime: 4095s}
    advertise: {nodePrefixes: true, serviceRange: true, clusterIPs: true, loadBalancerIPs: true, externalIPs: true}
encapsulation: {mode: CrossSubnet, vxlan: {vni: 16777215, port: 65535}}
loadBalancer:
  pools:
  - {name: a, prefixes: ["2001:db8:5::/48", "192.0.2.1/32"]}
  - {name: b, prefixes: ["2001:db8:6::1/128"]}
  classOnly: true
mtu: 65465
`

func TestValidateAcceptsHowPacketsTravel(t *testing.T) {
	for _, yaml := range []string{
		everything,
		`{routing: {mode: BGP, bgp: {asn: 64512, nodeMesh: true}}}`,
		`{routing: {mode: BGP, bgp: {asn: 64512, gracefulRestart: {enabled: false}, peers: [{defaultGateway: true, asn: 65000}]}}}`,
		`{nodePrefix: {}, loadBalancer: {}, encapsulation: {mode: Always}}`,
	} {
		NewWithT(t).Expect(judged(t, yaml)).To(BeEmpty(), yaml)
	}
}

func TestValidateNamesMistakesInHowPacketsTravel(t *testing.T) {
	bgp := func(fields string) string { return "{routing: {mode: BGP, bgp: {" + fields + "}}}" }
	peer := func(fields string) string { return bgp("asn: 64512, peers: [{" + fields + "}]") }
	toRouter := func(fields string) string { return peer("address: '2001:db8::1', asn: 65000, " + fields) }
	source := func(fields string) string { return "{nodePrefix: {sources: [{" + fields + "}]}}" }
	pool := func(fields string) string { return "{loadBalancer: {pools: [{" + fields + "}]}}" }
	const (
		private = "private ones are 64512 to 65534 and 4200000000 to 4294967294 (RFC 6996)"
		thePeer = "c.routing.bgp.peers[0]"
		theName = "must be the name of an interface: 1 to 15 characters without blanks, slashes and colons, for example eth1"
	)
	for _, test := range []struct{ yaml, want string }{
		// bgp and its mode
		{`{routing: {mode: BGP}}`, `c.routing.bgp: Required value: mode BGP needs to know at least asn, and the peers`},
		{`{routing: {bgp: {asn: 64512}}}`, `c.routing.bgp: Forbidden: is for mode BGP, but mode is Direct; set mode to BGP, or leave bgp out`},
		{bgp(`asn: 64512`), `c.routing.bgp.peers: Required value: without a peer, and without nodeMesh, the nodes tell nobody of their prefixes`},
		{bgp(`nodeMesh: true`), `c.routing.bgp.asn: Invalid value: 0: must be from 1 to 4294967294; ` + private},
		{bgp(`nodeMesh: true, asn: -1`), `c.routing.bgp.asn: Invalid value: -1: must be from 1 to 4294967294; ` + private},
		{bgp(`nodeMesh: true, asn: 4294967295`), `c.routing.bgp.asn: Invalid value: 4294967295: must be from 1 to 4294967294; ` + private},
		{bgp(`nodeMesh: true, asn: 23456`), `c.routing.bgp.asn: Invalid value: 23456: can be nobody's number: it stands for numbers of four bytes (RFC 6793); ` + private},
		{bgp(`nodeMesh: true, asn: 65535`), `c.routing.bgp.asn: Invalid value: 65535: can be nobody's number: it is reserved (RFC 7300); ` + private},
		{bgp(`nodeMesh: true, asn: 1, gracefulRestart: {restartTime: 4096s}`), `c.routing.bgp.gracefulRestart.restartTime: Invalid value: "1h8m16s": must be whole seconds from 1s to 4095s; without it it is 120s`},
		{bgp(`nodeMesh: true, asn: 1, gracefulRestart: {restartTime: 0s}`), `c.routing.bgp.gracefulRestart.restartTime: Invalid value: "0s": must be whole seconds from 1s to 4095s; without it it is 120s`},

		// which router
		{peer(`asn: 65000`), thePeer + `.address: Required value: say which router it is: either its address, or defaultGateway: true`},
		{toRouter(`defaultGateway: true`), thePeer + `.defaultGateway: Forbidden: either address or defaultGateway can be given, not both`},
		{peer(`asn: 65000, address: router`), thePeer + `.address: Invalid value: "router": must be an IP address, for example 2001:db8::1, or fe80::1%eth0`},
		{peer(`asn: 65000, address: 2001:db8::/64`), thePeer + `.address: Invalid value: "2001:db8::/64": must be an IP address, for example 2001:db8::1, or fe80::1%eth0`},
		{peer(`asn: 65000, address: '::ffff:192.0.2.1'`), thePeer + `.address: Invalid value: "::ffff:192.0.2.1": must be written as the IPv4 address that it is, 192.0.2.1`},
		{peer(`asn: 65000, address: '::'`), thePeer + `.address: Invalid value: "::": can be no router's address`},
		{peer(`asn: 65000, address: '::1'`), thePeer + `.address: Invalid value: "::1": can be no router's address`},
		{peer(`asn: 65000, address: 'ff02::2%eth0'`), thePeer + `.address: Invalid value: "ff02::2%eth0": can be no router's address`},
		{peer(`asn: 65000, address: 'fe80::1'`), thePeer + `.address: Invalid value: "fe80::1": is an address of the link: it needs the nodes' interface, as in fe80::1%eth0`},
		{peer(`asn: 65000, address: 'fe80::1%a/b'`), thePeer + `.address: Invalid value: "fe80::1%a/b": "a/b" behind the % ` + theName},
		{peer(`asn: 65000, address: '2001:db8::1%eth0'`), thePeer + `.address: Invalid value: "2001:db8::1%eth0": is no address of the link and takes no interface; write 2001:db8::1`},
		{peer(`asn: 65000, address: '2001:DB8::1'`), thePeer + `.address: Invalid value: "2001:DB8::1": must be written in its canonical form, 2001:db8::1`},
		{bgp(`asn: 64512, peers: [{defaultGateway: true, asn: 1}, {asn: 2, defaultGateway: true}]`),
			`c.routing.bgp.peers[1]: Invalid value: "defaultGateway": is the same router as peers[0], which all of these nodes have already, and the first one counts; leave one of the two out, or give them nodeSelectors of which no node matches both`},
		{bgp(`asn: 64512, peers: [{address: '2001:db8::1', asn: 1}, {address: '2001:db8::1', asn: 2, nodeSelector: {matchLabels: {rack: a}}}]`),
			`c.routing.bgp.peers[1]: Invalid value: "2001:db8::1": is the same router as peers[0], which all of these nodes have already, and the first one counts`},

		// the session
		{peer(`address: '2001:db8::1'`), thePeer + `.asn: Invalid value: 0: must be from 1 to 4294967294; ` + private},
		{toRouter(`port: 65536`), thePeer + `.port: Invalid value: 65536: must be from 1 to 65535; without it it is 179`},
		{toRouter(`ebgpMultihop: 0`), thePeer + `.ebgpMultihop: Invalid value: 0: must be from 1 to 255, the number of hops; without it the router is on the nodes' link`},
		{toRouter(`ebgpMultihop: 256`), thePeer + `.ebgpMultihop: Invalid value: 256: must be from 1 to 255, the number of hops; without it the router is on the nodes' link`},
		{peer(`address: '2001:db8::1', asn: 64512, ebgpMultihop: 2`), thePeer + `.ebgpMultihop: Forbidden: is for external peers, but this one has the nodes' own AS 64512; internal ones may be any number of hops away`},
		{peer(`address: 'fe80::1%eth0', asn: 1, ebgpMultihop: 2`), thePeer + `.ebgpMultihop: Forbidden: a router that is spoken to by an address of the link, as a default gateway is, is no hop away`},
		{toRouter(`passwordSecretName: BGP`), thePeer + `.passwordSecretName: Invalid value: "BGP": must be the name of a Secret in the namespace kube-system: a lowercase RFC 1123 subdomain`},
		{peer(`defaultGateway: true, asn: 1, passwordSecretName: bgp`), thePeer + `.passwordSecretName: Forbidden: there are no passwords on sessions by addresses of the link, as default gateways have them; name the router's global address`},
		{peer(`address: 'fe80::1%eth0', asn: 1, passwordSecretName: bgp`), thePeer + `.passwordSecretName: Forbidden: there are no passwords`},
		{toRouter(`holdTime: 2s`), thePeer + `.holdTime: Invalid value: "2s": must be whole seconds from 3s to 65535s; without it it is 90s`},
		{toRouter(`holdTime: 3500ms`), thePeer + `.holdTime: Invalid value: "3.5s": must be whole seconds`},
		{toRouter(`connectRetryTime: 0s`), thePeer + `.connectRetryTime: Invalid value: "0s": must be whole seconds from 1s to 65535s; without it it is 5s`},
		{toRouter(`families: [ipv6]`), thePeer + `.families[0]: Unsupported value: "ipv6": supported values: "IPv4", "IPv6"`},
		{toRouter(`families: [IPv6, IPv6]`), thePeer + `.families[1]: Duplicate value: "IPv6"`},
		{toRouter(`import: all`), thePeer + `.import: Unsupported value: "all": supported values: "All", "Default", "None"`},
		{toRouter(`importLimit: 10`), thePeer + `.importLimit: Forbidden: limits what import lets in, and import is None; set import to Default or All, or leave the limit out`},
		{toRouter(`import: All, importLimit: 0`), thePeer + `.importLimit: Invalid value: 0: must be from 1 to 4294967295 routes a family; without it it is 1000`},
		{toRouter(`communities: ["65536:1"]`), thePeer + `.communities[0]: Invalid value: "65536:1": must be two numbers up to 65535, as in 65000:100, or no-export, no-advertise, no-peer`},
		{toRouter(`communities: ["1:1", "1:1"]`), thePeer + `.communities[1]: Duplicate value: "1:1"`},
		{toRouter(`localPreference: 200`), thePeer + `.localPreference: Forbidden: is told to internal peers only, but this one has AS 65000 and the nodes have AS 64512; routers of another AS go by communities`},
		{peer(`address: '2001:db8::1', asn: 64512, localPreference: 4294967296`), thePeer + `.localPreference: Invalid value: 4294967296: must be from 1 to 4294967295; without it it is 100`},
		{toRouter(`nodeSelector: {matchLabels: {"-": a}}`), thePeer + `.nodeSelector.matchLabels: Invalid value: "-": name part must consist of`},

		// where prefixes come from
		{source(`nodeSelector: {}`), `c.nodePrefix.sources[0].source: Required value: say where the prefixes come from, for example Pool or Metadata`},
		{source(`source: DHCP`), `c.nodePrefix.sources[0].source: Unsupported value: "DHCP": supported values: "Custom", "DHCPv6PD", "Interface", "Metadata", "Pool"`},
		{source(`source: Pool, metadata: {}`), `c.nodePrefix.sources[0].metadata: Forbidden: is for source Metadata, but source is Pool; leave it out`},
		{source(`source: Metadata, metadata: {provider: equinix}`), `c.nodePrefix.sources[0].metadata.provider: Unsupported value: "equinix": supported values: "aws", "azure", "gcp", "hetzner", "openstack"`},
		{source(`source: Metadata, interface: eth1`), `c.nodePrefix.sources[0].interface: Forbidden: is for the sources DHCPv6PD and Interface, but source is Metadata; leave it out`},
		{source(`source: Interface, interface: ""`), `c.nodePrefix.sources[0].interface: Invalid value: "": ` + theName},
		{source(`source: DHCPv6PD, interface: sixteencharacter`), `c.nodePrefix.sources[0].interface: Invalid value: "sixteencharacter": ` + theName},
		{source(`source: Pool, nodeSelector: {matchLabels: {a: "b c"}}`), `c.nodePrefix.sources[0].nodeSelector.matchLabels: Invalid value: "b c": a valid label`},
		{`{nodePrefix: {sources: [{source: Pool}, {source: Custom, nodeSelector: {matchLabels: {b: c, a: b}}}]}}`,
			`c.nodePrefix.sources[1].nodeSelector: Invalid value: "a=b,b=c": no node gets here: sources[0] selects all of these nodes, and the first entry counts; put the special before the general`},
		{`{nodePrefix: {sources: [{source: Pool}, {source: Custom}]}}`, `c.nodePrefix.sources[1].nodeSelector: Invalid value: "all nodes": no node gets here`},

		// encapsulation
		{`{encapsulation: {vxlan: {}}}`, `c.encapsulation.vxlan: Forbidden: nothing is encapsulated with mode Never; set mode to Always or CrossSubnet, or leave vxlan out`},
		{`{encapsulation: {mode: Always, vxlan: {vni: 0}}}`, `c.encapsulation.vxlan.vni: Invalid value: 0: must be from 1 to 16777215; without it it is 4096`},
		{`{encapsulation: {mode: Always, vxlan: {vni: 16777216}}}`, `c.encapsulation.vxlan.vni: Invalid value: 16777216: must be from 1 to 16777215; without it it is 4096`},
		{`{encapsulation: {mode: Always, vxlan: {port: 0}}}`, `c.encapsulation.vxlan.port: Invalid value: 0: must be from 1 to 65535; without it it is 4789`},
		{`{encapsulation: {mode: Always}, mtu: 65466}`,
			`c.mtu: Invalid value: 65466: must be from 1280, the least that carries IPv6, to 65465; without it the pods get the MTU of their node's uplink less up to 70 for the encapsulation`},

		// load balancers
		{`{loadBalancer: {classOnly: true}}`, `c.loadBalancer.classOnly: Forbidden: says for whom the pools are, and there are none`},
		{pool(`name: A, prefixes: ["2001:db8::/112"]`), `c.loadBalancer.pools[0].name: Invalid value: "A": a lowercase RFC 1123 label`},
		{pool(`name: a`), `c.loadBalancer.pools[0].prefixes: Required value: name at least one CIDR, for example 2001:db8:5::/112`},
		{pool(`name: a, prefixes: ["2001:db8::1"]`), `c.loadBalancer.pools[0].prefixes[0]: Invalid value: "2001:db8::1": must be a CIDR, for example 2001:db8:5::/112`},
		{pool(`name: a, prefixes: ["2001:db8::1/112"]`), `c.loadBalancer.pools[0].prefixes[0]: Invalid value: "2001:db8::1/112": must be written in its canonical form, 2001:db8::/112`},
		{pool(`name: a, prefixes: ["::ffff:10.0.0.0/120"]`), `c.loadBalancer.pools[0].prefixes[0]: Invalid value: "::ffff:10.0.0.0/120": must be written as the IPv4 range that it is`},
		{pool(`name: a, prefixes: ["fe80::/112"]`), `c.loadBalancer.pools[0].prefixes[0]: Invalid value: "fe80::/112": must not hold link-local addresses, which can be no Service's`},
		{pool(`name: a, prefixes: ["2001:db8::/47"]`), `c.loadBalancer.pools[0].prefixes[0]: Invalid value: "2001:db8::/47": must be a /48 or longer: it is for Services of type LoadBalancer only`},
		{pool(`name: a, prefixes: ["10.0.0.0/8", "10.0.0.0/16"]`), `c.loadBalancer.pools[0].prefixes[1]: Invalid value: "10.0.0.0/16": must not overlap 10.0.0.0/8, which is in a pool already`},
		{`{loadBalancer: {pools: [{name: a, prefixes: ["10.0.0.0/16"]}, {name: a, prefixes: ["10.1.0.0/16"]}]}}`, `c.loadBalancer.pools[1].name: Duplicate value: "a"`},
	} {
		t.Run(strings.ReplaceAll(test.yaml, "/", "|"), func(t *testing.T) {
			NewWithT(t).Expect(judged(t, test.yaml)).To(ConsistOf(HavePrefix(test.want)))
		})
	}
}

func TestValidateReportsAllMistakesAtOnce(t *testing.T) {
	g := NewWithT(t)
	g.Expect(judged(t, `{routing: {mode: BGP, bgp: {asn: 0, peers: [{asn: 0, address: x, port: 0, holdTime: 1s}]}}, encapsulation: {mode: x}, loadBalancer: {pools: [{}]}}`)).To(HaveLen(8))
}

// What may change while nodes live, and what may not.
func TestValidateUpdateOfHowPacketsTravel(t *testing.T) {
	const why = " and cannot be changed while packets are encapsulated: nodes that have the new number already and nodes that have not would not understand one another"
	for _, test := range []struct{ old, updated, want string }{
		{`{}`, everything, ""},
		{everything, `{}`, ""},
		{everything, strings.ReplaceAll(everything, "64512", "64513"), ""},
		{everything, strings.ReplaceAll(everything, "CrossSubnet", "Always"), ""},
		{`{encapsulation: {mode: Always}}`, `{encapsulation: {mode: Always, vxlan: {vni: 4096, port: 4789}}}`, ""},
		{`{encapsulation: {mode: Always}}`, `{encapsulation: {mode: Always, vxlan: {vni: 1}}}`, `c.encapsulation.vxlan.vni: Invalid value: 1: was 4096` + why},
		{everything, strings.ReplaceAll(everything, "65535", "4789"), `c.encapsulation.vxlan.port: Invalid value: 4789: was 65535` + why},
	} {
		t.Run(fmt.Sprintf("%.40q", test.updated), func(t *testing.T) {
			got := messages(ValidateNetworkConfigUpdate(written(t, test.updated), written(t, test.old), field.NewPath("c")))
			if test.want == "" {
				NewWithT(t).Expect(got).To(BeEmpty())
				return
			}
			NewWithT(t).Expect(got).To(ConsistOf(test.want))
		})
	}
}
