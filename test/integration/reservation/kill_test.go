// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"net/netip"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/utils/kubernetes/health"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// F1, F2, F5, F7: the controller dies on its way to a bound prefix, again at every start, until it is let through. There is
// one prefix a range, the first of the pool, and when the shoot is gone there is none.
func TestF1F2F5F7KilledWhileReserving(t *testing.T) {
	for name, point := range map[string]string{
		"F1 after the intent": reservation.AfterIntent, "F2 after Allocating": reservation.AfterAllocating,
		"F5 after the allocation": reservation.AfterAllocate, "F7 before Bound": reservation.BeforeBind,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}
			s := w.newShoot(demo)
			infra := s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
			w.Expect(infra.Status.LastOperation.State).To(Equal(gardencorev1beta1.LastOperationStateProcessing))

			set.KillAt = point
			for range 2 { // the second time it finds what the first has left, or dies a range further
				startProcess(t, set).waitKilled(t)
			}

			set.KillAt = ""
			startProcess(t, set)
			s.waitBound()
			w.Expect(s.heldBy(poolLedger)()).To(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"))
			s.Eventually(func() error { return health.CheckExtensionObject(s.infra()) }).Should(Succeed())

			s.markDeleted()
			s.infrastructureGone()
			s.Eventually(s.phase("nodes-ipv6")).Should(BeEquivalentTo("absent"))
			s.Eventually(s.phase("services-ipv6")).Should(BeEquivalentTo("absent"))
			w.Expect(w.held(poolLedger)).To(BeEmpty())
		})
	}
}

// F7: somebody else changes the reservation between the allocation and the write of Bound.
func TestF7ConflictWhenBoundIsStored(t *testing.T) {
	w := newWorld(t)
	s := w.newShoot(demo)
	conflicts := 0
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, func(point string) {
		if r := s.get("nodes-ipv6"); point == reservation.BeforeBind && conflicts < 3 && r != nil {
			conflicts++
			r.Annotations = map[string]string{"changed": string(rune('0' + conflicts))}
			if err := env.Client.Update(wctx, r); err != nil {
				t.Errorf("change the reservation: %v", err)
			}
		}
	})
	s.waitBound()
	w.Expect(conflicts).To(Equal(3))
	w.Expect(s.heldBy(poolLedger)()).To(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"))
}

// F8: two controllers without a leader, working on the same fifty shoots. No two prefixes overlap, and none is lost.
func TestF8TwoReplicasHammering(t *testing.T) {
	w := newWorld(t)
	set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/56", "2001:db8:1::/60"), Workers: 8, Garbage: time.Second}
	startProcess(t, set)
	startProcess(t, set)
	const n = 50
	var shoots []*shoot
	for i := range n {
		ranges := demo
		if i%2 == 1 { // sizes that do not tile
			ranges = v1alpha1.Ranges{Nodes: new("v6global/62+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/112")}
		}
		shoots = append(shoots, w.newShoot(ranges))
	}
	var held []netip.Prefix
	for _, s := range shoots {
		s.waitBound()
		for _, name := range []string{"nodes-ipv6", "services-ipv6"} {
			p := netip.MustParsePrefix(s.get(name).Status.Allocated)
			other, overlaps := prefix.OverlapsAny(p, held...)
			w.Expect(overlaps).To(BeFalse(), "%s of %s and %s", p, s.namespace, other)
			held = append(held, p)
		}
	}
	w.Expect(w.held(poolLedger)).To(HaveLen(2 * n))

	for _, s := range shoots {
		s.markDeleted()
		s.infrastructureGone()
	}
	for _, s := range shoots {
		s.Eventually(s.phase("nodes-ipv6")).Should(BeEquivalentTo("absent"))
		s.Eventually(s.phase("services-ipv6")).Should(BeEquivalentTo("absent"))
	}
	w.Eventually(func() map[netip.Prefix]reservation.Owner { return w.held(poolLedger) }).Should(BeEmpty())
}

// Two controllers that both die at every step in turn, in the middle of twenty shoots.
func TestF8TwoReplicasKilledOverAndOver(t *testing.T) {
	w := newWorld(t)
	set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/56"), Workers: 4}
	const n = 20
	var shoots []*shoot
	for range n {
		shoots = append(shoots, w.newShoot(demo))
	}
	for _, point := range []string{
		reservation.AfterAllocate, reservation.BeforeBind, reservation.AfterIntent, reservation.AfterAllocating, reservation.AfterAllocate,
	} {
		set.KillAt = point
		first, second := startProcess(t, set), startProcess(t, set)
		first.waitKilled(t)
		second.waitKilled(t)
	}
	set.KillAt = ""
	startProcess(t, set)
	var held []netip.Prefix
	for _, s := range shoots {
		s.waitBound()
		for _, name := range []string{"nodes-ipv6", "services-ipv6"} {
			p := netip.MustParsePrefix(s.get(name).Status.Allocated)
			other, overlaps := prefix.OverlapsAny(p, held...)
			w.Expect(overlaps).To(BeFalse(), "%s of %s and %s", p, s.namespace, other)
			held = append(held, p)
		}
	}
	w.Expect(w.held(poolLedger)).To(HaveLen(len(held)))
}

