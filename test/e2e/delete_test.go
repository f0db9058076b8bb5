//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	ipv6v1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
)

// quarantine is how long the landscape's operator keeps released prefixes from reuse.
const quarantine = 2 * time.Minute

// testDelete deletes the Shoot, and makes a new one of the same name while the old one's prefixes are in quarantine.
func testDelete(t *testing.T) {
	g := NewWithT(t)
	s := demo(t)
	uid := s.read(t).Status.UID

	held := map[ipv6v1alpha1.RangeName]string{}
	for _, r := range s.reservations(t) {
		held[r.Spec.Range] = r.Status.Allocated
	}

	g.Expect(ledger(t)).To(ContainElements(held[ipv6v1alpha1.RangeNodes], held[ipv6v1alpha1.RangeServices]), "the ledger before")

	if !t.Run("everything goes", func(t *testing.T) {
		NewWithT(t).Expect(world.DeleteShoot(t.Context(), s.Cluster)).To(Succeed())
		expectGone(t, s)
		expectTombstones(t, uid, held)
		NewWithT(t).Expect(ledger(t)).To(ContainElements(held[ipv6v1alpha1.RangeNodes], held[ipv6v1alpha1.RangeServices]),
			"the ledger while the prefixes are in quarantine")
	}) {
		t.FailNow()
	}

	t.Run("a new Shoot of the name gets other prefixes", func(t *testing.T) {
		s := deploy(t)

		for _, r := range s.reservations(t) {
			for _, old := range held {
				NewWithT(t).Expect(parsePrefix(t, r.Status.Allocated).Overlaps(parsePrefix(t, old))).To(BeFalse(),
					"reservation %s got %s, and %s is in quarantine", r.Name, r.Status.Allocated, old)
			}
		}

		s.expectNodePrefixes(t)
		s.expectRing(t)
	})

	t.Run("the quarantine ends", func(t *testing.T) {
		eventually(t, quarantine+30*time.Second, "the tombstones to go", func(g Gomega) {
			g.Expect(tombstones(t, uid)).To(BeEmpty())
		})

		for _, old := range held {
			NewWithT(t).Expect(ledger(t)).NotTo(ContainElement(old), "the ledger after the quarantine")
		}
	})
}

func expectGone(t *testing.T, s *shoot) {
	t.Helper()

	g := NewWithT(t)
	err := world.api.Get(t.Context(), client.ObjectKey{Name: s.Namespace}, &corev1.Namespace{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "namespace %s of the control plane: %v", s.Namespace, err)

	list := &ipv6v1alpha1.PrefixReservationList{}
	g.Expect(world.api.List(t.Context(), list, client.InNamespace(s.Namespace))).To(Succeed())
	g.Expect(list.Items).To(BeEmpty(), "PrefixReservations in namespace %s", s.Namespace)

	eventually(t, 30*time.Second, "the Shoot to be gone", func(g Gomega) {
		err := world.api.Get(t.Context(), client.ObjectKeyFromObject(s.Shoot), s.Shoot.DeepCopy())
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "Shoot %s: %v", s.Shoot.Name, err)
	})
}

// expectTombstones expects what keeps the Shoot's prefixes from reuse.
func expectTombstones(t *testing.T, uid types.UID, held map[ipv6v1alpha1.RangeName]string) {
	t.Helper()

	g := NewWithT(t)
	found := map[ipv6v1alpha1.RangeName]string{}

	for _, tombstone := range tombstones(t, uid) {
		g.Expect(tombstone.Status.Phase).To(Equal(ipv6v1alpha1.PhaseQuarantined), "tombstone %s", tombstone.Name)
		g.Expect(tombstone.Status.QuarantinedUntil).NotTo(BeNil(), "tombstone %s", tombstone.Name)
		g.Expect(time.Until(tombstone.Status.QuarantinedUntil.Time)).To(And(BeNumerically(">", 0), BeNumerically("<=", quarantine)),
			"what is left of the quarantine of tombstone %s", tombstone.Name)

		found[tombstone.Spec.Range] = tombstone.Status.Allocated
	}

	g.Expect(found).To(Equal(held), "prefixes in quarantine by range")
}

// tombstones of a Shoot that is gone.
func tombstones(t *testing.T, uid types.UID) []ipv6v1alpha1.PrefixReservation {
	t.Helper()

	list := &ipv6v1alpha1.PrefixReservationList{}
	NewWithT(t).Expect(world.api.List(t.Context(), list, client.InNamespace(driver.ExtensionNamespace))).To(Succeed())

	var found []ipv6v1alpha1.PrefixReservation

	for _, item := range list.Items {
		if item.Spec.Owner.ShootUID == string(uid) {
			found = append(found, item)
		}
	}

	return found
}

// ledger is all that the operator's pools have given away. Reading it fails if two entries overlap.
func ledger(t *testing.T) []string {
	t.Helper()

	g := NewWithT(t)
	book, err := configmap.New(world.api, world.api, driver.ExtensionNamespace, "ipv6-pool-ledger").Read(t.Context())
	g.Expect(err).NotTo(HaveOccurred(), "the ledger is broken")

	var given []string

	for entry := range book.All() {
		g.Expect(netip.MustParsePrefix(pool).Contains(entry.Prefix.Addr())).To(BeTrue(), "%s of the ledger is out of the pool %s", entry.Prefix, pool)
		given = append(given, entry.Prefix.String())
	}

	return given
}
