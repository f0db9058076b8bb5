// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/utils/kubernetes/health"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func TestAdoptsWhatTheProviderReports(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace}, nil) // no pools
	s := w.newShoot(demo)
	s.Eventually(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhasePending))
	infra := s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, &networking{Nodes: []string{"2001:db8:a::/56"}})
	w.Expect(infra.Status.LastOperation.Description).To(ContainSubstring(
		"services (IPv6): waiting for the infrastructure provider to report an IPv6 range for services: no IPAM backend serves a /64 (IPv6, Global) for services: pool: it has no pools"))
	s.Eventually(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseBound))
	nodes := s.get("nodes-ipv6")
	w.Expect([]string{nodes.Status.Backend, nodes.Status.Allocated, nodes.Status.Published}).To(Equal(
		[]string{"adopted", "2001:db8:a::/56", "2001:db8:a::/56"}), "published whole: the nodes live anywhere in it")

	theirs := &networking{Nodes: []string{"2001:db8:a::/56"}, Services: []string{"2001:db8:b::/120"}}
	s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, theirs)
	s.Eventually(s.phase("services-ipv6")).Should(Equal(v1alpha1.PhaseFailed), "services are published as a /112")
	w.Expect(meta.FindStatusCondition(s.get("services-ipv6").Status.Conditions, v1alpha1.ConditionBound).Message).To(
		ContainSubstring("the infrastructure provider reports 2001:db8:b::/120, which does not do"))
	theirs.Services = []string{"2001:db8:b::/108"}
	s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, theirs)
	s.waitBound()
	s.Eventually(func() error { return health.CheckExtensionObject(s.infra()) }).Should(Succeed())
	w.Expect(s.infra().Status.Networking).To(Equal(&networking{
		Nodes: []string{"2001:db8:a::/56"}, Pods: []string{"2001:db8:a::/56"}, Services: []string{"2001:db8:b::/108"},
	}))

	s.markDeleted()
	s.infrastructureGone()
	s.Eventually(s.phase("nodes-ipv6")).Should(BeEquivalentTo("absent"))
	s.Eventually(s.phase("services-ipv6")).Should(BeEquivalentTo("absent"))
	w.Expect(w.tombstones()).To(BeEmpty(), "what is adopted is not ours to give back")
}

func TestReportBeatsPoolIfItComesFirst(t *testing.T) {
	w := newWorld(t)
	s := w.newShoot(demo)
	s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, &networking{Nodes: []string{"2001:db8:a::/64"}})
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s.waitBound()
	w.Expect(s.get("nodes-ipv6").Status.Backend).To(Equal("adopted"))
	w.Expect(s.get("services-ipv6").Status.Backend).To(Equal("pool"))
}

func TestQuarantine(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/63"), Quarantine: 4 * time.Second}, nil)
	first := w.newShoot(demo)
	first.waitBound()

	first.markDeleted()
	w.Expect(env.Client.Delete(wctx, first.get("nodes-ipv6"))).To(Succeed(), "somebody deletes it by hand")
	first.Consistently(first.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseBound), "but the Infrastructure still uses it")
	first.infrastructureGone()
	first.Eventually(first.phase("nodes-ipv6")).Should(BeEquivalentTo("absent"))
	first.Eventually(first.phase("services-ipv6")).Should(BeEquivalentTo("absent"))
	w.Expect(w.tombstones()).To(HaveLen(2))
	tombstone := w.tombstones()[0]
	w.Expect(tombstone.Status.Phase).To(Equal(v1alpha1.PhaseQuarantined))
	w.Expect(tombstone.Status.QuarantinedUntil).NotTo(BeNil())

	second := w.newShoot(demo)
	second.Eventually(second.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseFailed), "the pool is full of quarantined prefixes")
	second.waitBound()
	w.Expect(time.Now()).To(BeTemporally(">=", tombstone.Status.QuarantinedUntil.Time), "not before the quarantine was over")
	w.Eventually(w.tombstones).Should(BeEmpty())
	w.Expect(second.heldBy(poolLedger)()).To(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"))
}

