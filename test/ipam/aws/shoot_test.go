// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/ec2fake"
)

// shoot is one reservation under the protocol, with a journal in memory.
type shoot struct {
	*account
	protocol reservation.Protocol
	record   reservation.Record
	// conflict tells which records somebody else is quicker than.
	conflict func(reservation.Record) bool
}

// Save keeps the record.
func (s *shoot) Save(_ context.Context, r reservation.Record) error {
	if s.conflict != nil && s.conflict(r) {
		return errors.New("the object has been modified")
	}
	s.record = r
	return nil
}

func newShoot(t testing.TB, cidrs ...string) *shoot {
	t.Helper()
	s := &shoot{account: newAccount(t, cidrs...)}
	s.protocol = reservation.Protocol{Reserver: s.reserver(t, garden), Journal: s, Owner: reservetest.Owner(1), Seed: garden.Seed}
	return s
}

// ensure runs the protocol once, from what is stored.
func (s *shoot) ensure(t testing.TB, request reservation.Request) error {
	t.Helper()
	_, err := s.protocol.Ensure(t.Context(), s.record, request)
	return err
}

// remove runs the release until it is done.
func (s *shoot) remove(t testing.TB) error {
	t.Helper()
	record, err := s.protocol.BeginRelease(t.Context(), s.record)
	if err != nil {
		return err
	}
	return s.protocol.FinishRelease(t.Context(), record)
}

// expectOne expects the shoot to be bound to the only allocation.
func (s *shoot) expectOne(g Gomega) {
	g.Expect(s.record.Phase).To(Equal(reservation.Bound))
	g.Expect(s.Prefixes(s.pool)).To(Equal([]netip.Prefix{s.record.Prefix}))
}

// attempts is how often the SDK sends a call before it gives up.
const attempts = 4

func repeat(fault ec2fake.Fault) []ec2fake.Fault {
	faults := make([]ec2fake.Fault, attempts)
	for i := range faults {
		faults[i] = fault
	}
	return faults
}
