// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
)

// The faults that a reservation survives, by their numbers in docs/ipam.md. Those that take an API server, a network or a real
// IPAM are tested where those are.

// survive lets a first run fail and runs again until it is bound: with one prefix, and none lost.
func (b *bench) survive(t *testing.T) {
	t.Helper()
	b.Expect(b.run(t.Context(), request)).NotTo(Succeed())
	b.die = ""
	for range 5 {
		if b.run(t.Context(), request) == nil {
			break
		}
	}
	b.Expect(b.journal.record.Phase).To(Equal(reservation.Bound))
	b.Expect(b.journal.record.Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")))
	b.Expect(b.backend.Dump()).To(Equal(heldOnce), "one prefix, none lost")
}

func TestF02DeathAfterAllocating(t *testing.T) {
	b := newBench(t)
	b.die = reservation.AfterAllocating
	b.survive(t)
}

func TestF03RequestNeverSent(t *testing.T) {
	b := newBench(t)
	b.backend.Inject(fake.Allocate, fake.Fault{Err: ambiguous})
	b.survive(t)
}

func TestF04ReplyLost(t *testing.T) {
	for name, more := range map[string]func(*bench){
		"once":                          func(*bench) {},
		"then the list fails":           func(b *bench) { b.backend.Inject(fake.Lookup, fake.Fault{}, fake.Fault{Err: errBoom}) },
		"then a request is never sent":  func(b *bench) { b.backend.Inject(fake.Allocate, fake.Fault{Err: ambiguous}) },
		"then death before it is bound": func(b *bench) { b.die = reservation.BeforeBind },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.backend.Inject(fake.Allocate, fake.Fault{Err: ambiguous, Lost: true})
			more(b)
			b.survive(t)
			b.Expect(b.backend.Calls(fake.Allocate)).To(Equal(1), "who looks does not ask twice")
		})
	}
}

func TestF05ReplyNotStored(t *testing.T) {
	b := newBench(t)
	b.die = reservation.AfterAllocate
	b.survive(t)
}

func TestF07StatusConflict(t *testing.T) {
	for name, tc := range map[string]func(*bench){
		"storing Allocating":      func(b *bench) { b.journal.refuse = 1 },
		"storing Bound":           func(b *bench) { b.journal.refuseFrom = 1 },
		"death before it is done": func(b *bench) { b.die = reservation.BeforeBind },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tc(b)
			b.survive(t)
		})
	}
}

func TestF09ListLags(t *testing.T) {
	for name, runs := range map[string]int{"for one look": 1, "for several runs": 3} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.backend.Lag(2 * runs)
			b.survive(t)
			b.Expect(b.backend.Calls(fake.Allocate)).To(Equal(1), "what was answered is remembered")
		})
	}
}

func TestF10SecondPageFails(t *testing.T) {
	for name, faults := range map[string][]fake.Fault{
		"before the allocation": {{Err: errBoom}},
		"after the allocation":  {{}, {Err: errBoom}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.backend.Inject(fake.Lookup, faults...)
			b.survive(t)
			b.Expect(b.backend.Calls(fake.Allocate)).To(Equal(1), "an incomplete list is no list")
		})
	}
}

// Exhausted, quota and throttled: nothing is held, the kind tells what to do, and it goes on when there is room.
func TestF11Exhausted(t *testing.T)     { failing(t, reservation.Exhausted, true) }
func TestF12QuotaExceeded(t *testing.T) { failing(t, reservation.Quota, true) }
func TestF13Throttled(t *testing.T)     { failing(t, reservation.Retry, false) }

func failing(t *testing.T, kind reservation.Kind, person bool) {
	t.Helper()
	b := newBench(t)
	b.backend.Inject(fake.Allocate, fake.Fault{Err: reservation.Errorf(kind, "no")})
	err := b.run(t.Context(), request)
	b.Expect(err).To(MatchError("asking fake: no"))
	b.Expect(reservation.KindOf(err)).To(Equal(kind))
	b.Expect(kind.Failed()).To(Equal(person))
	b.Expect(b.backend.Dump()).To(BeEmpty())
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
}

// While there is no room, what earlier attempts were refused is not kept from others.
func TestF11ExhaustedFreesWhatWasRefused(t *testing.T) {
	b := newBench(t)
	b.backend.Blind()
	avoiding := request
	avoiding.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2001:db8::/64"))
	b.Expect(b.run(t.Context(), avoiding)).NotTo(Succeed())
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
	b.backend.Inject(fake.Allocate, fake.Fault{Err: reservation.Errorf(reservation.Exhausted, "no")})
	b.Expect(reservation.KindOf(b.run(t.Context(), avoiding))).To(Equal(reservation.Exhausted))
	b.Expect(b.backend.Dump()).To(BeEmpty())
}

