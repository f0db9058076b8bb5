// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ctl_test

import (
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

func TestExplainBound(t *testing.T) {
	w := newWorld(t)
	const namespace = "shoot--dev--explained"
	w.shoot(namespace, "demo", func(s *gardencorev1beta1.Shoot) {
		s.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:0:1::/64"}}
	}, "2001:db8:0:1::/64")
	r := w.reservation(namespace, "nodes-ipv6", "demo", v1alpha1.RangeNodes, bound("2001:db8:0:1::/64", "2001:db8:0:1::/64"))
	w.Expect(env.Client.Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: "bound"},
		InvolvedObject: corev1.ObjectReference{Namespace: namespace, Name: r.Name, UID: r.UID},
		Type:           corev1.EventTypeNormal, Reason: "Bound", Message: "pool holds 2001:db8:0:1::/64, of which 2001:db8:0:1::/64 is published",
		LastTimestamp: metav1.NewTime(since),
	})).To(Succeed())
	w.Expect(w.run("explain", "nodes-ipv6", "-n", namespace)).To(Equal(answer{out: table(
		`Reservation  shoot--dev--explained/nodes-ipv6`,
		`Intent       The Shoot garden-dev/demo (UID uid-demo) asks for global IPv6 addresses for its nodes: a /64 at least, of which Kubernetes gets the first /64.`,
		`             The Shoot names no backend: what the infrastructure provider reports is taken, else the first backend that serves.`,
		`Owner        v1/my-garden/uid-demo/nodes-ipv6/1 is the mark in the backend's descriptions,`,
		`             7f32f1c5bee49f0122a6083785892143 its hash in names, tags and tokens, where a key does not fit.`,
		`State        Bound (Bound, since 2026-03-04T05:06:07Z): pool holds 2001:db8:0:1::/64.`,
		`Held         2001:db8:0:1::/64 by the backend pool, known there as rack-7 (attempt 1).`,
		`Published    2001:db8:0:1::/64, which stands in the status of the Infrastructure demo and of the Shoot.`,
		`In use       Yes: there is an Infrastructure.`,
		`Waits for    Nothing.`,
		`Next         It stays as it is as long as the Shoot lives. Right is to delete the Shoot garden-dev/demo; its reservations are released when its Infrastructure is gone.`,
		`Events       2026-03-04T05:06:07Z Normal Bound: pool holds 2001:db8:0:1::/64, of which 2001:db8:0:1::/64 is published`,
	)}))
}

func TestExplainWaiting(t *testing.T) {
	w := newWorld(t)
	const namespace = "shoot--dev--waiting"
	w.shoot(namespace, "waiting", nil)
	w.reservation(namespace, "services-ipv6", "waiting", v1alpha1.RangeServices, v1alpha1.PrefixReservationStatus{
		Phase: v1alpha1.PhasePending, Conditions: conditions(metav1.ConditionFalse, "Waiting",
			"waiting for the infrastructure provider to report an IPv6 range for services: no IPAM backend serves a /64 (IPv6, Global) for services: "+
				"pool: it has no pools; gcp: pool services: it gives nothing larger than a /96"),
	}, func(r *v1alpha1.PrefixReservation) { r.Spec.Backend, r.Spec.Pool = "gcp", "services" })
	w.Expect(w.run("explain", namespace+"/services-ipv6")).To(Equal(answer{out: table(
		`Reservation  shoot--dev--waiting/services-ipv6`,
		`Intent       The Shoot garden-dev/waiting (UID uid-waiting) asks for global IPv6 addresses for its services: a /64 at least, of which Kubernetes gets the first /112.`,
		`             The Shoot names the backend gcp and its pool services.`,
		`Owner        v1/my-garden/uid-waiting/services-ipv6/1 is the mark in the backend's descriptions,`,
		`             2b6a10ea33d2786e17804957dbe08c44 its hash in names, tags and tokens, where a key does not fit.`,
		`State        Pending (Waiting, since 2026-03-04T05:06:07Z): waiting for the infrastructure provider to report an IPv6 range for services: no IPAM backend serves a /64 (IPv6, Global) for services: pool: it has no pools; gcp: pool services: it gives nothing larger than a /96.`,
		`Held         Nothing; no backend was asked yet.`,
		`Published    Nothing: the Infrastructure is held back until there is something.`,
		`In use       Not yet, but it is wanted: there is an Infrastructure.`,
		`Waits for    What the state names; who does it wakes the controller.`,
		`Next         Right is to ask for something else in the Shoot garden-dev/waiting: what is not bound is then made anew.`,
		`Events       None that is still kept.`,
	)}))
}

