// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
)

type sweeper struct {
	reservation.Sweeper
	now time.Time
}

// newSweeper has a clock that is a day behind the first allocations of the fake.
func newSweeper() *sweeper {
	s := &sweeper{now: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	s.Home, s.Grace, s.Now = reservation.Home{GardenID: "garden", Seed: "seed-a"}, time.Hour, func() time.Time { return s.now }
	return s
}

func (s *sweeper) tick(d time.Duration) { s.now = s.now.Add(d) }

// sweep after an hour.
func (s *sweeper) sweep(held []reservation.Reserver, wanted reservation.Wanted) (reservation.Report, error) {
	s.tick(time.Hour)
	return s.Sweep(context.Background(), held, wanted)
}

func wants(owners ...reservation.Owner) reservation.Wanted {
	return func(context.Context) (map[reservation.Owner]bool, error) {
		wanted := map[reservation.Owner]bool{}
		for _, o := range owners {
			wanted[o] = true
		}
		return wanted, nil
	}
}

// somebody else, who keeps the seed from looking empty.
var somebody = reservation.Owner{GardenID: "garden", ShootUID: "somebody", Range: "pods-ipv6"}

func garbage(b *bench) {
	b.backend = b.backend.On("seed-a")
	b.allocate(1)
}

func TestSweepFreesWhatNobodyWants(t *testing.T) {
	b := newBench(t)
	garbage(b)
	s := newSweeper()
	for i := range 2 {
		report, err := s.sweep([]reservation.Reserver{b.backend}, wants(somebody))
		b.Expect(err).NotTo(HaveOccurred())
		b.Expect(report.Freed).To(BeEmpty())
		b.Expect(report.Waiting).To(HaveLen(1))
		b.Expect(report.Waiting[0].Sweeps).To(Equal(i + 1))
	}
	report, err := s.sweep([]reservation.Reserver{b.backend}, wants(somebody))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(report.Waiting).To(BeEmpty())
	b.Expect(report.Freed).To(HaveLen(1))
	b.Expect([]any{report.Freed[0].Backend, report.Freed[0].Prefix.String(), report.Freed[0].Sweeps}).To(Equal([]any{"fake", "2001:db8::/64", 3}))
	b.Expect(b.backend.Dump()).To(BeEmpty())
}

func TestSweepLeavesAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*bench, *sweeper)
		wanted reservation.Wanted
	}{
		"what is wanted, of whatever attempt":    {wanted: wants(somebody, owner)},
		"what is wanted, of this attempt":        {wanted: wants(somebody, reservation.Owner{GardenID: "garden", ShootUID: "uid", Range: "nodes-ipv6", Attempt: 1})},
		"all, if nobody wants anything":          {wanted: wants()},
		"all, if it is not known who wants what": {wanted: func(context.Context) (map[reservation.Owner]bool, error) { return nil, errBoom }},
		"what has not been garbage for long":     {change: func(_ *bench, s *sweeper) { s.Grace = 6 * time.Hour }},
		"what is young":                          {change: func(_ *bench, s *sweeper) { s.now = time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC) }},
		"what another seed holds":                {change: func(_ *bench, s *sweeper) { s.Seed = "seed-b" }},
		"what another garden holds":              {change: func(_ *bench, s *sweeper) { s.GardenID = "elsewhere" }},
		"all, if it cannot be listed":            {change: func(b *bench, _ *sweeper) { b.backend.Inject(fake.List, many(fake.Fault{Err: errBoom})...) }},
		"all, in a dry run":                      {change: func(_ *bench, s *sweeper) { s.DryRun = true }},
		"what cannot be looked at again":         {change: func(b *bench, _ *sweeper) { b.backend.Inject(fake.Lookup, many(fake.Fault{Err: errBoom})...) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			garbage(b)
			s := newSweeper()
			if tc.change != nil {
				tc.change(b, s)
			}
			wanted := tc.wanted
			if wanted == nil {
				wanted = wants(somebody)
			}
			for range 6 {
				report, _ := s.sweep([]reservation.Reserver{b.backend}, wanted)
				b.Expect(report.Freed).To(BeEmpty())
			}
			b.Expect(b.backend.Dump()).To(Equal(heldOnce))
			b.Expect(b.backend.Calls(fake.Release)).To(BeZero())
		})
	}
}

