// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Scope of an IPv6 prefix, as the keywords v6global and v6private ask for it.
type Scope string

// The scopes.
const (
	// Global unicast (RFC 4291); 2001:db8::/32 counts, so that documentation and tests can use it.
	Global Scope = "Global"
	// Private: unique local (RFC 4193), or RFC 1918 for IPv4.
	Private Scope = "Private"
)

// ScopeOf a prefix; false: it is nobody's to give, as link-local, multicast, loopback and the like are.
func ScopeOf(p netip.Prefix) (Scope, bool) {
	for _, n := range nobodys {
		if p.Overlaps(n) {
			return "", false
		}
	}
	if p.Addr().IsPrivate() {
		return Private, true
	}
	return Global, true
}

// nobodys ranges cannot be a node's prefix, nor hold one.
var nobodys = []netip.Prefix{
	netip.MustParsePrefix("::/8"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"),
}

// Parse a prefix that a source reports: canonical, and one that can be a node's.
func Parse(text string) (netip.Prefix, error) {
	p, err := parse(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if masked := p.Masked(); masked != p {
		return netip.Prefix{}, fmt.Errorf("prefix %q: bits behind the length are set: want %s", text, masked)
	}
	return p, nil
}

// ParseHost reads an address with the length of its prefix, as in 2001:db8::1/64, and gives the prefix.
func ParseHost(text string) (netip.Prefix, error) {
	p, err := parse(text)
	return p.Masked(), err
}

func parse(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		if _, errAddr := netip.ParseAddr(text); errAddr == nil {
			return netip.Prefix{}, fmt.Errorf("prefix %q: the length is missing: want something like %s/80", shorten(text), text)
		}
		return netip.Prefix{}, fmt.Errorf("prefix %q: want something like 2001:db8:1:2::/80", shorten(text))
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("prefix %q: an IPv4 address in IPv6's clothes: want an IPv6 prefix", text)
	}
	if _, ok := ScopeOf(p); !ok {
		return netip.Prefix{}, fmt.Errorf("prefix %q cannot be a node's: want a global (2000::/3) or unique local (fd00::/8) one", text)
	}
	return p, nil
}

// shorten what someone else has written, so that it cannot fill the log.
func shorten(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}

// ParseList reads prefixes with commas between them: what a node reports of itself. Every mistake is told, not the first only.
func ParseList(text string) ([]netip.Prefix, error) {
	var ps []netip.Prefix
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		p, err := Parse(strings.TrimSpace(part))
		if err == nil && slices.Contains(ps, p) {
			err = fmt.Errorf("prefix %s is there twice", p)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ps = append(ps, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return ps, nil
}

// FormatList is the inverse of ParseList.
func FormatList(ps []netip.Prefix) string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// Rule is what a node's prefix must be like. Its zero value allows every one.
type Rule struct {
	// Within is where it must lie, in any of them; empty: anywhere.
	Within []netip.Prefix
	// MaxBits is the greatest length, which is the smallest prefix, that is large enough; 0: any.
	MaxBits int
	// Scope; empty: any.
	Scope Scope
	// Free of these addresses, which are the node's own, must be a part of at least PartBits. PartBits 0: the whole.
	Addresses []netip.Addr
	PartBits  int
}

// Check a prefix against the rule; every breach is told.
func (r Rule) Check(p netip.Prefix) error {
	if !p.IsValid() || p != p.Masked() {
		return fmt.Errorf("prefix %s is not canonical: want %s", p, p.Masked())
	}
	scope, ok := ScopeOf(p)
	if !ok {
		return fmt.Errorf("prefix %s cannot be a node's: want a global (2000::/3) or unique local (fd00::/8) one", p)
	}
	var errs []error
	if r.Scope != "" && scope != r.Scope {
		errs = append(errs, fmt.Errorf("prefix %s is %s: want a %s one", p, strings.ToLower(string(scope)), strings.ToLower(string(r.Scope))))
	}
	if r.MaxBits > 0 && p.Bits() > r.MaxBits {
		errs = append(errs, fmt.Errorf("prefix %s is too small: want a /%d or larger", p, r.MaxBits))
	}
	if len(r.Within) > 0 && !slices.ContainsFunc(r.Within, func(w netip.Prefix) bool { return prefix.Covers(w, p) }) {
		errs = append(errs, fmt.Errorf("prefix %s is outside of what the cluster may use: want one in %s", p, FormatList(r.Within)))
	}
	part := r.PartBits
	if part == 0 {
		part = p.Bits()
	}
	if _, err := Part(p, r.Addresses, part); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Part of a prefix, of the given length, that holds none of the addresses: the node would answer for the pods in it. It is the highest
// one, because clouds and routers number nodes from below.
func Part(p netip.Prefix, addresses []netip.Addr, bits int) (netip.Prefix, error) {
	if bits < p.Bits() || bits > p.Addr().BitLen() {
		return netip.Prefix{}, fmt.Errorf("a /%d is no part of %s: want a length from %d to %d", bits, p, p.Bits(), p.Addr().BitLen())
	}
	// Every address can spoil one part only, so this many tries suffice.
	for index := -1; index >= -1-len(addresses); index-- {
		child, err := prefix.Child(p, bits, index)
		if err != nil {
			break
		}
		if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return child.Contains(a.WithZone("")) }) {
			return child, nil
		}
	}
	if bits == p.Bits() {
		return netip.Prefix{}, fmt.Errorf("prefix %s holds an address of the node: a part of it would be free", p)
	}
	return netip.Prefix{}, fmt.Errorf("every /%d of %s holds an address of the node: want smaller parts", bits, p)
}

// Free is what is left of a prefix without the addresses, in the fewest prefixes.
func Free(p netip.Prefix, addresses []netip.Addr) ([]netip.Prefix, error) {
	used := make([]netip.Prefix, 0, len(addresses))
	for _, a := range addresses {
		if a = a.WithZone("").Unmap(); p.Contains(a) {
			used = append(used, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return prefix.Free([]netip.Prefix{p}, used)
}
