// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// Whatever is valid is read back as it was written, and what is not valid is not written.
func FuzzRoundTrip(f *testing.F) {
	f.Add(full)
	f.Add(`{"routingMode":"Direct","ipFamilies":["IPv6"],"nodePrefixLengthIPv6":96,"nodePrefixSources":[{"source":"Interface"}]}`)
	f.Add(`{"routingMode":"Routed","ipFamilies":["IPv4"],"masqueradeIPv4":true,"mtu":1280,"encapsulation":{"mode":"Always","vni":1,"port":1}}`)
	f.Add(`{"routingMode":"BGP","ipFamilies":["IPv6"],"bgp":{"asn":1,"peers":[{"address":"fe80::1%eth0","asn":2}],"advertise":{}}}`)
	f.Add(`{"routingMode":"BGP","ipFamilies":["IPv6"],"bgp":{"asn":1,"peers":[{"address":"::ffff:1.2.3.4","asn":2}],"advertise":{}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var in agentconfig.Config
		if json.Unmarshal([]byte(text), &in) != nil {
			return
		}
		in.APIVersion, in.Kind = agentconfig.APIVersion, agentconfig.Kind
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
		again, err := agentconfig.Encode(*out)
		if err != nil || string(again) != string(doc) {
			t.Fatalf("%v\nfirst  %s\nsecond %s", err, doc, again)
		}
		if in.BGP != nil && !reflect.DeepEqual(in.BGP.Advertise, out.BGP.Advertise) {
			t.Fatalf("in  %+v\nout %+v", in, *out)
		}
	})
}
