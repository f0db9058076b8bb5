// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// maxDetours is how many prefixes that are in use elsewhere a request may lead around.
const maxDetours = 16

// Allocate asks the request's pools in their order.
func (r *Reserver) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	var full []string
	for _, name := range request.Pools {
		pool, known := r.pool(name)
		if !known || pool.Family != request.Family || pool.MinBits > request.Bits {
			continue
		}
		allocation, err := r.allocate(ctx, pool, owner, request)
		if reservation.KindOf(err) == reservation.Exhausted {
			full = append(full, err.Error())
			continue
		}
		return allocation, err
	}
	if len(full) == 0 {
		return reservation.Allocation{}, reservation.Errorf(reservation.Invalid, "no pool of backend %s fits %s", r.name, request)
	}
	return reservation.Allocation{}, reservation.Errorf(reservation.Exhausted,
		"no room for %s: %s; provision another CIDR to the pool, or release some", request, strings.Join(full, "; "))
}

func (r *Reserver) allocate(ctx context.Context, pool reservation.Pool, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	bits := min(request.Bits, pool.MaxBits)
	disallowed, err := r.detours(ctx, pool, bits, request)
	if err != nil {
		return reservation.Allocation{}, err
	}
	got, err := r.ask(ctx, pool, bits, writes, &ec2.AllocateIpamPoolCidrInput{
		NetmaskLength: netmask(bits), DisallowedCidrs: disallowed,
		ClientToken: aws.String(clientToken(owner, disallowed)), Description: aws.String(describe(owner, r.home.Seed)), TagSpecifications: tags(owner),
	})
	if err != nil {
		return reservation.Allocation{}, err
	}
	return reservation.Allocation{
		Owner: owner, Seed: r.home.Seed, ID: allocationID(pool.ID, got.id), Prefix: got.prefix, Since: time.Now().UTC().Truncate(time.Second),
	}, nil
}

// detours finds by previews which prefixes the pool must not give: those that are in use elsewhere. A preview takes nothing, so
// it may be overtaken; then the protocol sees what the allocation overlaps, and begins another attempt.
func (r *Reserver) detours(ctx context.Context, pool reservation.Pool, bits int, request reservation.Request) ([]string, error) {
	if request.Avoid == nil {
		return nil, nil
	}
	var disallowed []string
	for range maxDetours {
		next, err := r.ask(ctx, pool, bits, reads, &ec2.AllocateIpamPoolCidrInput{
			NetmaskLength: netmask(bits), DisallowedCidrs: disallowed, PreviewNextCidr: aws.Bool(true),
		})
		if reservation.KindOf(err) == reservation.Exhausted {
			// Ask all the same: what took the last room may be our own, and the client token brings it back.
			return disallowed, nil
		}
		if err != nil {
			return nil, err
		}
		other, overlaps := request.Avoid(next.prefix)
		if !overlaps {
			return disallowed, nil
		}
		disallowed = append(disallowed, other.Masked().String())
	}
	return nil, reservation.Errorf(reservation.Exhausted, "%s: each of %d free prefixes of /%d is in use elsewhere",
		r.poolText(pool.ID), maxDetours, bits)
}

// ask sends one AllocateIpamPoolCidr.
func (r *Reserver) ask(ctx context.Context, pool reservation.Pool, bits int, how effect, input *ec2.AllocateIpamPoolCidrInput) (entry, error) {
	what := fmt.Sprintf("allocating a /%d in %s", bits, r.poolText(pool.ID))
	input.IpamPoolId = aws.String(pool.ID)
	var answer *ec2.AllocateIpamPoolCidrOutput
	err := r.call(ctx, how, what, func(ctx context.Context, c *ec2.Client) (err error) {
		answer, err = c.AllocateIpamPoolCidr(ctx, input)
		return err
	})
	if err != nil {
		return entry{}, err
	}
	if answer.IpamPoolAllocation == nil {
		return entry{}, reservation.Errorf(unknownOutcome(how), "%s: AWS answers without an allocation", what)
	}
	got, err := entryOf(pool.ID, *answer.IpamPoolAllocation)
	if err != nil {
		return entry{}, reservation.Errorf(unknownOutcome(how), "%s: %w", what, err)
	}
	return got, nil
}

func netmask(bits int) *int32 { return aws.Int32(int32(bits)) } // #nosec G115 -- at most 128

// Claim takes the very prefix, or moves the mark of a prefix that the owner has to this seed.
func (r *Reserver) Claim(ctx context.Context, allocation reservation.Allocation) error {
	held, err := r.claimed(ctx, allocation)
	if err != nil || held {
		return err
	}
	pool, err := r.poolAround(ctx, allocation.Prefix)
	if err != nil {
		return err
	}
	_, err = r.ask(ctx, pool, allocation.Prefix.Bits(), writes, &ec2.AllocateIpamPoolCidrInput{
		Cidr: aws.String(allocation.Prefix.String()), Description: aws.String(describe(allocation.Owner, r.home.Seed)), TagSpecifications: tags(allocation.Owner),
	})
	if err == nil {
		return nil
	}
	switch reservation.KindOf(err) {
	case reservation.Invalid, reservation.Exhausted, reservation.Ambiguous: // somebody may have been quicker, perhaps ourselves
	default:
		return err
	}
	if held, again := r.claimed(ctx, allocation); again != nil || held {
		return again
	}
	return reservation.Errorf(reservation.Retry, "%s is not to be had, although nobody is seen to hold it: %w", allocation.Prefix, err)
}

// claimed tells whether the owner has the prefix already; if another seed's mark is on it, ours comes in its place.
func (r *Reserver) claimed(ctx context.Context, allocation reservation.Allocation) (bool, error) {
	all, err := r.allEntries(ctx)
	if err != nil {
		return false, err
	}
	for _, e := range all {
		switch {
		case !e.prefix.Overlaps(allocation.Prefix) || e.kind == "ipam-pool":
			// A pool within the pool: whoever has something of it is in the list of that one.
		case !e.ours || e.owner != allocation.Owner || e.prefix != allocation.Prefix:
			return false, reservation.Errorf(reservation.Conflict, "%s overlaps %s, which %s holds", allocation.Prefix, e.prefix, e.holder())
		case e.seed == r.home.Seed:
			return true, nil
		default:
			return true, r.mark(ctx, e)
		}
	}
	return false, nil
}

// mark an allocation of the owner as held by this seed.
func (r *Reserver) mark(ctx context.Context, e entry) error {
	what := fmt.Sprintf("marking %s as held by seed %s", e.prefix, r.home.Seed)
	err := r.call(ctx, writes, what, func(ctx context.Context, c *ec2.Client) error {
		_, err := c.ModifyIpamPoolAllocation(ctx, &ec2.ModifyIpamPoolAllocationInput{
			IpamPoolAllocationId: aws.String(e.id), Description: aws.String(describe(e.owner, r.home.Seed)),
		})
		return err
	})
	if isGone(err) {
		return reservation.Errorf(reservation.Retry, "%s is listed and yet gone: %w", e.prefix, err)
	}
	return err
}

// poolAround finds the pool that a prefix lies in.
func (r *Reserver) poolAround(ctx context.Context, p netip.Prefix) (reservation.Pool, error) {
	for _, pool := range r.pools {
		cidrs, err := r.cidrs(ctx, pool.ID)
		if err != nil {
			return reservation.Pool{}, err
		}
		for _, whole := range cidrs {
			if prefix.Covers(whole, p) {
				return pool, nil
			}
		}
	}
	return reservation.Pool{}, reservation.Errorf(reservation.Invalid, "%s lies in none of the pools of backend %s", p, r.name)
}
