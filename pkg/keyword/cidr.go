// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword

import (
	"fmt"
	"net/netip"
	"strings"
)

// looksLikeAddress tells an address, though it may be a wrong one, from a word: no word holds a colon or a dot, or starts with a
// digit.
func looksLikeAddress(s string) bool {
	return strings.ContainsAny(s, ":.") || s[0] >= '0' && s[0] <= '9'
}

// cidr parses "address/size".
func (p *parser) cidr(v *Value, ts []token) {
	first := ts[0]
	addr, err := netip.ParseAddr(first.text)
	if err != nil {
		p.fail(first.pos, first.end, "address", fmt.Sprintf("%q is no IP address", first.text), "")
	} else if addr.Zone() != "" {
		p.fail(first.pos, first.end, "zone", "a range has no zone", "write "+addr.WithZone("").String())
		err = fmt.Errorf("zone")
	}
	if len(ts) == 1 {
		p.fail(first.pos, first.end, "missing-size", "a CIDR needs a size", "write for example "+first.text+exampleSize(first.text))
		return
	}
	s, ok := p.size(ts[1:], first.end, first.text+"/")
	if !ok || err != nil {
		return
	}
	if s.n > addr.BitLen() {
		p.fail(s.pos, s.end, "size-bounds", fmt.Sprintf("the size of an IPv4 CIDR is at most /32, not /%d", s.n), "")
		return
	}
	cidr := netip.PrefixFrom(addr, s.n)
	if addr.Is4In6() && s.n >= 96 {
		p.fail(first.pos, s.end, "forbidden-range", fmt.Sprintf("%s is an IPv4-mapped range", cidr),
			"write "+netip.PrefixFrom(addr.Unmap(), s.n-96).Masked().String())
		return
	}
	if masked := cidr.Masked(); masked != cidr {
		p.fail(first.pos, s.end, "not-canonical", fmt.Sprintf("%s has bits set behind its size", cidr), "the canonical form is "+masked.String())
		cidr = masked
	}
	if what := Forbidden(cidr); what != "" {
		p.fail(first.pos, s.end, "forbidden-range", fmt.Sprintf("%s holds %s addresses, which can be nobody's %s", cidr, what, p.name), "")
		return
	}
	v.CIDR = cidr
}

func exampleSize(address string) string {
	if strings.Contains(address, ":") {
		return "/64"
	}
	return "/16"
}
