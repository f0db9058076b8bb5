// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// entry is an allocation of an IPAM pool, whoever made it.
type entry struct {
	pool, id string
	prefix   netip.Prefix
	kind     types.IpamPoolAllocationResourceType
	resource string // what it is allocated to, if it is not a manual allocation
	// What our mark says, if it bears one.
	ours  bool
	owner reservation.Owner
	seed  string
}

func (e entry) allocation() reservation.Allocation {
	return reservation.Allocation{Owner: e.owner, Seed: e.seed, ID: allocationID(e.pool, e.id), Prefix: e.prefix}
}

// holder names for people who has it.
func (e entry) holder() string {
	switch {
	case e.ours:
		return e.owner.Key()
	case e.resource != "":
		return fmt.Sprintf("%s (%s)", e.resource, e.kind)
	}
	return fmt.Sprintf("%s (%s), which bears no mark of ours", e.id, e.kind)
}

func entryOf(pool string, a types.IpamPoolAllocation) (entry, error) {
	p, err := parsePrefix(a.Cidr)
	if err != nil {
		return entry{}, err
	}
	e := entry{
		pool: pool, id: aws.ToString(a.IpamPoolAllocationId), prefix: p,
		kind: a.ResourceType, resource: aws.ToString(a.ResourceId),
	}
	if e.kind == types.IpamPoolAllocationResourceTypeCustom {
		e.owner, e.seed, e.ours = parseDescription(aws.ToString(a.Description))
	}
	return e, nil
}

// allEntries reads all pages of all pools, live.
func (r *Reserver) allEntries(ctx context.Context) ([]entry, error) {
	var all []entry
	seen := map[string]bool{}
	for _, pool := range r.pools {
		if seen[pool.ID] { // two names for one pool, with other limits
			continue
		}
		seen[pool.ID] = true
		entries, err := r.entries(ctx, pool.ID, "")
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// entries of a pool, or the one with this ID.
func (r *Reserver) entries(ctx context.Context, pool, id string) ([]entry, error) {
	var all []entry
	pages := ec2.GetIpamPoolAllocationsInput{IpamPoolId: aws.String(pool), IpamPoolAllocationId: optional(id)}
	what := "listing the allocations of " + r.poolText(pool)
	for {
		var page *ec2.GetIpamPoolAllocationsOutput
		err := r.call(ctx, reads, what, func(ctx context.Context, c *ec2.Client) (err error) {
			page, err = c.GetIpamPoolAllocations(ctx, &pages)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, a := range page.IpamPoolAllocations {
			e, err := entryOf(pool, a)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			all = append(all, e)
		}
		next := aws.ToString(page.NextToken)
		switch {
		case next == "":
			return all, nil
		case next == aws.ToString(pages.NextToken):
			return nil, reservation.Errorf(reservation.Retry, "%s: AWS gives the same page again and again", what)
		}
		pages.NextToken = page.NextToken
	}
}

// Release gives back an allocation that bears the owner's mark.
func (r *Reserver) Release(ctx context.Context, allocation reservation.Allocation) error {
	held, err := r.find(ctx, allocation)
	if err != nil {
		return err
	}
	for _, e := range held {
		if !e.ours || e.owner != allocation.Owner {
			return reservation.Errorf(reservation.Conflict, "%s is held by %s, not by %s: it is not released", e.prefix, e.holder(), allocation.Owner.Key())
		}
		if allocation.Seed != "" && e.seed != allocation.Seed {
			return reservation.Errorf(reservation.Retry, "%s is not released: seed %s has taken it over", e.prefix, e.seed)
		}
	}
	if pool, id, ok := splitID(allocation.ID); ok && len(held) == 0 {
		// The list may lag behind, so what it does not show may be there. The ID is that of our own allocation: EC2 never
		// gives it to another one.
		held = []entry{{pool: pool, id: id, prefix: allocation.Prefix}}
	}
	for _, e := range held {
		if err := r.release(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// find what is to be released: by ID, or by prefix if the ID is another backend's.
func (r *Reserver) find(ctx context.Context, allocation reservation.Allocation) ([]entry, error) {
	another := func(e entry) bool { return e.prefix != allocation.Prefix }
	if pool, id, ok := splitID(allocation.ID); ok {
		held, err := r.entries(ctx, pool, id)
		if isGone(err) {
			return nil, nil
		}
		return slices.DeleteFunc(held, another), err
	}
	all, err := r.allEntries(ctx)
	return slices.DeleteFunc(all, another), err
}

func (r *Reserver) release(ctx context.Context, e entry) error {
	what := fmt.Sprintf("releasing %s to %s", e.prefix, r.poolText(e.pool))
	var answer *ec2.ReleaseIpamPoolAllocationOutput
	err := r.call(ctx, writes, what, func(ctx context.Context, c *ec2.Client) (err error) {
		answer, err = c.ReleaseIpamPoolAllocation(ctx, &ec2.ReleaseIpamPoolAllocationInput{
			IpamPoolId: aws.String(e.pool), IpamPoolAllocationId: aws.String(e.id), Cidr: aws.String(e.prefix.String()),
		})
		return err
	})
	switch {
	case isGone(err):
		return nil
	case err != nil:
		return err
	case !aws.ToBool(answer.Success):
		return reservation.Errorf(reservation.Retry, "%s: AWS answers that it did not", what)
	}
	return nil
}
