// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp_test

import (
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/gcp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/computefake"
)

func TestWhatStandsInTheCloud(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	a, b := w.reserver(t, "seed-a", west), w.reserver(t, "europe.seed-b", west)
	got, err := a.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	const address = "projects/my-project/regions/europe-west1/addresses/ipv6-e99c85f5a917c79556f74cbb12300c9f"
	g.Expect(got.ID).To(Equal(address))
	const line = address + ` 2600:1900:4010:a::/96 "v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-a"`
	g.Expect(w.Dump()).To(Equal(line))

	g.Expect(b.Claim(t.Context(), got)).To(Succeed())
	g.Expect(w.Dump()).To(Equal(line + " map[ipv6-gardener-cloud-seed:europe_seed-b]"))
	found, err := a.Lookup(t.Context(), reservetest.Owner(1))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found[0].Seed).To(Equal("europe.seed-b"))

	g.Expect(a.Claim(t.Context(), got)).To(Succeed(), "and back again")
	g.Expect(w.Dump()).To(Equal(line + " map[ipv6-gardener-cloud-seed:seed-a]"))
}

// A seed whose name is too long for a label knows its own mark again, and others see that it is not theirs.
func TestLongSeed(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	long := strings.Repeat("seed.", 20) + "eu"
	a, b := w.reserver(t, "seed-a", west), w.reserver(t, long, west)
	got, err := a.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.Claim(t.Context(), got)).To(Succeed())
	for r, want := range map[*gcp.Reserver]string{a: "sha256-bd69f1468bcc33754c73ae61cfea1a24cb4e85a821ebe153be7d78ed", b: long} {
		found, err := r.Lookup(t.Context(), reservetest.Owner(1))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found[0].Seed).To(Equal(want))
	}
}

// Somebody else wrote labels in between: the fingerprint tells, and the next try sees them.
func TestLabelsOfOthersStay(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	a, b := w.reserver(t, "seed-a", west), w.reserver(t, "seed-b", west)
	got, err := a.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	w.Inject(computefake.Fault{Method: "addresses.setLabels", Status: 412, Reason: "conditionNotMet", Message: "Labels fingerprint invalid"})
	err = b.Claim(t.Context(), got)
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	w.Label(got.ID, map[string]string{"cost": "42"})
	g.Expect(b.Claim(t.Context(), got)).To(Succeed())
	g.Expect(w.Dump()).To(HaveSuffix(" map[cost:42 ipv6-gardener-cloud-seed:seed-b]"))
}

// One of the subnetworks has lost its range: what lies in another is claimed all the same.
func TestClaimBesideAPoolThatIsGone(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	r := w.reserver(t, "seed-a", old, west)
	g.Expect(r.Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(1), Prefix: second})).To(Succeed())
	err := r.Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(2), Prefix: netip.MustParsePrefix("2600:1900:ffff::/96")})
	g.Expect(kind(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("claiming 2600:1900:ffff::/96: no pool of backend gcp contains it; pool pool-0 (" + old +
		") has no IPv6 range: make it dual-stack or IPv6-only, or choose another"))
}

// What the new seed has taken over is published there: the old one does not release it, although it has seen it as its own before.
func TestWhatAnotherSeedHasTakenOverIsNotReleased(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	a, b := w.reserver(t, "seed-a", west), w.reserver(t, "seed-b", west)
	got, err := a.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.Claim(t.Context(), got)).To(Succeed())
	err = a.Release(t.Context(), got)
	g.Expect(err).To(MatchError(got.ID + " (2600:1900:4010:a::/96) is not released: seed seed-b has taken it over"))
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	g.Expect(w.Dump()).To(HaveSuffix(" map[ipv6-gardener-cloud-seed:seed-b]"))
}

// What bears no mark of ours is never touched, whatever its name.
func TestStrangersAreLeftAlone(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	r := w.reserver(t, "seed-a", west)
	got, err := r.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, description := range []string{"", "mine", "v1/garden-a/uid-2/nodes-ipv6/1 seed=seed-a"} {
		w.Describe(got.ID, description)
		_, err = r.Lookup(t.Context(), reservetest.Owner(1))
		g.Expect(kind(err)).To(Equal(reservation.Conflict))
		g.Expect(err).To(MatchError(got.ID + " does not bear the mark of v1/garden-a/uid-1/nodes-ipv6/1: somebody else made it; delete or rename it"))
		_, err = r.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
		g.Expect(kind(err)).To(Equal(reservation.Conflict))
		g.Expect(kind(r.Release(t.Context(), got))).To(Equal(reservation.Conflict))
		g.Expect(r.List(t.Context(), "garden-a")).To(BeEmpty())
	}
	g.Expect(w.Calls("addresses.delete")).To(BeZero())
}

// A range that is in use elsewhere, as the service can't know, is exchanged for another.
func TestAvoided(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	avoid := request("pool-0")
	avoid.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2600:1900:4010:a::/80"))
	got, err := w.reserver(t, "seed-a", west).Allocate(t.Context(), reservetest.Owner(1), avoid)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(avoid.Accepts(got.Prefix)).To(Succeed())
	g.Expect(netip.MustParsePrefix("2600:1900:4010:a::/65").Overlaps(got.Prefix)).To(BeTrue(), "%s is in the half of the VMs", got.Prefix)
	g.Expect(lines(w)).To(HaveLen(1))

	avoid.Avoid = reservation.AvoidAll(westRange)
	_, err = w.reserver(t, "seed-a", west).Allocate(t.Context(), reservetest.Owner(2), avoid)
	g.Expect(kind(err)).To(Equal(reservation.Exhausted))
	g.Expect(lines(w)).To(HaveLen(1))
}

