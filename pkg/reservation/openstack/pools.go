// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isUUID(id string) bool { return uuid.MatchString(id) }

// pool of the configuration.
func (r *Reserver) pool(name string) (reservation.Pool, bool) {
	for _, p := range r.pools {
		if p.Name == name {
			return p, true
		}
	}
	return reservation.Pool{}, false
}

// poolID is the UUID of a subnet pool, which the configuration may name by its name if only one bears it.
func (r *Reserver) poolID(ctx context.Context, pool reservation.Pool) (string, error) {
	if isUUID(pool.ID) {
		return pool.ID, nil
	}
	found, err := r.listPools(ctx, pool.ID)
	switch {
	case err != nil:
		return "", err
	case len(found) != 1:
		return "", reservation.Errorf(reservation.Invalid,
			"%d IPv6 subnet pools that these credentials see are called %q: want one, or the pool's UUID", len(found), pool.ID)
	}
	return found[0].ID, nil
}

// prefixes of a subnet pool.
func (r *Reserver) prefixes(ctx context.Context, poolID string) ([]netip.Prefix, error) {
	whole, _, err := r.read(ctx, poolID)
	return whole, err
}

func (r *Reserver) read(ctx context.Context, poolID string) (whole []netip.Prefix, project string, err error) {
	pool, err := r.getPool(ctx, poolID)
	if answered(err, http.StatusNotFound) {
		return nil, "", reservation.Errorf(reservation.Invalid, "these credentials see no subnet pool %s", poolID)
	}
	if err != nil {
		return nil, "", err
	}
	for _, text := range pool.Prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, "", reservation.Errorf(reservation.Retry, "subnet pool %s: Neutron gives one of its prefixes as %q", poolID, text)
		}
		whole = append(whole, p.Masked())
	}
	if !pool.Shared {
		project = pool.ProjectID
	}
	return whole, project, nil
}

// contents of a subnet pool: its prefixes and those of its subnets. Complete is false if there may be subnets that these
// credentials do not see: those of other projects in a shared pool.
func (r *Reserver) contents(ctx context.Context, poolID string) (whole, used []netip.Prefix, complete bool, err error) {
	whole, project, err := r.read(ctx, poolID)
	if err != nil {
		return nil, nil, false, err
	}
	found, err := r.listPool(ctx, poolID)
	if err != nil {
		return nil, nil, false, err
	}
	for _, s := range found {
		p, err := netip.ParsePrefix(s.CIDR)
		if err != nil {
			return nil, nil, false, reservation.Errorf(reservation.Retry, "subnet %s: Neutron gives its CIDR as %q", s.ID, s.CIDR)
		}
		used = append(used, p.Masked())
	}
	s, err := r.account.open(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	return whole, used, s.admin || s.project == project, nil
}

// Usage tells how full the pools are whose subnets are all visible: pools of the project's own that are not shared, and any
// pool with an administrator's credentials. Of other pools nothing is told rather than something wrong.
func (r *Reserver) Usage(ctx context.Context) ([]reservation.Usage, error) {
	var usages []reservation.Usage
	for _, pool := range r.pools {
		id, err := r.poolID(ctx, pool)
		if err != nil {
			return nil, err
		}
		whole, used, complete, err := r.contents(ctx, id)
		if err != nil {
			return nil, err
		}
		if !complete {
			continue
		}
		free, err := prefix.Free(whole, used)
		if err != nil {
			return nil, fmt.Errorf("finding the free space of pool %s: %w", pool.Name, err)
		}
		usages = append(usages, reservation.UsageOf(pool, whole, slices.Values(free)))
	}
	return usages, nil
}
