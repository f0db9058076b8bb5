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

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Usage tells how full each pool is: of what is provisioned to it, what nobody has, us or others.
func (r *Reserver) Usage(ctx context.Context) ([]reservation.Usage, error) {
	usages := make([]reservation.Usage, 0, len(r.pools))
	for _, pool := range r.pools {
		whole, err := r.cidrs(ctx, pool.ID)
		if err != nil {
			return nil, err
		}
		entries, err := r.entries(ctx, pool.ID, "")
		if err != nil {
			return nil, err
		}
		used := make([]netip.Prefix, len(entries))
		for i, e := range entries {
			used[i] = e.prefix
		}
		free, err := prefix.Free(whole, used)
		if err != nil {
			return nil, fmt.Errorf("finding the free space of %s: %w", r.poolText(pool.ID), err)
		}
		usages = append(usages, reservation.UsageOf(pool, whole, slices.Values(free)))
	}
	return usages, nil
}

// cidrs that are provisioned to a pool.
func (r *Reserver) cidrs(ctx context.Context, pool string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	what := "listing the CIDRs of " + r.poolText(pool)
	pages := ec2.GetIpamPoolCidrsInput{IpamPoolId: aws.String(pool)}
	for {
		var page *ec2.GetIpamPoolCidrsOutput
		err := r.call(ctx, reads, what, func(ctx context.Context, c *ec2.Client) (err error) {
			page, err = c.GetIpamPoolCidrs(ctx, &pages)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, c := range page.IpamPoolCidrs {
			if c.State != types.IpamPoolCidrStateProvisioned {
				continue
			}
			p, err := parsePrefix(c.Cidr)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			all = append(all, p)
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
