// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// A pool is for Services, of which a cluster has thousands: what is larger was meant for something else.
const (
	minPoolBitsIPv6 = 48
	minPoolBitsIPv4 = 8
)

func validateLoadBalancer(lb *v1alpha1.LoadBalancer, path *field.Path) field.ErrorList {
	if lb == nil {
		return nil
	}
	var errs field.ErrorList
	if lb.ClassOnly && len(lb.Pools) == 0 {
		errs = append(errs, field.Forbidden(path.Child("classOnly"), "says for whom the pools are, and there are none"))
	}
	path = path.Child("pools")
	var names []string
	var before []netip.Prefix
	for i, pool := range lb.Pools {
		at := path.Index(i)
		if problems := utilvalidation.IsDNS1123Label(pool.Name); len(problems) > 0 {
			errs = append(errs, field.Invalid(at.Child("name"), pool.Name, strings.Join(problems, "; ")))
		} else if slices.Contains(names, pool.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), pool.Name))
		}
		names = append(names, pool.Name)
		if len(pool.Prefixes) == 0 {
			errs = append(errs, field.Required(at.Child("prefixes"), "name at least one CIDR, for example 2001:db8:5::/112"))
		}
		for k, text := range pool.Prefixes {
			p, why := poolPrefix(text, before)
			if why != "" {
				errs = append(errs, field.Invalid(at.Child("prefixes").Index(k), text, why))
			}
			if p.IsValid() {
				before = append(before, p)
			}
		}
	}
	return errs
}

// poolPrefix says what is wrong with a pool's prefix, "" if nothing is.
func poolPrefix(text string, before []netip.Prefix) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, "must be a CIDR, for example 2001:db8:5::/112"
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, "must be written as the IPv4 range that it is"
	}
	if masked := p.Masked(); masked.String() != text {
		return masked, "must be written in its canonical form, " + masked.String()
	}
	if what := keyword.Forbidden(p); what != "" {
		return p, fmt.Sprintf("must not hold %s addresses, which can be no Service's", what)
	}
	least := minPoolBitsIPv6
	if p.Addr().Is4() {
		least = minPoolBitsIPv4
	}
	if p.Bits() < least {
		return p, fmt.Sprintf("must be a /%d or longer: it is for Services of type LoadBalancer only", least)
	}
	if k := slices.IndexFunc(before, p.Overlaps); k >= 0 {
		return p, fmt.Sprintf("must not overlap %s, which is in a pool already", before[k])
	}
	return p, ""
}