// release gives back until it is done.
func (b *bench) release(t *testing.T) {
	t.Helper()
	var err error
	for range 3 {
		if err = b.protocol().GiveBack(t.Context(), b.journal.record, nil); err == nil {
			break
		}
	}
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(b.backend.Dump()).To(BeEmpty())
}

func TestF16DeleteReplyLost(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.backend.Inject(fake.Release, fake.Fault{Err: errBoom, Lost: true})
	b.Expect(b.protocol().GiveBack(t.Context(), b.journal.record, nil)).To(MatchError("releasing 2001:db8::/64: boom"))
	b.Expect(b.journal.record.Phase).To(Equal(reservation.Releasing))
	b.release(t)
}

func TestF17InUse(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.backend.Inject(fake.Release, fake.Fault{Err: reservation.Errorf(reservation.Retry, "there are ports")})
	err := b.protocol().GiveBack(t.Context(), b.journal.record, nil)
	b.Expect(err).To(MatchError("releasing 2001:db8::/64: there are ports"))
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
	b.release(t)
}

// A published prefix that somebody deletes in the IPAM comes back, the very same, or it is lost and nothing takes its place.
func TestF19DeletedByHand(t *testing.T) {
	p := netip.MustParsePrefix("2001:db8::/64")
	t.Run("and free", func(t *testing.T) {
		b := newBench(t)
		b.Expect(b.run(t.Context(), request)).To(Succeed())
		b.backend.Delete(p)
		b.Expect(b.protocol().Keep(t.Context(), b.journal.record)).To(Succeed())
		b.Expect(b.backend.Dump()).To(Equal(heldOnce))
	})
	t.Run("and given to another", func(t *testing.T) {
		b := newBench(t)
		b.Expect(b.run(t.Context(), request)).To(Succeed())
		b.backend.Delete(p)
		other := owner
		other.ShootUID, other.Attempt = "other", 1
		_, err := b.backend.Allocate(t.Context(), other, request)
		b.Expect(err).NotTo(HaveOccurred())

		before := b.journal.record
		err = b.protocol().Keep(t.Context(), before)
		b.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))
		b.Expect(err).To(MatchError("2001:db8::/64 is published, but fake does not hold it for this seed: " +
			"2001:db8::/64 overlaps 2001:db8::/64 of v1/garden/other/nodes-ipv6/1"))
		b.Expect(b.journal.record).To(Equal(before))
		b.Expect(b.backend.Dump()).To(Equal("2001:db8::/64 v1/garden/other/nodes-ipv6/1\n"))
		b.Expect(b.run(t.Context(), request)).To(Succeed())
		b.Expect(b.journal.record).To(Equal(before), "what is bound stays, whatever becomes of it")
	})
}

// The collection of garbage meets an allocation that is being made: its intent is there before it is.
func TestF22GarbageDuringAllocation(t *testing.T) {
	b := newBench(t)
	b.die = reservation.AfterAllocate
	b.Expect(b.run(t.Context(), request)).NotTo(Succeed())
	sweeper := newSweeper()
	for range 10 {
		report, err := sweeper.Sweep(t.Context(), []reservation.Reserver{b.backend}, wants(owner))
		b.Expect(err).NotTo(HaveOccurred())
		b.Expect(report).To(Equal(reservation.Report{}))
		sweeper.tick(time.Hour)
	}
	b.die = ""
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
}

// A Shoot asks for another size: what is bound stays, and what was published is restored in its own size.
func TestF24SizeChanged(t *testing.T) {
	for name, bits := range map[string]int{"larger": 56, "smaller": 72} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.Expect(b.run(t.Context(), request)).To(Succeed())
			before, resized := b.journal.record, request
			resized.Bits = bits
			b.Expect(b.run(t.Context(), resized)).To(Succeed())
			b.Expect(b.protocol().Keep(t.Context(), before)).To(Succeed())
			b.Expect(b.journal.record).To(Equal(before))

			restored, err := b.protocol().Restore(t.Context(), reservation.Record{}, resized, before.Prefix)
			b.Expect(err).NotTo(HaveOccurred())
			b.Expect(restored).To(Equal(before))
			b.Expect(b.backend.Dump()).To(Equal(heldOnce))
		})
	}
}
