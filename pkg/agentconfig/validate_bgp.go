// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// The field of the hold time in OPEN messages has 16 bits (RFC 4271), that of the restart time 12 (RFC 4724).
const (
	minHoldSeconds    = 3
	maxHoldSeconds    = 65535
	maxRestartSeconds = 4095
)

// reservedASNs can be nobody's (RFC 7607, RFC 6793, RFC 7300).
var reservedASNs = []uint32{0, 23456, 65535, 4294967295}

func (b *BGPConfig) validate(c Config) []error {
	var errs []error
	if slices.Contains(reservedASNs, b.ASN) {
		errs = append(errs, fmt.Errorf("bgp.asn is %d, want one of 1 to 4294967294 that is not reserved", b.ASN))
	}
	if n := b.GracefulRestartSeconds; n < 0 || n > maxRestartSeconds {
		errs = append(errs, fmt.Errorf("bgp.gracefulRestartSeconds is %d, want 1 to %d, or 0 for none", n, maxRestartSeconds))
	}
	if b.Advertise.ServiceRange && len(c.ServiceCIDRs) == 0 {
		errs = append(errs, errors.New("bgp.advertise.serviceRange is set, but serviceCIDRs are not"))
	}
	for i, p := range b.Peers {
		for _, err := range p.validate(b.ASN) {
			errs = append(errs, fmt.Errorf("bgp.peers[%d]: %w", i, err))
		}
		if k := slices.IndexFunc(b.Peers[:i], p.same); k >= 0 {
			errs = append(errs, fmt.Errorf("bgp.peers[%d]: is the same router for the same nodes as peers[%d]", i, k))
		}
	}
	return errs
}

// same router for the same nodes.
func (p BGPPeer) same(q BGPPeer) bool {
	return p.Address == q.Address && p.DefaultGateway == q.DefaultGateway && maps.Equal(p.MatchLabels, q.MatchLabels)
}

func (p BGPPeer) validate(own uint32) []error {
	errs := p.validateAddress()
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if slices.Contains(reservedASNs, p.ASN) {
		fail("asn is %d, want one of 1 to 4294967294 that is not reserved", p.ASN)
	}
	if p.Port < 0 || p.Port > 65535 {
		fail("port is %d, want 1 to 65535, or 0 for 179", p.Port)
	}
	switch {
	case p.MultihopTTL < 0 || p.MultihopTTL > 255:
		fail("multihopTTL is %d, want 1 to 255, or 0 for a router on the link", p.MultihopTTL)
	case p.MultihopTTL > 1 && p.ASN == own:
		fail("multihopTTL is for external peers, but asn %d is the nodes' own", p.ASN)
	}
	if n := p.HoldTimeSeconds; n != 0 && (n < minHoldSeconds || n > maxHoldSeconds) {
		fail("holdTimeSeconds is %d, want %d to %d, or 0 for 90", n, minHoldSeconds, maxHoldSeconds)
	}
	if n := p.ConnectRetrySeconds; n < 0 || n > maxHoldSeconds {
		fail("connectRetrySeconds is %d, want 1 to %d, or 0 for 5", n, maxHoldSeconds)
	}
	errs = append(errs, validateFamilyNames("families", p.Families)...)
	switch bgp.Import(p.Import) {
	case "", bgp.ImportNone, bgp.ImportDefault, bgp.ImportAll:
	default:
		fail("import is %q, want %s, %s or %s", p.Import, bgp.ImportNone, bgp.ImportDefault, bgp.ImportAll)
	}
	for i, text := range p.Communities {
		if _, err := bgp.ParseCommunity(text); err != nil {
			fail("communities[%d]: %w", i, err)
		}
	}
	if p.LocalPreference != 0 && p.ASN != own {
		fail("localPreference is for internal peers, but asn %d is not the nodes' own", p.ASN)
	}
	return errs
}

func (p BGPPeer) validateAddress() []error {
	if (p.Address != "") == p.DefaultGateway {
		return []error{errors.New("want either address or defaultGateway")}
	}
	var errs []error
	onLink := p.DefaultGateway
	if !p.DefaultGateway {
		a, err := netip.ParseAddr(p.Address)
		switch {
		case err != nil:
			return []error{fmt.Errorf("address: %w", err)}
		case a.Is4In6():
			return []error{fmt.Errorf("address: %s is IPv4 in the form of IPv6, write %s", a, a.Unmap())}
		case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
			return []error{fmt.Errorf("address: %s can be no router's", a)}
		case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
			errs = append(errs, fmt.Errorf("address: %s is of the link: want its interface, as in %s%%eth0", a, a))
		case a.Zone() != "" && !a.IsLinkLocalUnicast():
			errs = append(errs, fmt.Errorf("address: %s is not of the link and takes no interface", a))
		case a.Zone() != "":
			errs = append(errs, validateInterface(a.Zone())...)
		}
		onLink = a.Is6() && a.IsLinkLocalUnicast()
	}
	if onLink && p.MultihopTTL > 1 {
		errs = append(errs, errors.New("multihopTTL is for routers that are not on the node's link"))
	}
	if onLink && p.PasswordSecret != "" {
		errs = append(errs, errors.New("passwordSecret: there is no TCP MD5 to addresses of the link"))
	}
	return errs
}
