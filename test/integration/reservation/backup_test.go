// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlenvtest "sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// onDisk starts an API server whose etcd keeps its data in the folder, also after its end.
func onDisk(t *testing.T, dir string) (*envtest.Environment, func()) {
	t.Helper()
	started, err := envtest.New(seed(func(e *ctrlenvtest.Environment) error {
		e.ControlPlane.Etcd.DataDir = dir
		return nil
	})...)
	if err != nil {
		t.Fatal(err)
	}
	started.Config.QPS, started.Config.Burst = 1000, 2000
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		if err := started.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	}
	t.Cleanup(stop)
	return started, stop
}

// again is a shoot as gardenlet makes it anew in a seed that has forgotten it, or writes it into one that has an older state: its
// status says what is published.
func (s *shoot) again(w *world, published *networking) *shoot {
	next := &shoot{world: w, namespace: s.namespace, shoot: s.shoot.DeepCopy()}
	next.shoot.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: published.Nodes, Pods: published.Pods, Services: published.Services}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace, Labels: map[string]string{v1beta1constants.LabelNetworkingProvider: "ipv6"}}}
	if err := w.env.Client.Create(wctx, namespace); err == nil {
		next.setCredentials(map[string]string{"token": "good"})
		next.createInfrastructure(nil)
	}
	next.syncCluster()
	return next
}

// F21: the seed's etcd is restored from a backup. Some shoots are not in it, some are in it although they are gone and their
// prefixes are others' by now, and one stands there in the middle of its allocation. Everybody who lives keeps what he has.
func TestF21OldBackupRestored(t *testing.T) {
	now, backup := filepath.Join(t.TempDir(), "now"), filepath.Join(t.TempDir(), "backup")
	first, stop := onDisk(t, now)
	w := newWorldOn(t, first)
	c := newCloud("2001:db8::/48", "good")
	good := map[string]string{"token": "good"}
	on := func(w *world) settings {
		return settings{Namespace: w.namespace, Seed: "seed-a", config: w.env.Config, Garbage: 300 * time.Millisecond, Keep: 500 * time.Millisecond}
	}
	stopController := startHere(t, on(w), nil, c.backend("seed-a", 48))
	old, leaving := w.newCloudShoot(good), w.newCloudShoot(good)
	old.waitBound()
	leaving.waitBound()
	stopController()
	failpoint, died := dieAt(reservation.AfterAllocating)
	stopController = startHere(t, on(w), failpoint, c.backend("seed-a", 48))
	midway := w.newCloudShoot(good)
	midway.waitDied(died)
	w.Expect(midway.get("nodes-ipv6").Status.Phase).To(Equal(v1alpha1.PhaseAllocating))
	stopController()
	stop()
	w.Expect(os.CopyFS(backup, os.DirFS(now))).To(Succeed())

	// Life goes on after the backup.
	second, stop := onDisk(t, now)
	w.env = second
	stopController = startHere(t, on(w), nil, c.backend("seed-a", 48))
	midway.waitBound()
	taken := leaving.get("nodes-ipv6").Status.Allocated
	leaving.end()
	leaving.waitGone()
	young := w.newCloudShoot(good)
	young.waitBound()
	w.Expect(young.get("nodes-ipv6").Status.Allocated).To(Equal(taken), "handed out again")
	living, published := []*shoot{old, midway, young}, map[*shoot]*networking{}
	for _, s := range living {
		s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
		s.Eventually(func() *networking { return s.infra().Status.Networking }).ShouldNot(BeNil())
		published[s] = s.infra().Status.Networking
	}
	before := c.ipam.Dump()
	stopController()
	stop()

	third, _ := onDisk(t, backup)
	there := &world{WithT: w.WithT, t: t, env: third, namespace: w.namespace}
	var restored []*shoot
	for _, s := range living {
		restored = append(restored, s.again(there, published[s]))
	}
	ghost := &shoot{world: there, namespace: leaving.namespace, shoot: leaving.shoot}
	ghost.shoot.DeletionTimestamp = nil
	there.Expect(ghost.get("nodes-ipv6").Status.Allocated).To(Equal(taken), "the backup knows it as bound")
	startHere(t, on(there), nil, c.backend("seed-a", 48))
	for i, s := range restored {
		s.waitBound()
		s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
		s.Eventually(func() *networking { return s.infra().Status.Networking }).Should(Equal(published[living[i]]))
	}
	ghost.Eventually(ghost.condition("nodes-ipv6", v1alpha1.ConditionHeld)).Should(PointTo(MatchFields(IgnoreExtras, Fields{
		"Reason": Equal("Lost"),
	})), "it is somebody else's by now")
	there.Consistently(dump(c)).Should(Equal(before), "every prefix is whose it was")

	ghost.end()
	ghost.waitGone()
	there.Consistently(dump(c)).Should(Equal(before), "what the ghost did not have it cannot give back")
	w.env = env // the clean-up of the first world finds nothing
}
