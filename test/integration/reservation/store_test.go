// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/ula"
)

// The adapters on the store that they have in production; each "again" is a store of its own, as another process has it.
func TestPoolConformance(t *testing.T) {
	reservetest.Run(t, reservetest.Subject{
		New: func(t *testing.T) (reservation.Reserver, func() reservation.Reserver) {
			w := newWorld(t)
			again := func() reservation.Reserver {
				return pool.New(w.store(poolLedger), poolOf("public", "2001:db8::/48"), time.Now)
			}
			return again(), again
		},
		Scope: plan.Global, Bits: 64, Pools: []string{"public"}, Foreign: netip.MustParsePrefix("2001:db8:0:ffff::/64"), Idempotent: true,
	})
}

func TestULAConformance(t *testing.T) {
	reservetest.Run(t, reservetest.Subject{
		New: func(t *testing.T) (reservation.Reserver, func() reservation.Reserver) {
			w := newWorld(t)
			again := func() reservation.Reserver { return ula.New(w.store(ulaLedger), rand.Reader, time.Now) }
			return again(), again
		},
		Scope: plan.Private, Bits: 64, Foreign: netip.MustParsePrefix("fdff:ffff:ffff::/64"), Idempotent: true,
	})
}

// A ledger that cannot be read is no empty ledger.
func TestBrokenLedgerStopsEverything(t *testing.T) {
	w := newWorld(t)
	store := w.store(poolLedger)
	claim := func(l *reservation.Ledger) error {
		return l.Claim(reservation.Allocation{Owner: reservetest.Owner(1), Prefix: netip.MustParsePrefix("2001:db8::/64"), Since: time.Now()})
	}
	w.Expect(store.Update(wctx, claim)).To(Succeed())

	configMap := &corev1.ConfigMap{}
	w.Expect(env.Client.Get(wctx, types.NamespacedName{Namespace: w.namespace, Name: poolLedger}, configMap)).To(Succeed())
	version := configMap.ResourceVersion
	w.Expect(store.Update(wctx, claim)).To(Succeed())
	w.Expect(env.Client.Get(wctx, types.NamespacedName{Namespace: w.namespace, Name: poolLedger}, configMap)).To(Succeed())
	w.Expect(configMap.ResourceVersion).To(Equal(version), "a change that changes nothing is not written")

	configMap.Data["ledger.json"] = configMap.Data["ledger.json"][:10]
	w.Expect(env.Client.Update(wctx, configMap)).To(Succeed())
	_, err := store.Read(wctx)
	w.Expect(err).To(MatchError(ContainSubstring("reading the ledger " + w.namespace + "/" + poolLedger)))
	w.Expect(store.Update(wctx, claim)).NotTo(Succeed())
	w.Expect(env.Client.Get(wctx, types.NamespacedName{Namespace: w.namespace, Name: poolLedger}, configMap)).To(Succeed())
	w.Expect(configMap.Data["ledger.json"]).To(HaveLen(10), "what is left of it is somebody's evidence")
}
