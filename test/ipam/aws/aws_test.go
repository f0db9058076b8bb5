// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package aws_test drives pkg/reservation/aws, and the protocol above it, through the real SDK against a fake of EC2 and STS.
package aws_test

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/aws"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/ec2fake"
)

const (
	accessKeyID     = "AKIATESTTESTTESTTEST"
	secretAccessKey = "the+secret/access+key"
)

var garden = reservation.Home{GardenID: "garden-a", Seed: "seed-1"}

// account is a fake with a pool, and how to reach it.
type account struct {
	*ec2fake.Server
	pool   string
	secret func() map[string][]byte
}

// newAccount has one pool of the CIDRs, by default with room for 1,024 prefixes of /64.
func newAccount(t testing.TB, cidrs ...string) *account {
	t.Helper()
	if len(cidrs) == 0 {
		cidrs = []string{"2600:1f00::/54"}
	}
	fake := ec2fake.Start(t)
	fake.AddKey(accessKeyID, secretAccessKey)
	return &account{Server: fake, pool: fake.AddPool(cidrs...), secret: func() map[string][]byte { return staticSecret(accessKeyID, secretAccessKey) }}
}

func staticSecret(id, key string) map[string][]byte {
	return map[string][]byte{"accessKeyID": []byte(id), "secretAccessKey": []byte(key)}
}

func (a *account) config() aws.Config {
	return aws.Config{Region: ec2fake.Region, Endpoint: a.URL, TokenEndpoint: a.URL, MaxBackoff: time.Millisecond}
}

