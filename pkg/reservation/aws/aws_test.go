// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

var owner = reservation.Owner{GardenID: "landscape/eu", ShootUID: "0b7d6a0e-1111-4222-8333-444455556666", Range: "services-ipv6", Attempt: 2}

func TestKindOf(t *testing.T) {
	for kind, codes := range map[reservation.Kind][]string{
		reservation.Retry:        {"RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException", "BandwidthLimitExceeded", "IncorrectState", "DependencyViolation"},
		reservation.Exhausted:    {"InsufficientCidrBlocks", "InsufficientFreeAddressesInSubnet", "IpamPoolAllocationsExhausted"},
		reservation.Quota:        {"ResourceLimitExceeded", "IpamPoolAllocationLimitExceeded", "TagLimitExceeded", "ServiceQuotaExceeded"},
		reservation.Unauthorized: {"UnauthorizedOperation", "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "AccessDenied", "OptInRequired", "RequestExpired"},
		reservation.Invalid:      {"InvalidParameterValue", "InvalidParameterCombination", "InvalidIpamPoolId.NotFound", "MissingParameter", "UnsupportedOperation", "ValidationError", "UnknownParameter"},
		reservation.Ambiguous:    {"IdempotentParameterMismatch"},
		"":                       {"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "UnknownError"},
	} {
		for _, code := range codes {
			NewWithT(t).Expect(kindOf(code, "")).To(Equal(kind), code)
		}
	}
	NewWithT(t).Expect(kindOf("InvalidParameterValue", "The allocation size is too big for the pool.")).To(Equal(reservation.Exhausted))
}

func TestDescription(t *testing.T) {
	g := NewWithT(t)
	text := describe(owner, "aws-eu1")
	g.Expect(text).To(Equal("v1/landscape%2Feu/0b7d6a0e-1111-4222-8333-444455556666/services-ipv6/2 seed=aws-eu1"))
	back, seed, ours := parseDescription(text)
	g.Expect([]any{back, seed, ours}).To(Equal([]any{owner, "aws-eu1", true}))

	for _, foreign := range []string{
		"", "reserved for the fair", "v1/garden/uid/nodes-ipv6/1", "v2/garden/uid/nodes-ipv6/1 seed=s", "v1/garden/uid/nodes-ipv6 seed=s", "seed=s",
	} {
		_, _, ours := parseDescription(foreign)
		g.Expect(ours).To(BeFalse(), "%q", foreign)
	}
}

// The longest names that Gardener allows fit into the fields.
func TestMarksFit(t *testing.T) {
	g := NewWithT(t)
	long := reservation.Owner{GardenID: strings.Repeat("g", 63), ShootUID: owner.ShootUID, Range: "services-ipv6", Attempt: 99}
	g.Expect(len(describe(long, strings.Repeat("s", 63)))).To(BeNumerically("<=", 255))
	g.Expect(len(clientToken(long, []string{"2001:db8::/32", "2001:db9::/32"}))).To(BeNumerically("<=", 64))
	for _, tag := range tags(long)[0].Tags {
		g.Expect(len(*tag.Key)).To(BeNumerically("<=", 128))
	}
}

func TestClientToken(t *testing.T) {
	g := NewWithT(t)
	g.Expect(clientToken(owner, nil)).To(Equal(owner.Hash()))
	one, other := clientToken(owner, []string{"2001:db8::/64", "2001:db8:1::/64"}), clientToken(owner, []string{"2001:db8:1::/64", "2001:db8::/64"})
	g.Expect(one).To(Equal(other), "the order does not matter")
	g.Expect(one).NotTo(Equal(clientToken(owner, []string{"2001:db8::/64"})))
	g.Expect(one).To(HavePrefix(owner.Hash() + "-"))
}

func TestSplitID(t *testing.T) {
	g := NewWithT(t)
	pool, id, ok := splitID(allocationID("ipam-pool-1", "ipam-pool-alloc-2"))
	g.Expect([]any{pool, id, ok}).To(Equal([]any{"ipam-pool-1", "ipam-pool-alloc-2", true}))
	for _, foreign := range []string{"", "claimed", "ipam-pool-1", "ipam-pool-1/", "0d7e1f6a-9f5e/x"} {
		_, _, ok := splitID(foreign)
		g.Expect(ok).To(BeFalse(), "%q", foreign)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	none := func(context.Context) (map[string][]byte, error) { return nil, nil }
	pools := []reservation.Pool{{Name: "main", ID: "ipam-pool-1", Family: prefix.IPv6}}
	for says, build := range map[string]func() (*Reserver, error){
		"backend vpc: the region of the IPAM pools is not known; want for example eu-west-1": func() (*Reserver, error) {
			return New("vpc", Config{}, pools, reservation.Home{}, none)
		},
		"backend vpc: there are no credentials": func() (*Reserver, error) {
			return New("vpc", Config{Region: "eu-west-1"}, pools, reservation.Home{}, nil)
		},
		"backend vpc: there are no pools": func() (*Reserver, error) {
			return New("vpc", Config{Region: "eu-west-1"}, nil, reservation.Home{}, none)
		},
		`backend vpc, pool main: "0d7e1f6a" is not the ID of an IPAM pool; want ipam-pool-…`: func() (*Reserver, error) {
			return New("vpc", Config{Region: "eu-west-1"}, []reservation.Pool{{Name: "main", ID: "0d7e1f6a"}}, reservation.Home{}, none)
		},
	} {
		_, err := build()
		NewWithT(t).Expect(err).To(MatchError(says))
		NewWithT(t).Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	}
}
