// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// agentConfig is the same for all nodes; an agent learns from its own Node which prefix is its.
func agentConfig(f facts) agentconfig.Config {
	config := agentconfig.Config{
		RoutingMode:       agentconfig.Direct,
		MTU:               int(ptr.Deref(f.config.MTU, 0)),
		FastPath:          ptr.Deref(f.config.FastPath, false),
		ServiceCIDRs:      serviceRanges(f),
		NodePrefixSources: nodeSources(f),
		Encapsulation:     encapsulation(f.config.Encapsulation),
		LoadBalancerCIDRs: loadBalancerRanges(f.config),
	}
	if routing := f.config.Routing; routing != nil {
		config.RoutingMode = agentconfig.RoutingMode(ptr.Deref(routing.Mode, v1alpha1.RoutingModeDirect))
		if config.RoutingMode == agentconfig.BGP && routing.BGP != nil {
			config.BGP = bgpConfig(routing.BGP)
		}
	}
	for _, r := range f.plan.NodeRanges {
		config.IPFamilies = append(config.IPFamilies, r.Family.String())
		switch {
		case r.Family == prefix.IPv6 && r.From == keyword.Nodes:
			config.NodePrefixLengthIPv6 = r.NodeBits
		case r.Family == prefix.IPv4:
			config.MasqueradeIPv4 = true
			config.NonMasqueradeCIDRs = ipv4Ranges(f)
		}
	}
	return config
}

func ipv4Ranges(f facts) []string {
	var cidrs []string
	for _, name := range keyword.Names() {
		cidrs = appendPrefix(cidrs, f.ranges[plan.Key{Range: name, Family: prefix.IPv4}])
	}
	return cidrs
}

func serviceRanges(f facts) []string {
	var cidrs []string
	for _, family := range f.plan.IPFamilies {
		cidrs = appendPrefix(cidrs, f.ranges[plan.Key{Range: keyword.Services, Family: family}])
	}
	return cidrs
}

func loadBalancerRanges(config *v1alpha1.NetworkConfig) []string {
	if config.LoadBalancer == nil {
		return nil
	}
	var cidrs []string
	for _, pool := range config.LoadBalancer.Pools {
		cidrs = append(cidrs, pool.Prefixes...)
	}
	return cidrs
}

// encapsulation is nil if nothing is wrapped.
func encapsulation(e *v1alpha1.Encapsulation) *agentconfig.Encapsulation {
	if e == nil || e.VXLAN == nil || ptr.Deref(e.Mode, v1alpha1.EncapsulationModeNever) == v1alpha1.EncapsulationModeNever {
		return nil
	}
	return &agentconfig.Encapsulation{
		Mode: agentconfig.EncapsulationMode(*e.Mode), VNI: int(ptr.Deref(e.VXLAN.VNI, 0)), Port: int(ptr.Deref(e.VXLAN.Port, 0)),
	}
}

// bgpConfig copies; the API's defaults are filled in already.
func bgpConfig(b *v1alpha1.BGP) *agentconfig.BGPConfig {
	config := &agentconfig.BGPConfig{ASN: uint32(b.ASN), NodeMesh: b.NodeMesh}
	if g := b.GracefulRestart; g != nil && ptr.Deref(g.Enabled, false) {
		config.GracefulRestartSeconds = seconds(g.RestartTime)
	}
	if a := b.Advertise; a != nil {
		config.Advertise = agentconfig.Advertise{
			NodePrefixes: ptr.Deref(a.NodePrefixes, false), ServiceRange: ptr.Deref(a.ServiceRange, false), ClusterIPs: ptr.Deref(a.ClusterIPs, false),
			LoadBalancerIPs: ptr.Deref(a.LoadBalancerIPs, false), ExternalIPs: ptr.Deref(a.ExternalIPs, false),
		}
	}
	for _, p := range b.Peers {
		config.Peers = append(config.Peers, bgpPeer(p))
	}
	return config
}

func bgpPeer(p v1alpha1.BGPPeer) agentconfig.BGPPeer {
	peer := agentconfig.BGPPeer{
		Address: ptr.Deref(p.Address, ""), DefaultGateway: p.DefaultGateway, ASN: uint32(p.ASN),
		Port: int(ptr.Deref(p.Port, 0)), MultihopTTL: int(ptr.Deref(p.EBGPMultihop, 0)), Passive: p.Passive,
		PasswordSecret:  ptr.Deref(p.PasswordSecretName, ""),
		HoldTimeSeconds: seconds(p.HoldTime), ConnectRetrySeconds: seconds(p.ConnectRetryTime),
		Import: string(ptr.Deref(p.Import, "")), ImportLimit: uint32(ptr.Deref(p.ImportLimit, 0)),
		Communities: p.Communities, LocalPreference: uint32(ptr.Deref(p.LocalPreference, 0)),
		MatchLabels: matchLabels(p.NodeSelector),
	}
	for _, family := range p.Families {
		peer.Families = append(peer.Families, string(family))
	}
	return peer
}

func seconds(d *metav1.Duration) int {
	if d == nil {
		return 0
	}
	return int(d.Duration / time.Second)
}

func matchLabels(s *v1alpha1.NodeSelector) map[string]string {
	if s == nil {
		return nil
	}
	return s.MatchLabels
}
