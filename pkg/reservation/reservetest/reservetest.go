// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package reservetest is the conformance suite that every adapter of reservation.Reserver passes.
package reservetest

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Seeds that the suite uses, beside the one that New's adapters are of.
const (
	SeedA = "seed-a"
	SeedB = "seed-b"
)

// Subject is an adapter under test. What is optional is not tested when it is left out.
type Subject struct {
	// New makes an adapter over nothing; each further call of Again gives another one over the same state, as a second
	// process would have it.
	New func(t *testing.T) (first reservation.Reserver, again func() reservation.Reserver)
	// Scope and Bits of requests that it serves; there is room for at least Many of them.
	Scope plan.Scope
	Bits  int
	// Pools that requests may be served from.
	Pools []string
	// Foreign is a prefix of that length that can be claimed. Optional, for backends that cannot give out a certain prefix;
	// Claim then answers with the kind Invalid.
	Foreign netip.Prefix
	// Many is how many prefixes are allocated at once; 64 if zero.
	Many int
	// Idempotent is true if Allocate, called twice for one owner, gives the same prefix twice.
	Idempotent bool
	// Seeds makes two adapters over nothing, the same for both, one for each of the two seeds SeedA and SeedB. Optional, for
	// backends that are one seed's own.
	Seeds func(t *testing.T) (a, b reservation.Reserver)
	// Full makes an adapter over pools with room for that many requests, one at least. Optional.
	Full func(t *testing.T) (r reservation.Reserver, room int)
	// Lossy makes an adapter and a function after whose call the reply to the next call that allocates is lost, although the
	// service has done what it was asked. Optional, for backends without a service.
	Lossy func(t *testing.T) (r reservation.Reserver, lose func())
}

// Owner number i of the garden "garden-a".
func Owner(i int) reservation.Owner {
	return reservation.Owner{GardenID: "garden-a", ShootUID: fmt.Sprintf("uid-%d", i), Range: "nodes-ipv6", Attempt: 1}
}

func (s Subject) request(avoid ...netip.Prefix) reservation.Request {
	return reservation.Request{
		Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: s.Scope, Bits: s.Bits, Pools: s.Pools,
		Avoid: reservation.AvoidAll(avoid...),
	}
}

// Run the suite.
func Run(t *testing.T, s Subject) {
	t.Run("holds nothing for an owner it does not know", s.testUnknown)
	t.Run("finds again what it allocated", s.testAllocate)
	t.Run("distinguishes attempts", s.testAttempts)
	t.Run("stays out of what is to be avoided", s.testAvoid)
	t.Run("gives disjoint prefixes to many at once", s.testConcurrent)
	t.Run("releases only what is the owner's, and twice without an error", s.testRelease)
	t.Run("claims once", s.testClaim)
	t.Run("claims nothing that another owner was given", s.testClaimOfTaken)
	t.Run("lists by garden", s.testList)
	optional := func(name string, given bool, test func(*testing.T)) {
		if given {
			t.Run(name, test)
		}
	}
	optional("gives one owner the same twice", s.Idempotent, s.testIdempotent)
	optional("marks the seed, and anew when another one claims", s.Seeds != nil, s.testSeeds)
	optional("says that it is exhausted, and recovers", s.Full != nil, s.testFull)
	optional("says that a lost reply is ambiguous, and finds what it was about", s.Lossy != nil, s.testLossy)
}

func (s Subject) testUnknown(t *testing.T) {
	g := gomega.NewWithT(t)
	r, _ := s.New(t)
	g.Expect(r.Lookup(t.Context(), Owner(1))).To(gomega.BeEmpty())
	g.Expect(r.List(t.Context(), "garden-a")).To(gomega.BeEmpty())
}

func (s Subject) testAllocate(t *testing.T) {
	g := gomega.NewWithT(t)
	r, again := s.New(t)
	got, err := r.Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(s.request().Accepts(got.Prefix)).To(gomega.Succeed())
	g.Expect(got.Owner).To(gomega.Equal(Owner(1)))
	g.Expect(got.Since).NotTo(gomega.BeZero())

	found, err := again().Lookup(t.Context(), Owner(1))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(found).To(gomega.HaveLen(1))
	g.Expect([]any{found[0].ID, found[0].Prefix, found[0].Owner}).To(gomega.Equal([]any{got.ID, got.Prefix, got.Owner}))
	g.Expect(again().Lookup(t.Context(), Owner(2))).To(gomega.BeEmpty())
}

