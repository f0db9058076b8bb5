// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
)

var (
	errBoom   = errors.New("boom")
	ambiguous = reservation.Errorf(reservation.Ambiguous, "no answer")
	owner     = reservation.Owner{GardenID: "garden", ShootUID: "uid", Range: "nodes-ipv6"}
	request   = reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: 64}
)

const heldOnce = "2001:db8::/64 v1/garden/uid/nodes-ipv6/1\n"

// memory is a Journal that can refuse.
type memory struct {
	record reservation.Record
	refuse int // the next writes
	// refuseFrom refuses one write after so many.
	refuseFrom int
	history    []reservation.Phase
}

func (m *memory) Save(_ context.Context, r reservation.Record) error {
	if m.refuse > 0 {
		m.refuse--
		return errBoom
	}
	if m.refuseFrom > 0 {
		m.refuseFrom--
		m.refuse = 1 - min(m.refuseFrom, 1)
	}
	m.record = r
	m.history = append(m.history, r.Phase)
	return nil
}

type bench struct {
	*WithT
	backend *fake.Reserver
	journal *memory
	die     string
	seed    string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return &bench{WithT: NewWithT(t), backend: fake.New(netip.MustParsePrefix("2001:db8::/48")), journal: &memory{}}
}

func (b *bench) protocol() *reservation.Protocol {
	return &reservation.Protocol{Reserver: b.backend, Journal: b.journal, Owner: owner, Seed: b.seed, Failpoint: func(point string) {
		if point == b.die {
			panic(point)
		}
	}}
}

func (b *bench) owner(attempt int) reservation.Owner {
	o := owner
	o.Attempt = attempt
	return o
}

// allocate a prefix for an attempt, as another process may have done.
func (b *bench) allocate(attempt int) reservation.Allocation {
	a, err := b.backend.Allocate(context.Background(), b.owner(attempt), request)
	b.Expect(err).NotTo(HaveOccurred())
	return a
}

// run is one run of a process; it returns an error if the process died.
func (b *bench) run(ctx context.Context, request reservation.Request) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("died")
		}
	}()
	_, err = b.protocol().Ensure(ctx, b.journal.record, request)
	return err
}

func TestEnsure(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.journal.history).To(Equal([]reservation.Phase{reservation.Allocating, reservation.Bound}))
	b.Expect(b.journal.record).To(Equal(reservation.Record{
		Phase: reservation.Bound, Backend: "fake", ID: "id-1", Prefix: netip.MustParsePrefix("2001:db8::/64"), Attempt: 1,
	}))
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))

	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.backend.Calls(fake.Allocate)).To(Equal(1), "what is bound is not asked for again")
}

// Two controllers that both saw nothing and both asked: each keeps the older prefix and frees the other. Which one stays is stored
// before the other is freed.
func TestEnsureTwoAtOnce(t *testing.T) {
	b := newBench(t)
	b.allocate(1)
	b.allocate(1)
	b.journal.record = reservation.Record{Phase: reservation.Allocating, Backend: "fake", Attempt: 1}
	b.journal.refuse = 1
	b.Expect(b.run(t.Context(), request)).To(MatchError("storing that 2001:db8:0:1::/64 is about to be released: boom"))
	b.Expect(b.backend.Calls(fake.Release)).To(BeZero(), "somebody else may have chosen the other")

	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
	b.Expect(b.journal.history).To(Equal([]reservation.Phase{reservation.Allocating, reservation.Bound}))
}

// A later process, which sees another order, keeps what was chosen.
func TestEnsureKeepsTheChoice(t *testing.T) {
	b := newBench(t)
	b.allocate(1)
	second := b.allocate(1)
	b.journal.record = reservation.Record{Phase: reservation.Allocating, Backend: "fake", ID: second.ID, Prefix: second.Prefix, Attempt: 1}
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.journal.record.Prefix).To(Equal(second.Prefix))
	b.Expect(b.backend.Dump()).To(Equal("2001:db8:0:1::/64 v1/garden/uid/nodes-ipv6/1\n"))
}

