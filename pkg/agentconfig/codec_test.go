// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig_test

import (
	_ "embed"
	"maps"
	"reflect"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

//go:embed testdata/full.json
var full string

func fullConfig() agentconfig.Config {
	return agentconfig.Config{
		APIVersion:           agentconfig.APIVersion,
		Kind:                 agentconfig.Kind,
		RoutingMode:          agentconfig.BGP,
		IPFamilies:           []string{"IPv6", "IPv4"},
		NodePrefixLengthIPv6: 96,
		MTU:                  1400,
		MasqueradeIPv4:       true,
		NonMasqueradeCIDRs:   []string{"10.250.0.0/16"},
		ServiceCIDRs:         []string{"2001:db8:2::/112", "100.64.0.0/13"},
		NodePrefixSources: []agentconfig.NodePrefixSource{
			{Source: agentconfig.SourceMetadata, Provider: "aws", MatchLabels: map[string]string{"cloud": "aws"}},
			{Source: agentconfig.SourceDHCPv6PD, Interface: "eth1"},
		},
		Encapsulation: &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationCrossSubnet, VNI: 4096, Port: 4789},
		BGP: &agentconfig.BGPConfig{
			ASN: 64512,
			Peers: []agentconfig.BGPPeer{
				{
					Address: "2001:db8:1::1", ASN: 65000, Port: 1179, MultihopTTL: 2, Passive: true, PasswordSecret: "bgp-tor", HoldTimeSeconds: 9, ConnectRetrySeconds: 1,
					Families: []string{"IPv6", "IPv4"}, Import: "Default", ImportLimit: 10, Communities: []string{"65000:100", "no-export"},
					MatchLabels: map[string]string{"rack": "a"},
				},
				{DefaultGateway: true, ASN: 64512, LocalPreference: 200},
			},
			NodeMesh: true, GracefulRestartSeconds: 120,
			Advertise: agentconfig.Advertise{NodePrefixes: true, ServiceRange: true, ClusterIPs: true, LoadBalancerIPs: true, ExternalIPs: true},
		},
		LoadBalancerCIDRs: []string{"2001:db8:5::/112"},
		FastPath:          true,
	}
}

func TestEncodeWritesTheDocument(t *testing.T) {
	g := NewWithT(t)
	c := fullConfig()
	c.APIVersion, c.Kind = "", "" // Encode knows them
	out, err := agentconfig.Encode(c)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(out)).To(Equal(full))
}

func TestDecodeReadsTheDocument(t *testing.T) {
	g := NewWithT(t)
	c, err := agentconfig.Decode([]byte(full))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*c).To(Equal(fullConfig()))
}

// A field added to Config must be added to the documents above, so that its round trip is seen.
func TestTheDocumentHasEveryField(t *testing.T) {
	g := NewWithT(t)
	missing := fields(reflect.TypeFor[agentconfig.Config](), "")
	var see func(v reflect.Value, path string)
	see = func(v reflect.Value, path string) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				see(v.Elem(), path)
			}
		case reflect.Slice:
			for i := range v.Len() {
				see(v.Index(i), path)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				name := path + "." + v.Type().Field(i).Name
				if !v.Field(i).IsZero() {
					delete(missing, name)
				}
				see(v.Field(i), name)
			}
		default:
		}
	}
	see(reflect.ValueOf(fullConfig()), "")
	g.Expect(missing).To(BeEmpty(), "fullConfig leaves them out")
}

// fields of a type and of all that it holds.
func fields(t reflect.Type, path string) map[string]bool {
	found := map[string]bool{}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		maps.Copy(found, fields(t.Elem(), path))
	case reflect.Struct:
		for i := range t.NumField() {
			name := path + "." + t.Field(i).Name
			found[name] = true
			maps.Copy(found, fields(t.Field(i).Type, name))
		}
	default:
	}
	return found
}

func TestDecodeIsStrict(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field": {`"mtu"`, `"mtuu"`, `unknown field "mtuu"`},
		"newer version": {`cloud/v1`, `cloud/v2`, `apiVersion is "agent.ipv6.networking.extensions.gardener.cloud/v2"; this agent reads agent.ipv6.networking.extensions.gardener.cloud/v1`},
		"other kind":    {`AgentConfiguration`, `IPAMConfiguration`, `kind is "IPAMConfiguration", want "AgentConfiguration"`},
		"host bits":     {`10.250.0.0/16`, `10.250.0.1/16`, `nonMasqueradeCIDRs[0]: 10.250.0.1/16 has host bits set, write 10.250.0.0/16`},
		"two documents": {"\n}\n", "\n}{}", `invalid character '{' after top-level value`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			doc := strings.Replace(full, c.old, c.new, 1)
			g.Expect(doc).NotTo(Equal(full))
			_, err := agentconfig.Decode([]byte(doc))
			g.Expect(err).To(MatchError(ContainSubstring(c.want)))
		})
	}
}

func TestAllErrorsAreReportedAtOnce(t *testing.T) {
	g := NewWithT(t)
	err := agentconfig.Config{MTU: 1, NodePrefixLengthIPv6: -1}.Validate()
	g.Expect(err).To(MatchError(And(
		ContainSubstring(`routingMode is ""`), ContainSubstring("ipFamilies has 0 entries"),
		ContainSubstring("mtu is 1"), ContainSubstring("nodePrefixLengthIPv6 is -1"))))
}
