// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// What a Shoot's owner says of prefixes, BGP and load balancers arrives in both clusters, with the permissions that it needs.
func TestReconcileHowPacketsTravel(t *testing.T) {
	g := NewWithT(t)
	s := newShoot(t, strings.TrimSuffix(demoConfig, "}")+`,
		"nodePrefix":{"sources":[{"source":"Metadata","metadata":{"provider":"aws"},"nodeSelector":{"matchLabels":{"cloud":"aws"}}}]},
		"routing":{"mode":"BGP","bgp":{"asn":64512,"peers":[{"address":"2001:db8:f::1","asn":65000,"passwordSecretName":"bgp-tor"}]}},
		"loadBalancer":{"pools":[{"name":"public","prefixes":["2001:db8:5::/112"]}]}}`, demoRanges)
	g.Expect(s.network.Deploy(t.Context())).To(Succeed())
	g.Expect(s.network.Wait(t.Context())).To(Succeed())

	g.Expect(s.shootObjects(t)).To(ContainElements(
		"ValidatingAdmissionPolicy /ipv6-agent-own-node", "ValidatingAdmissionPolicyBinding /ipv6-agent-own-node",
		"Role kube-system/ipv6-agent", "RoleBinding kube-system/ipv6-agent",
	))
	config := &corev1.ConfigMap{}
	g.Expect(env.Client.Get(t.Context(), s.key(s.deployment(t).Spec.Template.Spec.Volumes[0].ConfigMap.Name), config)).To(Succeed())
	decoded, err := nodeprefix.Decode([]byte(config.Data["config.json"]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(decoded.Sources).To(Equal([]nodeprefix.Source{{Origin: nodeprefix.FromNode, MatchLabels: map[string]string{"cloud": "aws"}}}))
	g.Expect(decoded.LoadBalancerPools).To(HaveLen(1))
	g.Expect(decoded.LoadBalancerPools[0].Name).To(Equal("public"))
}
