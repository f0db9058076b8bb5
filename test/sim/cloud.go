// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	pageSize = 3
	// lag is by how much a list may be behind.
	lag       = 8 * time.Second
	cloudName = "cloud"
)

// item is an allocation as the IPAM knows it. The mark is the owner's key and the seed, in its description.
type item struct {
	id     int
	prefix netip.Prefix
	key    string
	owner  reservation.Owner // as the key says, if it is one of ours
	seed   string
	since  time.Time
	gone   time.Time // zero while it is held
}

func (i *item) held() bool { return i.gone.IsZero() }

// cloud is an IPAM service: it gives the lowest free prefix, also one that was released just now, and two to who asks twice.
type cloud struct {
	*world
	whole  netip.Prefix
	quota  int
	items  []*item // by ID
	tokens map[string]*item
}

// create gives a prefix: this one if it is valid.
func (c *cloud) create(t *task, key string, bits int, certain netip.Prefix) (*item, error) {
	if before, ok := c.tokens[key]; ok && c.options.tokens && !certain.IsValid() {
		return before, nil
	}
	count := 0
	for _, i := range c.items {
		if i.held() {
			count++
		}
	}
	if count >= c.quota {
		return nil, reservation.Errorf(reservation.Quota, "quota of %d", c.quota)
	}
	p, ok := certain, true
	if !certain.IsValid() {
		p, ok = c.lowest(bits)
	} else if !c.options.claimable {
		return nil, reservation.Errorf(reservation.Invalid, "%s: prefixes cannot be chosen", certain)
	} else if c.overlaps(certain) {
		return nil, reservation.Errorf(reservation.Conflict, "%s is taken", certain)
	}
	if !ok {
		return nil, reservation.Errorf(reservation.Exhausted, "no room")
	}
	i := c.add(p, key, t.proc.seed.name)
	c.tokens[key] = i
	c.tracef("%s: IPAM gives %s to %s (%s)", t.name, p, key, i.seed)
	c.taken(t, key, p)
	return i, nil
}

func (c *cloud) add(p netip.Prefix, key, seed string) *item {
	owner, err := reservation.ParseOwner(key)
	if err != nil {
		owner = reservation.Owner{}
	}
	i := &item{id: len(c.items) + 1, prefix: p, key: key, owner: owner, seed: seed, since: c.now}
	c.items = append(c.items, i)
	return i
}

func (c *cloud) overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(c.items, func(i *item) bool { return i.held() && i.prefix.Overlaps(p) })
}

func (c *cloud) lowest(bits int) (netip.Prefix, bool) {
	var used []netip.Prefix
	for _, i := range c.items {
		if i.held() {
			used = append(used, i.prefix)
		}
	}
	for at := c.whole.Addr(); c.whole.Contains(at); {
		p := netip.PrefixFrom(at, bits)
		if !slices.ContainsFunc(used, p.Overlaps) {
			return p, true
		}
		at = after(p)
	}
	return netip.Prefix{}, false
}

// after is the first address behind a prefix of 64 bits or less.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	high := uint64(0)
	for _, x := range b[:8] {
		high = high<<8 | uint64(x)
	}
	high += 1 << (64 - p.Bits())
	for i := range 8 {
		b[i] = byte(high >> (56 - 8*i))
	}
	return netip.AddrFrom16(b)
}

// delete gives back what has this ID.
func (c *cloud) delete(t *task, id int) {
	i := c.items[id-1]
	if !i.held() {
		return
	}
	i.gone = c.now
	c.tracef("%s: IPAM takes %s back from %s (%s)", t.name, i.prefix, i.key, i.seed)
	c.freed(t, i.key, i.seed, i.prefix, i.since)
}

// page of the list behind an ID, as a replica of the service sees it: it may know of some of the latest changes and not of others.
func (c *cloud) page(behind int) (page []*item, more bool) {
	lags := c.happens(lagging)
	for _, i := range c.items[min(behind, len(c.items)):] {
		held := i.held()
		if changed := max(i.since.Unix(), i.gone.Unix()); lags && c.now.Unix()-changed < int64(lag/time.Second) && c.rng.IntN(2) == 0 {
			// A list that still shows what is gone, and a key of idempotency that brings it back, are not to be told from the truth.
			held = !held && !c.options.tokens
		}
		if !held {
			continue
		}
		if len(page) == pageSize {
			return page, true
		}
		page = append(page, i)
	}
	return page, false
}

// client is the adapter of the IPAM on one seed.
type client struct {
	*task
	cloud *cloud
}

var _ reservation.Reserver = client{}

// Name of the backend.
func (c client) Name() string { return cloudName }

func (c client) mutate(do func() error) error {
	var err error
	c.io(func() {
		switch {
		case c.happens(requestLost):
			err = reservation.Errorf(reservation.Ambiguous, "time-out")
		case c.happens(replyLost):
			if err = do(); err == nil {
				err = reservation.Errorf(reservation.Ambiguous, "time-out")
			}
		case c.happens(requestLate):
			c.late = append(c.late, func() {
				if do() == nil {
					c.tracef("%s: a late request was served", c.name)
				}
			})
			err = reservation.Errorf(reservation.Ambiguous, "time-out")
		default:
			if err = c.refused(); err == nil {
				err = do()
			}
		}
	})
	return err
}

