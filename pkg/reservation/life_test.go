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

var published = netip.MustParsePrefix("2001:db8:0:7::/64")

func TestKeepOnlyLooksIfNothingIsAmiss(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	looks, writes := b.backend.Calls(fake.Lookup), len(b.journal.history)
	b.Expect(b.protocol().Keep(t.Context(), b.journal.record)).To(Succeed())
	b.Expect(b.backend.Calls(fake.Lookup)).To(Equal(looks + 1))
	b.Expect(b.backend.Calls(fake.Claim)).To(BeZero())
	b.Expect(b.journal.history).To(HaveLen(writes))
	b.Expect(b.protocol().Keep(t.Context(), reservation.Record{Phase: reservation.Allocating})).To(MatchError("only what is bound can be kept: the reservation is Allocating"))
}

// A pool that was misspelt, or that is gone, makes every look fail. No prefix is lost for that, and nobody need be woken.
func TestKeepTakesAWrongPoolForNoLoss(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.backend.Inject(fake.Lookup, fake.Fault{Err: reservation.Errorf(reservation.Invalid, "there is no pool x")})
	err := b.protocol().Keep(t.Context(), b.journal.record)
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	b.Expect(err).To(MatchError(ContainSubstring("there is no pool x")))
}

// A request that was late, or another process: what is held beside the bound one goes.
func TestKeepFreesWhatCameLate(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.allocate(1)
	b.Expect(b.protocol().Keep(t.Context(), b.journal.record)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
}

func TestKeepTakesOverFromAnotherSeed(t *testing.T) {
	b := newBench(t)
	shared := b.backend
	b.backend, b.seed = shared.On("seed-a"), "seed-a"
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	late := b.allocate(1)

	b.backend, b.seed = shared.On("seed-b"), "seed-b"
	b.journal.refuse = 1
	b.Expect(b.protocol().Keep(t.Context(), b.journal.record)).NotTo(Succeed())
	b.Expect(b.backend.Calls(fake.Claim)).To(BeZero(), "the record may be out of date")
	b.Expect(b.protocol().Keep(t.Context(), b.journal.record)).To(Succeed())
	found, err := b.backend.Lookup(t.Context(), b.owner(1))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(found).To(HaveLen(2))
	b.Expect([]string{found[0].Seed, found[1].Seed}).To(Equal([]string{"seed-b", "seed-a"}), "only what it needs; %s is the other seed's to free", late.Prefix)
}

// An imported record counts attempts as its former seed did.
func TestKeepFindsTheAttempt(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.journal.record.Attempt = 4
	b.Expect(b.protocol().Keep(t.Context(), b.journal.record)).To(Succeed())
	b.Expect(b.journal.record.Attempt).To(Equal(1))
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))
}

// Of a larger prefix the first part was published: it is held as a part of that.
func TestKeepIsContentWithMore(t *testing.T) {
	b := newBench(t)
	b.Expect(b.backend.Claim(t.Context(), reservation.Allocation{Owner: b.owner(1), Prefix: netip.MustParsePrefix("2001:db8::/60")})).To(Succeed())
	record := reservation.Record{Phase: reservation.Bound, Backend: "fake", Prefix: netip.MustParsePrefix("2001:db8::/64"), Attempt: 1}
	b.Expect(b.protocol().Keep(t.Context(), record)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal("2001:db8::/60 v1/garden/uid/nodes-ipv6/1\n"))
}

