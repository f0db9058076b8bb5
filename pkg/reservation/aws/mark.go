// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// The tags of an allocation. They never change, so the seed is not among them; IAM policies may name them.
const (
	tagGarden = "ipv6.networking.extensions.gardener.cloud/garden"
	tagShoot  = "ipv6.networking.extensions.gardener.cloud/shoot"
)

const seedMark = " seed="

// describe is the mark by which an allocation is found again: the owner's key and the seed that holds it.
func describe(owner reservation.Owner, seed string) string { return owner.Key() + seedMark + seed }

// parseDescription reads a mark back. What is not one belongs to somebody else.
func parseDescription(text string) (owner reservation.Owner, seed string, ours bool) {
	at := strings.LastIndex(text, seedMark)
	if at < 0 {
		return owner, "", false
	}
	owner, err := reservation.ParseOwner(text[:at])
	return owner, text[at+len(seedMark):], err == nil
}

// tags of an allocation that is about to be made.
func tags(owner reservation.Owner) []types.TagSpecification {
	return []types.TagSpecification{{
		ResourceType: types.ResourceTypeIpamPoolAllocation,
		Tags: []types.Tag{
			{Key: aws.String(tagGarden), Value: aws.String(owner.GardenID)},
			{Key: aws.String(tagShoot), Value: aws.String(owner.ShootUID)},
		},
	}}
}

// clientToken makes a repeated call for the same owner give the same allocation. What has to be avoided is part of it: it may
// change from one run to the next, and EC2 refuses a token that comes back with other parameters.
func clientToken(owner reservation.Owner, disallowed []string) string {
	if len(disallowed) == 0 {
		return owner.Hash()
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(disallowed)), " ")))
	return owner.Hash() + "-" + hex.EncodeToString(sum[:8])
}

// allocationID is how the rest of the system knows an allocation: to release it, EC2 wants to know the pool.
func allocationID(pool, allocation string) string { return pool + "/" + allocation }

// splitID takes an allocationID apart. IDs of other backends are none.
func splitID(id string) (pool, allocation string, ok bool) {
	pool, allocation, ok = strings.Cut(id, "/")
	return pool, allocation, ok && strings.HasPrefix(pool, poolPrefix) && allocation != ""
}
