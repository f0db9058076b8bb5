// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// A few runs with every test run; make sim does many.
func TestSimulation(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	g.Expect(simulate(&out, 1, 2000, false, false)).To(BeTrue(), out.String())
	g.Expect(out.String()).To(MatchRegexp(`^2000 runs in .* a second\), \d+ calls, \d{3,} crashes injected, 0 violations\n`))
}

// The same seed gives the same run, to the last line.
func TestReplay(t *testing.T) {
	g := NewWithT(t)
	for seed := range uint64(20) {
		first, second := run(seed, traced), run(seed, traced)
		g.Expect(second.trace).To(Equal(first.trace))
		g.Expect(len(first.trace)).To(BeNumerically(">", 20))
		g.Expect(second.stats).To(Equal(first.stats))
	}
}

// Every kind of fault comes, and every kind of error: what is never injected is never survived.
func TestEverythingHappens(t *testing.T) {
	g := NewWithT(t)
	total, failures := runAll(1, 1000, true)
	g.Expect(failures).To(BeEmpty())
	for c, n := range total.chances {
		g.Expect(n).To(BeNumerically(">", 5), chance(c).String())
	}
	for _, kind := range []reservation.Kind{
		reservation.Retry, reservation.Wait, reservation.Exhausted, reservation.Quota, reservation.Unauthorized, reservation.Invalid,
		reservation.Ambiguous, reservation.Conflict,
	} {
		g.Expect(total.errors).To(HaveKey(kind))
	}
	g.Expect(total.freed).To(BeNumerically(">", 20), "garbage")
}

// A failing run is printed with a trace, made shorter, and with what is wrong.
func TestExplain(t *testing.T) {
	g := NewWithT(t)
	text := explain(failure{1, []string{"something"}})
	g.Expect(text).To(MatchRegexp(
		`^\nseed 1 fails \(replay: go run ./test/sim -runs 1 -seed 1 -v\); the trace is that of a shorter run: \d steps, without crash, hung, request lost`))
	g.Expect(text).To(ContainSubstring("\n01T00:00:00 seed 1: own="))
	g.Expect(text).To(HaveSuffix("\nseed 1: something\n"))
}
