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
	. "github.com/onsi/gomega/gstruct"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// F14: the token in the Secret is another one at every step of the shoot's life, and the one before is worth nothing any more.
func TestF14TokenRotated(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8::/48", "first")
	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a", Quarantine: time.Hour, Keep: time.Second}, nil, c.backend("seed-a", 48))
	s := w.newCloudShoot(map[string]string{"token": "first"})
	s.waitBound()
	w.Expect(s.get("nodes-ipv6").Status.Backend).To(Equal(cloudName))
	w.Expect(s.secretFinalizers()).To(ConsistOf(v1alpha1.FinalizerReservation), "nobody may take the credentials away now")

	c.accept("second")
	w.Eventually(s.condition("nodes-ipv6", v1alpha1.ConditionHeld)).Should(PointTo(MatchFields(IgnoreExtras, Fields{
		"Status": Equal(metav1.ConditionUnknown), "Reason": Equal("Unauthorized"),
	})), "who cannot ask does not know")
	w.Expect(s.phase("nodes-ipv6")()).To(Equal(v1alpha1.PhaseBound))

	late := w.newCloudShoot(map[string]string{"token": "first"})
	late.Eventually(late.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	infra := late.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	w.Expect(infra.Status.LastError.Codes).To(ConsistOf(gardencorev1beta1.ErrorInfraUnauthorized))
	w.Expect(infra.Status.LastError.Description).To(ContainSubstring("the cloud refuses the credentials: check the key token"))

	s.setCredentials(map[string]string{"token": "second"})
	late.setCredentials(map[string]string{"token": "second"})
	w.Eventually(s.condition("nodes-ipv6", v1alpha1.ConditionHeld)).Should(PointTo(MatchFields(IgnoreExtras, Fields{
		"Status": Equal(metav1.ConditionTrue), "Reason": Equal("Verified"),
	})))
	late.waitBound()
	late.Eventually(func() error { return health.CheckExtensionObject(late.infra()) }).Should(Succeed())

	c.accept("third")
	s.setCredentials(map[string]string{"token": "third"})
	late.setCredentials(map[string]string{"token": "third"})
	s.end()
	late.end()
	s.waitGone()
	late.waitGone()
	w.Expect(c.ipam.Dump()).To(BeEmpty())
	w.Expect(w.tombstones()).To(BeEmpty(), "nobody could end a quarantine in an account of the shoot's own")
	w.Eventually(s.secretFinalizers).Should(BeEmpty())
}

// Credentials that are gone when they are needed for the last time.
func TestReleaseWithoutCredentials(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8::/48", "good")
	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a"}, nil, c.backend("seed-a", 48))
	s := w.newCloudShoot(map[string]string{"token": "good"})
	s.waitBound()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "cloudprovider"}}
	w.Expect(w.env.Client.Delete(wctx, secret)).To(Succeed())
	w.Expect(s.secretFinalizers()).NotTo(BeEmpty(), "the finalizer keeps it, as long as nobody uses force")
	w.Expect(w.env.Client.Get(wctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
	secret.Finalizers = nil
	w.Expect(w.env.Client.Update(wctx, secret)).To(Succeed())

	s.end()
	w.Eventually(s.bound("nodes-ipv6")).Should(PointTo(MatchFields(IgnoreExtras, Fields{
		"Status": Equal(metav1.ConditionFalse), "Reason": Equal("Unauthorized"),
		"Message": And(HavePrefix("the shoot is gone, but the prefix cannot be given back: "),
			ContainSubstring("there is no Secret "+s.namespace+"/cloudprovider with the credentials: create it")),
	})))
	w.Eventually(s.events).Should(ContainElement(HavePrefix("ReleaseFailed: 2001:db8::/64 cannot be given back")))
	w.Consistently(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseBound), "nothing is dropped silently: what is held is looked up before anything is given up")

	s.setCredentials(map[string]string{"token": "good"})
	s.waitGone()
	w.Expect(c.ipam.Dump()).To(BeEmpty())
}