// What a shoot has lost, what it brought itself, and what is left of others.
func TestExplainTheRest(t *testing.T) {
	w := newWorld(t)
	lines := func(args ...string) string {
		got := w.run(append([]string{"explain"}, args...)...)
		w.Expect(got.code).To(BeZero(), got.err)
		return got.out
	}
	w.shoot("shoot--dev--lost", "lost", nil)
	lost := bound("2001:db8:0:1::/64", "2001:db8:0:1::/64")
	lost.Conditions = append(lost.Conditions, metav1.Condition{
		Type: "Held", Status: metav1.ConditionFalse, Reason: "Lost", Message: "another owner has it", LastTransitionTime: metav1.NewTime(since),
	})
	w.reservation("shoot--dev--lost", "nodes-ipv6", "lost", v1alpha1.RangeNodes, lost)
	w.Expect(lines("nodes-ipv6", "-n", "shoot--dev--lost")).To(SatisfyAll(
		ContainSubstring("\n             Held is False (Lost, since 2026-03-04T05:06:07Z): another owner has it.\n"),
		ContainSubstring("\nPublished    2001:db8:0:1::/64, which stands in no status on this seed.\n"),
		ContainSubstring("\nWaits for    A person: the backend does not hold the prefix any more, and it is published.\n"),
	))

	adopted := bound("2001:db8:0:2::/56", "2001:db8:0:2::/56")
	adopted.Backend, adopted.ID = "adopted", ""
	w.reservation("shoot--dev--lost", "services-ipv6", "lost", v1alpha1.RangeServices, adopted)
	w.Expect(lines("services-ipv6", "-n", "shoot--dev--lost")).To(
		ContainSubstring("\nHeld         2001:db8:0:2::/56, which the infrastructure provider brought: it is recorded here, and never released by us.\n"))

	w.reservation("shoot--dev--lost", "pods-ipv6", "lost", v1alpha1.RangePods, v1alpha1.PrefixReservationStatus{
		Phase: v1alpha1.PhaseFailed, Backend: "neutron", Attempt: 3, Conditions: conditions(metav1.ConditionFalse, "QuotaExceeded", "the quota is used up"),
	})
	w.Expect(lines("pods-ipv6", "-n", "shoot--dev--lost")).To(SatisfyAll(
		ContainSubstring("\nHeld         Nothing that is known; neutron was asked (attempt 3), and is looked up before it is asked again.\n"),
		ContainSubstring("\nWaits for    A higher quota of the account that the backend works in.\n"),
	))

	w.reservation("extension", "released-1", "gone", v1alpha1.RangeNodes, quarantined("2001:db8:0:3::/64", tomorrow))
	w.Expect(lines("released-1", "-n", "extension")).To(SatisfyAll(
		ContainSubstring("\nState        Quarantined (Quarantined, since 2026-03-04T05:06:07Z): the shoot is gone.\n"),
		ContainSubstring("\nIn use       No: the Shoot is gone.\n"),
		ContainSubstring("\nWaits for    The end of the quarantine at 2126-03-04T05:06:07Z.\n"),
		ContainSubstring("\nNext         The controller gives the prefix back when the time has come; earlier with: ipv6ctl reservations release released-1 -n extension --yes\n"),
	))

	w.reservation("extension", "released-2", "away", v1alpha1.RangeNodes, quarantined("2001:db8:0:4::/64", time.Time{}))
	w.Expect(lines("released-2", "-n", "extension")).To(SatisfyAll(
		ContainSubstring("\nState        Moved (Quarantined, since 2026-03-04T05:06:07Z): the shoot is gone.\n"),
		ContainSubstring("\nIn use       Nobody here can tell: the Shoot has moved to another seed.\n"),
		ContainSubstring("\nWaits for    Somebody who knows that the Shoot is gone.\n"),
		ContainSubstring("\nNext         It stays until somebody releases it: ipv6ctl reservations release released-2 -n extension --yes\n"),
	))
	w.Expect(w.run("explain", "nodes-ipv6", "-n", "extension")).To(Equal(answer{code: 1,
		err: "there is no PrefixReservation extension/nodes-ipv6; ipv6ctl reservations list names those that there are\n"}))
	w.Expect(w.run("explain", "nodes-ipv6")).To(Equal(answer{code: 1,
		err: "ipv6ctl: in which namespace? Name it by -n; ipv6ctl reservations list shows it\n"}))
	w.Expect(w.run("explain", "extension/nodes-ipv6", "-n", "extension")).To(Equal(answer{code: 1,
		err: "ipv6ctl: \"extension/nodes-ipv6\": give the namespace once, as NAMESPACE/NAME or by -n\n"}))
}
