// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package helper_test

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// Whatever can be read is written back to the same, and what validation lets pass the language can read.
func FuzzNetworkConfig(f *testing.F) {
	for _, text := range []string{
		``, `null`, `{}`, `{"overlay":{"enabled":false}}`, `{"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode"}}`,
		`{"routing":{"mode":"Routed"},"encapsulation":{},"podSupernet":"2001:db8::/32","mtu":1280}`, `{"ranges":{"nodes":"`, `ranges: {pods: v6private}`,
		`{"apiVersion":"` + apiVersion + `","kind":"NetworkConfig","snatToUpstreamDNS":{"enabled":true}}`, `[]`, `"text"`, `{"mtu":2147483648}`,
		`{"routing":{"mode":"BGP","bgp":{"asn":64512,"peers":[{"address":"fe80::1%eth0","asn":65000,"holdTime":"1m30s","families":["IPv6"],"nodeSelector":{"matchLabels":{"a":"b"}}}]}}}`,
		`{"nodePrefix":{"sources":[{"source":"Metadata","metadata":{"provider":"aws"}}]},"encapsulation":{"mode":"Always","vxlan":{"vni":1}},"loadBalancer":{"pools":[{"name":"a","prefixes":["::/0"]}]}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := NewWithT(t)
		config, err := helper.DecodeNetworkConfigAsWritten(raw(text))
		if err != nil {
			return
		}
		encoded, err := helper.EncodeNetworkConfig(config)
		g.Expect(err).NotTo(HaveOccurred())
		again, err := helper.DecodeNetworkConfigAsWritten(encoded)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again).To(Equal(config))

		if len(validation.ValidateNetworkConfig(config, field.NewPath("config"))) > 0 || config.Ranges == nil || config.Ranges.Nodes == nil {
			return
		}
		_, err = keyword.Parse(keyword.Nodes, *config.Ranges.Nodes)
		g.Expect(err).NotTo(HaveOccurred())
	})
}