func TestRestore(t *testing.T) {
	wide := netip.MustParsePrefix("2001:db8:0:7::/64").Masked()
	for name, tc := range map[string]struct {
		held func(*bench)
		from reservation.Record
		want string // what is bound; empty: an error of kind Conflict
		end  string
	}{
		"nobody holds it": {
			want: "2001:db8:0:7::/64 1", end: "2001:db8:0:7::/64 v1/garden/uid/nodes-ipv6/1\n",
		},
		"it is held": {
			held: func(b *bench) { b.claim(1, wide) },
			want: "2001:db8:0:7::/64 1", end: "2001:db8:0:7::/64 v1/garden/uid/nodes-ipv6/1\n",
		},
		"a later attempt holds it": {
			held: func(b *bench) { b.claim(3, wide) },
			want: "2001:db8:0:7::/64 3", end: "2001:db8:0:7::/64 v1/garden/uid/nodes-ipv6/3\n",
		},
		"this attempt holds another one": {
			held: func(b *bench) { b.allocate(1) },
			want: "2001:db8:0:7::/64 2", end: "2001:db8::/64 v1/garden/uid/nodes-ipv6/1\n2001:db8:0:7::/64 v1/garden/uid/nodes-ipv6/2\n",
		},
		"an old backup says that it was being released": {
			held: func(b *bench) { b.claim(2, wide) },
			from: reservation.Record{Phase: reservation.Releasing, Backend: "fake", Attempt: 2},
			want: "2001:db8:0:7::/64 2", end: "2001:db8:0:7::/64 v1/garden/uid/nodes-ipv6/2\n",
		},
		"somebody else holds it": {
			held: func(b *bench) {
				other := owner
				other.ShootUID, other.Attempt = "other", 1
				b.Expect(b.backend.Claim(context.Background(), reservation.Allocation{Owner: other, Prefix: wide})).To(Succeed())
			},
			end: "2001:db8:0:7::/64 v1/garden/other/nodes-ipv6/1\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if tc.held != nil {
				tc.held(b)
			}
			avoiding := request
			avoiding.Avoid = reservation.AvoidAll(published) // it is in use: that is no reason to refuse it
			record, err := b.protocol().Restore(t.Context(), tc.from, avoiding, published)
			b.Expect(b.backend.Dump()).To(Equal(tc.end))
			if tc.want == "" {
				b.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))
				b.Expect(b.journal.record.Phase).To(Equal(reservation.Allocating))
				return
			}
			b.Expect(err).NotTo(HaveOccurred())
			b.Expect(record).To(Equal(b.journal.record))
			b.Expect(record.Phase).To(Equal(reservation.Bound))
			b.Expect(record.Prefix.String() + " " + string(rune('0'+record.Attempt))).To(Equal(tc.want))
			b.Expect(b.backend.Calls(fake.Release)).To(BeZero())
		})
	}
}

func (b *bench) claim(attempt int, p netip.Prefix) {
	b.Expect(b.backend.Claim(context.Background(), reservation.Allocation{Owner: b.owner(attempt), Prefix: p})).To(Succeed())
}

func TestRestoreRefusesWhatDoesNotDo(t *testing.T) {
	b := newBench(t)
	_, err := b.protocol().Restore(t.Context(), reservation.Record{}, request, netip.MustParsePrefix("fd00::/64"))
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	b.Expect(err).To(MatchError("fd00::/64 is published, but does not do: fd00::/64 is not global, but unique local (RFC 4193)"))
	b.Expect(b.journal.history).To(BeEmpty())
}

// buried collects tombstones.
type buried []reservation.Record

func (b *buried) bury(_ context.Context, r reservation.Record) error {
	*b = append(*b, r)
	return nil
}

