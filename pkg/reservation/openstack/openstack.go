// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package openstack reserves prefixes in the subnet pools of OpenStack's network service, Neutron.
//
// A reservation is a subnet that nothing is ever attached to, cut from a subnet pool, on a network that holds nothing else: one
// network a shoot and pool, because all subnets of a network must come from one pool. Neutron knows no key of idempotency, so the
// call that creates the subnet carries the owner in its name (the owner's hash, which can be searched for) and its description
// (the owner's key and the seed, which can be read back); a lookup by them decides after every answer that was lost.
//
// Neutron's API: https://docs.openstack.org/api-ref/network/v2/
package openstack

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Type of the backend.
const Type = "openstack"

// Config of the service, beside the credentials.
type Config struct {
	// Endpoint of Neutron without its version, where it is not the one in the catalogue of Keystone.
	Endpoint string
	// Region in that catalogue; empty: the one of the credentials, else the first that has a network service.
	Region string
	// PageSize of lists; 500 if zero.
	PageSize int
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Reserver reserves in the subnet pools of one project.
type Reserver struct {
	name    string
	pools   []reservation.Pool
	home    reservation.Home
	account *account
}

var (
	_ reservation.Reserver = &Reserver{}
	_ reservation.Meter    = &Reserver{}
)

// New makes a Reserver for an account. The ID of a pool is a subnet pool's UUID, or its name if only one bears it. The
// credentials are those of the secret of Gardener's provider openstack: authURL, domainName, tenantName, username and password,
// or applicationCredentialID or -Name, and -Secret; caCert and insecure.
func New(name string, config Config, pools []reservation.Pool, home reservation.Home, credentials reservation.Credentials) (*Reserver, error) {
	if config.PageSize == 0 {
		config.PageSize = 500
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	for _, p := range pools {
		if p.ID == "" {
			return nil, reservation.Errorf(reservation.Invalid, "pool %s of backend %s has no ID: want the UUID or the name of a subnet pool", p.Name, name)
		}
	}
	return &Reserver{name: name, pools: pools, home: home, account: newAccount(config, credentials)}, nil
}

// Name of the backend.
func (r *Reserver) Name() string { return r.name }

// Lookup returns the owner's subnets, whichever pool they come from, the oldest first.
func (r *Reserver) Lookup(ctx context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	found, err := r.find(ctx, owner)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		r.tidy(ctx, owner)
	}
	return allocations(found)
}

// List returns the subnets of all owners of the garden. Neutron cannot search for the beginning of a description, so all of
// the project's IPv6 subnets are read.
func (r *Reserver) List(ctx context.Context, gardenID string) ([]reservation.Allocation, error) {
	found, err := r.listSubnets(ctx, subnets.ListOpts{IPVersion: 6})
	if err != nil {
		return nil, err
	}
	return allocations(slices.DeleteFunc(found, func(s subnets.Subnet) bool {
		m, ours := parseMark(s.Description)
		return !ours || m.owner.GardenID != gardenID
	}))
}

// find returns the subnets that bear the owner's mark, the oldest first.
func (r *Reserver) find(ctx context.Context, owner reservation.Owner) ([]subnets.Subnet, error) {
	found, err := r.listSubnets(ctx, subnets.ListOpts{Name: owner.Hash()})
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(s subnets.Subnet) bool { return !marked(s, owner) })
	slices.SortFunc(found, oldest)
	return found, nil
}

// oldest compares as the protocol does: Neutron's clock shows seconds only.
func oldest(a, b subnets.Subnet) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), address(a).Compare(address(b)), cmp.Compare(a.ID, b.ID))
}

func address(s subnets.Subnet) netip.Addr {
	p, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return netip.Addr{} // said where the prefix is used
	}
	return p.Addr()
}

func marked(s subnets.Subnet, owner reservation.Owner) bool {
	m, ours := parseMark(s.Description)
	return ours && m.owner == owner
}

func allocations(found []subnets.Subnet) ([]reservation.Allocation, error) {
	var all []reservation.Allocation
	for _, s := range found {
		a, err := allocation(s)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func allocation(s subnets.Subnet) (reservation.Allocation, error) {
	p, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return reservation.Allocation{}, reservation.Errorf(reservation.Retry, "subnet %s: Neutron gives its CIDR as %q", short(s.ID), short(s.CIDR))
	}
	m, _ := parseMark(s.Description)
	return reservation.Allocation{Owner: m.owner, Seed: m.seed, ID: s.ID, Prefix: p.Masked(), Since: s.CreatedAt}, nil
}
