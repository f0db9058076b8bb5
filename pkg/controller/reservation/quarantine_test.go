// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/install"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// newKit is one on a fake API server, at a time that stands still.
func newKit(t *testing.T, objects ...client.Object) *kit {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(corev1.AddToScheme(scheme)).To(Succeed())
	NewWithT(t).Expect(install.AddToScheme(scheme)).To(Succeed())
	byHolder := func(obj client.Object) []string {
		r, ok := obj.(*v1alpha1.PrefixReservation)
		if !ok {
			return nil
		}
		return []string{holderOf(r).Key()}
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.PrefixReservation{}).
		WithIndex(&v1alpha1.PrefixReservation{}, holderField, byHolder).Build()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &kit{
		Options: Options{Namespace: "extension", Config: &configv1alpha1.ControllerConfiguration{GardenID: "garden", SeedName: "seed"}},
		client:  c, live: c, recorder: events.NewFakeRecorder(100), now: func() time.Time { return now },
		accounts: newAccounts(nil, c),
	}
}

func reservationOf(namespace, name string, phase v1alpha1.ReservationPhase, attempt int32) *v1alpha1.PrefixReservation {
	r := &v1alpha1.PrefixReservation{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	r.Spec.Range, r.Spec.Family, r.Spec.Owner = "services", v1alpha1.IPv6, v1alpha1.ReservationOwner{GardenID: "garden", ShootUID: "uid"}
	r.Status.Phase, r.Status.Attempt = phase, attempt
	return r
}

// What a shoot that came back may be about to take over is not given back meanwhile, of whatever attempt it is.
func TestTombstoneWaitsForItsHeirs(t *testing.T) {
	for name, tc := range map[string]struct {
		phase   v1alpha1.ReservationPhase
		attempt int32
		left    bool
	}{
		"an heir that allocates under another attempt": {v1alpha1.PhaseAllocating, 1, true},
		"an heir that allocates under the same":        {v1alpha1.PhaseAllocating, 2, true},
		"an heir that failed":                          {v1alpha1.PhaseFailed, 1, true},
		"an heir that is being released":               {v1alpha1.PhaseReleasing, 2, true},
		"an heir that is bound":                        {v1alpha1.PhaseBound, 1, false},
		"no heir":                                      {"", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tombstone := reservationOf("extension", "released", v1alpha1.PhaseQuarantined, 2)
			tombstone.Status.QuarantinedUntil = &metav1.Time{Time: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
			objects := []client.Object{tombstone}
			if tc.phase != "" {
				heir := reservationOf("shoot--a--b", "services-ipv6", tc.phase, tc.attempt)
				heir.Finalizers = []string{v1alpha1.FinalizerReservation}
				objects = append(objects, heir)
			}
			r := &quarantineReconciler{kit: newKit(t, objects...)}
			_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(tombstone)})
			g.Expect(err).NotTo(HaveOccurred())
			left := r.live.Get(t.Context(), client.ObjectKeyFromObject(tombstone), tombstone) == nil
			g.Expect(left).To(Equal(tc.left))
			if tc.phase != "" {
				g.Expect(r.tombstonesOf(t.Context(), reservationOf("shoot--a--b", "x", "", 1))).To(HaveLen(map[bool]int{true: 1}[tc.left]))
			}
		})
	}
}

// A shoot that left again while somebody was about to delete the tombstone of its first move keeps one.
func TestTombstoneWrittenAnewStays(t *testing.T) {
	g := NewWithT(t)
	k := newKit(t)
	object := reservationOf("shoot--a--b", "services-ipv6", v1alpha1.PhaseBound, 1)
	record := reservation.Record{Phase: reservation.Bound, Prefix: netip.MustParsePrefix("2001:db8::/112"), Attempt: 1}
	until := metav1.NewTime(k.now())
	g.Expect(k.bury(t.Context(), object, record, &until, "the shoot is gone")).To(Succeed())
	seen := &v1alpha1.PrefixReservation{}
	key := client.ObjectKey{Namespace: "extension", Name: tombstoneName(object)}
	g.Expect(k.live.Get(t.Context(), key, seen)).To(Succeed())

	later := metav1.NewTime(k.now().Add(time.Hour))
	g.Expect(k.bury(t.Context(), object, record, &later, "the shoot is gone")).To(Succeed())
	g.Expect(k.removeTombstone(t.Context(), seen)).NotTo(Succeed())
	g.Expect(k.live.Get(t.Context(), key, seen)).To(Succeed())
	g.Expect(seen.Status.QuarantinedUntil.Time).To(BeTemporally("==", later.Time), "its time begins anew")
}