func TestGiveBack(t *testing.T) {
	t.Run("nobody was asked", func(t *testing.T) {
		b := newBench(t)
		b.Expect(b.protocol().GiveBack(t.Context(), reservation.Record{Phase: reservation.Pending}, nil)).To(Succeed())
		b.Expect(b.journal.history).To(BeEmpty())
	})
	t.Run("into quarantine", func(t *testing.T) {
		b := newBench(t)
		b.Expect(b.run(t.Context(), request)).To(Succeed())
		var tombs buried
		b.Expect(b.protocol().GiveBack(t.Context(), b.journal.record, tombs.bury)).To(Succeed())
		b.Expect(tombs).To(Equal(buried{{
			Phase: reservation.Releasing, Backend: "fake", ID: "id-1", Prefix: netip.MustParsePrefix("2001:db8::/64"), Attempt: 1,
		}}))
		b.Expect(b.backend.Dump()).To(Equal(heldOnce))
	})
	t.Run("while Allocating (F15)", func(t *testing.T) {
		b := newBench(t)
		b.die = reservation.AfterAllocate
		b.Expect(b.run(t.Context(), request)).NotTo(Succeed())
		var tombs buried
		b.Expect(b.protocol().GiveBack(t.Context(), b.journal.record, tombs.bury)).To(Succeed())
		b.Expect(tombs).To(HaveLen(1))
		b.Expect(tombs[0].Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")))
	})
	t.Run("what earlier attempts were refused goes at once", func(t *testing.T) {
		b := newBench(t)
		b.allocate(1)
		b.allocate(2)
		b.journal.record = reservation.Record{Phase: reservation.Allocating, Backend: "fake", Attempt: 2}
		var tombs buried
		b.Expect(b.protocol().GiveBack(t.Context(), b.journal.record, tombs.bury)).To(Succeed())
		b.Expect(tombs).To(HaveLen(1))
		b.Expect(b.backend.Dump()).To(Equal("2001:db8:0:1::/64 v1/garden/uid/nodes-ipv6/2\n"))
	})
	t.Run("of which an imported record counts the attempts otherwise", func(t *testing.T) {
		b := newBench(t)
		b.claim(1, published)
		imported := reservation.Record{Phase: reservation.Bound, Backend: "fake", Prefix: published, Attempt: 2}
		want := imported
		want.Attempt, want.ID = 1, "id-1"
		var left buried
		b.Expect(b.protocol().LetGo(t.Context(), imported, left.bury)).To(Succeed())
		b.Expect(left).To(Equal(buried{want}))

		var tombs buried
		b.Expect(b.protocol().GiveBack(t.Context(), imported, tombs.bury)).To(Succeed())
		want.Phase = reservation.Releasing
		b.Expect(tombs).To(Equal(buried{want}))
		b.Expect(b.backend.Dump()).To(Equal("2001:db8:0:7::/64 v1/garden/uid/nodes-ipv6/1\n"))
	})
	t.Run("what another seed has taken over stays", func(t *testing.T) {
		b := newBench(t)
		shared := b.backend
		b.backend, b.seed = shared.On("seed-a"), "seed-a"
		b.Expect(b.run(t.Context(), request)).To(Succeed())
		b.Expect(shared.On("seed-b").Claim(t.Context(), reservation.Allocation{Owner: b.owner(1), Prefix: netip.MustParsePrefix("2001:db8::/64")})).To(Succeed())
		b.Expect(b.protocol().GiveBack(t.Context(), b.journal.record, nil)).To(Succeed())
		b.Expect(b.backend.Dump()).To(Equal(heldOnce))
	})
	t.Run("until the backend holds nothing", func(t *testing.T) {
		b := newBench(t)
		b.Expect(b.run(t.Context(), request)).To(Succeed())
		b.allocate(1)
		b.release(t)
	})
}

func TestLetGo(t *testing.T) {
	b := newBench(t)
	shared := b.backend
	b.backend, b.seed = shared.On("seed-a"), "seed-a"
	var tombs buried
	b.Expect(b.protocol().LetGo(t.Context(), reservation.Record{Phase: reservation.Pending}, tombs.bury)).To(Succeed())
	b.die = reservation.AfterAllocate // F23
	b.Expect(b.run(t.Context(), request)).NotTo(Succeed())
	b.Expect(b.protocol().LetGo(t.Context(), b.journal.record, tombs.bury)).To(Succeed())
	b.Expect(tombs).To(HaveLen(1))
	b.Expect(tombs[0].Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")))
	b.Expect(b.backend.Dump()).To(Equal(heldOnce))

	needed, err := b.protocol().Needed(t.Context(), tombs[0])
	b.Expect([]any{needed, err}).To(Equal([]any{true, nil}))
	b.Expect(shared.On("seed-b").Claim(t.Context(), reservation.Allocation{Owner: b.owner(1), Prefix: tombs[0].Prefix})).To(Succeed())
	needed, err = b.protocol().Needed(t.Context(), tombs[0])
	b.Expect([]any{needed, err}).To(Equal([]any{false, nil}))

	b.Expect(b.protocol().LetGo(t.Context(), b.journal.record, tombs.bury)).To(Succeed())
	b.Expect(tombs).To(HaveLen(1), "what the other seed holds is its own")
	b.Expect(b.backend.Calls(fake.Release)).To(BeZero())
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		until time.Time
		heirs []reservation.Phase
		want  reservation.Rest
	}{
		"its time is not over":            {now.Add(time.Second), nil, reservation.Stay},
		"its time is over":                {now, nil, reservation.End},
		"it has no end":                   {time.Time{}, nil, reservation.Stay},
		"the owner is back":               {time.Time{}, []reservation.Phase{reservation.Bound}, reservation.Vanish},
		"the owner is back, time over":    {now, []reservation.Phase{reservation.Bound}, reservation.Vanish},
		"the owner is coming back":        {now, []reservation.Phase{reservation.Allocating}, reservation.Stay},
		"the owner is just leaving":       {now, []reservation.Phase{reservation.Releasing}, reservation.Stay},
		"one of two reservations is on":   {now, []reservation.Phase{reservation.Releasing, reservation.Bound}, reservation.Vanish},
		"an intent that asked nobody yet": {now, []reservation.Phase{reservation.Pending}, reservation.Stay},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(reservation.Judge(now, tc.until, tc.heirs...)).To(Equal(tc.want))
		})
	}
}