// A tombstone goes when it is deleted, whether or not the extension still runs: a namespace has to be able to go. What it stood for
// is garbage then.
func TestOperatorEndsQuarantine(t *testing.T) {
	w := newWorld(t)
	set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), Quarantine: time.Hour}
	stop := startHere(t, set, nil)
	s := w.newShoot(demo)
	s.waitBound()
	s.markDeleted()
	s.infrastructureGone()
	w.Eventually(w.tombstones).Should(HaveLen(2))
	s.Eventually(s.phase("nodes-ipv6")).Should(BeEquivalentTo("absent"))
	s.Eventually(s.phase("services-ipv6")).Should(BeEquivalentTo("absent"))
	stop()
	for _, tombstone := range w.tombstones() {
		w.Expect(env.Client.Delete(wctx, &tombstone)).To(Succeed())
	}
	w.Expect(w.tombstones()).To(BeEmpty(), "nobody was there to take a finalizer away")
	w.Expect(w.held(poolLedger)).To(HaveLen(2))

	set.Garbage = 200 * time.Millisecond
	startHere(t, set, nil)
	second := w.newShoot(demo)
	second.waitBound()
	w.Expect(second.heldBy(poolLedger)()).NotTo(ContainElement("nodes-ipv6 2001:db8::/64"), "free only when nobody was seen to want it")
	w.Eventually(s.heldBy(poolLedger)).Should(BeEmpty())
	second.Consistently(second.heldBy(poolLedger)).Should(HaveLen(2))
}

// Earlier versions gave tombstones a finalizer.
func TestTakesTheFinalizerOffTombstones(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), Quarantine: time.Hour}, nil)
	s := w.newShoot(demo)
	s.waitBound()
	s.markDeleted()
	s.infrastructureGone()
	w.Eventually(w.tombstones).Should(HaveLen(2))
	w.Eventually(func() error {
		tombstone := w.tombstones()[0]
		tombstone.Finalizers = []string{v1alpha1.FinalizerReservation}
		return env.Client.Update(wctx, &tombstone)
	}).Should(Succeed())
	w.Eventually(func() []string { return w.tombstones()[0].Finalizers }).Should(BeEmpty())
	w.Expect(w.held(poolLedger)).To(HaveLen(2))
}

// What a process leaves that dies between the two writes of a tombstone, if its reservation is removed by force, too.
func TestRemovesUnfinishedTombstones(t *testing.T) {
	w := newWorld(t)
	s := w.newShoot(demo)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), Garbage: 200 * time.Millisecond}, nil)
	s.waitBound()
	tombstone := &v1alpha1.PrefixReservation{Spec: s.get("nodes-ipv6").Spec}
	tombstone.Namespace, tombstone.Name, tombstone.Spec.Owner.ShootUID = w.namespace, "released-unfinished", "nobody"
	w.Expect(env.Client.Create(wctx, tombstone)).To(Succeed())
	w.Eventually(w.tombstones).Should(BeEmpty())
}

// A shoot that comes back takes its tombstone away without waiting for anything else.
func TestTheReturningTakeTheirTombstones(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s := w.newShoot(demo)
	s.waitBound()
	infra := s.infra()
	infra.Annotations = map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationMigrate}
	w.Expect(env.Client.Update(wctx, infra)).To(Succeed())
	w.Eventually(w.tombstones).Should(HaveLen(2))
	w.Eventually(func() []string { return s.get("services-ipv6").Finalizers }).Should(BeEmpty())
	w.Eventually(func() []string { return figures(w) }).Should(ContainElement("networking_ipv6_reservations_moved{} 2"))

	infra = s.infra()
	infra.Annotations = map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationRestore}
	w.Expect(env.Client.Update(wctx, infra)).To(Succeed())
	w.Eventually(w.tombstones).Should(BeEmpty())
	s.Consistently(s.heldBy(poolLedger)).Should(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"))
}

