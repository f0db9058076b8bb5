// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Families as they are written in IPFamilies.
const (
	IPv4 = "IPv4"
	IPv6 = "IPv6"
)

// Bounds of the MTU: RFC 8200 section 5 asks 1280 of every IPv6 link; 65535 is the most a veth takes.
const (
	MinMTU = 1280
	MaxMTU = 65535
	// EncapsulationOverhead is what VXLAN adds to a packet over IPv6, in bytes: IPv6, UDP, VXLAN and inner Ethernet header (RFC 7348).
	EncapsulationOverhead = 40 + 8 + 8 + 14
)

// maxVNI is what the field of 24 bits takes (RFC 7348, section 5).
const maxVNI = 1<<24 - 1

// maxInterfaceName is Linux' IFNAMSIZ without the zero byte.
const maxInterfaceName = 15

var metadataProviders = []string{"aws", "gcp", "openstack", "hetzner", "azure"}

// Validate returns everything that is wrong with the configuration, and with what the agent could not do.
func (c Config) Validate() error {
	var errs []error
	switch c.RoutingMode {
	case Routed, Direct, BGP:
	default:
		errs = append(errs, fmt.Errorf("routingMode is %q, want %s, %s or %s", c.RoutingMode, Routed, Direct, BGP))
	}
	errs = append(errs, c.validateFamilies()...)
	if n := c.NodePrefixLengthIPv6; n < 0 || n > 127 {
		errs = append(errs, fmt.Errorf("nodePrefixLengthIPv6 is %d, want 1 to 127, or 0 for none", n))
	} else if n != 0 && !slices.Contains(c.IPFamilies, IPv6) {
		errs = append(errs, errors.New("nodePrefixLengthIPv6 is set, but ipFamilies has no IPv6"))
	}
	errs = append(errs, c.validateMTU()...)
	if c.MasqueradeIPv4 && !slices.Contains(c.IPFamilies, IPv4) {
		errs = append(errs, errors.New("masqueradeIPv4 is set, but ipFamilies has no IPv4"))
	}
	for i, s := range c.NonMasqueradeCIDRs {
		if p, err := canonical(s); err != nil {
			errs = append(errs, fmt.Errorf("nonMasqueradeCIDRs[%d]: %w", i, err))
		} else if !p.Addr().Is4() {
			errs = append(errs, fmt.Errorf("nonMasqueradeCIDRs[%d]: %s is not an IPv4 range; IPv6 is never masqueraded", i, s))
		}
	}
	errs = append(errs, validateCIDRs("serviceCIDRs", c.ServiceCIDRs)...)
	errs = append(errs, validateCIDRs("loadBalancerCIDRs", c.LoadBalancerCIDRs)...)
	for i, s := range c.NodePrefixSources {
		for _, err := range s.validate(c) {
			errs = append(errs, fmt.Errorf("nodePrefixSources[%d]: %w", i, err))
		}
	}
	errs = append(errs, c.Encapsulation.validate()...)
	switch {
	case c.RoutingMode == BGP && c.BGP == nil:
		errs = append(errs, errors.New("bgp is missing, but routingMode is BGP"))
	case c.RoutingMode != BGP && c.BGP != nil:
		errs = append(errs, fmt.Errorf("bgp is set, but routingMode is %q", c.RoutingMode))
	case c.BGP != nil:
		errs = append(errs, c.BGP.validate(c)...)
	}
	return errors.Join(errs...)
}

func (c Config) validateMTU() []error {
	if c.MTU == 0 {
		return nil
	}
	greatest, why := MaxMTU, ""
	if c.Encapsulation != nil {
		greatest, why = MaxMTU-EncapsulationOverhead, fmt.Sprintf(" (encapsulation adds %d)", EncapsulationOverhead)
	}
	if c.MTU < MinMTU || c.MTU > greatest {
		return []error{fmt.Errorf("mtu is %d, want %d to %d%s, or 0 for the uplink's", c.MTU, MinMTU, greatest, why)}
	}
	return nil
}

