// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package podiptest is the conformance suite of podip.Store: what every store must do, whatever it writes to.
package podiptest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega" //nolint:revive,staticcheck // the assertions' own language

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// Record is one that has every field set.
func Record(container string) podip.Record {
	return podip.Record{
		Key:     podip.Key{ContainerID: container, Interface: "eth0"},
		Network: "ipv6", Pod: "default/web", MTU: 1500, Sequence: 7,
		Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1")},
	}
}

// Run runs the suite. reopen returns a store on the same content as the one before, as after a restart; its first call returns an empty
// one.
func Run(t *testing.T, fresh func(t *testing.T) (reopen func() podip.Store)) {
	for name, test := range map[string]func(*testing.T, func() podip.Store){
		"an empty store loads nothing":          loadsNothing,
		"a record comes back as it was":         comesBack,
		"a key has one record":                  oneRecord,
		"a deleted record is gone":              deleted,
		"deleting nothing is no error":          deleteNothing,
		"keys are told apart":                   keysApart,
		"invalid keys are refused":              invalidKeys,
		"different keys may be written at once": parallel,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func loadsNothing(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	g.Expect(reopen().Load(t.Context())).To(BeEmpty())
}

func comesBack(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	g.Expect(reopen().Put(t.Context(), Record("a"))).To(Succeed())
	g.Expect(reopen().Load(t.Context())).To(Equal([]podip.Record{Record("a")}))
}

func oneRecord(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	s := reopen()
	g.Expect(s.Put(t.Context(), Record("a"))).To(Succeed())
	other := Record("a")
	other.Addrs = []netip.Addr{netip.MustParseAddr("2001:db8::2")}
	g.Expect(s.Put(t.Context(), other)).To(MatchError(podip.ErrExists))
	g.Expect(reopen().Load(t.Context())).To(Equal([]podip.Record{Record("a")}))
}

func deleted(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	s := reopen()
	g.Expect(s.Put(t.Context(), Record("a"))).To(Succeed())
	g.Expect(s.Put(t.Context(), Record("b"))).To(Succeed())
	g.Expect(s.Delete(t.Context(), Record("a").Key)).To(Succeed())
	s = reopen()
	g.Expect(s.Load(t.Context())).To(Equal([]podip.Record{Record("b")}))
	g.Expect(s.Put(t.Context(), Record("a"))).To(Succeed(), "the key is free again")
}

func deleteNothing(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	g.Expect(reopen().Delete(t.Context(), Record("a").Key)).To(Succeed())
}

func keysApart(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	s := reopen()
	keys := []podip.Key{
		{ContainerID: "a", Interface: "eth0"}, {ContainerID: "a", Interface: "eth1"}, {ContainerID: "a.b", Interface: "c"},
		{ContainerID: "a", Interface: "b.c"}, {ContainerID: "A", Interface: "eth0"}, {ContainerID: strings.Repeat("x", 200), Interface: "fifteen_letters"},
	}
	for i, k := range keys {
		r := Record("a")
		r.Key, r.Sequence = k, uint64(i)
		g.Expect(s.Put(t.Context(), r)).To(Succeed())
	}
	got, err := reopen().Load(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	slices.SortFunc(got, func(x, y podip.Record) int { return int(x.Sequence) - int(y.Sequence) })
	g.Expect(got).To(HaveLen(len(keys)))
	for i, k := range keys {
		g.Expect(got[i].Key).To(Equal(k))
	}
}

func invalidKeys(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	s := reopen()
	for _, k := range []podip.Key{
		{}, {ContainerID: "a"}, {Interface: "eth0"}, {ContainerID: "../a", Interface: "eth0"}, {ContainerID: "a", Interface: "../eth0"},
		{ContainerID: "a", Interface: ".."}, {ContainerID: "a", Interface: "e:0"}, {ContainerID: "a", Interface: "sixteen_letters_"},
		{ContainerID: strings.Repeat("x", 201), Interface: "eth0"}, {ContainerID: "a b", Interface: "eth0"},
	} {
		r := Record("a")
		r.Key = k
		g.Expect(s.Put(t.Context(), r)).NotTo(Succeed(), "%q", k)
		g.Expect(s.Delete(t.Context(), k)).NotTo(Succeed(), "%q", k)
	}
	g.Expect(s.Load(t.Context())).To(BeEmpty())
}

func parallel(t *testing.T, reopen func() podip.Store) {
	g := NewWithT(t)
	s := reopen()
	const n = 50
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r := Record(fmt.Sprintf("c%d", i))
			if errs[i] = s.Put(t.Context(), r); errs[i] == nil && i%2 == 1 {
				errs[i] = s.Delete(t.Context(), r.Key)
			}
		})
	}
	all.Wait()
	g.Expect(errs).To(HaveEach(BeNil()))
	g.Expect(reopen().Load(t.Context())).To(HaveLen(n / 2))
}
