// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ctl_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

func (w *world) read(r *v1alpha1.PrefixReservation) (*v1alpha1.PrefixReservation, error) {
	got := &v1alpha1.PrefixReservation{}
	err := env.Client.Get(w.t.Context(), client.ObjectKeyFromObject(r), got)
	return got, err
}

// unchanged checks that a refusal has changed nothing.
func (w *world) unchanged(r *v1alpha1.PrefixReservation) {
	w.t.Helper()
	got, err := w.read(r)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(got.ResourceVersion).To(Equal(r.ResourceVersion))
}

func TestReleaseEndsTheQuarantine(t *testing.T) {
	w := newWorld(t)
	r := w.reservation("extension", "released-1", "gone", v1alpha1.RangeNodes, quarantined("2001:db8:0:3::/64", tomorrow))
	const what = "release"
	const why = "extension/released-1: the quarantine of 2001:db8:0:3::/64 ends now instead of at 2126-03-04T05:06:07Z, and the controller gives it back: " +
		"it may be handed out at once\n"
	w.Expect(w.run(what, "released-1", "-n", "extension")).To(Equal(answer{code: 1, out: "Would release " + why, err: "nothing was done: add --yes\n"}))
	w.unchanged(r)
	before := time.Now()
	w.Expect(w.run(what, "released-1", "-n", "extension", "--yes")).To(Equal(answer{out: "Released " + why}))
	got, err := w.read(r)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(got.Status.QuarantinedUntil.Time).To(SatisfyAll(
		BeTemporally("<=", time.Now()), BeTemporally(">=", before.Add(-time.Second))), "now, which is what the controller waits for")
	w.Expect(got.Status.Phase).To(Equal(v1alpha1.PhaseQuarantined))

	again := w.run(what, "released-1", "-n", "extension", "--yes")
	w.Expect(again).To(Equal(answer{code: 1, err: "extension/released-1 is not released: the quarantine of 2001:db8:0:3::/64 was over at " +
		got.Status.QuarantinedUntil.UTC().Format(time.RFC3339) + ", and the controller gives it back\n" +
		"Right is to look at the events and the log of the extension if it stays.\n"}))
}

func TestReleaseOfWhatMovedAway(t *testing.T) {
	w := newWorld(t)
	r := w.reservation("extension", "released-2", "away", v1alpha1.RangeNodes, quarantined("2001:db8:0:4::/64", time.Time{}))
	const why = "extension/released-2: the Shoot garden-dev/away has moved to another seed, and must be gone there: nobody here can tell. " +
		"The object is deleted, and the garbage collector frees 2001:db8:0:4::/64 after three sweeps\n"
	w.Expect(w.run("release", "released-2", "-n", "extension")).To(Equal(answer{code: 1, out: "Would release " + why, err: "nothing was done: add --yes\n"}))
	w.unchanged(r)
	w.Expect(w.run("release", "released-2", "-n", "extension", "--yes")).To(Equal(answer{out: "Released " + why}))
	_, err := w.read(r)
	w.Expect(apierrors.IsNotFound(err)).To(BeTrue())
}

// Whose shoot came back is not left over.
func TestReleaseRefusesWhatHasAnHeir(t *testing.T) {
	w := newWorld(t)
	w.shoot("shoot--dev--back", "back", nil)
	w.reservation("shoot--dev--back", "nodes-ipv6", "back", v1alpha1.RangeNodes, bound("2001:db8:0:4::/64", "2001:db8:0:4::/64"))
	r := w.reservation("extension", "released-2", "back", v1alpha1.RangeNodes, quarantined("2001:db8:0:4::/64", time.Time{}))
	w.Expect(w.run("release", "released-2", "-n", "extension", "--yes")).To(Equal(answer{code: 1,
		err: "extension/released-2 is not released: 2001:db8:0:4::/64 is in use: the Shoot garden-dev/back is back, and shoot--dev--back/nodes-ipv6 holds the prefix\n" +
			"Right is to leave it: it goes by itself.\n"}))
	w.unchanged(r)
}

func TestReleaseRefusesWhatIsInUse(t *testing.T) {
	const deleteShoot = "Right is to delete the Shoot garden-dev/demo; its reservations are released when its Infrastructure is gone.\n"
	const inUse = "2001:db8:0:1::/64 is in use by the Shoot garden-dev/demo: "
	const maybe = "2001:db8:0:1::/64 may be in use by the Shoot garden-dev/demo: "
	deleted := func(s *gardencorev1beta1.Shoot) { s.DeletionTimestamp = &metav1.Time{Time: since} }
	moving := func(s *gardencorev1beta1.Shoot) {
		s.Status.LastOperation = &gardencorev1beta1.LastOperation{Type: gardencorev1beta1.LastOperationTypeMigrate}
	}
	for name, c := range map[string]struct {
		infra, cluster bool
		change         func(*gardencorev1beta1.Shoot)
		want           string
	}{
		"lives":      {infra: true, cluster: true, want: inUse + "there is an Infrastructure\n" + deleteShoot},
		"is-deleted": {infra: true, cluster: true, change: deleted, want: inUse + "there is an Infrastructure\n" + deleteShoot},
		"no-infra":   {cluster: true, want: maybe + "there is no Infrastructure, but the Shoot lives\n" + deleteShoot},
		"moves":      {cluster: true, change: moving, want: "the Shoot is being migrated\nRight is to wait: the prefix goes with the Shoot, and this seed lets go of it.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			namespace := "shoot--dev--" + name
			switch {
			case c.infra:
				w.shoot(namespace, "demo", c.change)
			case c.cluster:
				w.cluster(namespace, "demo", c.change)
			}
			r := w.reservation(namespace, "nodes-ipv6", "demo", v1alpha1.RangeNodes, bound("2001:db8:0:1::/64", "2001:db8:0:1::/64"))
			w.Expect(w.run("release", "nodes-ipv6", "-n", namespace, "--yes")).To(Equal(answer{code: 1, err: namespace + "/nodes-ipv6 is not released: " + c.want}))
			w.unchanged(r)
		})
	}
}

