// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"fmt"
	"net/netip"

	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// The backends that every configuration has, by name and type: the operator's own pools, and the addresses of RFC 4193.
const (
	BackendPool = "pool"
	BackendULA  = "ula"
)

// Offers are what the backends of a valid configuration have to give, in the order in which they are asked: the operator's own
// pools, the IPAM services, and for private ranges the addresses of RFC 4193.
func Offers(config *v1alpha1.ControllerConfiguration) ([]reservation.Offer, error) {
	own := reservation.Offer{Backend: BackendPool, Type: BackendPool, Scope: plan.Global, Family: prefix.IPv6, Keeps: true}
	for _, p := range config.Pools {
		pool, err := ownPool(p)
		if err != nil {
			return nil, err
		}
		own.Pools = append(own.Pools, pool)
	}
	offers := []reservation.Offer{own}
	for _, b := range config.Backends {
		offers = append(offers, offer(b))
	}
	return append(offers, reservation.Offer{Backend: BackendULA, Type: BackendULA, Scope: plan.Private, Family: prefix.IPv6}), nil
}

func ownPool(p v1alpha1.Pool) (reservation.Pool, error) {
	pool := reservation.Pool{
		Name: p.Name, Family: prefix.IPv6, Selector: selector(p.Selector), Named: ptr.Deref(p.ShootsMayName, false),
		MaxBits: int(ptr.Deref(p.MaxPrefixLength, v1alpha1.DefaultMaxPrefixLength)),
	}
	for _, text := range p.Prefixes {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			return pool, fmt.Errorf("pool %q: %w", p.Name, err)
		}
		pool.Prefixes = append(pool.Prefixes, cidr)
		if pool.MinBits == 0 || cidr.Bits() < pool.MinBits {
			pool.MinBits = cidr.Bits()
		}
	}
	if p.MinPrefixLength != nil {
		pool.MinBits = int(*p.MinPrefixLength)
	}
	return pool, nil
}

func offer(b v1alpha1.Backend) reservation.Offer {
	o := reservation.Offer{
		Backend: b.Name, Type: string(b.Type), Scope: plan.Global, Family: prefix.IPv6,
		Selector: selector(b.Selector), Named: ptr.Deref(b.ShootsMayName, false),
	}
	for _, p := range b.Pools {
		o.Pools = append(o.Pools, reservation.Pool{
			Name: p.Name, ID: p.ID, Family: prefix.IPv6, MinBits: int(p.MinPrefixLength), MaxBits: int(p.MaxPrefixLength),
			Selector: selector(p.Selector), Named: ptr.Deref(p.ShootsMayName, false),
		})
	}
	return o
}

func selector(s v1alpha1.Selector) reservation.Selector {
	selected := reservation.Selector{ProviderTypes: s.ProviderTypes, Regions: s.Regions, Seeds: s.Seeds}
	for _, r := range s.Ranges {
		selected.Ranges = append(selected.Ranges, keyword.Name(r))
	}
	return selected
}