// F15: the shoot is deleted while the controller lies dead, with or without a prefix that is not yet on record.
func TestF15DeletedWhileAllocating(t *testing.T) {
	for name, tc := range map[string]struct {
		point string
		left  []string
	}{
		"nothing was asked":    {point: reservation.AfterAllocating},
		"the prefix was given": {point: reservation.AfterAllocate, left: []string{"2001:db8::/64"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), KillAt: tc.point, Quarantine: time.Hour}
			s := w.newShoot(demo)
			startProcess(t, set).waitKilled(t)
			w.Expect(s.get("nodes-ipv6").Status.Phase).To(Equal(v1alpha1.PhaseAllocating))

			s.markDeleted()
			s.infrastructureGone()
			set.KillAt = ""
			startProcess(t, set)
			s.Eventually(s.phase("nodes-ipv6")).Should(BeEquivalentTo("absent"))
			var quarantined, held []string
			for _, tombstone := range w.tombstones() {
				quarantined = append(quarantined, tombstone.Status.Allocated)
			}
			for p := range w.held(poolLedger) {
				held = append(held, p.String())
			}
			w.Expect(quarantined).To(Equal(tc.left), "what was given is not handed out again at once")
			w.Expect(held).To(Equal(tc.left))
		})
	}
}

// F18: the controller dies between the tombstone and the finalizer.
func TestF18KilledBeforeTheFinalizerGoes(t *testing.T) {
	w := newWorld(t)
	set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), Quarantine: time.Hour}
	s := w.newShoot(demo)
	p := startProcess(t, set)
	s.waitBound()
	p.stop()

	s.markDeleted()
	s.infrastructureGone()
	set.KillAt = reservation.BeforeFinalizer
	startProcess(t, set).waitKilled(t)
	w.Expect(s.get("nodes-ipv6").Status.Phase).To(Equal(v1alpha1.PhaseReleasing))
	w.Expect(w.tombstones()).To(HaveLen(1))

	set.KillAt = ""
	startProcess(t, set)
	s.Eventually(s.phase("nodes-ipv6")).Should(BeEquivalentTo("absent"))
	s.Eventually(s.phase("services-ipv6")).Should(BeEquivalentTo("absent"))
	w.Expect(w.tombstones()).To(HaveLen(2), "one a range, though the first was made twice")
	w.Expect(s.heldBy(poolLedger)()).To(HaveLen(2), "kept from reuse")
}

// F20: a shoot of the same name is created as soon as the first is gone, before its reservations are.
func TestF20RecreatedUnderItsName(t *testing.T) {
	w := newWorld(t)
	set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), Quarantine: time.Hour}
	first := w.newShoot(demo)
	p := startProcess(t, set)
	first.waitBound()
	p.stop()

	first.infrastructureGone()
	w.Expect(client.IgnoreNotFound(env.Client.Delete(wctx, clusterOf(first)))).To(Succeed())
	second := w.newShootIn(first.namespace, demo)
	second.createInfrastructure(nil)
	infra := second.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	w.Expect(infra.Status.LastOperation.State).To(Equal(gardencorev1beta1.LastOperationStateProcessing))
	w.Expect(infra.Status.Networking).To(BeNil(), "the prefixes of the dead are not published for the living")

	set.KillAt = reservation.BeforeFinalizer
	startProcess(t, set).waitKilled(t)
	set.KillAt = ""
	startProcess(t, set)
	second.Eventually(func() error { return health.CheckExtensionObject(second.infra()) }).Should(Succeed())
	w.Expect(second.get("nodes-ipv6").Spec.Owner.ShootUID).To(BeEquivalentTo(second.shoot.Status.UID))
	w.Expect(second.heldBy(poolLedger)()).To(ConsistOf("nodes-ipv6 2001:db8:0:2::/64", "services-ipv6 2001:db8:0:3::/64"))
	w.Expect(first.heldBy(poolLedger)()).To(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"), "in quarantine")
	w.Expect(w.tombstones()).To(HaveLen(2))
}
