// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ula_test

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/ula"
)

func TestConformance(t *testing.T) {
	for _, bits := range []int{48, 64, 112} {
		foreign, err := prefix.Child(netip.MustParsePrefix("fdff:ffff:ffff::/48"), bits, 0)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		reservetest.Run(t, reservetest.Subject{
			New: func(*testing.T) (reservation.Reserver, func() reservation.Reserver) {
				store := fake.NewStore()
				again := func() reservation.Reserver { return ula.New(store, rand.Reader, time.Now) }
				return again(), again
			},
			Scope: plan.Private, Bits: bits, Foreign: foreign,
		})
	}
}

func request(name keyword.Name, bits int) reservation.Request {
	return reservation.Request{Key: plan.Key{Range: name, Family: prefix.IPv6}, Scope: plan.Private, Bits: bits}
}

func owner(shoot, name string) reservation.Owner {
	return reservation.Owner{GardenID: "garden", ShootUID: shoot, Range: name, Attempt: 1}
}

func TestOneGlobalIDAShoot(t *testing.T) {
	g := NewWithT(t)
	random := bytes.NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	r := ula.New(fake.NewStore(), random, time.Now)
	var got []string
	for _, ask := range []struct {
		owner reservation.Owner
		bits  int
	}{
		{owner("a", "nodes-ipv6"), 64},
		{owner("a", "services-ipv6"), 112},
		{owner("b", "nodes-ipv6"), 64},
		{owner("a", "pods-ipv6"), 48},
		{owner("a", "nodes-ipv6"), 64}, // asked again
	} {
		a, err := r.Allocate(t.Context(), ask.owner, request(keyword.Nodes, ask.bits))
		g.Expect(err).NotTo(HaveOccurred())
		got = append(got, a.ID+" "+a.Prefix.String())
	}
	g.Expect(got).To(Equal([]string{
		"fd01:203:405::/48 fd01:203:405::/64",
		"fd01:203:405::/48 fd01:203:405:1::/112",
		"fd06:708:90a::/48 fd06:708:90a::/64",
		"fd0b:c0d:e0f::/48 fd0b:c0d:e0f::/48",
		"fd01:203:405::/48 fd01:203:405::/64",
	}))
}

func TestDrawsAgainWhatIsTaken(t *testing.T) {
	g := NewWithT(t)
	r := ula.New(fake.NewStore(), bytes.NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), time.Now)
	ask := request(keyword.Nodes, 64)
	ask.Avoid = reservation.AvoidAll(netip.MustParsePrefix("fd01:203:405:77::/96")) // as a seed's network may be
	a, err := r.Allocate(t.Context(), owner("a", "nodes-ipv6"), ask)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Prefix).To(Equal(netip.MustParsePrefix("fd06:708:90a::/64")))
}

func TestTooMuch(t *testing.T) {
	g := NewWithT(t)
	r := ula.New(fake.NewStore(), rand.Reader, time.Now)
	_, err := r.Allocate(t.Context(), owner("a", "nodes-ipv6"), request(keyword.Nodes, 40))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))

	for _, name := range []string{"nodes-ipv6", "pods-ipv6"} {
		_, err = r.Allocate(t.Context(), owner("a", name), request(keyword.Nodes, 49))
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err = r.Allocate(t.Context(), owner("a", "services-ipv6"), request(keyword.Services, 112))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Exhausted))
}