// reserver over the account's pool and others.
func (a *account) reserver(t testing.TB, home reservation.Home, others ...reservation.Pool) *aws.Reserver {
	t.Helper()
	pools := append([]reservation.Pool{poolOf("main", a.pool)}, others...)
	r, err := aws.New("vpc-ipam", a.config(), pools, home, func(context.Context) (map[string][]byte, error) { return a.secret(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func poolOf(name, id string) reservation.Pool {
	return reservation.Pool{Name: name, ID: id, Family: prefix.IPv6, MinBits: 52, MaxBits: 108}
}

func request(bits int, pools ...string) reservation.Request {
	if len(pools) == 0 {
		pools = []string{"main"}
	}
	return reservation.Request{Key: plan.Key{Range: keyword.Services, Family: prefix.IPv6}, Scope: plan.Global, Bits: bits, Pools: pools}
}

// isReal tells a call that allocates from a preview.
func isReal(form url.Values) bool { return form.Get("PreviewNextCidr") != "true" }

func TestConformance(t *testing.T) {
	reservetest.Run(t, reservetest.Subject{
		New: func(t *testing.T) (reservation.Reserver, func() reservation.Reserver) {
			a := newAccount(t)
			return a.reserver(t, garden), func() reservation.Reserver { return a.reserver(t, garden) }
		},
		Scope: plan.Global, Bits: 64, Pools: []string{"main"}, Foreign: netip.MustParsePrefix("2600:1f00:0:3f0::/64"),
	})
}

func TestAllocationBearsItsMark(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	got, err := a.reserver(t, garden).Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Prefix.String()).To(Equal("2600:1f00::/64"))
	g.Expect(got.Seed).To(Equal("seed-1"))
	g.Expect(got.ID).To(HavePrefix(a.pool + "/ipam-pool-alloc-"))
	g.Expect(a.Dump()).To(Equal(a.pool + " 2600:1f00::/64 custom v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-1\n"))
	g.Expect(a.Tags(got.Prefix)).To(Equal([]string{
		"ipv6.networking.extensions.gardener.cloud/garden=garden-a", "ipv6.networking.extensions.gardener.cloud/shoot=uid-1",
	}))
}

func TestLengthIsThePoolsAtMost(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	r := a.reserver(t, garden)
	long, err := r.Allocate(t.Context(), reservetest.Owner(1), request(112))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(long.Prefix.Bits()).To(Equal(108), "the pool's maximum")
	_, err = r.Allocate(t.Context(), reservetest.Owner(2), request(48))
	g.Expect(err).To(MatchError("no pool of backend vpc-ipam fits a /48 (IPv6, Global) for services"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
}

// What is not ours is neither listed nor released nor overwritten: a VPC, somebody's manual allocation, another garden's.
func TestForeignAllocationsAreNotTouched(t *testing.T) {
	g, a := NewWithT(t), newAccount(t, "2600:1f00::/52")
	a.Occupy(a.pool, "2600:1f00::/56", "vpc-0123", "v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-1")
	a.Occupy(a.pool, "2600:1f00:0:100::/56", "", "kept for the fair")
	a.Occupy(a.pool, "2600:1f00:0:200::/56", "", "v1/garden-b/uid-1/nodes-ipv6/1 seed=seed-1")
	before, r := a.Dump(), a.reserver(t, garden)

	g.Expect(r.List(t.Context(), "garden-a")).To(BeEmpty())
	g.Expect(r.Lookup(t.Context(), reservetest.Owner(1))).To(BeEmpty())
	for i, c := range []struct{ cidr, holder string }{
		{"2600:1f00::/56", "vpc-0123 (vpc)"},
		{"2600:1f00:0:100::/56", "ipam-pool-alloc-00000000000000003 (custom), which bears no mark of ours"},
		{"2600:1f00:0:200::/56", "v1/garden-b/uid-1/nodes-ipv6/1"},
	} {
		mine := reservation.Allocation{Owner: reservetest.Owner(i), Prefix: netip.MustParsePrefix(c.cidr)}
		err := r.Release(t.Context(), mine)
		g.Expect(err).To(MatchError(c.cidr + " is held by " + c.holder + ", not by " + mine.Owner.Key() + ": it is not released"))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))

		err = r.Claim(t.Context(), mine)
		g.Expect(err).To(MatchError(c.cidr + " overlaps " + c.cidr + ", which " + c.holder + " holds"))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))
	}
	g.Expect(a.Dump()).To(Equal(before))
	g.Expect(a.Calls("ReleaseIpamPoolAllocation")).To(BeZero())
	g.Expect(a.Calls("AllocateIpamPoolCidr")).To(BeZero())
}

func TestUsage(t *testing.T) {
	g, a := NewWithT(t), newAccount(t, "2600:1f00::/52")
	a.Occupy(a.pool, "2600:1f00::/53", "vpc-0123", "")
	usages, err := a.reserver(t, garden).Usage(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(usages).To(HaveLen(1))
	u := usages[0]
	g.Expect(u.Pool).To(Equal("main"))
	g.Expect([]float64{u.Capacity, u.Free}).To(Equal([]float64{75557863725914323419136, 37778931862957161709568})) // 2^76, 2^75
	g.Expect(u.LargestFree).To(Equal(53))
	g.Expect(u.FreePrefixes).To(HaveLen(57))
	g.Expect([]float64{u.FreePrefixes[52], u.FreePrefixes[53], u.FreePrefixes[56], u.FreePrefixes[64]}).To(Equal([]float64{0, 1, 8, 2048}))
}

// A pool with many CIDRs and allocations is read to the last page; what is not provisioned yet counts for nothing.
func TestUsageReadsAllPages(t *testing.T) {
	var cidrs []string
	for i := range 12 {
		cidrs = append(cidrs, fmt.Sprintf("2600:1f00:%x::/56", i))
	}
	g, a := NewWithT(t), newAccount(t, cidrs...)
	for i := range 11 {
		a.Occupy(a.pool, cidrs[i], fmt.Sprintf("vpc-%d", i), "")
	}
	usages, err := a.reserver(t, garden).Usage(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]float64{usages[0].FreePrefixes[64], usages[0].FreePrefixes[56], usages[0].Capacity / usages[0].Free}).To(Equal([]float64{256, 1, 12}))
}

// Of a pool and one within it both may be configured: that the large one has given space to the small one is in nobody's way.
func TestClaimInAPoolWithinAPool(t *testing.T) {
	g, a := NewWithT(t), newAccount(t, "2600:1f00::/48")
	inner := a.AddPool("2600:1f00:0:100::/56")
	a.Occupy(a.pool, "2600:1f00:0:100::/56", inner, "")
	r, err := aws.New("vpc-ipam", a.config(), []reservation.Pool{poolOf("inner", inner), poolOf("outer", a.pool)}, garden,
		func(context.Context) (map[string][]byte, error) { return a.secret(), nil })
	g.Expect(err).NotTo(HaveOccurred())
	claim := reservation.Allocation{Owner: reservetest.Owner(1), Prefix: netip.MustParsePrefix("2600:1f00:0:101::/64")}
	g.Expect(r.Claim(t.Context(), claim)).To(Succeed())
	g.Expect(a.Prefixes(inner)).To(Equal([]netip.Prefix{claim.Prefix}))
	g.Expect(r.Claim(t.Context(), claim)).To(Succeed())
}

func TestPoolThatDoesNotExist(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	a.pool = "ipam-pool-of-elsewhere"
	_, err := a.reserver(t, garden).Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).To(MatchError("allocating a /64 in pool main (ipam-pool-of-elsewhere): AWS says InvalidIpamPoolId.NotFound: The IPAM pool (ipam-pool-of-elsewhere) does not exist; " +
		"check the pool's ID, its locale (the backend's region) and that it is shared with the account"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
}

// A control plane that moves takes its prefixes along: the mark says afterwards who holds them.
func TestClaimMovesTheMarkToTheOtherSeed(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	old := a.reserver(t, garden)
	held, err := old.Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())

	other := a.reserver(t, reservation.Home{GardenID: "garden-a", Seed: "seed-2"})
	g.Expect(other.Claim(t.Context(), held)).To(Succeed())
	g.Expect(other.Claim(t.Context(), held)).To(Succeed())
	g.Expect(a.Calls("ModifyIpamPoolAllocation")).To(Equal(1), "the second time nothing is left to do")
	g.Expect(a.Dump()).To(Equal(a.pool + " 2600:1f00::/64 custom v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-2\n"))
	listed, err := old.List(t.Context(), "garden-a")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(listed).To(HaveLen(1))
	g.Expect([]string{listed[0].Seed, listed[0].ID}).To(Equal([]string{"seed-2", held.ID}))
}

// What the new seed has taken over is published there: the old one does not release it, although it has seen it as its own before.
func TestWhatAnotherSeedHasTakenOverIsNotReleased(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	old := a.reserver(t, garden)
	held, err := old.Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.reserver(t, reservation.Home{GardenID: "garden-a", Seed: "seed-2"}).Claim(t.Context(), held)).To(Succeed())
	err = old.Release(t.Context(), held)
	g.Expect(err).To(MatchError("2600:1f00::/64 is not released: seed seed-2 has taken it over"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(a.Dump()).To(Equal(a.pool + " 2600:1f00::/64 custom v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-2\n"))
}

func TestClaimOutsideOfThePools(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	err := a.reserver(t, garden).Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(1), Prefix: netip.MustParsePrefix("2600:1f99::/64")})
	g.Expect(err).To(MatchError("2600:1f99::/64 lies in none of the pools of backend vpc-ipam"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
}

// A claim whose reply is lost is found to have been granted, and one that was overtaken to be somebody else's.
func TestClaimUnderFaults(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	r := a.reserver(t, garden)
	mine := reservation.Allocation{Owner: reservetest.Owner(1), Prefix: netip.MustParsePrefix("2600:1f00::/64")}
	for range 4 {
		a.Inject(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})
	}
	g.Expect(r.Claim(t.Context(), mine)).To(Succeed())
	g.Expect(a.Dump()).To(Equal(a.pool + " 2600:1f00::/64 custom v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-1\n"))

	theirs := reservation.Allocation{Owner: reservetest.Owner(2), Prefix: netip.MustParsePrefix("2600:1f00:0:8::/64")}
	a.Inject(ec2fake.Fault{Action: "AllocateIpamPoolCidr", Before: func() { a.Occupy(a.pool, "2600:1f00:0:8::/62", "vpc-7", "") }})
	err := r.Claim(t.Context(), theirs)
	g.Expect(err).To(MatchError("2600:1f00:0:8::/64 overlaps 2600:1f00:0:8::/62, which vpc-7 (vpc) holds"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))

	a.Inject(ec2fake.Fault{Action: "AllocateIpamPoolCidr", Before: func() {
		a.Occupy(a.pool, "2600:1f00:0:10::/64", "vpc-8", "")
		a.Lag(1)
	}})
	err = r.Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(2), Prefix: netip.MustParsePrefix("2600:1f00:0:10::/64")})
	g.Expect(err).To(MatchError(ContainSubstring("although nobody is seen to hold it")))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
}

// Prefixes that are in use elsewhere are found by previews, which take nothing.
func TestAllocateLeadsAroundWhatIsInUse(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	r, want := a.reserver(t, garden), request(64)
	want.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2600:1f00::/64"), netip.MustParsePrefix("2600:1f00:0:1:8000::/65"), netip.MustParsePrefix("2600:1f00:0:2::/63"))
	got, err := r.Allocate(t.Context(), reservetest.Owner(1), want)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Prefix.String()).To(Equal("2600:1f00:0:4::/64"))
	g.Expect(a.Prefixes(a.pool)).To(Equal([]netip.Prefix{got.Prefix}))

	want.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2600::/12"))
	_, err = r.Allocate(t.Context(), reservetest.Owner(2), want)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Exhausted))
}
