// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package reservetest is the conformance suite that every adapter of reservation.Reserver passes.
package reservetest

import (
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

// Subject is an adapter under test.
type Subject struct {
	// New makes an adapter over nothing; each further call of Again gives another one over the same state, as a second
	// process would have it.
	New func(t *testing.T) (first reservation.Reserver, again func() reservation.Reserver)
	// Scope and Bits of requests that it serves; there is room for at least 64 of them.
	Scope plan.Scope
	Bits  int
	// Pools that requests may be served from.
	Pools []string
	// Foreign is a prefix of that length that can be claimed.
	Foreign netip.Prefix
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
	t.Run("lists by garden", s.testList)
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
	const n = 64
	var (
		wg   sync.WaitGroup
		got  [n]reservation.Allocation
		errs [n]error
	)
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
	claim := reservation.Allocation{Owner: Owner(1), ID: "claimed", Prefix: s.Foreign}
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
