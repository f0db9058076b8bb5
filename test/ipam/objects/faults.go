// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// RunFaults runs the suite.
func RunFaults(t *testing.T, s Site) {
	t.Run("F01 dies after the intent", func(t *testing.T) { s.dies(t, reservation.AfterIntent) })
	t.Run("F02 dies after Allocating", func(t *testing.T) { s.dies(t, reservation.AfterAllocating) })
	t.Run("F03 request never sent", func(t *testing.T) { s.loses(t, false) })
	t.Run("F03 controller down while asking", s.controllerDown)
	t.Run("F04 server committed, reply lost", func(t *testing.T) { s.loses(t, true) })
	t.Run("F05 answer not stored", func(t *testing.T) { s.dies(t, reservation.AfterAllocate) })
	t.Run("F07 dies before Bound", func(t *testing.T) { s.dies(t, reservation.BeforeBind) })
	t.Run("F08 two replicas", s.replicas)
	t.Run("F11 exhausted", s.exhausted)
	t.Run("F11 exhausted in one pool of two", s.nextPool)
	t.Run("F14 no rights", s.noRights)
	t.Run("F15 deleted while Allocating", s.deletedWhileAllocating)
	t.Run("F16 delete committed, reply lost", s.deleteReplyLost)
	t.Run("F19 deleted by hand", s.deletedByHand)
	t.Run("F19 deleted by hand and given to another", s.givenAway)
	t.Run("F20 shoot recreated under its name", s.recreated)
	t.Run("F21 restored old backup", s.restored)
	t.Run("F22 garbage collection against an in-flight create", s.inFlight)
	t.Run("F23 migration", s.migrated)
}

// ensure runs the protocol once, as a process that knows only what is in the journal.
func ensure(ctx context.Context, journal *Journal, owner reservation.Owner, r reservation.Reserver, request reservation.Request, failpoint func(string)) (reservation.Record, error) {
	session, record := journal.Open()
	p := &reservation.Protocol{Reserver: r, Journal: session, Owner: owner, Seed: Home.Seed, Failpoint: failpoint}
	return p.Ensure(ctx, record, request)
}

func release(ctx context.Context, journal *Journal, owner reservation.Owner, r reservation.Reserver) error {
	session, record := journal.Open()
	p := &reservation.Protocol{Reserver: r, Journal: session, Owner: owner, Seed: Home.Seed}
	return p.GiveBack(ctx, record, nil)
}

type death string

// dies lets a process die at a point of the protocol; the next one finishes with one prefix, and gives it back.
func (s Site) dies(t *testing.T, point string) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	r := place.Reserver(t, Home, Generous, nil)
	if point != reservation.AfterIntent { // F1 is before the protocol begins: there is nothing but an empty record
		func() {
			defer func() { g.Expect(recover()).To(gomega.Equal(death(point))) }()
			_, _ = ensure(t.Context(), journal, owner, r, Request("first"), func(at string) {
				if at == point {
					panic(death(point))
				}
			})
		}()
	}
	s.bindsAndReleases(t, place, journal, owner)
}

// bindsAndReleases is how all ends well: a new process binds what there is, exactly one object is there; then none.
func (s Site) bindsAndReleases(t *testing.T, place Place, journal *Journal, owner reservation.Owner) {
	t.Helper()
	g := gomega.NewWithT(t)
	r := place.Reserver(t, Home, Generous, nil)
	record, err := ensure(t.Context(), journal, owner, r, Request("first"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(record.Phase).To(gomega.Equal(reservation.Bound))
	g.Expect(place.Objects(t)).To(gomega.Equal([]string{record.ID}))
	g.Expect(r.List(t.Context(), Home.GardenID)).To(gomega.HaveLen(1))

	g.Expect(release(t.Context(), journal, owner, r)).To(gomega.Succeed())
	g.Expect(place.Objects(t)).To(gomega.BeEmpty())
	g.Expect(r.List(t.Context(), Home.GardenID)).To(gomega.BeEmpty())
}

func (s Site) loses(t *testing.T, sent bool) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	fault := &Fault{Matches: method(http.MethodPost), Sent: sent}
	_, err := ensure(t.Context(), journal, owner, place.Reserver(t, Home, Generous, fault.Wrap), Request("first"), nil)
	g.Expect(fault.Hit()).To(gomega.BeTrue())
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Ambiguous))
	g.Expect(err).To(gomega.MatchError(gomega.ContainSubstring("connection lost")))
	g.Expect(place.Objects(t)).To(gomega.HaveLen(map[bool]int{false: 0, true: 1}[sent]))
	s.bindsAndReleases(t, place, journal, owner)
}