// A key of idempotency brought back what had been released, and somebody else has it by now.
func TestEnsureGivesUpWhatIsGone(t *testing.T) {
	b := newBench(t)
	b.allocate(1)
	b.journal.record = reservation.Record{Phase: reservation.Allocating, Backend: "fake", ID: "old", Prefix: netip.MustParsePrefix("2001:db8::/63"), Attempt: 3}
	err := b.run(t.Context(), request)
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	b.Expect(b.journal.record).To(Equal(reservation.Record{Phase: reservation.Allocating, Backend: "fake", Attempt: 4}))
}

// An allocation that bears another seed's mark is taken over before it is bound: or that seed would collect it as garbage.
func TestEnsureTakesOverFromAnotherSeed(t *testing.T) {
	b := newBench(t)
	shared := b.backend
	b.backend = shared.On("seed-a")
	b.allocate(1)
	b.backend, b.seed = shared.On("seed-b"), "seed-b"
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	found, err := b.backend.Lookup(t.Context(), b.owner(1))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(found).To(HaveLen(1))
	b.Expect(found[0].Seed).To(Equal("seed-b"))
}

// When prefix after prefix is of no use, all go at last, and a person is told.
func TestEnsureRejectsWithinBounds(t *testing.T) {
	b := newBench(t)
	b.backend.Blind()
	useless := request
	useless.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2001:db8::/32"))
	for range 4 {
		b.Expect(reservation.KindOf(b.run(t.Context(), useless))).To(Equal(reservation.Retry))
	}
	b.Expect(strings.Count(b.backend.Dump(), "\n")).To(Equal(4), "held, or the backend would give them again")
	err := b.run(t.Context(), useless)
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Exhausted))
	b.Expect(err).To(MatchError("fake gave 5 prefixes in a row that are of no use, the last because " +
		"2001:db8:0:4::/64 overlaps 2001:db8::/32, which is in use elsewhere: take such out of its pools"))
	b.Expect(b.backend.Dump()).To(BeEmpty())
	b.Expect(b.journal.record.Attempt).To(Equal(6))
}

func TestEnsureRejectsWhatOverlaps(t *testing.T) {
	b := newBench(t)
	b.backend.Blind()
	avoiding := request
	avoiding.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2001:db8::/64"))
	err := b.run(t.Context(), avoiding)
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	b.Expect(err).To(MatchError("fake gave a prefix that is of no use: 2001:db8::/64 overlaps 2001:db8::/64, which is in use elsewhere"))
	b.Expect(b.backend.Dump()).To(Equal(heldOnce), "or the backend would give the same one again")

	b.Expect(b.run(t.Context(), avoiding)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal("2001:db8:0:1::/64 v1/garden/uid/nodes-ipv6/2\n"))
	b.Expect(b.journal.record.Attempt).To(Equal(2))
}

func TestEnsureStopsAtWhatNoRetryHelps(t *testing.T) {
	b := newBench(t)
	large := request
	large.Bits = 40
	err := b.run(t.Context(), large)
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	b.Expect(reservation.KindOf(err).Failed()).To(BeTrue())
}

func TestBeginReleaseFindsWhatADeadProcessLeft(t *testing.T) {
	b := newBench(t)
	b.die = reservation.AfterAllocate
	b.Expect(b.run(t.Context(), request)).NotTo(Succeed())
	record, err := b.protocol().BeginRelease(t.Context(), b.journal.record)
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(record.Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")), "or nobody would know what to keep in quarantine")
}

func TestOwner(t *testing.T) {
	g := NewWithT(t)
	o := reservation.Owner{GardenID: "a/b%", ShootUID: "uid", Range: "nodes-ipv6", Attempt: 3}
	g.Expect(o.Key()).To(Equal("v1/a%2Fb%25/uid/nodes-ipv6/3"))
	g.Expect(reservation.ParseOwner(o.Key())).To(Equal(o))
	g.Expect(o.Hash()).To(MatchRegexp("^[0-9a-f]{32}$"))
	other := o
	other.Attempt = 4
	g.Expect(other.Hash()).NotTo(Equal(o.Hash()))
	for _, bad := range []string{"", "v1/a/b/c", "v2/a/b/c/1", "v1/a/b/c/x"} {
		_, err := reservation.ParseOwner(bad)
		g.Expect(err).To(HaveOccurred(), bad)
	}
}