func many(f fake.Fault) []fake.Fault { return []fake.Fault{f, f, f, f, f, f} }

func TestSweepReportsInADryRun(t *testing.T) {
	b := newBench(t)
	garbage(b)
	s := newSweeper()
	s.Sweeps, s.Grace, s.DryRun = 1, 0, true
	report, err := s.sweep([]reservation.Reserver{b.backend}, wants(somebody))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(report.WouldFree).To(HaveLen(1))
}

// A list that fails, or does not show it, lets the count begin anew: nothing is freed for having been seen long ago.
func TestSweepCountsInARow(t *testing.T) {
	for name, between := range map[string]func(*bench){
		"the list fails":        func(b *bench) { b.backend.Inject(fake.List, fake.Fault{Err: errBoom}) },
		"the list does not say": func(b *bench) { b.backend.Lag(1) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			garbage(b)
			s := newSweeper()
			sweep := func() reservation.Report {
				report, _ := s.sweep([]reservation.Reserver{b.backend}, wants(somebody))
				return report
			}
			sweep()
			sweep()
			between(b)
			sweep()
			b.Expect(sweep().Freed).To(BeEmpty())
			b.Expect(sweep().Freed).To(BeEmpty())
			b.Expect(sweep().Freed).To(HaveLen(1))
		})
	}
}

// Other attempts of who is bound are garbage; and two shoots of one account are no two sweeps.
func TestSweepFreesOtherAttempts(t *testing.T) {
	b := newBench(t)
	garbage(b)
	b.allocate(2)
	s := newSweeper()
	twice := []reservation.Reserver{b.backend, b.backend}
	for range 2 {
		report, err := s.sweep(twice, wants(b.owner(2)))
		b.Expect(err).NotTo(HaveOccurred())
		b.Expect(report.Freed).To(BeEmpty())
	}
	report, err := s.sweep(twice, wants(b.owner(2)))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(report.Freed).To(HaveLen(1))
	b.Expect(b.backend.Dump()).To(Equal("2001:db8:0:1::/64 v1/garden/uid/nodes-ipv6/2\n"))
}

// What changes hands between the list and the release stays.
func TestSweepLooksTwice(t *testing.T) {
	for name, meanwhile := range map[string]func(*bench) bool{
		"another seed takes it over": func(b *bench) bool {
			b.Expect(b.backend.On("seed-b").Claim(context.Background(), reservation.Allocation{
				Owner: b.owner(1), Prefix: netip.MustParsePrefix("2001:db8::/64"),
			})).To(Succeed())
			return false
		},
		"somebody wants it": func(*bench) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			garbage(b)
			s := newSweeper()
			s.Sweeps, s.Grace = 1, 0
			asked := 0
			report, err := s.sweep([]reservation.Reserver{b.backend}, func(context.Context) (map[reservation.Owner]bool, error) {
				asked++
				wanted := map[reservation.Owner]bool{somebody: true}
				if asked == 2 {
					wanted[owner] = meanwhile(b)
				}
				return wanted, nil
			})
			b.Expect(err).NotTo(HaveOccurred())
			b.Expect(report.Freed).To(BeEmpty())
			b.Expect(b.backend.Dump()).To(Equal(heldOnce))
		})
	}
}

// One that is still in use does not keep the others.
func TestSweepGoesOn(t *testing.T) {
	b := newBench(t)
	garbage(b)
	b.allocate(2)
	b.backend.Inject(fake.Release, fake.Fault{Err: errBoom})
	s := newSweeper()
	s.Sweeps, s.Grace = 1, 0
	report, err := s.sweep([]reservation.Reserver{b.backend}, wants(somebody))
	b.Expect(err).To(MatchError("freeing 2001:db8::/64, which nobody wants, in fake: boom"))
	b.Expect(report.Freed).To(HaveLen(1))
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
}
