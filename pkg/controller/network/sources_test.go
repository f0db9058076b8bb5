// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"net/netip"
	"testing"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

func adopted(r *v1alpha1.PrefixReservation) *v1alpha1.PrefixReservation {
	r.Status.Backend = "adopted"
	return r
}

// Who gives nodes their prefixes, for the agents and for the IPAM controller.
func TestDecideSources(t *testing.T) {
	const (
		fromNode = `"ranges":{"nodes":"v6global/64+prefix/80","pods":"v6fromNode","services":"v6private"}`
		custom   = `"ranges":{"nodes":"custom+prefix/80","pods":"v6fromNode","services":"v6private"}`
		ownRange = `"ranges":{"nodes":"v6global/64","pods":"v6private","services":"v6private"}`
	)
	var (
		nodes    = netip.MustParsePrefix("2001:db8:1::/64")
		supernet = netip.MustParsePrefix("2001:db8::/40")
		known    = gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"fd00:2::/112"}}
		covered  = gardencorev1beta1.NetworkingStatus{Pods: []string{"2001:db8::/40"}, Services: []string{"fd00:2::/112"}}
		pool     = nodeprefix.Range{Family: "IPv6", Pool: nodes, NodeBits: 80, PodBits: 84, PodChild: 13, HoldsNodes: true}
		reported = nodeprefix.Range{Family: "IPv6", NodeBits: 80, PodBits: 84, PodChild: 13, HoldsNodes: true, Within: []netip.Prefix{nodes}, Scope: "Global"}
		both     = nodeprefix.Range{Family: "IPv6", Pool: nodes, NodeBits: 80, PodBits: 84, PodChild: 13, HoldsNodes: true, Within: []netip.Prefix{nodes}, Scope: "Global"}
		brought  = nodeprefix.Range{Family: "IPv6", NodeBits: 80, PodBits: 84, PodChild: 13, HoldsNodes: true, Within: []netip.Prefix{supernet}}
		aws      = agentconfig.NodePrefixSource{Source: agentconfig.SourceMetadata, Provider: "aws"}
		onlyAWS  = map[string]string{"cloud": "aws"}
	)
	for name, tc := range map[string]struct {
		config, provider string
		status           gardencorev1beta1.NetworkingStatus
		reservations     []*v1alpha1.PrefixReservation
		agent            []agentconfig.NodePrefixSource
		ranges           []nodeprefix.Range
		sources          []nodeprefix.Source
	}{
		"by default the pool":                          {fromNode, "openstack", known, nil, nil, []nodeprefix.Range{pool}, nil},
		"the pool on AWS, too, if it was reserved":     {fromNode, "aws", known, []*v1alpha1.PrefixReservation{bound("nodes", "2001:db8:1::/64")}, nil, []nodeprefix.Range{pool}, nil},
		"AWS' own, if the provider reported the range": {fromNode, "aws", known, []*v1alpha1.PrefixReservation{adopted(bound("nodes", "2001:db8:1::/64"))}, []agentconfig.NodePrefixSource{aws}, []nodeprefix.Range{reported}, []nodeprefix.Source{{Origin: "Node"}}},
		"of custom nodes on GCP": {
			custom, "gcp", known, nil, []agentconfig.NodePrefixSource{{Source: agentconfig.SourceMetadata, Provider: "gcp"}},
			[]nodeprefix.Range{{Family: "IPv6", NodeBits: 80, PodBits: 84, PodChild: 13, HoldsNodes: true, Within: []netip.Prefix{nodes}}}, []nodeprefix.Source{{Origin: "Node"}},
		},
		"nobody, of custom nodes elsewhere":        {custom + `,"podSupernet":"2001:db8::/40"`, "metal", covered, nil, nil, nil, nil},
		"not where pods have a range of their own": {ownRange, "aws", gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"fd00:1::/48"}, Services: []string{"fd00:2::/112"}}, []*v1alpha1.PrefixReservation{adopted(bound("nodes", "2001:db8:1::/64"))}, nil, []nodeprefix.Range{{Family: "IPv6", Pool: netip.MustParsePrefix("fd00:1::/48"), NodeBits: 64, PodBits: 64}}, nil},
		"some nodes are of AWS, the others of the pool": {
			fromNode + `,"nodePrefix":{"sources":[{"source":"Metadata","nodeSelector":{"matchLabels":{"cloud":"aws"}}}]}`, "aws", known, nil,
			[]agentconfig.NodePrefixSource{{Source: agentconfig.SourceMetadata, Provider: "aws", MatchLabels: onlyAWS}}, []nodeprefix.Range{both},
			[]nodeprefix.Source{{Origin: "Node", MatchLabels: onlyAWS}},
		},
		"all sources": {
			fromNode + `,"nodePrefix":{"sources":[{"source":"DHCPv6PD","interface":"eth1","nodeSelector":{"matchLabels":{"a":"b"}}},{"source":"Interface","nodeSelector":{"matchLabels":{"a":"c"}}},` +
				`{"source":"Custom","nodeSelector":{"matchLabels":{"a":"d"}}},{"source":"Pool"}]}`, "metal", known, nil,
			[]agentconfig.NodePrefixSource{
				{Source: agentconfig.SourceDHCPv6PD, Interface: "eth1", MatchLabels: map[string]string{"a": "b"}}, {Source: agentconfig.SourceInterface, MatchLabels: map[string]string{"a": "c"}},
				{Source: agentconfig.SourceCustom, MatchLabels: map[string]string{"a": "d"}}, {Source: agentconfig.SourcePool},
			},
			[]nodeprefix.Range{both},
			[]nodeprefix.Source{
				{Origin: "Node", MatchLabels: map[string]string{"a": "b"}}, {Origin: "Node", MatchLabels: map[string]string{"a": "c"}},
				{Origin: "Elsewhere", MatchLabels: map[string]string{"a": "d"}}, {Origin: "Pool"},
			},
		},
		"custom nodes bring their own, and others are left to others": {
			custom + `,"podSupernet":"2001:db8::/40","nodePrefix":{"sources":[{"source":"Metadata","metadata":{"provider":"aws"},"nodeSelector":{"matchLabels":{"cloud":"aws"}}}]}`, "metal", covered, nil,
			[]agentconfig.NodePrefixSource{{Source: agentconfig.SourceMetadata, Provider: "aws", MatchLabels: onlyAWS}, {Source: agentconfig.SourceCustom}},
			[]nodeprefix.Range{brought}, []nodeprefix.Source{{Origin: "Node", MatchLabels: onlyAWS}, {Origin: "Elsewhere"}},
		},
		"custom nodes, and somebody else said in so many words": {
			custom + `,"podSupernet":"2001:db8::/40","nodePrefix":{"sources":[{"source":"Custom"}]}`, "metal", covered, nil,
			[]agentconfig.NodePrefixSource{{Source: agentconfig.SourceCustom}}, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			cluster := clusterWith(tc.config, gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}}, tc.status)
			cluster.Shoot.Spec.Provider.Type = tc.provider
			d, err := decideFor(t, cluster, tc.reservations...)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(d.input.Agent.NodePrefixSources).To(Equal(tc.agent))
			g.Expect(d.input.NodePrefixes.Ranges).To(Equal(tc.ranges))
			g.Expect(d.input.NodePrefixes.Sources).To(Equal(tc.sources))

			_, err = agentconfig.Encode(d.input.Agent)
			g.Expect(err).NotTo(HaveOccurred())
			if len(tc.ranges) > 0 {
				_, err = nodeprefix.Encode(d.input.NodePrefixes)
				g.Expect(err).NotTo(HaveOccurred())
			}
		})
	}
}

