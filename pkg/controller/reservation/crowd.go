// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// crowd is a backend that works in the shoots' own accounts, in all those that living shoots lead to, as if it were one account.
// What two of them show is seen once. An account that does not answer is left out: nothing is freed of what is not seen.
type crowd struct {
	reservation.Reserver // of any of the accounts, for the name
	accounts             []reservation.Reserver
	// where each allocation was seen: the number of the account.
	where map[sighting]int
}

type sighting struct {
	owner  reservation.Owner
	id     string
	prefix string
}

func sightingOf(a reservation.Allocation) sighting { return sighting{a.Owner, a.ID, a.Prefix.String()} }

// tenantsOf are the shoots that hold something in the backend, in the order of their namespaces.
func (k *kit) tenantsOf(ctx context.Context, b reservation.Backend) ([]tenant, error) {
	list := &v1alpha1.PrefixReservationList{}
	if err := k.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the PrefixReservations of the seed: %w", err)
	}
	tenants := map[string]tenant{}
	for i := range list.Items {
		r := &list.Items[i]
		if r.Namespace == k.Namespace || r.Status.Backend != b.Backend || r.DeletionTimestamp != nil {
			continue
		}
		t := tenant{namespace: r.Namespace, secret: types.NamespacedName{Namespace: r.Namespace, Name: v1beta1constants.SecretNameCloudProvider}}
		t.place.Region = r.Annotations[annotationRegion]
		tenants[r.Namespace] = t
	}
	return slices.SortedFunc(maps.Values(tenants), func(a, b tenant) int { return cmp.Compare(a.namespace, b.namespace) }), nil
}

// crowd opens one account for each set of credentials that the shoots have which hold something in the backend. It is nil if there
// are none.
func (k *kit) crowd(ctx context.Context, b reservation.Backend) (*crowd, error) {
	tenants, err := k.tenantsOf(ctx, b)
	if err != nil {
		return nil, err
	}
	all, seen := &crowd{}, map[[sha256.Size]byte]bool{}
	for _, t := range tenants {
		data, err := SecretCredentials(k.live, t.secret)(ctx)
		if err != nil {
			continue // its own reconciliation says so
		}
		if sum := fingerprint(t.place.Region, data); !seen[sum] {
			seen[sum] = true
			reserver, err := k.accounts.open(b, t)
			if err != nil {
				// One tenant must not keep the garbage of all others.
				log.FromContext(ctx).Error(err, "An account cannot be opened", "backend", b.Backend, "namespace", t.namespace)
				continue
			}
			all.Reserver, all.accounts = reserver, append(all.accounts, reserver)
		}
	}
	if len(all.accounts) == 0 {
		return nil, nil
	}
	return all, nil
}

// fingerprint tells accounts apart. A token says nothing of the account, and changes all the time.
func fingerprint(region string, data map[string][]byte) [sha256.Size]byte {
	var all []byte
	add := func(part []byte) {
		all = binary.BigEndian.AppendUint64(all, uint64(len(part)))
		all = append(all, part...)
	}
	add([]byte(region))
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if key != "token" {
			add([]byte(key))
			add(data[key])
		}
	}
	return sha256.Sum256(all)
}

// List is what all accounts show, each allocation once.
func (c *crowd) List(ctx context.Context, gardenID string) ([]reservation.Allocation, error) {
	c.where = map[sighting]int{}
	var (
		found []reservation.Allocation
		errs  []error
	)
	for number, account := range c.accounts {
		listed, err := account.List(ctx, gardenID)
		if err != nil {
			log.FromContext(ctx).Error(err, "An account cannot be searched for garbage", "backend", c.Name())
			errs = append(errs, err)
			continue
		}
		for _, a := range listed {
			if _, again := c.where[sightingOf(a)]; !again {
				c.where[sightingOf(a)] = number
				found = append(found, a)
			}
		}
	}
	if len(errs) == len(c.accounts) {
		return nil, errors.Join(errs...)
	}
	return found, nil
}

// Lookup asks the accounts in which something of the owner was seen.
func (c *crowd) Lookup(ctx context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	asked := map[int]bool{}
	var found []reservation.Allocation
	for s, number := range c.where {
		if s.owner != owner || asked[number] {
			continue
		}
		asked[number] = true
		held, err := c.accounts[number].Lookup(ctx, owner)
		if err != nil {
			return nil, err
		}
		found = append(found, held...)
	}
	return found, nil
}

// Release in the account in which it was seen.
func (c *crowd) Release(ctx context.Context, a reservation.Allocation) error {
	number, ok := c.where[sightingOf(a)]
	if !ok {
		return reservation.Errorf(reservation.Retry, "%s was not seen in any account", a.Prefix)
	}
	return c.accounts[number].Release(ctx, a)
}
