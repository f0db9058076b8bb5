// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
)

var (
	errBoom = errors.New("boom")
	owner   = reservation.Owner{GardenID: "garden", ShootUID: "uid", Range: "nodes-ipv6"}
	request = reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: 64}
)

const held = "2001:db8::/64 v1/garden/uid/nodes-ipv6/1\n"

// memory is a Journal that can refuse.
type memory struct {
	record  reservation.Record
	refuse  int // the next writes
	history []reservation.Phase
}

func (m *memory) Save(_ context.Context, r reservation.Record) error {
	if m.refuse > 0 {
		m.refuse--
		return errBoom
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
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return &bench{WithT: NewWithT(t), backend: fake.New(netip.MustParsePrefix("2001:db8::/48")), journal: &memory{}}
}

func (b *bench) protocol() *reservation.Protocol {
	return &reservation.Protocol{Reserver: b.backend, Journal: b.journal, Owner: owner, Failpoint: func(point string) {
		if point == b.die {
			panic(point)
		}
	}}
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
	b.Expect(b.backend.Dump()).To(Equal(held))

	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.backend.Calls(fake.Allocate)).To(Equal(1), "what is bound is not asked for again")
}

func TestEnsureSurvives(t *testing.T) {
	throttled := reservation.Errorf(reservation.Retry, "throttled")
	for name, broken := range map[string]func(*bench){
		"F2: death after Allocating was stored":    func(b *bench) { b.die = reservation.AfterAllocating },
		"F3: the request was never sent":           func(b *bench) { b.backend.Inject(fake.Allocate, fake.Fault{Err: errBoom}) },
		"F4: the reply was lost":                   func(b *bench) { b.backend.Inject(fake.Allocate, fake.Fault{Err: errBoom, Lost: true}) },
		"F5: death before the reply was stored":    func(b *bench) { b.die = reservation.AfterAllocate },
		"F7: death before Bound was stored":        func(b *bench) { b.die = reservation.BeforeBind },
		"F7: a conflict when Allocating is stored": func(b *bench) { b.journal.refuse = 1 },
		"F9: the list lags":                        func(b *bench) { b.backend.Inject(fake.Lookup, fake.Fault{}, fake.Fault{}); b.backend.Lag(2) },
		"F10: the list fails":                      func(b *bench) { b.backend.Inject(fake.Lookup, fake.Fault{Err: errBoom}) },
		"F10: the list fails after the allocation": func(b *bench) { b.backend.Inject(fake.Lookup, fake.Fault{}, fake.Fault{Err: errBoom}) },
		"F13: throttled":                           func(b *bench) { b.backend.Inject(fake.Allocate, fake.Fault{Err: throttled}) },
		"F4 and F10: the reply lost, then no list": func(b *bench) {
			b.backend.Inject(fake.Allocate, fake.Fault{Err: errBoom, Lost: true})
			b.backend.Inject(fake.Lookup, fake.Fault{}, fake.Fault{Err: errBoom})
		},
		"F4, and the next request was never sent": func(b *bench) {
			b.backend.Inject(fake.Allocate, fake.Fault{Err: errBoom, Lost: true}, fake.Fault{Err: errBoom})
		},
		"F2, F5 and F7 one after the other": func(b *bench) { b.die = reservation.AfterAllocating },
		"a death at every point, and a lost reply too": func(b *bench) {
			b.backend.Inject(fake.Allocate, fake.Fault{Err: errBoom, Lost: true})
			b.die = reservation.BeforeBind
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			broken(b)
			b.Expect(b.run(t.Context(), request)).NotTo(Succeed())
			b.die = ""
			for range 5 {
				if b.run(t.Context(), request) == nil {
					break
				}
			}
			b.Expect(b.journal.record.Phase).To(Equal(reservation.Bound))
			b.Expect(b.journal.record.Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")))
			b.Expect(b.backend.Dump()).To(Equal(held), "one prefix, none lost")
		})
	}
}

// Two controllers that both saw nothing and both asked: each keeps the older prefix and frees the other.
func TestEnsureTwoAtOnce(t *testing.T) {
	b := newBench(t)
	first := owner
	first.Attempt = 1
	for range 2 {
		_, err := b.backend.Allocate(t.Context(), first, request)
		b.Expect(err).NotTo(HaveOccurred())
	}
	b.journal.record = reservation.Record{Phase: reservation.Allocating, Backend: "fake", Attempt: 1}
	b.Expect(b.run(t.Context(), request)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal(held))
}

func TestEnsureRejectsWhatOverlaps(t *testing.T) {
	b := newBench(t)
	first := owner
	first.Attempt = 1
	_, err := b.backend.Allocate(t.Context(), first, request)
	b.Expect(err).NotTo(HaveOccurred())
	b.journal.record = reservation.Record{Phase: reservation.Allocating, Backend: "fake", Attempt: 1}

	avoiding := request
	avoiding.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2001:db8::/62"))
	err = b.run(t.Context(), avoiding)
	b.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	b.Expect(err).To(MatchError("fake gave a prefix that is of no use: 2001:db8::/64 overlaps 2001:db8::/62, which is in use elsewhere"))
	b.Expect(b.backend.Dump()).To(Equal(held), "or the backend would give the same one again")

	b.Expect(b.run(t.Context(), avoiding)).To(Succeed())
	b.Expect(b.backend.Dump()).To(Equal("2001:db8:0:4::/64 v1/garden/uid/nodes-ipv6/2\n"))
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

func TestRelease(t *testing.T) {
	for name, tc := range map[string]struct {
		broken func(*bench)
		record func(reservation.Record) reservation.Record
	}{
		"bound": {},
		"F15: deleted while Allocating": {record: func(r reservation.Record) reservation.Record {
			return reservation.Record{Phase: reservation.Allocating, Backend: r.Backend, Attempt: r.Attempt}
		}},
		"F16: the reply to the release was lost": {broken: func(b *bench) { b.backend.Inject(fake.Release, fake.Fault{Err: errBoom, Lost: true}) }},
		"F17: still in use":                      {broken: func(b *bench) { b.backend.Inject(fake.Release, fake.Fault{Err: errBoom}) }},
		"F7: a conflict":                         {broken: func(b *bench) { b.journal.refuse = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.Expect(b.run(t.Context(), request)).To(Succeed())
			if tc.record != nil {
				b.journal.record = tc.record(b.journal.record)
			}
			if tc.broken != nil {
				tc.broken(b)
			}
			var err error
			for range 3 {
				var record reservation.Record
				if record, err = b.protocol().BeginRelease(t.Context(), b.journal.record); err != nil {
					continue
				}
				b.Expect(record.Phase).To(Equal(reservation.Releasing))
				if err = b.protocol().FinishRelease(t.Context(), record); err == nil {
					break
				}
			}
			b.Expect(err).NotTo(HaveOccurred())
			b.Expect(b.backend.Dump()).To(BeEmpty())
		})
	}
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