func (c Config) validateFamilies() []error {
	var errs []error
	if n := len(c.IPFamilies); n < 1 || n > 2 {
		errs = append(errs, fmt.Errorf("ipFamilies has %d entries, want one or two", n))
	}
	return append(errs, validateFamilyNames("ipFamilies", c.IPFamilies)...)
}

func validateFamilyNames(field string, families []string) []error {
	var errs []error
	for i, f := range families {
		if f != IPv4 && f != IPv6 {
			errs = append(errs, fmt.Errorf("%s[%d] is %q, want %s or %s", field, i, f, IPv4, IPv6))
		}
		if slices.Contains(families[:i], f) {
			errs = append(errs, fmt.Errorf("%s[%d]: %s is there twice", field, i, f))
		}
	}
	return errs
}

func canonical(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, err
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%s is IPv4 in the form of IPv6, write it as IPv4", s)
	case p != p.Masked():
		return p, fmt.Errorf("%s has host bits set, write %s", s, p.Masked())
	}
	return p, nil
}

// validateCIDRs of which none may overlap another.
func validateCIDRs(field string, texts []string) []error {
	var errs []error
	var before []netip.Prefix
	for i, s := range texts {
		p, err := canonical(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
			continue
		}
		if k := slices.IndexFunc(before, p.Overlaps); k >= 0 {
			errs = append(errs, fmt.Errorf("%s[%d]: %s overlaps %s, which is there already", field, i, s, before[k]))
		}
		before = append(before, p)
	}
	return errs
}

func (s NodePrefixSource) validate(c Config) []error {
	var errs []error
	switch s.Source {
	case SourcePool, SourceCustom:
	case SourceMetadata, SourceDHCPv6PD, SourceInterface:
		if c.NodePrefixLengthIPv6 == 0 {
			errs = append(errs, fmt.Errorf("%s gives the node a prefix of its own, but nodePrefixLengthIPv6 says that nodes have none", s.Source))
		}
	default:
		errs = append(errs, fmt.Errorf("source is %q, want %s, %s, %s, %s or %s", s.Source, SourcePool, SourceMetadata, SourceDHCPv6PD, SourceInterface, SourceCustom))
	}
	switch {
	case s.Source == SourceMetadata && !slices.Contains(metadataProviders, s.Provider):
		errs = append(errs, fmt.Errorf("provider is %q, want %s", s.Provider, strings.Join(metadataProviders, ", ")))
	case s.Source != SourceMetadata && s.Provider != "":
		errs = append(errs, fmt.Errorf("provider is for %s only, not for %s", SourceMetadata, s.Source))
	}
	switch {
	case s.Interface == "":
	case s.Source != SourceDHCPv6PD && s.Source != SourceInterface:
		errs = append(errs, fmt.Errorf("interface is for %s and %s only, not for %s", SourceDHCPv6PD, SourceInterface, s.Source))
	default:
		errs = append(errs, validateInterface(s.Interface)...)
	}
	return errs
}

func validateInterface(name string) []error {
	if len(name) > maxInterfaceName || name == "." || name == ".." || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == ':' || r > '~' }) {
		return []error{fmt.Errorf("interface %q cannot be the name of one: want 1 to %d characters without blank, slash and colon", name, maxInterfaceName)}
	}
	return nil
}

func (e *Encapsulation) validate() []error {
	if e == nil {
		return nil
	}
	var errs []error
	if e.Mode != EncapsulationAlways && e.Mode != EncapsulationCrossSubnet {
		errs = append(errs, fmt.Errorf("encapsulation.mode is %q, want %s or %s", e.Mode, EncapsulationAlways, EncapsulationCrossSubnet))
	}
	if e.VNI < 1 || e.VNI > maxVNI {
		errs = append(errs, fmt.Errorf("encapsulation.vni is %d, want 1 to %d", e.VNI, maxVNI))
	}
	if e.Port < 1 || e.Port > 65535 {
		errs = append(errs, fmt.Errorf("encapsulation.port is %d, want 1 to 65535", e.Port))
	}
	return errs
}
