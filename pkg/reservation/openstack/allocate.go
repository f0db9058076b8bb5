// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// guesses is how many free-looking prefixes are asked for by name before giving up: with a project's credentials one does not
// see what others have taken from a shared pool.
const guesses = 16

// Allocate takes a prefix from the first of the request's pools that has room.
func (r *Reserver) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	if len(r.mark(owner)) > longestDescription {
		return reservation.Allocation{}, reservation.Errorf(reservation.Invalid,
			"the owner's key and the seed's name are longer than the %d characters of a description in Neutron: %s", longestDescription, r.mark(owner))
	}
	var refused []error
	for _, name := range request.Pools {
		a, err := r.allocateFrom(ctx, owner, request, name)
		if err == nil {
			return a, nil
		}
		err = fmt.Errorf("pool %s: %w", name, err)
		if !reservation.KindOf(err).Failed() || reservation.KindOf(err) == reservation.Unauthorized {
			return reservation.Allocation{}, err
		}
		refused = append(refused, err)
	}
	return reservation.Allocation{}, r.refusedBy(refused, request)
}

// refusedBy makes one error of those of all pools. A quota can be raised and a pool enlarged: these say more about what to do
// than a pool that does not fit at all.
func (r *Reserver) refusedBy(refused []error, request reservation.Request) error {
	if len(refused) == 0 {
		return reservation.Errorf(reservation.Invalid, "backend %s has no pool for %s", r.name, request)
	}
	kind := reservation.Invalid
	texts := make([]string, len(refused))
	for i, err := range refused {
		texts[i] = err.Error()
		if k := reservation.KindOf(err); k == reservation.Quota || kind == reservation.Invalid {
			kind = k
		}
	}
	return reservation.Errorf(kind, "no room for %s: %s", request, strings.Join(texts, "; "))
}

func (r *Reserver) mark(owner reservation.Owner) string {
	return mark{owner: owner, seed: r.home.Seed}.String()
}

func (r *Reserver) allocateFrom(ctx context.Context, owner reservation.Owner, request reservation.Request, name string) (reservation.Allocation, error) {
	pool, ok := r.pool(name)
	switch {
	case !ok:
		return reservation.Allocation{}, reservation.Errorf(reservation.Invalid, "backend %s has none of this name", r.name)
	case pool.Family != request.Family:
		return reservation.Allocation{}, reservation.Errorf(reservation.Invalid, "it has %s prefixes", pool.Family)
	case request.Bits < pool.MinBits:
		return reservation.Allocation{}, reservation.Errorf(reservation.Invalid, "it gives nothing larger than a /%d", pool.MinBits)
	}
	if pool.MaxBits > 0 {
		request.Bits = min(request.Bits, pool.MaxBits)
	}
	id, err := r.poolID(ctx, pool)
	if err != nil {
		return reservation.Allocation{}, err
	}
	return r.onNetwork(ctx, owner, id, func(networkID string) (reservation.Allocation, error) {
		return r.cut(ctx, owner, request, id, networkID)
	})
}

// cut lets Neutron choose, and chooses itself if that is to be avoided.
func (r *Reserver) cut(ctx context.Context, owner reservation.Owner, request reservation.Request, poolID, networkID string) (reservation.Allocation, error) {
	options := r.subnet(owner, poolID, networkID)
	options.Prefixlen = request.Bits
	a, err := r.create(ctx, owner, options)
	if err != nil || request.Avoid == nil {
		return a, err
	}
	if _, overlaps := request.Avoid(a.Prefix); !overlaps {
		return a, nil
	}
	if err := r.Release(ctx, a); err != nil {
		return a, fmt.Errorf("giving back %s, which is in use elsewhere: %w", a.Prefix, err)
	}
	return r.around(ctx, owner, request, poolID)
}

// around asks for a certain prefix, outside of what is to be avoided.
func (r *Reserver) around(ctx context.Context, owner reservation.Owner, request reservation.Request, poolID string) (reservation.Allocation, error) {
	whole, used, _, err := r.contents(ctx, poolID)
	if err != nil {
		return reservation.Allocation{}, err
	}
	for range guesses {
		free, ok, err := request.Cut(whole, used)
		switch {
		case err != nil:
			return reservation.Allocation{}, err
		case !ok:
			return reservation.Allocation{}, reservation.Errorf(reservation.Exhausted, "what is left of it is in use elsewhere")
		}
		a, err := r.take(ctx, owner, free, poolID)
		if reservation.KindOf(err) != reservation.Conflict {
			return a, err
		}
		used = append(used, free)
	}
	return reservation.Allocation{}, reservation.Errorf(reservation.Exhausted,
		"what Neutron offers is in use elsewhere, and %d other prefixes that look free are not", guesses)
}

