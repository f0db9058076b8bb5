// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ctl_test runs ipv6ctl, built as it is shipped, against a real kube-apiserver with the objects of a seed.
package ctl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

var (
	env     *envtest.Environment
	program string // the path of ipv6ctl
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ipv6ctl")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctrl.SetLogger(logr.Discard())
	program = filepath.Join(dir, "ipv6ctl")
	if out, err := exec.Command("go", "build", "-o", program, "../../../cmd/ipv6ctl").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build ipv6ctl: %v\n%s", err, out)
		return 1
	}
	env, err = envtest.New(envtest.WithScheme(addToScheme), envtest.WithGardenerCRDs(), envtest.WithCRDs("charts/gardener-extension-networking-ipv6/templates/crds"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "start a kube-apiserver:", err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the kube-apiserver:", err)
		}
	}()
	return m.Run()
}

func addToScheme(s *runtime.Scheme) error {
	if err := extensionsv1alpha1.AddToScheme(s); err != nil {
		return err
	}
	return v1alpha1.AddToScheme(s)
}

// world is an API server without reservations, and a kubeconfig for it.
type world struct {
	*WithT
	t          *testing.T
	kubeconfig string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{WithT: NewWithT(t), t: t, kubeconfig: env.KubeconfigFile(t)}
	t.Cleanup(func() {
		ctx := context.Background()
		list := &v1alpha1.PrefixReservationList{}
		w.Expect(env.Client.List(ctx, list)).To(Succeed())
		for i := range list.Items {
			r := &list.Items[i]
			r.Finalizers = nil
			w.Expect(client.IgnoreNotFound(env.Client.Update(ctx, r))).To(Succeed())
			w.Expect(client.IgnoreNotFound(env.Client.Delete(ctx, r))).To(Succeed())
		}
		w.Expect(env.Client.DeleteAllOf(ctx, &extensionsv1alpha1.Cluster{})).To(Succeed())
	})
	return w
}

// answer of a run of the program.
type answer struct {
	out, err string
	code     int
}

func (w *world) run(args ...string) answer {
	w.t.Helper()
	return w.runAs(w.kubeconfig, args...)
}

func (w *world) runAs(kubeconfig string, args ...string) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"reservations"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// table is what a person reads, without the blanks at its lines' ends, which editors take away.
func table(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// namespace of a fixed name; nobody takes it away.
func (w *world) namespace(name string) string {
	w.t.Helper()
	err := env.Client.Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	w.Expect(client.IgnoreAlreadyExists(err)).To(Succeed())
	return name
}

// reservation of the demo shoot's range with this status.
func (w *world) reservation(namespace, name, shoot string, r v1alpha1.RangeName, status v1alpha1.PrefixReservationStatus, change ...func(*v1alpha1.PrefixReservation)) *v1alpha1.PrefixReservation {
	w.t.Helper()
	object := &v1alpha1.PrefixReservation{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace(namespace), Name: name},
		Spec: v1alpha1.PrefixReservationSpec{
			Range: r, Family: v1alpha1.IPv6, Scope: v1alpha1.ScopeGlobal, PrefixLength: 64, PublishedLength: 64,
			Owner: v1alpha1.ReservationOwner{GardenID: "my-garden", ShootUID: "uid-" + shoot, Shoot: "garden-dev/" + shoot},
		},
	}
	if r == v1alpha1.RangeServices {
		object.Spec.PublishedLength = 112
	}
	if !strings.HasPrefix(name, "released-") {
		object.Finalizers = []string{v1alpha1.FinalizerReservation}
	}
	for _, c := range change {
		c(object)
	}
	w.Expect(env.Client.Create(w.t.Context(), object)).To(Succeed())
	object.Status = status
	w.Expect(env.Client.Status().Update(w.t.Context(), object)).To(Succeed())
	return object
}

// shoot makes what gardenlet makes of a Shoot: a Cluster, and an Infrastructure that reports the nodes range.
func (w *world) shoot(namespace, shoot string, change func(*gardencorev1beta1.Shoot), nodes ...string) *extensionsv1alpha1.Infrastructure {
	w.t.Helper()
	w.cluster(namespace, shoot, change)
	infra := &extensionsv1alpha1.Infrastructure{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace(namespace), Name: shoot},
		Spec:       extensionsv1alpha1.InfrastructureSpec{DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "local"}, Region: "local"},
	}
	w.Expect(env.Client.Create(w.t.Context(), infra)).To(Succeed())
	w.t.Cleanup(func() { w.Expect(client.IgnoreNotFound(env.Client.Delete(context.Background(), infra))).To(Succeed()) })
	infra.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{Nodes: nodes}
	w.Expect(env.Client.Status().Update(w.t.Context(), infra)).To(Succeed())
	return infra
}

func (w *world) cluster(namespace, shoot string, change func(*gardencorev1beta1.Shoot)) {
	w.t.Helper()
	s := &gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "garden-dev", Name: shoot},
		Status:     gardencorev1beta1.ShootStatus{UID: types.UID("uid-" + shoot)},
	}
	if change != nil {
		change(s)
	}
	raw, err := json.Marshal(s)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(env.Client.Create(w.t.Context(), &extensionsv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: extensionsv1alpha1.ClusterSpec{
			Shoot: runtime.RawExtension{Raw: raw}, Seed: &runtime.RawExtension{Raw: []byte("{}")}, CloudProfile: runtime.RawExtension{Raw: []byte("{}")},
		},
	})).To(Succeed())
}

func bound(allocated, published string) v1alpha1.PrefixReservationStatus {
	return v1alpha1.PrefixReservationStatus{
		Phase: v1alpha1.PhaseBound, Backend: "pool", ID: "rack-7", Allocated: allocated, Published: published, Attempt: 1,
		Conditions: conditions(metav1.ConditionTrue, "Bound", "pool holds "+allocated),
	}
}

var since = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func conditions(status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{{
		Type: v1alpha1.ConditionBound, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(since),
	}}
}

func quarantined(allocated string, until time.Time) v1alpha1.PrefixReservationStatus {
	status := bound(allocated, allocated)
	status.Phase = v1alpha1.PhaseQuarantined
	status.Conditions = conditions(metav1.ConditionFalse, "Quarantined", "the shoot is gone")
	if !until.IsZero() {
		t := metav1.NewTime(until)
		status.QuarantinedUntil = &t
	}
	return status
}
