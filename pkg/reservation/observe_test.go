// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
)

type meter struct{ reservation.Reserver }

func (meter) Usage(context.Context) ([]reservation.Usage, error) {
	return []reservation.Usage{{Pool: "p"}}, reservation.Errorf(reservation.Unauthorized, "no")
}

func TestObserved(t *testing.T) {
	b := newBench(t)
	var seen []string
	observe := func(method string, kind reservation.Kind, took time.Duration) {
		b.Expect(took).To(BeNumerically(">=", 0))
		seen = append(seen, method+":"+string(kind))
	}
	r := reservation.Observed(b.backend, observe)
	_, isMeter := r.(reservation.Meter)
	b.Expect(isMeter).To(BeFalse())
	b.Expect(r.Name()).To(Equal("fake"))

	a, err := r.Allocate(t.Context(), b.owner(1), request)
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(r.Lookup(t.Context(), b.owner(1))).To(HaveLen(1))
	b.Expect(r.List(t.Context(), "garden")).To(HaveLen(1))
	stolen := a
	stolen.Owner = b.owner(2)
	b.Expect(r.Claim(t.Context(), stolen)).NotTo(Succeed())
	b.backend.Inject(fake.Release, fake.Fault{Err: errBoom})
	b.Expect(r.Release(t.Context(), a)).NotTo(Succeed())

	m, isMeter := reservation.Observed(meter{b.backend}, observe).(reservation.Meter)
	b.Expect(isMeter).To(BeTrue())
	usage, err := m.Usage(t.Context())
	b.Expect(usage).To(HaveLen(1))
	b.Expect(err).To(HaveOccurred())
	b.Expect(seen).To(Equal([]string{"Allocate:", "Lookup:", "List:", "Claim:Conflict", "Release:Retry", "Usage:Unauthorized"}))
}