func (s Site) controllerDown(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	s.Stop(t)
	r := place.Reserver(t, Home, Brief, nil)
	for range 2 { // however often it is tried: one object
		_, err := ensure(t.Context(), journal, owner, r, Request("first"), nil)
		g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Ambiguous))
		g.Expect(err).To(gomega.MatchError(gomega.ContainSubstring("has not been answered within 3s: is the IPAM's controller running?")))
		g.Expect(place.Objects(t)).To(gomega.HaveLen(1))
	}
	s.Start(t)
	s.bindsAndReleases(t, place, journal, owner)
}

func (s Site) replicas(t *testing.T) {
	g := gomega.NewWithT(t)
	place, journal, owner := s.Place(t, 4), &Journal{}, Owner("shoot")
	var wg sync.WaitGroup
	for range 4 {
		r := place.Reserver(t, Home, Generous, nil)
		wg.Go(func() {
			for t.Context().Err() == nil {
				if record, _ := ensure(t.Context(), journal, owner, r, Request("first"), nil); record.Phase == reservation.Bound {
					return
				}
			}
		})
	}
	wg.Wait()
	g.Expect(place.Objects(t)).To(gomega.HaveLen(1))
	s.bindsAndReleases(t, place, journal, owner)
}

func (s Site) exhausted(t *testing.T) {
	g := gomega.NewWithT(t)
	place := s.Place(t, 2)
	r := place.Reserver(t, Home, Generous, nil)
	var journals [3]Journal
	owners := [3]reservation.Owner{Owner("a"), Owner("b"), Owner("c")}
	for i := range 2 {
		_, err := ensure(t.Context(), &journals[i], owners[i], r, Request("first"), nil)
		g.Expect(err).NotTo(gomega.HaveOccurred())
	}
	before := place.Objects(t)
	_, err := ensure(t.Context(), &journals[2], owners[2], r, Request("first"), nil)
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Exhausted))
	g.Expect(err).To(gomega.MatchError(gomega.ContainSubstring("no room for a /64 (IPv6, Global) for pods: pool first: ")))
	t.Log(err)
	g.Expect(place.Objects(t)).To(gomega.Equal(before), "what was refused is withdrawn")

	g.Expect(release(t.Context(), &journals[0], owners[0], r)).To(gomega.Succeed())
	g.Eventually(func() error {
		_, err := ensure(t.Context(), &journals[2], owners[2], r, Request("first"), nil)
		return err
	}, Generous, 100*time.Millisecond).Should(gomega.Succeed())
}

func (s Site) nextPool(t *testing.T) {
	g := gomega.NewWithT(t)
	place := s.Place(t, 1)
	r := place.Reserver(t, Home, Generous, nil)
	var journals [3]Journal
	first, err := ensure(t.Context(), &journals[0], Owner("a"), r, Request("first", "second"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	second, err := ensure(t.Context(), &journals[1], Owner("b"), r, Request("first", "second"), nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(first.Prefix.Overlaps(second.Prefix)).To(gomega.BeFalse())
	_, err = ensure(t.Context(), &journals[2], Owner("c"), r, Request("first", "second"), nil)
	g.Expect(reservation.KindOf(err)).To(gomega.Equal(reservation.Exhausted))
	g.Expect(err).To(gomega.MatchError(gomega.And(gomega.ContainSubstring(": pool first: "), gomega.ContainSubstring("; pool second: "))))
	g.Expect(place.Objects(t)).To(gomega.HaveLen(2))
}
