// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package prefix

import (
	"net/netip"

	"go4.org/netipx"
)

// Free is what is left of pool when used is taken away: the fewest prefixes that cover it, sorted.
func Free(pool, used []netip.Prefix) ([]netip.Prefix, error) {
	var b netipx.IPSetBuilder
	for _, p := range pool {
		b.AddPrefix(p)
	}
	for _, p := range used {
		b.RemovePrefix(p)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil, err
	}
	return set.Prefixes(), nil
}

// BestFit is the place of a new prefix of the given length in the free space: the first child of the smallest free prefix
// that is large enough, so that large free prefixes stay whole. Among equals the lowest one. False: nothing is large enough.
func BestFit(free []netip.Prefix, bits int) (netip.Prefix, bool) {
	var best netip.Prefix
	for _, p := range free {
		if !p.IsValid() || p.Bits() > bits || bits > p.Addr().BitLen() {
			continue
		}
		if !best.IsValid() || p.Bits() > best.Bits() || p.Bits() == best.Bits() && p.Addr().Less(best.Addr()) {
			best = p.Masked()
		}
	}
	if !best.IsValid() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(best.Addr(), bits), true
}

// Cut is Free and BestFit in one: where a new prefix of the given length goes in pool beside used.
func Cut(pool, used []netip.Prefix, bits int) (netip.Prefix, bool, error) {
	free, err := Free(pool, used)
	if err != nil {
		return netip.Prefix{}, false, err
	}
	p, ok := BestFit(free, bits)
	return p, ok, nil
}
