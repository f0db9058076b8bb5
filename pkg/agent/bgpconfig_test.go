// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

func fullBGP() agentconfig.Config {
	return agentconfig.Config{
		RoutingMode: agentconfig.BGP, IPFamilies: []string{"IPv6", "IPv4"}, ServiceCIDRs: []string{"2001:db8:100::/112", "100.64.0.0/13"},
		LoadBalancerCIDRs: []string{"2001:db8:5::/112"},
		BGP: &agentconfig.BGPConfig{
			ASN: 65001, NodeMesh: true, GracefulRestartSeconds: 60,
			Advertise: agentconfig.Advertise{NodePrefixes: true, ServiceRange: true, ClusterIPs: true, LoadBalancerIPs: true, ExternalIPs: true},
			Peers: []agentconfig.BGPPeer{{
				Address: "2001:db8::1", DefaultGateway: true, ASN: 65000, Port: 1790, MultihopTTL: 4, Passive: true, PasswordSecret: "tor", HoldTimeSeconds: 9,
				ConnectRetrySeconds: 2, Families: []string{"IPv6", "IPv4"}, Import: "Default", ImportLimit: 10, Communities: []string{"65000:100"},
				LocalPreference: 200, MatchLabels: map[string]string{"rack": "a"},
			}},
		},
	}
}

func TestAnnouncingOf(t *testing.T) {
	g := NewWithT(t)
	from, err := announcingOf(fullBGP())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(from).To(Equal(announcing{
		families:     []bgp.Family{bgp.IPv6Unicast, bgp.IPv4Unicast},
		serviceCIDRs: []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/112"), netip.MustParsePrefix("100.64.0.0/13")},
		pools:        []netip.Prefix{netip.MustParsePrefix("2001:db8:5::/112")},
		config: announce.Config{
			ASN: 65001, NodeMesh: true, GracefulRestart: bgp.GracefulRestart{Enabled: true, Time: time.Minute},
			Advertise: announce.Advertise{NodePrefixes: true, ServiceRange: true, ClusterIPs: true, LoadBalancerIPs: true, ExternalIPs: true},
			Peers: []announce.Peer{{
				Address: netip.MustParseAddr("2001:db8::1"), DefaultGateway: true, ASN: 65000, Port: 1790, MultihopTTL: 4, Passive: true, PasswordSecret: "tor",
				HoldTime: 9 * time.Second, ConnectRetry: 2 * time.Second, Families: []bgp.Family{bgp.IPv6Unicast, bgp.IPv4Unicast}, Import: bgp.ImportDefault,
				ImportLimit: 10, Communities: []bgp.Community{65000<<16 | 100}, LocalPreference: 200, NodeSelector: map[string]string{"rack": "a"},
			}},
		},
	}))
}

// A field that is added to the configuration and not handled would be lost.
func TestEveryFieldOfAPeerIsConverted(t *testing.T) {
	g := NewWithT(t)
	full := fullBGP().BGP.Peers[0]
	fields := reflect.TypeOf(full)
	for i := range fields.NumField() {
		g.Expect(reflect.ValueOf(full).Field(i).IsZero()).To(BeFalse(), "teach fullBGP the field %s", fields.Field(i).Name)
		without := full
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		all, err := peerOf(full)
		g.Expect(err).NotTo(HaveOccurred())
		fewer, err := peerOf(without)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(reflect.DeepEqual(all, fewer)).To(BeFalse(), "%s makes no difference", fields.Field(i).Name)
	}
}

func TestAnnouncingOfWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*agentconfig.Config){
		"routingMode is BGP, but there is no bgp":             func(c *agentconfig.Config) { c.BGP = nil },
		`ipFamilies: "IPv5": want IPv6 or IPv4`:               func(c *agentconfig.Config) { c.IPFamilies = []string{"IPv5"} },
		"serviceCIDRs: ":                                      func(c *agentconfig.Config) { c.ServiceCIDRs = []string{"x"} },
		"loadBalancerCIDRs: ":                                 func(c *agentconfig.Config) { c.LoadBalancerCIDRs = []string{"x"} },
		"bgp.peers[0]: address: ":                             func(c *agentconfig.Config) { c.BGP.Peers[0].Address = "x" },
		`bgp.peers[0]: families: "x"`:                         func(c *agentconfig.Config) { c.BGP.Peers[0].Families = []string{"x"} },
		`bgp.peers[0]: community "x": want two numbers up to`: func(c *agentconfig.Config) { c.BGP.Peers[0].Communities = []string{"x"} },
	} {
		cfg := fullBGP()
		change(&cfg)
		_, err := announcingOf(cfg)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(want)))
	}
}

func TestSecretsOf(t *testing.T) {
	NewWithT(t).Expect(secretsOf([]agentconfig.BGPPeer{{PasswordSecret: "b"}, {}, {PasswordSecret: "a"}, {PasswordSecret: "b"}})).To(Equal([]string{"b", "a"}))
}