func (s Subject) testAttempts(t *testing.T) {
	g := gomega.NewWithT(t)
	r, _ := s.New(t)
	_, err := r.Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	second := Owner(1)
	second.Attempt = 2
	g.Expect(r.Lookup(t.Context(), second)).To(gomega.BeEmpty())
}

func (s Subject) testAvoid(t *testing.T) {
	g := gomega.NewWithT(t)
	r, _ := s.New(t)
	first, err := r.Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(r.Release(t.Context(), first)).To(gomega.Succeed())
	second, err := r.Allocate(t.Context(), Owner(2), s.request(first.Prefix))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(second.Prefix.Overlaps(first.Prefix)).To(gomega.BeFalse())
}

func (s Subject) testConcurrent(t *testing.T) {
	g := gomega.NewWithT(t)
	r, again := s.New(t)
	replicas := []reservation.Reserver{r, again(), again(), again()}
	n := cmp.Or(s.Many, 64)
	var wg sync.WaitGroup
	got, errs := make([]reservation.Allocation, n), make([]error, n)
	for i := range n {
		wg.Go(func() { got[i], errs[i] = replicas[i%len(replicas)].Allocate(t.Context(), Owner(i), s.request()) })
	}
	wg.Wait()
	for i := range n {
		g.Expect(errs[i]).NotTo(gomega.HaveOccurred())
		for j := range i {
			g.Expect(got[i].Prefix.Overlaps(got[j].Prefix)).To(gomega.BeFalse(), "%s and %s", got[i].Prefix, got[j].Prefix)
		}
	}
	g.Expect(r.List(t.Context(), "garden-a")).To(gomega.HaveLen(n))
}

func (s Subject) testRelease(t *testing.T) {
	g := gomega.NewWithT(t)
	r, again := s.New(t)
	got, err := r.Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())

	stolen := got
	stolen.Owner = Owner(2)
	g.Expect(r.Release(t.Context(), stolen)).NotTo(gomega.Succeed())
	g.Expect(again().Lookup(t.Context(), Owner(1))).To(gomega.HaveLen(1))

	g.Expect(r.Release(t.Context(), got)).To(gomega.Succeed())
	g.Expect(again().Lookup(t.Context(), Owner(1))).To(gomega.BeEmpty())
	g.Expect(r.Release(t.Context(), got)).To(gomega.Succeed())
}

func (s Subject) testClaim(t *testing.T) {
	g := gomega.NewWithT(t)
	r, again := s.New(t)
	if !s.Foreign.IsValid() {
		got, err := r.Allocate(t.Context(), Owner(1), s.request())
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(again().Claim(t.Context(), got)).To(gomega.Succeed(), "what it holds already")
		g.Expect(again().Lookup(t.Context(), Owner(1))).To(gomega.HaveLen(1))
		g.Expect(r.Release(t.Context(), got)).To(gomega.Succeed())
		g.Expect(reservation.KindOf(r.Claim(t.Context(), got))).To(gomega.Equal(reservation.Invalid))
		return
	}
	claim := reservation.Allocation{Owner: Owner(1), Prefix: s.Foreign}
	g.Expect(r.Claim(t.Context(), claim)).To(gomega.Succeed())
	g.Expect(again().Claim(t.Context(), claim)).To(gomega.Succeed())
	g.Expect(again().Lookup(t.Context(), Owner(1))).To(gomega.HaveLen(1))

	claim.Owner = Owner(2)
	err := again().Claim(t.Context(), claim)
	g.Expect(err).To(gomega.HaveOccurred())
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Conflict))
}

func (s Subject) testList(t *testing.T) {
	g := gomega.NewWithT(t)
	r, _ := s.New(t)
	stranger := Owner(2)
	stranger.GardenID = "garden-b"
	for _, owner := range []reservation.Owner{Owner(1), stranger} {
		_, err := r.Allocate(t.Context(), owner, s.request())
		g.Expect(err).NotTo(gomega.HaveOccurred())
	}
	listed, err := r.List(t.Context(), "garden-a")
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(listed).To(gomega.HaveLen(1))
	g.Expect(listed[0].Owner).To(gomega.Equal(Owner(1)))
}

