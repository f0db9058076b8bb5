// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// leave an allocation of a shoot that is no more.
func (w *world) leave(c *cloud, seed, p, garden string) {
	owner := reservation.Owner{GardenID: garden, ShootUID: "of-" + p, Range: "nodes-ipv6", Attempt: 1}
	w.Expect(c.ipam.On(seed).Claim(wctx, reservation.Allocation{
		Owner: owner, Prefix: netip.MustParsePrefix(p), Since: time.Now().Add(-time.Hour), ID: "left-" + p, Seed: seed,
	})).To(Succeed())
}

func held(c *cloud) func() []string {
	return func() []string {
		var prefixes []string
		for _, garden := range []string{gardenID, "another"} {
			all, _ := c.ipam.List(wctx, garden)
			for _, a := range all {
				prefixes = append(prefixes, a.Prefix.String())
			}
		}
		return prefixes
	}
}

// What nobody wants is freed in each account that a living shoot leads to: only this garden's, and only this seed's.
func TestCollectsGarbageInTheShootsAccounts(t *testing.T) {
	w := newWorld(t)
	first, second := newCloud("2001:db8:1::/48", "one"), newCloud("2001:db8:2::/48", "two")
	both := first.backend("seed-a", 48)
	accounts := map[string]*cloud{}
	both.Open = func(tenant reservation.Tenant) (reservation.Reserver, error) {
		c := accounts[tenant.Namespace]
		return &session{Reserver: c.ipam.On("seed-a"), cloud: c, credentials: tenant.Credentials}, nil
	}
	var shoots []*shoot
	for _, of := range []struct {
		c     *cloud
		token string
	}{{first, "one"}, {first, "one"}, {second, "two"}} {
		s := w.newShootIn(w.shootNamespace(), demo)
		accounts[s.namespace] = of.c
		s.setCredentials(map[string]string{"token": of.token, "project": of.token})
		s.createInfrastructure(nil)
		shoots = append(shoots, s)
	}
	stop := startHere(t, settings{Namespace: w.namespace, Seed: "seed-a", Mode: reservationcontroller.GarbageDryRun, Garbage: 200 * time.Millisecond}, nil, both)
	for _, s := range shoots {
		s.waitBound()
	}
	for i, c := range []*cloud{first, second} {
		w.leave(c, "seed-a", fmt.Sprintf("2001:db8:%d:f000::/64", i+1), gardenID)
		w.leave(c, "seed-b", fmt.Sprintf("2001:db8:%d:f001::/64", i+1), gardenID)
		w.leave(c, "seed-a", fmt.Sprintf("2001:db8:%d:f002::/64", i+1), "another")
	}
	w.Eventually(func() []string { return figures(w) }).Should(ContainElement(`networking_ipv6_reservation_garbage{backend="fakecloud"} 2`))
	w.Eventually(logged.String).Should(And(ContainSubstring("Would free a prefix that nobody wants, but for the dry run"), ContainSubstring("2001:db8:2:f000::/64")))
	w.Expect(held(first)()).To(HaveLen(7), "a dry run frees nothing")
	stop()

	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a", Garbage: 200 * time.Millisecond}, nil, both)
	for i, of := range []struct {
		c    *cloud
		live int
	}{{first, 4}, {second, 2}} {
		w.Eventually(held(of.c)).ShouldNot(ContainElement(fmt.Sprintf("2001:db8:%d:f000::/64", i+1)))
		w.Consistently(held(of.c)).Should(And(HaveLen(of.live+2), ContainElements(
			fmt.Sprintf("2001:db8:%d:f001::/64", i+1), fmt.Sprintf("2001:db8:%d:f002::/64", i+1))), "another seed's, and another garden's")
	}
	list := &eventsv1.EventList{}
	w.Eventually(func() []string {
		w.Expect(w.env.Client.List(wctx, list, client.InNamespace(w.namespace))).To(Succeed())
		var notes []string
		for _, e := range list.Items {
			notes = append(notes, e.Reason+": "+e.Note)
		}
		return notes
	}).Should(ConsistOf(
		HavePrefix("GarbageFreed: 2001:db8:1:f000::/64 was held in fakecloud for nobody (v1/garden-under-test/of-2001:db8:1:f000::"),
		HavePrefix("GarbageFreed: 2001:db8:2:f000::/64 was held in fakecloud for nobody (v1/garden-under-test/of-2001:db8:2:f000::"),
	))
}

// Off means off.
func TestCollectsNoGarbageWhenOff(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8::/48", "operator")
	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a", Mode: reservationcontroller.GarbageOff, Garbage: 100 * time.Millisecond}, nil, c.operated("seed-a", "operator"))
	w.newShoot(demo).waitBound()
	w.leave(c, "seed-a", "2001:db8:0:f000::/64", gardenID)
	w.Consistently(held(c)).Should(HaveLen(3))
}
