// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig_test

import (
	"reflect"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

const full = `{
  "apiVersion": "agent.ipv6.networking.extensions.gardener.cloud/v1",
  "kind": "AgentConfiguration",
  "routingMode": "Direct",
  "ipFamilies": [
    "IPv6",
    "IPv4"
  ],
  "nodePrefixLengthIPv6": 96,
  "mtu": 1400,
  "masqueradeIPv4": true,
  "nonMasqueradeCIDRs": [
    "10.250.0.0/16"
  ]
}
`

func fullConfig() agentconfig.Config {
	return agentconfig.Config{
		APIVersion:           agentconfig.APIVersion,
		Kind:                 agentconfig.Kind,
		RoutingMode:          agentconfig.Direct,
		IPFamilies:           []string{"IPv6", "IPv4"},
		NodePrefixLengthIPv6: 96,
		MTU:                  1400,
		MasqueradeIPv4:       true,
		NonMasqueradeCIDRs:   []string{"10.250.0.0/16"},
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
	v := reflect.ValueOf(fullConfig())
	for i := range v.NumField() {
		g.Expect(v.Field(i).IsZero()).To(BeFalse(), "fullConfig leaves %s out", v.Type().Field(i).Name)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":         {`"mtu"`, `"mtuu"`, `unknown field "mtuu"`},
		"newer version":         {`cloud/v1`, `cloud/v2`, `apiVersion is "agent.ipv6.networking.extensions.gardener.cloud/v2"; this agent reads agent.ipv6.networking.extensions.gardener.cloud/v1`},
		"other kind":            {`AgentConfiguration`, `IPAMConfiguration`, `kind is "IPAMConfiguration", want "AgentConfiguration"`},
		"routing mode":          {`Direct`, `BGP`, `routingMode is "BGP", want Routed or Direct`},
		"family":                {`"IPv4"`, `"ipv4"`, `ipFamilies[1] is "ipv4", want IPv4 or IPv6`},
		"family twice":          {`"IPv4"`, `"IPv6"`, `ipFamilies[1]: IPv6 is there twice`},
		"masquerade of nothing": {`"IPv6",` + "\n" + `    "IPv4"`, `"IPv6"`, `masqueradeIPv4 is set, but ipFamilies has no IPv4`},
		"prefix of nothing":     {`"IPv6",` + "\n" + `    "IPv4"`, `"IPv4"`, `nodePrefixLengthIPv6 is set, but ipFamilies has no IPv6`},
		"prefix length":         {`: 96`, `: 128`, `nodePrefixLengthIPv6 is 128, want 1 to 127, or 0 for none`},
		"mtu too small":         {`1400`, `1279`, `mtu is 1279, want 1280 to 65535, or 0 for the uplink's`},
		"mtu too large":         {`1400`, `65536`, `mtu is 65536, want 1280 to 65535`},
		"IPv6 masqueraded":      {`10.250.0.0/16`, `2001:db8::/64`, `nonMasqueradeCIDRs[0]: 2001:db8::/64 is not an IPv4 range; IPv6 is never masqueraded`},
		"host bits":             {`10.250.0.0/16`, `10.250.0.1/16`, `nonMasqueradeCIDRs[0]: 10.250.0.1/16 has host bits set, write 10.250.0.0/16`},
		"two documents":         {"}\n", "}{}", `invalid character '{' after top-level value`},
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

func FuzzRoundTrip(f *testing.F) {
	f.Add("Direct", true, true, 96, 1500, true, "10.0.0.0/8")
	f.Add("Routed", true, false, 0, 0, false, "")
	f.Fuzz(func(t *testing.T, mode string, v6, v4 bool, length, mtu int, masquerade bool, cidr string) {
		in := agentconfig.Config{
			APIVersion: agentconfig.APIVersion, Kind: agentconfig.Kind, RoutingMode: agentconfig.RoutingMode(mode),
			NodePrefixLengthIPv6: length, MTU: mtu, MasqueradeIPv4: masquerade,
		}
		if v6 {
			in.IPFamilies = append(in.IPFamilies, agentconfig.IPv6)
		}
		if v4 {
			in.IPFamilies = append(in.IPFamilies, agentconfig.IPv4)
		}
		if cidr != "" {
			in.NonMasqueradeCIDRs = []string{cidr}
		}
		doc, err := agentconfig.Encode(in)
		if (err == nil) != (in.Validate() == nil) {
			t.Fatalf("Encode: %v, Validate: %v", err, in.Validate())
		}
		if err != nil {
			return
		}
		out, err := agentconfig.Decode(doc)
		if err != nil {
			t.Fatalf("Decode of what Encode wrote: %v\n%s", err, doc)
		}
		if !reflect.DeepEqual(in, *out) {
			t.Fatalf("in  %+v\nout %+v", in, *out)
		}
	})
}