func TestDecide(t *testing.T) {
	living := reservation.Facts{Infrastructure: true, Cluster: true}
	for name, tc := range map[string]struct {
		change func(*reservation.Facts)
		action reservation.Action
		reason string
	}{
		"living":                         {func(*reservation.Facts) {}, reservation.Ensure, "there is an Infrastructure"},
		"Shoot deleted":                  {func(f *reservation.Facts) { f.ShootDeleted = true }, reservation.Ensure, "there is an Infrastructure"},
		"Infrastructure deleted":         {func(f *reservation.Facts) { f.InfrastructureDeleted = true }, reservation.Keep, "the Infrastructure is being deleted and may still use the prefixes"},
		"no Cluster":                     {func(f *reservation.Facts) { f.Cluster = false }, reservation.Keep, "there is no Cluster yet"},
		"namespace deleted":              {func(f *reservation.Facts) { f.NamespaceDeleted = true }, reservation.Keep, "the namespace is being deleted, but the Infrastructure is still there"},
		"Infrastructure gone":            {func(f *reservation.Facts) { f.Infrastructure = false }, reservation.Keep, "there is no Infrastructure, but the Shoot lives"},
		"Infrastructure gone, deleted":   {func(f *reservation.Facts) { f.Infrastructure, f.ShootDeleted = false, true }, reservation.Release, "the Shoot is being deleted and the Infrastructure is gone"},
		"Infrastructure, namespace gone": {func(f *reservation.Facts) { f.Infrastructure, f.NamespaceDeleted = false, true }, reservation.Release, "the namespace is being deleted and the Infrastructure is gone"},
		"all gone":                       {func(f *reservation.Facts) { *f = reservation.Facts{} }, reservation.Release, "Infrastructure and Cluster are gone"},
		"to be migrated":                 {func(f *reservation.Facts) { f.InfrastructureMigrates, f.InfrastructureDeleted = true, true }, reservation.Migrate, "the Infrastructure is being migrated"},
		"migrating, namespace deleted": {func(f *reservation.Facts) {
			f.Infrastructure, f.ShootMigrates, f.NamespaceDeleted = false, true, true
		}, reservation.Migrate, "the Shoot is being migrated"},
	} {
		t.Run(name, func(t *testing.T) {
			f := living
			tc.change(&f)
			action, reason := reservation.Decide(f)
			NewWithT(t).Expect([]any{action, reason}).To(Equal([]any{tc.action, tc.reason}))
		})
	}
}

func TestDecideOne(t *testing.T) {
	for name, tc := range map[string]struct {
		phase              reservation.Phase
		deleted, published bool
		want               reservation.Action
	}{
		"new":                         {reservation.Pending, false, false, reservation.Ensure},
		"under way":                   {reservation.Allocating, false, false, reservation.Ensure},
		"bound":                       {reservation.Bound, false, true, reservation.Keep},
		"bound and deleted":           {reservation.Bound, true, false, reservation.Keep},
		"deleted before it was bound": {reservation.Allocating, true, false, reservation.Release},
		"on its way out":              {reservation.Releasing, false, false, reservation.Release},
		"restored":                    {reservation.Pending, false, true, reservation.Restore},
		"from an old backup":          {reservation.Releasing, false, true, reservation.Restore},
		"from an old backup, deleted": {reservation.Allocating, true, true, reservation.Restore},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(reservation.DecideOne(tc.phase, tc.deleted, tc.published)).To(Equal(tc.want))
		})
	}
}

// Who hung between looking and releasing may have seen what a successor of the same name was given.
func TestReleaseStoresTheRecordBefore(t *testing.T) {
	b := newBench(t)
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	record, err := b.protocol().BeginRelease(t.Context(), b.journal.record)
	b.Expect(err).NotTo(HaveOccurred())
	b.journal.refuse = 1
	b.Expect(b.protocol().FinishRelease(t.Context(), record)).To(MatchError("storing that 2001:db8::/64 is about to be released: boom"))
	b.Expect(b.backend.Calls(fake.Release)).To(BeZero())
	b.Expect(b.protocol().FinishRelease(t.Context(), record)).To(Succeed())
	b.Expect(b.backend.Dump()).To(BeEmpty())
}
