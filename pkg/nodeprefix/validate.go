// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// ConfigKind is the kind of the document.
const ConfigKind = "IPAMConfiguration"

// Decode reads a configuration. It is strict: an unknown field is an error, because a misspelt one would give nodes other prefixes
// than the ones that were meant, and those can't be taken back.
func Decode(data []byte) (Config, error) {
	var c Config
	if err := decodeStrict(data, &c); err != nil {
		return Config{}, fmt.Errorf("decode the IPAM configuration: %w", err)
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Encode validates and prints a configuration, version and kind filled in. Decode reads it back.
func Encode(c Config) ([]byte, error) {
	c.APIVersion, c.Kind = ConfigAPIVersion, ConfigKind
	if err := c.Validate(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the IPAM configuration: %w", err)
	}
	return append(data, '\n'), nil
}

func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.APIVersion != ConfigAPIVersion || c.Kind != ConfigKind {
		errs = append(errs, fmt.Errorf("the document is %q %q, want %q %q", c.APIVersion, c.Kind, ConfigAPIVersion, ConfigKind))
	}
	if len(c.Ranges) == 0 && len(c.LoadBalancerPools) == 0 {
		errs = append(errs, errors.New("ranges is empty: name the pool of at least one family"))
	}
	seen := map[string]bool{}
	for i, r := range c.Ranges {
		if seen[r.Family] {
			errs = append(errs, fmt.Errorf("ranges[%d].family: %s was given before, a node has one pod range a family", i, r.Family))
		}
		seen[r.Family] = true
		for _, err := range r.validate(c.userOfPool(r)) {
			errs = append(errs, fmt.Errorf("ranges[%d].%w", i, err))
		}
	}
	errs = append(errs, c.validateSources()...)
	errs = append(errs, validatePools(c.LoadBalancerPools)...)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("IPAM configuration: %w", err)
	}
	return nil
}

// userOfPool says who needs the pool of the range; empty: nobody does.
func (c Config) userOfPool(r Range) string {
	for i, s := range c.Sources {
		switch {
		case s.Origin == FromPool || s.Origin == FromNode && r.Family == prefix.IPv4.String():
			return fmt.Sprintf("the nodes of sources[%d]", i)
		case len(s.MatchLabels) == 0:
			return "" // nobody comes after it
		}
	}
	return "the nodes that no source matches"
}

func (c Config) validateSources() []error {
	var errs []error
	for i, s := range c.Sources {
		switch s.Origin {
		case FromPool, FromElsewhere:
		case FromNode:
			if !slices.ContainsFunc(c.Ranges, func(r Range) bool { return r.family() == prefix.IPv6 }) {
				errs = append(errs, fmt.Errorf("sources[%d].origin: nodes report IPv6 prefixes, and no range is IPv6", i))
			}
		default:
			errs = append(errs, fmt.Errorf("sources[%d].origin: %q is none of %s, %s and %s", i, s.Origin, FromPool, FromNode, FromElsewhere))
		}
	}
	return errs
}

// validateReports checks what concerns prefixes that nodes bring.
func (r Range) validateReports() []error {
	var errs []error
	if r.family() != prefix.IPv6 {
		if len(r.Within) > 0 || r.Scope != "" {
			errs = append(errs, fmt.Errorf("within and scope are for the IPv6 prefixes that nodes report, not for %s", r.Family))
		}
		return errs
	}
	for i, p := range r.Within {
		switch {
		case !p.IsValid() || prefix.FamilyOf(p.Addr()) != prefix.IPv6 || p.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("within[%d]: %s is not IPv6", i, p))
		case p != p.Masked():
			errs = append(errs, fmt.Errorf("within[%d]: %s has host bits set, write %s", i, p, p.Masked()))
		case p.Bits() > r.NodeBits:
			errs = append(errs, fmt.Errorf("within[%d]: %s holds no /%d, which every node is to have", i, p, r.NodeBits))
		}
	}
	if r.Scope != "" && r.Scope != ScopeGlobal && r.Scope != ScopeUniqueLocal {
		errs = append(errs, fmt.Errorf("scope: %q is neither %s nor %s", r.Scope, ScopeGlobal, ScopeUniqueLocal))
	}
	return errs
}

func (r Range) validate(user string) []error {
	family := r.family()
	if family == 0 {
		return []error{fmt.Errorf("family: %q is neither IPv6 nor IPv4", r.Family)}
	}
	errs := r.validateReports()
	switch {
	case !r.Pool.IsValid() && user == "":
	case !r.Pool.IsValid():
		return append(errs, fmt.Errorf("pool: missing, and %s get their prefixes from it", user))
	case prefix.FamilyOf(r.Pool.Addr()) != family || r.Pool.Addr().Is4In6():
		return append(errs, fmt.Errorf("pool: %s is not %s", r.Pool, r.Family))
	case r.Pool != r.Pool.Masked():
		errs = append(errs, fmt.Errorf("pool: %s has host bits set, write %s", r.Pool, r.Pool.Masked()))
	}
	if !r.Pool.IsValid() && (r.NodeBits < 1 || r.NodeBits > family.Bits()) {
		return append(errs, fmt.Errorf("nodeBits: %d is not between 1 and %d", r.NodeBits, family.Bits()))
	}
	if r.NodeBits < r.Pool.Bits() || r.NodeBits > family.Bits() {
		return append(errs, fmt.Errorf("nodeBits: %d is not between %d, the pool's length, and %d", r.NodeBits, r.Pool.Bits(), family.Bits()))
	}
	if r.HoldsNodes && r.NodeBits == r.Pool.Bits() {
		errs = append(errs, fmt.Errorf("nodeBits: %d leaves nothing to give out of %s, whose first prefix is kept for the nodes' own addresses", r.NodeBits, r.Pool))
	}
	if r.PodBits < r.NodeBits || r.PodBits > family.Bits() {
		return append(errs, fmt.Errorf("podBits: %d is not between %d, the nodes' length, and %d", r.PodBits, r.NodeBits, family.Bits()))
	}
	if width := r.PodBits - r.NodeBits; r.PodChild < -1 || width < 63 && r.PodChild > 1<<width-1 {
		errs = append(errs, fmt.Errorf("podChild: %d does not exist, a /%d has %.0f children of length /%d", r.PodChild, r.NodeBits, math.Exp2(float64(width)), r.PodBits))
	}
	return errs
}

func (r Range) family() prefix.Family {
	switch r.Family {
	case prefix.IPv4.String():
		return prefix.IPv4
	case prefix.IPv6.String():
		return prefix.IPv6
	}
	return 0
}

// Capacity is the number of prefixes that can be given out at most.
func (r Range) Capacity() float64 {
	if !r.Pool.IsValid() {
		return 0
	}
	n := math.Exp2(float64(r.NodeBits - r.Pool.Bits()))
	if r.HoldsNodes {
		n--
	}
	return n
}
