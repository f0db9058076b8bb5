// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// uniqueLocal are the addresses of RFC 4193. A pool that held some would reserve for v6global what can never be published.
var uniqueLocal = netip.MustParsePrefix("fc00::/7")

// owned is a prefix and the field that it came from.
type owned struct {
	prefix netip.Prefix
	path   *field.Path
}

func validatePools(pools []v1alpha1.Pool, path *field.Path) field.ErrorList {
	var (
		errs  field.ErrorList
		names = map[string]bool{}
		seen  []owned
	)
	for i, pool := range pools {
		path := path.Index(i)
		errs = append(errs, validateName(pool.Name, "pool", names, path.Child("name"))...)

		if len(pool.Prefixes) == 0 {
			errs = append(errs, field.Required(path.Child("prefixes"), "a pool needs at least one IPv6 prefix"))
		}
		var own []netip.Prefix
		for j, text := range pool.Prefixes {
			path := path.Child("prefixes").Index(j)
			p, err := validatePrefix(text, path)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			own = append(own, p)
			if other := slices.IndexFunc(seen, func(o owned) bool { return o.prefix.Overlaps(p) }); other >= 0 {
				errs = append(errs, field.Invalid(path, text, fmt.Sprintf(
					"overlaps %s of %s: the prefixes of all pools must be disjoint, or one address could be given out twice", seen[other].prefix, seen[other].path)))
			}
			seen = append(seen, owned{p, path})
		}
		errs = append(errs, validateLengths(pool, own, path)...)
		errs = append(errs, validateSelector(pool.Selector, path)...)
	}
	return errs
}

func validatePrefix(text string, path *field.Path) (netip.Prefix, *field.Error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, field.Invalid(path, text, "must be an IPv6 prefix, for example 2001:db8:1000::/36")
	case !p.Addr().Is6() || p.Addr().Is4In6():
		return p, field.Invalid(path, text, "must be an IPv6 prefix: IPv4 ranges are not taken from pools")
	case p.Masked().String() != text:
		return p, field.Invalid(path, text, "must be written in its canonical form, "+p.Masked().String())
	}
	if what := keyword.Forbidden(p); what != "" {
		return p, field.Invalid(path, text, fmt.Sprintf("must not hold %s addresses, which can be nobody's nodes, pods or services", what))
	}
	if p.Overlaps(uniqueLocal) {
		return p, field.Invalid(path, text, "must not hold unique local addresses (RFC 4193): v6global asks for global ones, and v6private is drawn without a pool")
	}
	return p, nil
}

// validateLengths judges the bounds of a pool; own are its valid prefixes.
func validateLengths(pool v1alpha1.Pool, own []netip.Prefix, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	least, greatest := pool.MinPrefixLength, pool.MaxPrefixLength
	for _, bound := range []struct {
		value *int32
		path  *field.Path
	}{{least, path.Child("minPrefixLength")}, {greatest, path.Child("maxPrefixLength")}} {
		if bound.value != nil && (*bound.value < minLength || *bound.value > maxLength) {
			errs = append(errs, field.Invalid(bound.path, *bound.value, fmt.Sprintf("must be from %d to %d", minLength, maxLength)))
		}
	}
	if len(errs) > 0 || greatest == nil {
		return errs
	}
	path = path.Child("maxPrefixLength")
	if least != nil && *greatest < *least {
		return field.ErrorList{field.Invalid(path, *greatest, fmt.Sprintf("must be at least minPrefixLength, which is %d", *least))}
	}
	if len(own) == 0 {
		return nil
	}
	if shortest := slices.MinFunc(own, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() }); int(*greatest) < shortest.Bits() {
		return field.ErrorList{field.Invalid(path, *greatest, fmt.Sprintf("must be at least %d, the length of the pool's largest prefix, or nothing could be taken from it", shortest.Bits()))}
	}
	return nil
}