func TestRequestsThatCannotBeServed(t *testing.T) {
	w := newWorld(t)
	r := w.reserver(t, "seed-a", west, inner, old, "projects/my-project/regions/europe-west1/subnetworks/missing")
	private := request("pool-0")
	private.Scope = plan.Private
	large := request("pool-0")
	large.Bits = 64
	for _, c := range []struct {
		request reservation.Request
		want    string
	}{
		{request("pool-7"), `backend gcp has no pool "pool-7"`},
		{request(), "backend gcp: the request names no pool"},
		{large, "backend gcp: a /64 (IPv6, Global) for services: Compute Engine reserves nothing larger than a /96"},
		{private, "pool pool-0 (" + west + ") has only external addresses: 2600:1900:4010:a::/96 is not unique local (RFC 4193)"},
		{request("pool-1"), "pool pool-1 (" + inner + ") has only internal addresses: fd20:abc:12:3::/96 is not global, but unique local (RFC 4193)"},
		{request("pool-2"), "pool pool-2 (" + old + ") has no IPv6 range: make it dual-stack or IPv6-only, or choose another"},
		{request("pool-3"), "reading the subnetwork of pool pool-3 (projects/my-project/regions/europe-west1/subnetworks/missing): " +
			"notFound: The resource 'projects/my-project/regions/europe-west1/subnetworks/missing' was not found"},
	} {
		g := NewWithT(t)
		_, err := r.Allocate(t.Context(), reservetest.Owner(1), c.request)
		g.Expect(kind(err)).To(Equal(reservation.Invalid), c.want)
		g.Expect(err).To(MatchError(c.want))
	}
	g := NewWithT(t)
	g.Expect(w.Dump()).To(BeEmpty())

	private.Pools = []string{"pool-1"}
	got, err := r.Allocate(t.Context(), reservetest.Owner(1), private)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Prefix).To(Equal(netip.MustParsePrefix("fd20:abc:12:3::/96")))

	for _, c := range []struct{ prefix, want string }{
		{"2600:1900:4010:a::/64", "claiming 2600:1900:4010:a::/64: Compute Engine reserves IPv6 prefixes of /96 only"},
		{"10.0.0.0/24", "claiming 10.0.0.0/24: Compute Engine reserves IPv6 prefixes of /96 only"},
	} {
		err := r.Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(2), Prefix: netip.MustParsePrefix(c.prefix)})
		g.Expect(kind(err)).To(Equal(reservation.Invalid))
		g.Expect(err).To(MatchError(c.want))
	}
	err = w.reserver(t, "seed-a", west).Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(2), Prefix: netip.MustParsePrefix("2001:db8::/96")})
	g.Expect(kind(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("claiming 2001:db8::/96: no pool of backend gcp contains it"))
}

// An owner has one range a region: to claim another one is a conflict.
func TestClaimAnother(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	r := w.reserver(t, "seed-a", west)
	got, err := r.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	got.Prefix = second
	err = r.Claim(t.Context(), got)
	g.Expect(kind(err)).To(Equal(reservation.Conflict))
	g.Expect(err).To(MatchError("claiming 2600:1900:4010:a:0:1::/96: v1/garden-a/uid-1/nodes-ipv6/1 holds 2600:1900:4010:a::/96 already, in the region of pool pool-0 (" + west + ")"))

	// A VM has the range that is claimed.
	w.Take(west, netip.MustParsePrefix("2600:1900:4010:a:0:9::/96"))
	err = r.Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(2), Prefix: netip.MustParsePrefix("2600:1900:4010:a:0:9::/96")})
	g.Expect(kind(err)).To(Equal(reservation.Conflict))
}

func TestUsage(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.Quota(3)
	r := w.reserver(t, "seed-a", west, west2, inner)
	_, err := r.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	const size = 1 << 32
	g.Expect(r.Usage(t.Context())).To(Equal([]reservation.Usage{
		{Pool: "pool-0", Capacity: 3 * size, Free: 2 * size, LargestFree: 96, FreePrefixes: map[int]float64{96: 2}},
		{Pool: "pool-1", Capacity: 3 * size, Free: 2 * size, LargestFree: 96, FreePrefixes: map[int]float64{96: 2}},
		{Pool: "pool-2", Capacity: 1 << 63, Free: 1 << 63, LargestFree: 96, FreePrefixes: map[int]float64{96: 1 << 31}},
	}))
	w.Quota(1)
	full, err := r.Usage(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(full[0]).To(Equal(reservation.Usage{Pool: "pool-0", Capacity: size, LargestFree: -1, FreePrefixes: map[int]float64{96: 0}}))
}

func TestPoolsOfTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		pool reservation.Pool
		want string
	}{
		{reservation.Pool{Name: "p", ID: "shoots", Family: prefix.IPv6, MinBits: 96, MaxBits: 96},
			`backend gcp: pool p: id "shoots" is not of the form projects/<project>/regions/<region>/subnetworks/<subnetwork>`},
		{reservation.Pool{Name: "p", ID: west, Family: prefix.IPv6, MinBits: 64, MaxBits: 96},
			"backend gcp: pool p: lengths from /64 to /96: Compute Engine reserves nothing but /96, set both to 96"},
		{reservation.Pool{Name: "p", ID: west, Family: prefix.IPv4, MinBits: 96, MaxBits: 96}, "backend gcp: pool p: family IPv4: only IPv6 can be reserved"},
	} {
		g := NewWithT(t)
		_, err := gcp.New("gcp", gcp.Config{}, []reservation.Pool{c.pool}, reservation.Home{}, nil)
		g.Expect(kind(err)).To(Equal(reservation.Invalid))
		g.Expect(err).To(MatchError(c.want))
	}
}