func TestDecideHowPacketsTravel(t *testing.T) {
	g := NewWithT(t)
	cluster := clusterWith(`"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6private"},
		"routing":{"mode":"BGP","bgp":{"asn":4200000000,"nodeMesh":true,"peers":[
			{"address":"2001:db8:f::1","asn":65000,"port":1179,"ebgpMultihop":2,"passive":true,"passwordSecretName":"bgp","holdTime":"9s","connectRetryTime":"1s",
			 "families":["IPv6"],"import":"Default","communities":["65000:1"],"nodeSelector":{"matchLabels":{"rack":"a"}}},
			{"defaultGateway":true,"asn":4200000000,"localPreference":200}],
			"gracefulRestart":{"restartTime":"60s"},"advertise":{"serviceRange":true}}},
		"encapsulation":{"mode":"CrossSubnet","vxlan":{"port":8472}},
		"loadBalancer":{"pools":[{"name":"a","prefixes":["2001:db8:5::/112","192.0.2.0/24"]},{"name":"b","prefixes":["2001:db8:6::/112"]}],"classOnly":true}`,
		gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}},
		gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"fd00:2::/112"}})
	d, err := decideFor(t, cluster)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.input.Agent).To(Equal(agentconfig.Config{
		RoutingMode: agentconfig.BGP, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96, ServiceCIDRs: []string{"fd00:2::/112"},
		Encapsulation:     &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationCrossSubnet, VNI: 4096, Port: 8472},
		LoadBalancerCIDRs: []string{"2001:db8:5::/112", "192.0.2.0/24", "2001:db8:6::/112"},
		BGP: &agentconfig.BGPConfig{
			ASN: 4200000000, NodeMesh: true, GracefulRestartSeconds: 60,
			Advertise: agentconfig.Advertise{NodePrefixes: true, ServiceRange: true, LoadBalancerIPs: true},
			Peers: []agentconfig.BGPPeer{
				{
					Address: "2001:db8:f::1", ASN: 65000, Port: 1179, MultihopTTL: 2, Passive: true, PasswordSecret: "bgp", HoldTimeSeconds: 9, ConnectRetrySeconds: 1,
					Families: []string{"IPv6"}, Import: "Default", ImportLimit: 1000, Communities: []string{"65000:1"}, MatchLabels: map[string]string{"rack": "a"},
				},
				{DefaultGateway: true, ASN: 4200000000, Port: 179, HoldTimeSeconds: 90, ConnectRetrySeconds: 5, Import: "None", LocalPreference: 200},
			},
		},
	}))
	g.Expect(d.input.NodePrefixes.LoadBalancerPools).To(Equal([]nodeprefix.LoadBalancerPool{
		{Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:5::/112"), netip.MustParsePrefix("192.0.2.0/24")}},
		{Name: "b", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:6::/112")}},
	}))
	g.Expect(d.input.NodePrefixes.LoadBalancerClassOnly).To(BeTrue())
}

// Where everything is left open, routes are kept while an agent restarts, and nothing of Services is announced but load balancers.
func TestDecideBGPDefaults(t *testing.T) {
	g := NewWithT(t)
	decideBGP := func(bgp string) agentconfig.BGPConfig {
		cluster := clusterWith(`"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6private"},"routing":{"mode":"BGP","bgp":{"asn":64512,"nodeMesh":true`+bgp+`}}`,
			gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}},
			gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"fd00:2::/112"}})
		d, err := decideFor(t, cluster)
		g.Expect(err).NotTo(HaveOccurred())
		return *d.input.Agent.BGP
	}
	g.Expect(decideBGP("")).To(Equal(agentconfig.BGPConfig{
		ASN: 64512, NodeMesh: true, GracefulRestartSeconds: 120, Advertise: agentconfig.Advertise{NodePrefixes: true, LoadBalancerIPs: true},
	}))
	g.Expect(decideBGP(`,"gracefulRestart":{"enabled":false,"restartTime":"60s"}`).GracefulRestartSeconds).To(BeZero())
}

// What admission would have refused does not reach the nodes, should it ever get past admission.
func TestDecideRefusesWhatAdmissionRefuses(t *testing.T) {
	status := gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"2001:db8:2::/112"}}
	const ranges = `"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"},`
	for config, want := range map[string]string{
		`"routing":{"mode":"BGP"}`: "spec.networking.providerConfig.routing.bgp: Required value: mode BGP needs to know at least asn, and the peers",
		`"loadBalancer":{"pools":[{"name":"a","prefixes":["2001:db8:2::/120"]}]}`: "spec.networking.providerConfig.loadBalancer.pools[0].prefixes[0]: Invalid value: \"2001:db8:2::/120\": " +
			"overlaps the range of services, 2001:db8:2::/112; choose a range that nothing else has",
	} {
		g := NewWithT(t)
		_, err := decideFor(t, clusterWith(ranges+config, gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}}, status))
		g.Expect(err).To(MatchError(want))
		g.Expect(v1beta1helper.ExtractErrorCodes(err)).To(Equal([]gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorConfigurationProblem}))
	}
}
