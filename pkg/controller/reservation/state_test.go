// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
)

func TestState(t *testing.T) {
	g := NewWithT(t)
	services := v1alpha1.PrefixReservation{
		ObjectMeta: metav1.ObjectMeta{Name: "services-ipv6", Namespace: "shoot--a--b", ResourceVersion: "5"},
		Spec: v1alpha1.PrefixReservationSpec{
			Range: "services", Family: "IPv6", Scope: "Global", PrefixLength: 64, PublishedLength: 112,
			Owner: v1alpha1.ReservationOwner{GardenID: "g", ShootUID: "u", Shoot: "n/s"},
		},
		Status: v1alpha1.PrefixReservationStatus{
			Phase: v1alpha1.PhaseBound, Backend: "pool", ID: "public", Allocated: "2001:db8::/64", Published: "2001:db8::/112", Attempt: 1,
			Conditions: []metav1.Condition{{Type: "Bound"}},
		},
	}
	nodes := *services.DeepCopy()
	nodes.Name, nodes.Spec.Range = "nodes-ipv6", "nodes"
	pending := *services.DeepCopy()
	pending.Status.Phase = v1alpha1.PhasePending

	const entry = `"family":"IPv6","scope":"Global","prefixLength":64,"publishedLength":112,"owner":{"gardenID":"g","shootUID":"u","shoot":"n/s"}},` +
		`"status":{"phase":"Bound","backend":"pool","id":"public","allocated":"2001:db8::/64","published":"2001:db8::/112","attempt":1}}`
	raw, err := reservationcontroller.State([]v1alpha1.PrefixReservation{services, pending, nodes})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(MatchJSON(`{"apiVersion":"ipv6.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkState","reservations":[` +
		`{"name":"nodes-ipv6","spec":{"range":"nodes",` + entry + `,{"name":"services-ipv6","spec":{"range":"services",` + entry + `]}`))
	again, err := reservationcontroller.State([]v1alpha1.PrefixReservation{nodes, services})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(raw), "equal reservations give equal bytes")
}