func TestReleaseRefusesWhatIsBeingReserved(t *testing.T) {
	w := newWorld(t)
	w.shoot("shoot--dev--early", "demo", nil)
	r := w.reservation("shoot--dev--early", "nodes-ipv6", "demo", v1alpha1.RangeNodes, v1alpha1.PrefixReservationStatus{
		Phase: v1alpha1.PhaseAllocating, Backend: "pool", Attempt: 1, Conditions: conditions(metav1.ConditionFalse, "Allocating", "asking pool for a /64"),
	})
	w.Expect(w.run("release", "nodes-ipv6", "-n", "shoot--dev--early", "--yes")).To(Equal(answer{code: 1,
		err: "shoot--dev--early/nodes-ipv6 is not released: the Shoot garden-dev/demo waits for it: there is an Infrastructure\n" +
			"Right is to ask for something else in the Shoot garden-dev/demo: what is not bound is then made anew.\n"}))
	w.unchanged(r)
}

// What the controller would give back, too, is deleted: its finalizer stays until that is done.
func TestReleaseOfWhatIsLeftBehind(t *testing.T) {
	w := newWorld(t)
	r := w.reservation("shoot--dev--orphan", "nodes-ipv6", "demo", v1alpha1.RangeNodes, bound("2001:db8:0:1::/64", "2001:db8:0:1::/64"))
	w.Expect(w.run("release", "nodes-ipv6", "-n", "shoot--dev--orphan", "--yes")).To(Equal(answer{
		out: "Released shoot--dev--orphan/nodes-ipv6: Infrastructure and Cluster are gone; the object is deleted, and the controller gives 2001:db8:0:1::/64 back, through a quarantine\n"}))
	got, err := w.read(r)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(got.DeletionTimestamp).NotTo(BeNil())
	w.Expect(got.Status.Allocated).To(Equal("2001:db8:0:1::/64"))
	w.Expect(w.run("list").out).To(ContainSubstring(" Bound (deleting) "))
	w.Expect(w.run("release", "nodes-ipv6", "-n", "shoot--dev--orphan", "--yes")).To(Equal(answer{code: 1,
		err: "shoot--dev--orphan/nodes-ipv6 is not released: it is being released already: pool holds 2001:db8:0:1::/64\n" +
			"Right is to mend what holds it up; the finalizer goes when the prefix is given back.\n"}))
}

// A shoot that had the name before, beside the one that has it now.
func TestReleaseOfAFormerShoots(t *testing.T) {
	w := newWorld(t)
	w.shoot("shoot--dev--again", "again", nil)
	w.reservation("shoot--dev--again", "nodes-ipv6", "former", v1alpha1.RangeNodes, bound("2001:db8:0:1::/64", "2001:db8:0:1::/64"))
	w.Expect(w.run("release", "nodes-ipv6", "-n", "shoot--dev--again")).To(Equal(answer{code: 1, err: "nothing was done: add --yes\n",
		out: "Would release shoot--dev--again/nodes-ipv6: the Shoot that it was for is gone, another one has its name now; " +
			"the object is deleted, and the controller gives 2001:db8:0:1::/64 back, through a quarantine\n"}))
}

// Who may read but not write is told what is missing.
func TestReleaseWithoutTheRight(t *testing.T) {
	w := newWorld(t)
	r := w.reservation("extension", "released-1", "gone", v1alpha1.RangeNodes, quarantined("2001:db8:0:3::/64", tomorrow))
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"*"}, Resources: []string{"prefixreservations", "infrastructures", "clusters", "namespaces"}, Verbs: []string{"get", "list"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "reader"}},
	}
	w.Expect(env.Client.Create(t.Context(), role)).To(Succeed())
	w.Expect(env.Client.Create(t.Context(), binding)).To(Succeed())
	_, kubeconfig := env.AddUser(t, "reader")
	reader := filepath.Join(t.TempDir(), "reader")
	w.Expect(os.WriteFile(reader, kubeconfig, 0o600)).To(Succeed())
	w.Eventually(func() answer { return w.runAs(reader, "release", "released-1", "-n", "extension", "--yes") }, time.Minute).Should(Equal(answer{code: 1,
		err: "ipv6ctl: ending the quarantine of PrefixReservation extension/released-1: you are not allowed to: " +
			`prefixreservations.ipv6.networking.extensions.gardener.cloud "released-1" is forbidden: User "reader" cannot update resource ` +
			`"prefixreservations/status" in API group "ipv6.networking.extensions.gardener.cloud" in the namespace "extension"` + "\n"}))
	w.unchanged(r)
}
