// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Offer is what a backend has to give, and to whom, as the operator configured it.
type Offer struct {
	// Backend is the name in the configuration, unique.
	Backend string
	// Type of the backend: pool, ula, openstack, aws, gcp, clusterapi, ironcore.
	Type string
	// Scope of what it gives.
	Scope plan.Scope
	Selector
	// Named is true if a Shoot may name this backend, and a pool of it.
	Named bool
	// Family of the prefixes of a backend without pools.
	Family prefix.Family
	// Pools that prefixes are cut from. None: it gives any length without a pool.
	Pools []Pool
	// Keeps is true if prefixes can be claimed that lie in none of the pools.
	Keeps bool
}

// Pool is a named set of prefixes to cut from.
type Pool struct {
	Name string
	// ID by which an IPAM service knows the pool; empty for an operator's own.
	ID     string
	Family prefix.Family
	// Prefixes of an operator's own pool; an IPAM service knows its own.
	Prefixes []netip.Prefix
	// MinBits is the shortest length that one reservation may have.
	MinBits int
	// MaxBits is the longest length that one reservation may have; a longer request gets this one.
	MaxBits int
	Selector
	// Named is true if a Shoot may name this pool although it may not name others of the backend.
	Named bool
}

// Selector restricts for which shoots and ranges something serves. An empty list does not restrict.
type Selector struct {
	ProviderTypes, Regions, Seeds []string
	Ranges                        []keyword.Name
}

// Place is where a shoot stands.
type Place struct {
	ProviderType, Region, Seed string
}

// refuses tells why the selector excludes a request, empty if it does not.
func (s Selector) refuses(place Place, request Request) string {
	for _, c := range []struct {
		what    string
		allowed []string
		have    string
	}{
		{"provider type", s.ProviderTypes, place.ProviderType}, {"region", s.Regions, place.Region}, {"seed", s.Seeds, place.Seed},
	} {
		if len(c.allowed) > 0 && !slices.Contains(c.allowed, c.have) {
			return fmt.Sprintf("it is for %s %s, not %q", c.what, strings.Join(c.allowed, ", "), c.have)
		}
	}
	if len(s.Ranges) > 0 && !slices.Contains(s.Ranges, request.Range) {
		names := make([]string, len(s.Ranges))
		for i, r := range s.Ranges {
			names[i] = string(r)
		}
		return fmt.Sprintf("it is for %s, not %s", strings.Join(names, ", "), request.Range)
	}
	return ""
}

// Serves returns the names of the pools that may serve the request, in the operator's order, or why none does. A backend
// without pools serves with an empty list.
func (o Offer) Serves(place Place, request Request) (pools []string, why string) {
	switch {
	case o.Scope != request.Scope:
		return nil, fmt.Sprintf("it gives %s prefixes", o.Scope)
	case request.Backend != "" && request.Backend != o.Backend:
		return nil, "it was not asked for"
	}
	if why := o.refuses(place, request); why != "" {
		return nil, why
	}
	if len(o.Pools) == 0 {
		switch {
		case o.Keeps:
			return nil, "it has no pools"
		case o.Family != request.Family:
			return nil, fmt.Sprintf("it gives %s prefixes", o.Family)
		case request.Backend != "" && !o.Named:
			return nil, "shoots may not name it (shootsMayName)"
		}
		return nil, ""
	}
	var reasons []string
	for _, p := range o.Pools {
		if why := o.refusesFrom(p, place, request); why != "" {
			reasons = append(reasons, fmt.Sprintf("pool %s: %s", p.Name, why))
			continue
		}
		pools = append(pools, p.Name)
	}
	if len(pools) == 0 {
		return nil, strings.Join(reasons, "; ")
	}
	return pools, ""
}

func (o Offer) refusesFrom(p Pool, place Place, request Request) string {
	switch {
	case request.Pool != "" && request.Pool != p.Name:
		return "it was not asked for"
	case (request.Pool != "" || request.Backend != "") && !o.Named && !p.Named:
		return "shoots may not name it (shootsMayName)"
	case p.Family != request.Family:
		return fmt.Sprintf("it has %s prefixes", p.Family)
	case p.MinBits > request.Bits:
		return fmt.Sprintf("it gives nothing larger than a /%d", p.MinBits)
	}
	return p.refuses(place, request)
}

// Choose finds the backend that serves a request: the first in the operator's order. The request comes back with the pools to
// take it from. If none serves, the error says of each why: of kind Invalid if the request names a backend or a pool, else of
// kind Wait, for the infrastructure provider may still report a range of its own.
func Choose(offers []Offer, place Place, request Request) (Offer, Request, error) {
	var reasons []string
	for _, o := range offers {
		pools, why := o.Serves(place, request)
		if why == "" {
			request.Pools = pools
			return o, request, nil
		}
		if o.Scope == request.Scope {
			reasons = append(reasons, fmt.Sprintf("%s: %s", o.Backend, why))
		}
	}
	kind, all := Wait, "none is configured"
	if request.Backend != "" || request.Pool != "" {
		kind = Invalid
	}
	if len(reasons) > 0 {
		all = strings.Join(reasons, "; ")
	}
	return Offer{}, request, Errorf(kind, "no IPAM backend serves %s: %s", request, all)
}