// The control plane moves to another seed: here another extension's namespace with ledgers of its own.
func TestMigrateAndRestore(t *testing.T) {
	w := newWorld(t)
	stop := startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s := w.newShoot(demo)
	s.waitBound()
	infra := s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	reservations := &v1alpha1.PrefixReservationList{}
	w.Expect(env.Client.List(wctx, reservations, client.InNamespace(s.namespace))).To(Succeed())
	state, err := reservationcontroller.State(reservations.Items)
	w.Expect(err).NotTo(HaveOccurred())

	infra.Annotations = map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationMigrate}
	w.Expect(env.Client.Update(wctx, infra)).To(Succeed())
	w.Eventually(func() []string { return s.get("nodes-ipv6").Finalizers }).Should(BeEmpty())
	w.Eventually(func() []string { return s.get("services-ipv6").Finalizers }).Should(BeEmpty())
	s.infrastructureGone()
	s.Consistently(s.heldBy(poolLedger)).Should(HaveLen(2), "let go, not given back")
	w.Expect(w.tombstones()).To(HaveLen(2))
	w.Expect(w.tombstones()[0].Status.QuarantinedUntil).To(BeNil(), "nobody tells this seed when the shoot is gone")
	stop()
	w.clear()

	for name, importState := range map[string]bool{"with the Network's state": true, "from the Shoot's status alone": false} {
		t.Run(name, func(t *testing.T) {
			there := newWorld(t)
			moved := &shoot{world: there, shoot: s.shoot.DeepCopy(),
				namespace: there.shootNamespace()}
			moved.shoot.Status.Networking = &gardencorev1beta1.NetworkingStatus{
				Nodes: infra.Status.Networking.Nodes, Pods: infra.Status.Networking.Pods, Services: infra.Status.Networking.Services,
			}
			moved.shoot.Spec.Networking.Nodes = &infra.Status.Networking.Nodes[0]
			moved.syncCluster()
			if importState {
				decoded, err := helper.DecodeNetworkState(&runtime.RawExtension{Raw: state})
				there.Expect(err).NotTo(HaveOccurred())
				there.Expect(reservationcontroller.Import(wctx, env.Client, moved.namespace, decoded)).To(Succeed())
				there.Expect(reservationcontroller.Import(wctx, env.Client, moved.namespace, decoded)).To(Succeed(), "twice is once")
			}
			startHere(t, settings{Namespace: there.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
			var stranger *shoot
			if importState {
				stranger = there.newShoot(demo) // may come first: what was imported is known to be taken
			}
			moved.createInfrastructure(map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationRestore})
			moved.waitBound()
			there.Eventually(moved.heldBy(poolLedger)).Should(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"))
			there.Expect(moved.get("services-ipv6").Status.Published).To(Equal("2001:db8:0:1::/112"))
			if stranger == nil {
				stranger = there.newShoot(demo)
			}
			stranger.waitBound()
			there.Expect(stranger.heldBy(poolLedger)()).To(ConsistOf("nodes-ipv6 2001:db8:0:2::/64", "services-ipv6 2001:db8:0:3::/64"))
			restored := moved.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
			there.Expect(restored.Status.Networking).To(Equal(infra.Status.Networking), "what is published stays")
		})
	}
}

// What is published stays, whatever the new seed has to give and whatever the provider there reports.
func TestRestoresWhatIsPublished(t *testing.T) {
	for name, tc := range map[string]struct {
		pools           []reservation.Pool
		nodes, services string
		reports         *networking
		backend         string
		ledger          []string
	}{
		"a seed without pools": {
			nodes: "2001:db8::/64", services: "2001:db8:0:1::/112", backend: "pool",
			ledger: []string{"nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"},
		},
		"a provider that reports others": {
			nodes: "2001:db8::/64", services: "2001:db8:0:1::/112", backend: "pool", pools: poolOf("public", "2001:db8::/48"),
			reports: &networking{Nodes: []string{"2001:db8:a::/64"}, Services: []string{"2001:db8:b::/112"}},
			ledger:  []string{"nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"},
		},
		"the same provider's, with pools": {
			nodes: "2001:db8:a::/56", services: "2001:db8:b::/108", backend: "adopted", pools: poolOf("public", "2001:db8::/48"),
		},
		"no first child: no backend gave it": {
			nodes: "2001:db8:a::/56", services: "2001:db8:b:0:5::/112", backend: "adopted", pools: poolOf("public", "2001:db8::/48"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.newShootIn(w.shootNamespace(), demo)
			s.shoot.Status.Networking = &gardencorev1beta1.NetworkingStatus{
				Nodes: []string{tc.nodes}, Pods: []string{tc.nodes}, Services: []string{tc.services},
			}
			s.syncCluster()
			s.createInfrastructure(nil)
			s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, tc.reports)
			startHere(t, settings{Namespace: w.namespace, Pools: tc.pools}, nil)
			s.waitBound()
			s.Eventually(func() error { return health.CheckExtensionObject(s.infra()) }).Should(Succeed())
			w.Expect(s.infra().Status.Networking).To(Equal(&networking{
				Nodes: []string{tc.nodes}, Pods: []string{tc.nodes}, Services: []string{tc.services},
			}))
			w.Expect([]string{s.get("nodes-ipv6").Status.Backend, s.get("services-ipv6").Status.Backend}).To(HaveEach(tc.backend))
			w.Expect(s.heldBy(poolLedger)()).To(ConsistOf(tc.ledger))
		})
	}
}