// Who deletes by force has said that he cleans up himself; he is told what.
func TestForcedDeletionWithoutCredentials(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8::/48", "good")
	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a"}, nil, c.backend("seed-a", 48))
	s := w.newCloudShoot(map[string]string{"token": "good"})
	s.waitBound()
	c.accept("another")
	s.shoot.Annotations = map[string]string{"confirmation.gardener.cloud/force-deletion": "true"}
	s.end()
	s.waitGone()
	w.Eventually(s.events).Should(ContainElement(HavePrefix("LeftBehind: the Shoot is deleted by force, and 2001:db8::/64 cannot be given back (")))
	w.Expect(held(c)()).To(HaveLen(2))
	w.Eventually(s.secretFinalizers).Should(BeEmpty())
}

// In an account of the operator's the quarantine is as in the pools.
func TestQuarantineInTheOperatorsAccount(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8::/48", "operator")
	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a", Quarantine: 3 * time.Second}, nil, c.operated("seed-a", "operator"))
	s := w.newShoot(demo)
	s.waitBound()
	w.Expect(s.secretFinalizers()).To(BeEmpty())
	s.end()
	s.waitGone()
	w.Expect(w.tombstones()).To(HaveLen(2))
	w.Expect(c.ipam.Dump()).NotTo(BeEmpty())
	w.Eventually(dump(c)).Should(BeEmpty())
	w.Eventually(w.tombstones).Should(BeEmpty())
}

// F19: a prefix is deleted in the cloud by hand. If the very same can be had again it is; if not, it stays published, and everybody
// is told.
func TestF19PrefixDeletedByHand(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8::/48", "good")
	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a", Keep: 500 * time.Millisecond}, nil, c.backend("seed-a", 48))
	s := w.newCloudShoot(map[string]string{"token": "good"})
	s.createNetwork()
	s.waitBound()

	nodes := netip.MustParsePrefix("2001:db8::/64")
	c.ipam.Delete(nodes)
	w.Eventually(s.events).Should(ContainElement("Mended: fakecloud did not hold 2001:db8::/64 any more; it does again"))
	w.Expect(c.ipam.Dump()).To(ContainSubstring("2001:db8::/64 v1/garden-under-test/" + string(s.shoot.Status.UID) + "/nodes-ipv6/1"))

	thief := reservation.Owner{GardenID: "another", ShootUID: "thief", Range: "nodes-ipv6", Attempt: 1}
	w.Eventually(func() error { // until it is faster than the controller, which mends
		c.ipam.Delete(nodes)
		return c.ipam.On("elsewhere").Claim(wctx, reservation.Allocation{Owner: thief, Prefix: nodes})
	}).Should(Succeed())
	w.Eventually(s.condition("nodes-ipv6", v1alpha1.ConditionHeld)).Should(PointTo(MatchFields(IgnoreExtras, Fields{
		"Status": Equal(metav1.ConditionFalse), "Reason": Equal("Lost"), "Message": ContainSubstring("2001:db8::/64 is published, but fakecloud does not hold it"),
	})))
	w.Eventually(s.events).Should(ContainElement(HavePrefix("Lost: 2001:db8::/64 is published, but fakecloud does not hold it for this seed: ")))
	w.Eventually(func() []string { return figures(w) }).Should(ContainElement(`networking_ipv6_reservations_lost{backend="fakecloud"} 1`))
	w.Eventually(s.onShoot).Should(HavePrefix("False PrefixLost nodes-ipv6: 2001:db8::/64 is published"))
	w.Consistently(func() string { return s.get("nodes-ipv6").Status.Published }).Should(Equal("2001:db8::/64"), "never replaced")
	w.Expect(s.phase("nodes-ipv6")()).To(Equal(v1alpha1.PhaseBound))

	w.Expect(c.ipam.On("elsewhere").Release(wctx, reservation.Allocation{Owner: thief, Prefix: nodes})).To(Succeed())
	w.Eventually(s.condition("nodes-ipv6", v1alpha1.ConditionHeld)).Should(PointTo(MatchFields(IgnoreExtras, Fields{
		"Status": Equal(metav1.ConditionTrue),
	})))
	w.Eventually(s.onShoot).Should(Equal("True PrefixesHeld All prefixes of the Shoot are held."))
	w.Eventually(func() []string { return figures(w) }).Should(ContainElement(`networking_ipv6_reservations_lost{backend="fakecloud"} 0`))
}
