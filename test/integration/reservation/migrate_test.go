// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"sync"
	"testing"
	"time"

	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// dieAt returns a failpoint at which the controller stops for ever, with all that it does, the first time it gets there.
func dieAt(point string) (failpoint func(string), died <-chan struct{}) {
	dead := make(chan struct{})
	var once sync.Once
	return func(at string) {
		if at == point {
			once.Do(func() { close(dead) })
			select {} // not one instruction further
		}
	}, dead
}

func (s *shoot) waitDied(died <-chan struct{}) {
	s.t.Helper()
	s.Eventually(died).Should(BeClosed())
}

// operation asks for one as gardenlet does.
func (s *shoot) operation(name string) {
	infra := s.infra()
	before := infra.DeepCopy()
	infra.Annotations = map[string]string{v1beta1constants.GardenerOperation: name}
	s.Expect(s.env.Client.Patch(wctx, infra, client.MergeFrom(before))).To(Succeed())
}

// F23: the control plane moves while the first seed is in the middle of an allocation; two seeds, two API servers, one IPAM. In
// either order of what the seeds do next there is one prefix a range, the one that the first seed was given, the new seed
// holds it, and nothing is left of it on the old one.
func TestF23MigratedWhileAllocating(t *testing.T) {
	other := envtest.Start(t, seed()...)
	other.Config.QPS, other.Config.Burst = 1000, 2000
	for name, oldFirst := range map[string]bool{"the old seed lets go first": true, "the new seed takes over first": false} {
		t.Run(name, func(t *testing.T) {
			here, there := newWorld(t), newWorldOn(t, other)
			c := newCloud("2001:db8::/48", "good")
			on := func(w *world, seed string) settings {
				return settings{Namespace: w.namespace, Seed: seed, config: w.env.Config, Garbage: 300 * time.Millisecond}
			}
			old := here.newCloudShoot(map[string]string{"token": "good"})
			failpoint, died := dieAt(reservation.AfterAllocate)
			stop := startHere(t, on(here, "seed-a"), failpoint, c.backend("seed-a", 48))
			old.waitDied(died)
			here.Expect(old.get("nodes-ipv6").Status.Phase).To(Equal(v1alpha1.PhaseAllocating))
			here.Expect(c.ipam.Dump()).To(HavePrefix("2001:db8::/64 "), "given, and not on record")
			stop()

			old.operation(v1beta1constants.GardenerOperationMigrate)
			letGo := func() {
				startHere(t, on(here, "seed-a"), nil, c.backend("seed-a", 48))
				here.Eventually(func() []string { return old.get("nodes-ipv6").Finalizers }).Should(BeEmpty())
			}
			moved := &shoot{world: there, shoot: old.shoot.DeepCopy(), namespace: there.shootNamespace()}
			takeOver := func() {
				moved.syncCluster()
				moved.setCredentials(map[string]string{"token": "good"})
				moved.createInfrastructure(map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationRestore})
				startHere(t, on(there, "seed-b"), nil, c.backend("seed-b", 48))
				moved.waitBound()
			}
			if oldFirst {
				letGo()
				here.Expect(here.tombstones()).To(HaveLen(1))
				takeOver()
			} else {
				takeOver()
				letGo()
			}
			want := And(
				ContainSubstring("2001:db8::/64 v1/garden-under-test/"+string(old.shoot.Status.UID)+"/nodes-ipv6/1\n"),
				ContainSubstring("2001:db8:0:1::/64 v1/garden-under-test/"+string(old.shoot.Status.UID)+"/services-ipv6/1\n"),
				HaveLen(2*len("2001:db8::/64 v1/garden-under-test/"+string(old.shoot.Status.UID)+"/nodes-ipv6/1\n")+len(":0:1")+len("services")-len("nodes")),
			)
			here.Eventually(dump(c)).Should(want)
			there.Expect(moved.get("nodes-ipv6").Status.Allocated).To(Equal("2001:db8::/64"))
			there.Expect(seedsOf(c, moved)).To(HaveEach("seed-b"))
			here.Eventually(old.secretFinalizers).Should(BeEmpty(), "the old seed has nothing to give back any more")

			// A shoot that stays gives the old seed's garbage collection an account to look into; it must leave alone what moved, and
			// it sees who has it.
			staying := here.newCloudShoot(map[string]string{"token": "good"})
			staying.waitBound()
			here.Eventually(here.tombstones).Should(BeEmpty())
			here.Consistently(func() []string { return seedsOf(c, moved) }).Should(Equal([]string{"seed-b", "seed-b"}))

			moved.end()
			moved.waitGone()
			staying.end()
			staying.waitGone()
			here.Expect(c.ipam.Dump()).To(BeEmpty())
		})
	}
}

// seedsOf what the cloud holds for the shoot.
func seedsOf(c *cloud, s *shoot) []string {
	all, err := c.ipam.List(wctx, gardenID)
	s.Expect(err).NotTo(HaveOccurred())
	var seeds []string
	for _, a := range all {
		if a.Owner.ShootUID == string(s.shoot.Status.UID) {
			seeds = append(seeds, a.Seed)
		}
	}
	return seeds
}