// A Shoot that asks for another size by now keeps what it has, and is told so once.
func TestF24SizeChangedAfterBound(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s := w.newShoot(demo)
	s.waitBound()
	config := string(s.shoot.Spec.Networking.ProviderConfig.Raw)
	s.shoot.Spec.Networking.ProviderConfig.Raw = []byte(strings.Replace(config, "v6global/64+", "v6global/60+", 1))
	s.syncCluster()
	told := func() (n int32) {
		list := &eventsv1.EventList{}
		w.Expect(env.Client.List(wctx, list, client.InNamespace(s.namespace))).To(Succeed())
		for _, e := range list.Items {
			if e.Reason == "SizeChanged" {
				n++
				if e.Series != nil {
					n += e.Series.Count
				}
			}
		}
		return n
	}
	w.Eventually(told).Should(BeEquivalentTo(1))
	for range 3 {
		infra := s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil) // wakes the controller
		w.Expect(infra.Status.LastOperation.State).To(Equal(gardencorev1beta1.LastOperationStateSucceeded), infra.Status.LastOperation.Description)
		w.Expect(infra.Status.Networking.Nodes).To(Equal([]string{"2001:db8::/64"}))
	}
	w.Consistently(told).Should(BeEquivalentTo(1))
}

// F19: somebody takes the reservation away by force, or the prefix.
func TestF19TamperedWith(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}, nil)
	s := w.newShoot(demo)
	s.waitBound()
	uid := s.get("services-ipv6").UID
	services := s.get("services-ipv6")
	services.Finalizers = nil
	w.Expect(env.Client.Update(wctx, services)).To(Succeed())
	w.Expect(env.Client.Delete(wctx, services)).To(Succeed())
	w.Eventually(func() bool {
		r := s.get("services-ipv6")
		return r != nil && r.UID != uid && r.Status.Phase == v1alpha1.PhaseBound
	}).Should(BeTrue())
	w.Expect(s.get("services-ipv6").Status.Backend).To(Equal("pool"), "our own range in the Infrastructure's status is no report of the provider")
	w.Expect(s.get("services-ipv6").Status.Allocated).To(Equal("2001:db8:0:1::/64"), "the same again")

	thief := reservation.Owner{GardenID: gardenID, ShootUID: "thief", Range: "nodes-ipv6", Attempt: 1}
	w.Expect(w.store(poolLedger).Update(wctx, func(l *reservation.Ledger) error {
		p := netip.MustParsePrefix("2001:db8::/64")
		if holder, ok := l.Overlapping(p); ok {
			if err := l.Remove(p, holder.Owner); err != nil {
				return err
			}
		}
		return l.Claim(reservation.Allocation{Owner: thief, Prefix: p, Since: time.Now()})
	})).To(Succeed())
	s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil) // wakes the controller
	w.Eventually(s.events).Should(ContainElement(ContainSubstring("Lost: 2001:db8::/64 is published, but pool does not hold it for this seed: 2001:db8::/64 overlaps 2001:db8::/64, which v1/garden-under-test/thief/nodes-ipv6/1 holds; it stays published, and a person has to act")))
	w.Expect(s.get("nodes-ipv6").Status.Allocated).To(Equal("2001:db8::/64"), "a published range is never replaced")
}

