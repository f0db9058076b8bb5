// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"net/http"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func (s Site) noRights(t *testing.T) {
	g := gomega.NewWithT(t)
	place := s.Place(t, 4)
	place.Config = rest.AnonymousClientConfig(place.Config)
	place.Config.BearerToken = "token-that-was-rotated"
	c, err := client.New(place.Config, client.Options{})
	g.Expect(err).NotTo(gomega.HaveOccurred())
	r, err := place.Open("service", place.Pools, Home, Brief, c)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = r.Allocate(t.Context(), Owner("shoot"), Request("first"))
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Unauthorized))
	g.Expect(err).NotTo(gomega.MatchError(gomega.ContainSubstring("rotated")), "no credential in an error")
	_, err = r.List(t.Context(), Home.GardenID)
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Unauthorized), "and no empty list")
}

// deletedWhileAllocating: the shoot goes while its object waits for an answer.
func (s Site) deletedWhileAllocating(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	s.Stop(t)
	r := place.Reserver(t, Home, Brief, nil)
	_, err := ensure(t.Context(), journal, owner, r, Request("first"), nil)
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Ambiguous))
	g.Expect(place.Objects(t)).To(gomega.HaveLen(1))
	err = release(t.Context(), journal, owner, r)
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Ambiguous), "it may be answered yet")
	s.Start(t)
	g.Expect(release(t.Context(), journal, owner, place.Reserver(t, Home, Generous, nil))).To(gomega.Succeed())
	g.Expect(place.Objects(t)).To(gomega.BeEmpty())
	g.Expect(r.List(t.Context(), Home.GardenID)).To(gomega.BeEmpty())
}

func (s Site) deleteReplyLost(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	_, err := ensure(t.Context(), journal, owner, place.Reserver(t, Home, Generous, nil), Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	fault := &Fault{Matches: method(http.MethodDelete), Sent: true}
	r := place.Reserver(t, Home, Generous, fault.Wrap)
	err = release(t.Context(), journal, owner, r)
	g.Expect(fault.Hit()).To(gomega.BeTrue())
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Ambiguous))
	g.Eventually(func() error { return release(t.Context(), journal, owner, r) }, Generous, 50*time.Millisecond).Should(gomega.Succeed())
	g.Expect(place.Objects(t)).To(gomega.BeEmpty())
}

