// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	// networkTries is how often a network is looked for that others remove at the same time.
	networkTries = 3
	// forgotten is the age at which an empty network is taken for what a crash has left behind.
	forgotten = time.Minute
)

// onNetwork runs f on the network of the owner's shoot for a pool. If it makes nothing there, the network goes again.
func (r *Reserver) onNetwork(ctx context.Context, owner reservation.Owner, poolID string,
	f func(networkID string) (reservation.Allocation, error),
) (reservation.Allocation, error) {
	for try := 1; ; try++ {
		n, err := r.ensureNetwork(ctx, owner, poolID)
		if err != nil {
			return reservation.Allocation{}, err
		}
		a, err := f(n.ID)
		if typeOf(err) == networkNotFound && try < networkTries {
			continue // the shoot's last reservation was given back meanwhile, and the network with it
		}
		if err != nil && reservation.KindOf(err).Failed() {
			r.drop(ctx, n.ID, owner)
		}
		return a, err
	}
}

// ensureNetwork finds or makes the network. Of several, which were made at once, one is kept by all who look: with something
// on it, else the oldest. The others go while they are empty.
func (r *Reserver) ensureNetwork(ctx context.Context, owner reservation.Owner, poolID string) (networks.Network, error) {
	for try := 1; ; try++ {
		found, err := r.findNetworks(ctx, owner, networks.ListOpts{Name: networkName(owner, poolID)})
		switch {
		case err != nil:
			return networks.Network{}, err
		case len(found) > 0:
			for _, superfluous := range found[1:] {
				r.drop(ctx, superfluous.ID, owner)
			}
			return found[0], nil
		case try == networkTries:
			return networks.Network{}, reservation.Errorf(reservation.Retry, "a network that was made does not show up")
		}
		if _, err := r.createNetwork(ctx, networkName(owner, poolID), networkMark(owner, poolID)); err != nil {
			return networks.Network{}, err
		}
	}
}

// findNetworks returns those of the owner's shoot: those with subnets first, then the oldest.
func (r *Reserver) findNetworks(ctx context.Context, owner reservation.Owner, options networks.ListOpts) ([]networks.Network, error) {
	found, err := r.listNetworks(ctx, options)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(n networks.Network) bool { return !ours(n, owner) })
	slices.SortFunc(found, func(a, b networks.Network) int {
		return cmp.Or(cmp.Compare(min(len(b.Subnets), 1), min(len(a.Subnets), 1)), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

// tidy removes networks of the owner's shoot on which nothing was made for a while: somebody died before he could. It is no
// harm if it fails, and none if somebody is about to use one: he makes another.
func (r *Reserver) tidy(ctx context.Context, owner reservation.Owner) {
	for _, pool := range r.pools {
		id, err := r.poolID(ctx, pool)
		if err != nil {
			continue
		}
		found, err := r.findNetworks(ctx, owner, networks.ListOpts{Name: networkName(owner, id)})
		if err != nil {
			return
		}
		for _, n := range found {
			if len(n.Subnets) == 0 && r.account.config.Now().Sub(n.UpdatedAt) > forgotten {
				r.drop(ctx, n.ID, owner)
			}
		}
	}
}

// drop removes a network of the shoot's if it is empty. Neutron deletes a network together with its subnets: what was read
// must still hold when it does, hence the revision, which every new subnet raises.
func (r *Reserver) drop(ctx context.Context, id string, owner reservation.Owner) {
	n, err := r.getNetwork(ctx, id)
	if err == nil && ours(*n, owner) && len(n.Subnets) == 0 && n.RevisionNumber > 0 {
		_ = r.deleteNetwork(ctx, *n)
	}
}

// Release deletes the subnet, and the network with it if it was the last one there.
func (r *Reserver) Release(ctx context.Context, a reservation.Allocation) error {
	return again(func() error { return r.release(ctx, a) })
}

func (r *Reserver) release(ctx context.Context, a reservation.Allocation) error {
	id, err := r.idOf(ctx, a)
	if err != nil || id == "" {
		return err
	}
	s, err := r.heldBy(ctx, id, a)
	if err != nil || s == nil {
		return err
	}
	n, err := r.getNetwork(ctx, s.NetworkID)
	switch {
	case answered(err, http.StatusNotFound):
		return nil
	case err != nil:
		return err
	case !ours(*n, a.Owner) || !slices.Equal(n.Subnets, []string{s.ID}) || n.RevisionNumber == 0:
		return r.deleteSubnet(ctx, *s)
	}
	// One call for both: nobody can die in between and leave an empty network. It must be this very subnet that is there, and
	// alone: Neutron deletes whatever is. A change of its mark raises the network's revision, too. Hence it is looked at once more:
	// what has come since the network was read is noticed by Neutron, what came before is seen here.
	if s, err = r.heldBy(ctx, id, a); err != nil || s == nil {
		return err
	}
	return r.deleteNetwork(ctx, *n)
}

// heldBy reads the subnet of an allocation: nil if it is gone, an error if it is no longer what the allocation says.
func (r *Reserver) heldBy(ctx context.Context, id string, a reservation.Allocation) (*subnets.Subnet, error) {
	s, err := r.getSubnet(ctx, id)
	switch {
	case answered(err, http.StatusNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case !marked(*s, a.Owner):
		return nil, reservation.Errorf(reservation.Conflict, "subnet %s is not held by %s but by %q", id, a.Owner.Key(), short(s.Description))
	case s.CIDR != a.Prefix.String():
		return nil, reservation.Errorf(reservation.Conflict, "subnet %s is %s, not %s", id, short(s.CIDR), a.Prefix)
	}
	if m, _ := parseMark(s.Description); a.Seed != "" && m.seed != a.Seed {
		return nil, reservation.Errorf(reservation.Retry, "%s is not released: seed %s has taken it over", a.Prefix, short(m.seed))
	}
	return s, nil
}

// idOf is the subnet's UUID, or that of the owner's subnet with this prefix if the allocation does not know it or it is gone,
// or empty.
func (r *Reserver) idOf(ctx context.Context, a reservation.Allocation) (string, error) {
	if isUUID(a.ID) {
		return a.ID, nil
	}
	own, err := r.find(ctx, a.Owner)
	if err != nil {
		return "", err
	}
	for _, s := range own {
		if s.CIDR == a.Prefix.String() {
			return s.ID, nil
		}
	}
	return "", nil
}
