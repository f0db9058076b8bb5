// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"context"
	"net/netip"
	"net/url"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/ec2fake"
)

// collector sweeps an account by a clock that goes on by an hour each time.
type collector struct {
	reservation.Sweeper
	now    time.Time
	wanted map[reservation.Owner]bool
}

func newCollector() *collector {
	c := &collector{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), wanted: map[reservation.Owner]bool{{GardenID: "garden-a", ShootUID: "somebody", Range: "nodes-ipv6"}: true}}
	c.Sweeper = reservation.Sweeper{Home: garden, Grace: 30 * time.Minute, Now: func() time.Time { return c.now }}
	return c
}

func (c *collector) sweep(t *testing.T, r reservation.Reserver) error {
	t.Helper()
	c.now = c.now.Add(time.Hour)
	_, err := c.Sweep(t.Context(), []reservation.Reserver{r}, func(context.Context) (map[reservation.Owner]bool, error) { return c.wanted, nil })
	return err
}

// Only what bears the garden's and the seed's mark and has no owner goes, and only after several sweeps. EC2 does not tell when
// something was allocated, so the age counts from when it was seen first.
func TestGarbageIsFreedAndNothingElse(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	r := a.reserver(t, garden)
	for i := range 3 {
		_, err := r.Allocate(t.Context(), reservetest.Owner(i), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := a.reserver(t, reservation.Home{GardenID: "garden-a", Seed: "seed-2"}).Allocate(t.Context(), reservetest.Owner(7), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	a.Occupy(a.pool, "2600:1f00:0:300::/64", "", "v1/garden-b/uid-1/nodes-ipv6/1 seed=seed-1")
	a.Occupy(a.pool, "2600:1f00:0:301::/64", "vpc-1", "v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-1")
	a.Occupy(a.pool, "2600:1f00:0:302::/64", "", "mine")

	c := newCollector()
	c.wanted[reservetest.Owner(1)] = true
	for range 2 {
		g.Expect(c.sweep(t, r)).To(Succeed())
		g.Expect(a.Prefixes(a.pool)).To(HaveLen(7))
	}
	g.Expect(c.sweep(t, r)).To(Succeed())
	g.Expect(a.Prefixes(a.pool)).To(ConsistOf(
		netip.MustParsePrefix("2600:1f00:0:1::/64"), // wanted
		netip.MustParsePrefix("2600:1f00:0:3::/64"), // another seed's
		netip.MustParsePrefix("2600:1f00:0:300::/64"), netip.MustParsePrefix("2600:1f00:0:301::/64"), netip.MustParsePrefix("2600:1f00:0:302::/64"),
	))
}

// What is allocated while the garbage is collected has an intent already: that is stored first.
func TestF22GarbageAgainstACallInFlight(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	c := newCollector()
	c.wanted[reservation.Owner{GardenID: "garden-a", ShootUID: "uid-1", Range: "nodes-ipv6"}] = true
	s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})...)
	g.Expect(s.ensure(t, request(64))).NotTo(Succeed())
	for range 5 {
		g.Expect(c.sweep(t, s.protocol.Reserver)).To(Succeed())
	}
	g.Expect(s.Prefixes(s.pool)).To(HaveLen(1))
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.expectOne(g)
}

// A list that fails, also on its last page, or credentials that are refused, free nothing, and the sweeps begin anew.
func TestGarbageIsLeftWhereTheListFails(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	r := a.reserver(t, garden)
	for i := range 7 {
		_, err := r.Allocate(t.Context(), reservetest.Owner(i), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}
	c := newCollector()
	for range 2 {
		g.Expect(c.sweep(t, r)).To(Succeed())
	}
	a.Inject(repeat(ec2fake.Fault{Action: "GetIpamPoolAllocations", When: func(form url.Values) bool { return form.Has("NextToken") }, Status: 500, Code: "InternalError"})...)
	g.Expect(c.sweep(t, r)).NotTo(Succeed())
	a.RemoveKey(accessKeyID)
	g.Expect(c.sweep(t, r)).NotTo(Succeed())
	a.AddKey(accessKeyID, secretAccessKey)
	for range 2 {
		g.Expect(c.sweep(t, r)).To(Succeed())
		g.Expect(a.Prefixes(a.pool)).To(HaveLen(7))
	}
	g.Expect(c.sweep(t, r)).To(Succeed())
	g.Expect(a.Prefixes(a.pool)).To(BeEmpty())
}