// deletedByHand: what is bound is looked after with Claim, and comes back as it was.
func (s Site) deletedByHand(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	r := place.Reserver(t, Home, Generous, nil)
	// The second one is lost: what the service would choose next is another one.
	first, err := ensure(t.Context(), &Journal{}, Owner("other"), r, Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	record, err := ensure(t.Context(), journal, owner, r, Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	place.DeleteByHand(t, first.ID)
	place.DeleteByHand(t, record.ID)
	g.Expect(r.Lookup(t.Context(), attempt(owner, 1))).To(gomega.BeEmpty())

	again, err := ensure(t.Context(), journal, owner, r, Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(again).To(gomega.Equal(record), "what is bound is never replaced")
	g.Expect(r.Claim(t.Context(), held(owner, record))).To(gomega.Succeed())
	g.Expect(place.Objects(t)).To(gomega.Equal([]string{record.ID}))
	found, err := r.Lookup(t.Context(), attempt(owner, 1))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(found).To(gomega.HaveLen(1))
	g.Expect(found[0].Prefix).To(gomega.Equal(record.Prefix))

	// The service has taken note: it gives the others, and not this one.
	for _, uid := range []string{"a", "b", "c"} {
		got, err := r.Allocate(t.Context(), Owner(uid), Request("first"))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(got.Prefix).NotTo(gomega.Equal(record.Prefix))
	}
}

func (s Site) givenAway(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	r := place.Reserver(t, Home, Generous, nil)
	record, err := ensure(t.Context(), journal, owner, r, Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	place.DeleteByHand(t, record.ID)
	place.Take(t, record.Prefix)
	others := place.Objects(t)
	err = r.Claim(t.Context(), held(owner, record))
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Conflict))
	g.Expect(err).To(gomega.MatchError(gomega.ContainSubstring(record.Prefix.String() + " is held by ")))
	g.Expect(place.Objects(t)).To(gomega.Equal(others))
}

func (s Site) recreated(t *testing.T) {
	g := gomega.NewWithT(t)
	place := s.Place(t, 4)
	r := place.Reserver(t, Home, Generous, nil)
	before, after := &Journal{}, &Journal{}
	old, err := ensure(t.Context(), before, Owner("uid-1"), r, Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	young, err := ensure(t.Context(), after, Owner("uid-2"), r, Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(young.Prefix).NotTo(gomega.Equal(old.Prefix))
	g.Expect(release(t.Context(), before, Owner("uid-1"), r)).To(gomega.Succeed())
	g.Expect(place.Objects(t)).To(gomega.Equal([]string{young.ID}))
}

// restored: the journal is older than what was done. What was allocated since is found again.
func (s Site) restored(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	record, err := ensure(t.Context(), journal, owner, place.Reserver(t, Home, Generous, nil), Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	old := &Journal{stored: reservation.Record{Phase: reservation.Allocating, Backend: "service", Attempt: 1}}
	again, err := ensure(t.Context(), old, owner, place.Reserver(t, Home, Generous, nil), Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(again).To(gomega.Equal(record))
}

// inFlight: what waits for its answer holds nothing, so that there is nothing to collect; from the answer on it is listed with
// the age of its object.
func (s Site) inFlight(t *testing.T) {
	g := gomega.NewWithT(t)
	place := s.Place(t, 4)
	s.Stop(t)
	r := place.Reserver(t, Home, Brief, nil)
	_, err := r.Allocate(t.Context(), attempt(Owner("shoot"), 1), Request("first"))
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Ambiguous))
	g.Expect(place.Objects(t)).To(gomega.HaveLen(1))
	g.Expect(r.List(t.Context(), Home.GardenID)).To(gomega.BeEmpty())
	s.Start(t)
	var listed []reservation.Allocation
	g.Eventually(func() ([]reservation.Allocation, error) {
		listed, err = r.List(t.Context(), Home.GardenID)
		return listed, err
	}, Generous, 50*time.Millisecond).Should(gomega.HaveLen(1))
	g.Expect(listed[0].Owner).To(gomega.Equal(attempt(Owner("shoot"), 1)))
	g.Expect(listed[0].Seed).To(gomega.Equal("seed-a"))
	g.Expect(listed[0].Since).NotTo(gomega.BeZero())
	g.Expect(r.List(t.Context(), "garden-b")).To(gomega.BeEmpty())
	g.Expect(r.Release(t.Context(), listed[0])).To(gomega.Succeed())
	g.Expect(place.Objects(t)).To(gomega.BeEmpty())
}

func (s Site) migrated(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	record, err := ensure(t.Context(), journal, owner, place.Reserver(t, Home, Generous, nil), Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	other := place.Reserver(t, reservation.Home{GardenID: Home.GardenID, Seed: "seed-b"}, Generous, nil)
	for range 2 {
		g.Expect(other.Claim(t.Context(), held(owner, record))).To(gomega.Succeed())
	}
	found, err := place.Reserver(t, Home, Generous, nil).Lookup(t.Context(), attempt(owner, 1))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(found).To(gomega.HaveLen(1))
	g.Expect(found[0].Seed).To(gomega.Equal("seed-b"))
	g.Expect(found[0].Prefix).To(gomega.Equal(record.Prefix))
}

func attempt(owner reservation.Owner, n int) reservation.Owner {
	owner.Attempt = n
	return owner
}

func held(owner reservation.Owner, record reservation.Record) reservation.Allocation {
	return reservation.Allocation{Owner: attempt(owner, record.Attempt), ID: record.ID, Prefix: record.Prefix}
}