// take a certain prefix.
func (r *Reserver) take(ctx context.Context, owner reservation.Owner, p netip.Prefix, poolID string) (reservation.Allocation, error) {
	return r.onNetwork(ctx, owner, poolID, func(networkID string) (reservation.Allocation, error) {
		options := r.subnet(owner, poolID, networkID)
		options.CIDR = p.String()
		return r.create(ctx, owner, options)
	})
}

// subnet that reserves: without DHCP, without a gateway (Neutron names one all the same where it chooses the prefix; no router
// has it), and of a type of service that gives no port an address.
func (r *Reserver) subnet(owner reservation.Owner, poolID, networkID string) subnets.CreateOpts {
	off, none := false, ""
	return subnets.CreateOpts{
		Name: owner.Hash(), Description: r.mark(owner),
		NetworkID: networkID, SubnetPoolID: poolID, IPVersion: gophercloud.IPv6,
		EnableDHCP: &off, GatewayIP: &none, ServiceTypes: []string{reservedFor},
	}
}

// create a subnet. Neutron says in the same way that there is no room, that the prefix is taken, and that it is ours already.
func (r *Reserver) create(ctx context.Context, owner reservation.Owner, options subnets.CreateOpts) (reservation.Allocation, error) {
	made, err := r.createSubnet(ctx, options)
	if typeOf(err) == subnetAllocationError {
		own, lookupErr := r.find(ctx, owner)
		if lookupErr != nil {
			return reservation.Allocation{}, lookupErr
		}
		for _, s := range own {
			if options.CIDR == "" || s.CIDR == options.CIDR {
				return allocation(s)
			}
		}
		if options.CIDR != "" {
			return reservation.Allocation{}, reservation.Errorf(reservation.Conflict, "%s is held by somebody else: %w", options.CIDR, err)
		}
	}
	if err != nil {
		return reservation.Allocation{}, err
	}
	// A subnet without its tag is as good as one with it: Claim adds it later.
	_ = r.tagSubnet(ctx, made.ID)
	return allocation(*made)
}

// Claim holds a certain prefix for the owner, under this seed.
func (r *Reserver) Claim(ctx context.Context, a reservation.Allocation) error {
	return again(func() error { return r.claim(ctx, a) })
}

// again reads anew what somebody else has changed between our reading and writing.
func again(f func() error) (err error) {
	const tries = 3
	for range tries {
		if err = f(); !answered(err, http.StatusPreconditionFailed) {
			break
		}
	}
	return err
}

func (r *Reserver) claim(ctx context.Context, a reservation.Allocation) error {
	own, err := r.find(ctx, a.Owner)
	if err != nil {
		return err
	}
	for _, s := range own {
		if s.CIDR == a.Prefix.String() {
			return r.adopt(ctx, s, a.Owner)
		}
	}
	for _, pool := range r.pools {
		id, holds, err := r.holds(ctx, pool, a.Prefix)
		if err != nil {
			return fmt.Errorf("pool %s: %w", pool.Name, err)
		}
		if holds {
			_, err := r.take(ctx, a.Owner, a.Prefix, id)
			return err
		}
	}
	return reservation.Errorf(reservation.Invalid, "%s lies in none of the pools of backend %s", a.Prefix, r.name)
}

// holds tells whether a prefix lies in a pool.
func (r *Reserver) holds(ctx context.Context, pool reservation.Pool, p netip.Prefix) (poolID string, holds bool, err error) {
	if poolID, err = r.poolID(ctx, pool); err != nil {
		return "", false, err
	}
	whole, err := r.prefixes(ctx, poolID)
	return poolID, slices.ContainsFunc(whole, func(w netip.Prefix) bool { return prefix.Covers(w, p) }), err
}

// adopt makes a subnet of the owner's this seed's, if it is another's yet.
func (r *Reserver) adopt(ctx context.Context, s subnets.Subnet, owner reservation.Owner) error {
	if s.Description != r.mark(owner) {
		if err := r.describeSubnet(ctx, s, r.mark(owner)); err != nil {
			return err
		}
	}
	if !slices.Contains(s.Tags, tag) {
		_ = r.tagSubnet(ctx, s.ID) // the prefix is held without it, too
	}
	return nil
}
