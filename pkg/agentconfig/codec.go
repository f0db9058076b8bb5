// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

// decoders knows how to read each version that this agent accepts: its own and, once there is one, the version before it (N-1), which
// its decoder converts. Each reads strictly in its own schema: a field that the version does not have is an error, never ignored. An
// older agent rejects a newer document; during a rollout it keeps the one it was started with, because the extension names the
// ConfigMap after its content.
var decoders = map[string]func([]byte) (*Config, error){
	APIVersion: decodeV1,
}

// Encode writes the configuration, complete with version and kind, as JSON (which is YAML, too). It refuses an invalid one.
func Encode(c Config) ([]byte, error) {
	c.APIVersion, c.Kind = APIVersion, Kind
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	out, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	return append(out, '\n'), nil
}

// Decode reads and validates a configuration of a version that this agent accepts.
func Decode(data []byte) (*Config, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	if head.Kind != Kind {
		return nil, fmt.Errorf("agent configuration: kind is %q, want %q", head.Kind, Kind)
	}
	decode, ok := decoders[head.APIVersion]
	if !ok {
		return nil, fmt.Errorf("agent configuration: apiVersion is %q; this agent reads %s", head.APIVersion, strings.Join(versions(), ", "))
	}
	c, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	return c, nil
}

func decodeV1(data []byte) (*Config, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	c := &Config{}
	if err := d.Decode(c); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the document")
	}
	return c, nil
}

func versions() []string {
	out := make([]string, 0, len(decoders))
	for v := range decoders {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	switch c.RoutingMode {
	case Routed, Direct:
	default:
		errs = append(errs, fmt.Errorf("routingMode is %q, want %s or %s", c.RoutingMode, Routed, Direct))
	}
	errs = append(errs, c.validateFamilies()...)
	if n := c.NodePrefixLengthIPv6; n < 0 || n > 127 {
		errs = append(errs, fmt.Errorf("nodePrefixLengthIPv6 is %d, want 1 to 127, or 0 for none", n))
	} else if n != 0 && !slices.Contains(c.IPFamilies, IPv6) {
		errs = append(errs, errors.New("nodePrefixLengthIPv6 is set, but ipFamilies has no IPv6"))
	}
	if c.MTU != 0 && (c.MTU < MinMTU || c.MTU > MaxMTU) {
		errs = append(errs, fmt.Errorf("mtu is %d, want %d to %d, or 0 for the uplink's", c.MTU, MinMTU, MaxMTU))
	}
	if c.MasqueradeIPv4 && !slices.Contains(c.IPFamilies, IPv4) {
		errs = append(errs, errors.New("masqueradeIPv4 is set, but ipFamilies has no IPv4"))
	}
	for i, s := range c.NonMasqueradeCIDRs {
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("nonMasqueradeCIDRs[%d]: %w", i, err))
		case !p.Addr().Is4():
			errs = append(errs, fmt.Errorf("nonMasqueradeCIDRs[%d]: %s is not an IPv4 range; IPv6 is never masqueraded", i, s))
		case p != p.Masked():
			errs = append(errs, fmt.Errorf("nonMasqueradeCIDRs[%d]: %s has host bits set, write %s", i, s, p.Masked()))
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateFamilies() []error {
	var errs []error
	if n := len(c.IPFamilies); n < 1 || n > 2 {
		errs = append(errs, fmt.Errorf("ipFamilies has %d entries, want one or two", n))
	}
	for i, f := range c.IPFamilies {
		if f != IPv4 && f != IPv6 {
			errs = append(errs, fmt.Errorf("ipFamilies[%d] is %q, want %s or %s", i, f, IPv4, IPv6))
		}
		if slices.Contains(c.IPFamilies[:i], f) {
			errs = append(errs, fmt.Errorf("ipFamilies[%d]: %s is there twice", i, f))
		}
	}
	return errs
}