func (s Subject) testClaimOfTaken(t *testing.T) {
	g := gomega.NewWithT(t)
	r, again := s.New(t)
	got, err := r.Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(again().Claim(t.Context(), got)).To(gomega.Succeed(), "the owner's own")
	g.Expect(again().Lookup(t.Context(), Owner(1))).To(gomega.HaveLen(1))
	got.Owner = Owner(2)
	g.Expect(reservation.KindOf(again().Claim(t.Context(), got))).To(gomega.BeElementOf(reservation.Conflict, reservation.Invalid))
	g.Expect(again().Lookup(t.Context(), Owner(1))).To(gomega.HaveLen(1))
	g.Expect(again().Lookup(t.Context(), Owner(2))).To(gomega.BeEmpty())
}

func (s Subject) testIdempotent(t *testing.T) {
	g := gomega.NewWithT(t)
	r, again := s.New(t)
	first, err := r.Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	second, err := again().Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect([]any{second.ID, second.Prefix}).To(gomega.Equal([]any{first.ID, first.Prefix}))
	g.Expect(again().Lookup(t.Context(), Owner(1))).To(gomega.HaveLen(1))
}

func (s Subject) testSeeds(t *testing.T) {
	g := gomega.NewWithT(t)
	a, b := s.Seeds(t)
	got, err := a.Allocate(t.Context(), Owner(1), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	seed := func(r reservation.Reserver) []string {
		found, err := r.Lookup(t.Context(), Owner(1))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		listed, err := r.List(t.Context(), "garden-a")
		g.Expect(err).NotTo(gomega.HaveOccurred())
		var seeds []string
		for _, x := range append(found, listed...) {
			g.Expect(x.Prefix).To(gomega.Equal(got.Prefix))
			seeds = append(seeds, x.Seed)
		}
		return seeds
	}
	g.Expect(got.Seed).To(gomega.Equal(SeedA))
	g.Expect(seed(b)).To(gomega.Equal([]string{SeedA, SeedA}))
	for range 2 {
		g.Expect(b.Claim(t.Context(), reservation.Allocation{Owner: Owner(1), Prefix: got.Prefix})).To(gomega.Succeed())
		g.Expect(seed(a)).To(gomega.Equal([]string{SeedB, SeedB}))
	}
	found, err := b.Lookup(t.Context(), Owner(1))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(b.Release(t.Context(), found[0])).To(gomega.Succeed())
	g.Expect(seed(a)).To(gomega.BeEmpty())
}

func (s Subject) testFull(t *testing.T) {
	g := gomega.NewWithT(t)
	r, room := s.Full(t)
	var last reservation.Allocation
	for i := range room {
		var err error
		last, err = r.Allocate(t.Context(), Owner(i), s.request())
		g.Expect(err).NotTo(gomega.HaveOccurred())
	}
	_, err := r.Allocate(t.Context(), Owner(room), s.request())
	g.Expect(err).To(gomega.HaveOccurred())
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Exhausted), "%v", err)
	g.Expect(r.Lookup(t.Context(), Owner(room))).To(gomega.BeEmpty())
	g.Expect(r.List(t.Context(), "garden-a")).To(gomega.HaveLen(room))

	g.Expect(r.Release(t.Context(), last)).To(gomega.Succeed())
	_, err = r.Allocate(t.Context(), Owner(room), s.request())
	g.Expect(err).NotTo(gomega.HaveOccurred())
}

func (s Subject) testLossy(t *testing.T) {
	g := gomega.NewWithT(t)
	r, lose := s.Lossy(t)
	lose()
	_, err := r.Allocate(t.Context(), Owner(1), s.request())
	if err != nil || !s.Idempotent { // who may ask again may do so behind the scenes
		g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Ambiguous), "%v", err)
	}
	found, err := r.Lookup(t.Context(), Owner(1))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(found).To(gomega.HaveLen(1))
	g.Expect(s.request().Accepts(found[0].Prefix)).To(gomega.Succeed())
	g.Expect(r.Release(t.Context(), found[0])).To(gomega.Succeed())
}
