// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
)

// Whose time is over may still say why; who is told to stop may not.
func TestLastWords(t *testing.T) {
	g := NewWithT(t)
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	ctx, done := afterwards(late)
	defer done()
	g.Expect(ctx.Err()).NotTo(HaveOccurred())
	_, limited := ctx.Deadline()
	g.Expect(limited).To(BeTrue())

	stopped, stop := context.WithCancel(t.Context())
	stop()
	ctx, done = afterwards(stopped)
	defer done()
	g.Expect(ctx.Err()).To(MatchError(context.Canceled))
}

// A Shoot that is deleted by force waits for a silent service of its own account for a while, and for the operator's for ever.
func TestForcedDeletionGivesUp(t *testing.T) {
	k := newKit(t)
	shoots := reservation.Backend{PerShoot: true}
	shoots.Backend = "shoots"
	operators := reservation.Backend{}
	operators.Backend = "operators"
	k.accounts = newAccounts([]reservation.Backend{shoots, operators}, k.live)
	for name, tc := range map[string]struct {
		backend string
		since   time.Duration
		kind    reservation.Kind
		want    bool
	}{
		"no permission":           {"shoots", 0, reservation.Unauthorized, true},
		"no such backend":         {"gone", 0, reservation.Invalid, true},
		"silent for a minute":     {"shoots", time.Minute, reservation.Retry, false},
		"silent for long":         {"shoots", time.Hour, reservation.Retry, true},
		"the operator's is mute":  {"operators", time.Hour, reservation.Retry, false},
		"the operator's is wrong": {"operators", 0, reservation.Unauthorized, true},
	} {
		t.Run(name, func(t *testing.T) {
			object := reservationOf("shoot--a--b", "services-ipv6", v1alpha1.PhaseReleasing, 1)
			object.Status.Backend = tc.backend
			object.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionBound, Status: metav1.ConditionFalse, LastTransitionTime: metav1.NewTime(k.now().Add(-tc.since)),
			}}
			NewWithT(t).Expect(k.givenUp(object, reservation.Errorf(tc.kind, "no"))).To(Equal(tc.want))
		})
	}
}

// A tenant whose account cannot be opened keeps neither the garbage of the others nor the figures.
func TestCrowdGoesOnWithoutATenant(t *testing.T) {
	g := NewWithT(t)
	k := newKit(t)
	for _, namespace := range []string{"shoot--a--bad", "shoot--b--good"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cloudprovider"}, Data: map[string][]byte{"project": []byte(namespace)}}
		r := reservationOf(namespace, "services-ipv6", v1alpha1.PhaseBound, 1)
		r.Status.Backend = "cloud"
		g.Expect(k.client.Create(t.Context(), secret)).To(Succeed())
		g.Expect(k.client.Create(t.Context(), r)).To(Succeed())
		g.Expect(k.client.Status().Update(t.Context(), r)).To(Succeed())
	}
	b := reservation.Backend{PerShoot: true}
	b.Backend = "cloud"
	b.Open = func(tenant reservation.Tenant) (reservation.Reserver, error) {
		if tenant.Namespace == "shoot--a--bad" {
			return nil, reservation.Errorf(reservation.Invalid, "no region")
		}
		return fake.New(netip.MustParsePrefix("2001:db8::/48")), nil
	}
	k.accounts = newAccounts([]reservation.Backend{b}, k.live)
	all, err := k.crowd(t.Context(), b)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all.accounts).To(HaveLen(1))
	metered, err := (&fill{kit: k}).someAccount(t.Context(), b)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(metered).NotTo(BeNil())
}

// Another Secret may be another account.
func TestAccountsBySecret(t *testing.T) {
	g := NewWithT(t)
	k := newKit(t)
	opened := 0
	b := reservation.Backend{PerShoot: true, Open: func(reservation.Tenant) (reservation.Reserver, error) {
		opened++
		return fake.New(netip.MustParsePrefix("2001:db8::/48")), nil
	}}
	for _, name := range []string{"one", "other", "one"} {
		_, err := k.accounts.open(b, tenant{namespace: "shoot--a--b", secret: types.NamespacedName{Namespace: "shoot--a--b", Name: name}})
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(opened).To(Equal(2))
	k.accounts.forget("shoot--a--b")
	g.Expect(k.accounts.opened).To(BeEmpty())
}
