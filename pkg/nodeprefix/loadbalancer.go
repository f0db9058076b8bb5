// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix

import (
	"errors"
	"fmt"
	"net/netip"
)

// LoadBalancerPool is a set of addresses for Services of type LoadBalancer, which package lbip gives out. They are in the configuration of
// ipv6-ipam-controller because that is the program that does it.
type LoadBalancerPool struct {
	// Name by which a Service can ask for it.
	Name string `json:"name"`
	// Prefixes of either family. No prefix of any pool overlaps another.
	Prefixes []netip.Prefix `json:"prefixes"`
}

func validatePools(pools []LoadBalancerPool) []error {
	var errs []error
	names := map[string]bool{}
	var all []netip.Prefix
	for i, pool := range pools {
		at := fmt.Sprintf("loadBalancerPools[%d]", i)
		switch {
		case pool.Name == "":
			errs = append(errs, fmt.Errorf("%s.name: missing", at))
		case names[pool.Name]:
			errs = append(errs, fmt.Errorf("%s.name: another pool is called %s", at, pool.Name))
		}
		names[pool.Name] = true
		if len(pool.Prefixes) == 0 {
			errs = append(errs, fmt.Errorf("%s.prefixes: empty, name at least one", at))
		}
		for k, p := range pool.Prefixes {
			if err := validatePoolPrefix(p, all); err != nil {
				errs = append(errs, fmt.Errorf("%s.prefixes[%d]: %w", at, k, err))
			}
			all = append(all, p)
		}
	}
	return errs
}

func validatePoolPrefix(p netip.Prefix, others []netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("missing")
	case p.Addr().Is4In6():
		return fmt.Errorf("%s is an IPv4-mapped IPv6 prefix, write it as IPv4", p)
	case p != p.Masked():
		return fmt.Errorf("%s has host bits set, write %s", p, p.Masked())
	case p.Bits() == 0 || !p.Addr().IsGlobalUnicast():
		return fmt.Errorf("%s holds addresses that no Service can have", p)
	}
	for _, q := range others {
		if q.IsValid() && p.Overlaps(q) {
			return fmt.Errorf("%s overlaps %s, which a pool has already", p, q)
		}
	}
	return nil
}
