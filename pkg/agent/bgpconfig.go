// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// announcing is what the configuration says about BGP, in the types of package announce.
type announcing struct {
	config       announce.Config
	families     []bgp.Family
	serviceCIDRs []netip.Prefix
	pools        []netip.Prefix
}

// announcingOf converts the configuration; mode BGP only.
func announcingOf(cfg agentconfig.Config) (announcing, error) {
	if cfg.BGP == nil {
		return announcing{}, errors.New("routingMode is BGP, but there is no bgp")
	}
	a := announcing{config: announce.Config{
		ASN: cfg.BGP.ASN, NodeMesh: cfg.BGP.NodeMesh, Advertise: announce.Advertise(cfg.BGP.Advertise),
		GracefulRestart: bgp.GracefulRestart{Enabled: cfg.BGP.GracefulRestartSeconds > 0, Time: seconds(cfg.BGP.GracefulRestartSeconds)},
	}}
	var errs []error
	var err error
	if a.families, err = familiesOf(cfg.IPFamilies); err != nil {
		errs = append(errs, fmt.Errorf("ipFamilies: %w", err))
	}
	if a.serviceCIDRs, err = parsePrefixes(cfg.ServiceCIDRs); err != nil {
		errs = append(errs, fmt.Errorf("serviceCIDRs: %w", err))
	}
	if a.pools, err = parsePrefixes(cfg.LoadBalancerCIDRs); err != nil {
		errs = append(errs, fmt.Errorf("loadBalancerCIDRs: %w", err))
	}
	for i, p := range cfg.BGP.Peers {
		peer, err := peerOf(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("bgp.peers[%d]: %w", i, err))
		}
		a.config.Peers = append(a.config.Peers, peer)
	}
	return a, errors.Join(errs...)
}

func peerOf(p agentconfig.BGPPeer) (announce.Peer, error) {
	out := announce.Peer{
		DefaultGateway: p.DefaultGateway, ASN: p.ASN, Port: uint16(p.Port), MultihopTTL: uint8(p.MultihopTTL), Passive: p.Passive,
		PasswordSecret: p.PasswordSecret, HoldTime: seconds(p.HoldTimeSeconds), ConnectRetry: seconds(p.ConnectRetrySeconds),
		Import: bgp.Import(p.Import), ImportLimit: p.ImportLimit, LocalPreference: p.LocalPreference, NodeSelector: p.MatchLabels,
	}
	var errs []error
	var err error
	if p.Address != "" {
		if out.Address, err = netip.ParseAddr(p.Address); err != nil {
			errs = append(errs, fmt.Errorf("address: %w", err))
		}
	}
	if out.Families, err = familiesOf(p.Families); err != nil {
		errs = append(errs, fmt.Errorf("families: %w", err))
	}
	for _, text := range p.Communities {
		c, err := bgp.ParseCommunity(text)
		if err != nil {
			errs = append(errs, err)
		}
		out.Communities = append(out.Communities, c)
	}
	return out, errors.Join(errs...)
}

// ofServices tells whether anything is announced that depends on Services.
func ofServices(a announce.Advertise) bool {
	return a.ServiceRange || a.ClusterIPs || a.LoadBalancerIPs || a.ExternalIPs
}

// secretsOf the peers, each once.
func secretsOf(peers []agentconfig.BGPPeer) []string {
	var names []string
	known := map[string]bool{"": true}
	for _, p := range peers {
		if !known[p.PasswordSecret] {
			known[p.PasswordSecret] = true
			names = append(names, p.PasswordSecret)
		}
	}
	return names
}

func familiesOf(names []string) ([]bgp.Family, error) {
	var out []bgp.Family
	for _, name := range names {
		switch name {
		case agentconfig.IPv6:
			out = append(out, bgp.IPv6Unicast)
		case agentconfig.IPv4:
			out = append(out, bgp.IPv4Unicast)
		default:
			return nil, fmt.Errorf("%q: want %s or %s", name, agentconfig.IPv6, agentconfig.IPv4)
		}
	}
	return out, nil
}

func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