// Allocations without an owner: what a lost race between a deletion and an allocation leaves behind.
func TestCollectsGarbage(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), Garbage: 200 * time.Millisecond}, nil)
	store := w.store(poolLedger)
	for i, owner := range []reservation.Owner{
		{GardenID: gardenID, ShootUID: "nobody", Range: "nodes-ipv6", Attempt: 1},
		{GardenID: "another-garden", ShootUID: "somebody", Range: "nodes-ipv6", Attempt: 1},
	} {
		p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 0, 0, 0xff, byte(i)}), 64)
		w.Expect(store.Update(wctx, func(l *reservation.Ledger) error {
			return l.Claim(reservation.Allocation{Owner: owner, Prefix: p, Since: time.Now().Add(-time.Hour)})
		})).To(Succeed())
	}
	w.Consistently(func() int { return len(w.held(poolLedger)) }).Should(Equal(2), "a seed without any reservation may be one that forgot")
	s := w.newShoot(demo)
	s.waitBound()
	w.Eventually(func() map[netip.Prefix]reservation.Owner { return w.held(poolLedger) }).Should(HaveLen(3))
	w.Expect(w.held(poolLedger)).NotTo(HaveKey(netip.MustParsePrefix("2001:db8:0:ff00::/64")))
	w.Expect(w.held(poolLedger)).To(HaveKey(netip.MustParsePrefix("2001:db8:0:ff01::/64")), "another garden's")
	s.Consistently(s.heldBy(poolLedger)).Should(HaveLen(2))
}

// A ledger that was lost is written anew from the reservations, and until then nothing that is bound is given away.
func TestMendsALostLedger(t *testing.T) {
	w := newWorld(t)
	set := settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48")}
	stop := startHere(t, set, nil)
	first := w.newShoot(demo)
	first.waitBound()
	stop()
	w.Expect(w.store(poolLedger).Update(wctx, func(l *reservation.Ledger) error { *l = reservation.Ledger{}; return nil })).To(Succeed())

	second := w.newShoot(demo)
	startHere(t, set, nil)
	second.waitBound()
	w.Eventually(first.heldBy(poolLedger)).Should(ConsistOf("nodes-ipv6 2001:db8::/64", "services-ipv6 2001:db8:0:1::/64"))
	w.Expect(second.heldBy(poolLedger)()).To(ConsistOf("nodes-ipv6 2001:db8:0:2::/64", "services-ipv6 2001:db8:0:3::/64"))
}

// The webhook must never be in the way of an Infrastructure that leaves.
func TestLetsTheLeavingPass(t *testing.T) {
	w := newWorld(t)
	s := w.newShoot(demo)
	infra := s.infra()
	infra.Finalizers = []string{"extensions.gardener.cloud/stub"}
	w.Expect(env.Client.Update(wctx, infra)).To(Succeed())
	w.Expect(env.Client.Delete(wctx, infra)).To(Succeed())
	w.Expect(env.Client.Delete(wctx, clusterOf(s))).To(Succeed(), "not even the Cluster is needed")
	infra = s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	w.Expect(infra.Status.LastOperation.State).To(Equal(gardencorev1beta1.LastOperationStateSucceeded))
}