func (c client) refused() error {
	switch {
	case c.happens(throttled):
		return reservation.Errorf(reservation.Retry, "slow down")
	case c.happens(unauthorized):
		return reservation.Errorf(reservation.Unauthorized, "the token has expired")
	}
	return nil
}

func (c client) read(match func(reservation.Owner) bool) ([]reservation.Allocation, error) {
	var found []reservation.Allocation
	for behind, more := 0, true; more; {
		var err error
		c.io(func() {
			if err = c.refused(); err != nil {
				return
			}
			if behind > 0 && c.happens(pageFailed) {
				err = reservation.Errorf(reservation.Retry, "internal error")
				return
			}
			var page []*item
			page, more = c.cloud.page(behind)
			for _, i := range page {
				behind = i.id
				if a, ok := i.allocation(); ok && match(a.Owner) {
					found = append(found, a)
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (i *item) allocation() (reservation.Allocation, bool) {
	return reservation.Allocation{
		Owner: i.owner, Seed: i.seed, ID: strconv.Itoa(i.id), Prefix: i.prefix, Since: i.since,
	}, i.owner.ShootUID != ""
}

// Lookup returns what bears the owner's mark.
func (c client) Lookup(_ context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	found, err := c.read(func(o reservation.Owner) bool { return o == owner })
	if err == nil {
		c.looked[owner], c.stored = true, false
	}
	for _, a := range found {
		c.seen[a.Prefix] = true
	}
	return found, err
}

// List returns what bears the garden's mark.
func (c client) List(_ context.Context, gardenID string) ([]reservation.Allocation, error) {
	return c.read(func(o reservation.Owner) bool { return o.GardenID == gardenID })
}

// Allocate asks for a prefix. The service cannot be told what to avoid.
func (c client) Allocate(_ context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	if !c.looked[owner] {
		c.violate("%s asks for %s without having looked", c.name, owner.Key())
	}
	clear(c.seen)
	bits := request.Bits
	if c.options.wider {
		bits--
	}
	var got reservation.Allocation
	err := c.mutate(func() error {
		i, err := c.cloud.create(c.task, owner.Key(), bits, netip.Prefix{})
		if err == nil {
			got, _ = i.allocation()
		}
		return err
	})
	if err != nil {
		return reservation.Allocation{}, err
	}
	return got, nil
}

// Claim re-marks what the owner holds, else asks for the prefix.
func (c client) Claim(_ context.Context, a reservation.Allocation) error {
	err := c.claim(a)
	if err == nil {
		c.seen[a.Prefix] = true
	}
	return err
}

func (c client) claim(a reservation.Allocation) error {
	held, err := c.at(func(i *item) bool { return i.prefix.Overlaps(a.Prefix) })
	switch {
	case err != nil:
		return err
	case held == nil:
		return c.mutate(func() error {
			_, err := c.cloud.create(c.task, a.Owner.Key(), 0, a.Prefix)
			return err
		})
	case held.prefix != a.Prefix || held.key != a.Owner.Key():
		return reservation.Errorf(reservation.Conflict, "%s overlaps %s of %s", a.Prefix, held.prefix, held.key)
	case held.seed == c.proc.seed.name:
		return nil
	}
	id := held.id
	return c.mutate(func() error {
		i := c.cloud.items[id-1]
		if !i.held() {
			return reservation.Errorf(reservation.Retry, "not found")
		}
		c.tracef("%s: IPAM marks %s as %s's", c.name, i.prefix, c.proc.seed.name)
		i.seed = c.proc.seed.name
		return nil
	})
}

// at reads the allocation that is held and matches.
func (c client) at(match func(*item) bool) (*item, error) {
	var (
		found *item
		err   error
	)
	c.io(func() {
		if err = c.refused(); err != nil {
			return
		}
		for _, i := range c.cloud.items {
			if i.held() && match(i) {
				seen := *i
				found = &seen
			}
		}
	})
	return found, err
}

// Release reads the allocation, compares its mark and deletes it.
func (c client) Release(_ context.Context, a reservation.Allocation) error {
	if !c.stored && !c.sweeping {
		c.violate("%s releases %s without having stored its record since it looked", c.name, a.Prefix)
	}
	id, err := strconv.Atoi(a.ID)
	if err != nil {
		return fmt.Errorf("ID %q: %w", a.ID, err)
	}
	held, err := c.at(func(i *item) bool { return i.id == id })
	switch {
	case err != nil:
		return err
	case held == nil:
		return nil
	case held.key != a.Owner.Key() || held.seed != a.Seed:
		return reservation.Errorf(reservation.Conflict, "%s is %s's", held.prefix, held.key)
	}
	return c.mutate(func() error {
		if c.happens(inUse) {
			return reservation.Errorf(reservation.Retry, "in use")
		}
		if i := c.cloud.items[id-1]; i.held() && (i.key != held.key || i.seed != held.seed) {
			return reservation.Errorf(reservation.Conflict, "it has changed") // revision_number, or the moment is too short
		}
		c.cloud.delete(c.task, id)
		return nil
	})
}
