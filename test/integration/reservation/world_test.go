// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	poolLedger = "ipv6-pool-ledger"
	ulaLedger  = "ipv6-ula-ledger"

	// patience is how long a condition may take to come about on a busy machine; steadily is how long one must hold.
	patience = 60 * time.Second
	steadily = 2 * time.Second
)

// wctx is the context of calls to the API server: they end by themselves, also in a test's clean-up.
var wctx = context.Background()

// demo are the ranges of the project's demonstration.
var demo = v1alpha1.Ranges{Nodes: new("v6global/64+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/64")}

// world is what a test has to itself: an extension's namespace and the shoots it makes.
type world struct {
	*WithT
	t         *testing.T
	env       *envtest.Environment
	namespace string
}

// newWorld begins with an API server that holds no shoot and no reservation.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, env)
}

// newWorldOn an API server of the test's own.
func newWorldOn(t *testing.T, on *envtest.Environment) *world {
	t.Helper()
	w := &world{WithT: NewWithT(t), t: t, env: on, namespace: on.Namespace(t, nil)}
	w.SetDefaultEventuallyTimeout(patience)
	w.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	w.SetDefaultConsistentlyDuration(steadily)
	t.Cleanup(w.clear)
	return w
}

// clear removes what later tests must not find. The controllers have ended by then.
func (w *world) clear() {
	ctx := wctx
	reservations := &v1alpha1.PrefixReservationList{}
	w.Expect(w.env.Client.List(ctx, reservations)).To(Succeed())
	for i := range reservations.Items {
		r := &reservations.Items[i]
		r.Finalizers = nil
		w.Expect(client.IgnoreNotFound(w.env.Client.Update(ctx, r))).To(Succeed())
		w.Expect(client.IgnoreNotFound(w.env.Client.Delete(ctx, r))).To(Succeed())
	}
	infras := &extensionsv1alpha1.InfrastructureList{}
	w.Expect(w.env.Client.List(ctx, infras)).To(Succeed())
	for i := range infras.Items {
		infras.Items[i].Finalizers = nil
		w.Expect(client.IgnoreNotFound(w.env.Client.Update(ctx, &infras.Items[i]))).To(Succeed())
		w.Expect(client.IgnoreNotFound(w.env.Client.Delete(ctx, &infras.Items[i]))).To(Succeed())
	}
	w.Expect(w.env.Client.DeleteAllOf(ctx, &extensionsv1alpha1.Cluster{})).To(Succeed())
}

// shoot is a shoot as the seed sees it.
type shoot struct {
	*world
	namespace string
	shoot     *gardencorev1beta1.Shoot
	// provider type of the Infrastructure; "stub" if empty.
	provider string
}

// newShoot makes what gardenlet makes of a Shoot: a namespace, a Cluster and an Infrastructure.
func (w *world) newShoot(ranges v1alpha1.Ranges, families ...gardencorev1beta1.IPFamily) *shoot {
	s := w.newShootIn(w.shootNamespace(), ranges, families...)
	s.createInfrastructure(nil)
	return s
}

// shootNamespace makes one as gardenlet does for a shoot of our network type.
func (w *world) shootNamespace() string {
	return w.env.Namespace(w.t, map[string]string{v1beta1constants.LabelNetworkingProvider: "ipv6"})
}

func (w *world) newShootIn(namespace string, ranges v1alpha1.Ranges, families ...gardencorev1beta1.IPFamily) *shoot {
	if len(families) == 0 {
		families = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6}
	}
	config, err := json.Marshal(&v1alpha1.NetworkConfig{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "NetworkConfig"}, Ranges: &ranges,
	})
	w.Expect(err).NotTo(HaveOccurred())
	s := &shoot{world: w, namespace: namespace, shoot: &gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "garden-test", Name: namespace, UID: uuid.NewUUID()},
		Spec: gardencorev1beta1.ShootSpec{Networking: &gardencorev1beta1.Networking{
			Type: new("ipv6"), IPFamilies: families, ProviderConfig: &runtime.RawExtension{Raw: config},
		}},
		Status: gardencorev1beta1.ShootStatus{UID: uuid.NewUUID()},
	}}
	s.syncCluster()
	return s
}

// syncCluster writes the Cluster as gardenlet does whenever the Shoot has changed.
func (s *shoot) syncCluster() {
	raw, err := json.Marshal(s.shoot)
	s.Expect(err).NotTo(HaveOccurred())
	cluster := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	err = s.env.Client.Get(wctx, client.ObjectKeyFromObject(cluster), cluster)
	cluster.Spec.Shoot = runtime.RawExtension{Raw: raw}
	cluster.Spec.CloudProfile = runtime.RawExtension{Raw: []byte(`{"apiVersion":"core.gardener.cloud/v1beta1","kind":"CloudProfile"}`)}
	if apierrors.IsNotFound(err) {
		s.Expect(s.env.Client.Create(wctx, cluster)).To(Succeed())
		return
	}
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(s.env.Client.Update(wctx, cluster)).To(Succeed())
}

func (s *shoot) createInfrastructure(annotations map[string]string) {
	s.Expect(s.env.Client.Create(wctx, &extensionsv1alpha1.Infrastructure{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "infra", Annotations: annotations},
		Spec: extensionsv1alpha1.InfrastructureSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: cmp.Or(s.provider, "stub")}, Region: "r",
			SecretRef: corev1.SecretReference{Namespace: s.namespace, Name: "cloudprovider"},
		},
	})).To(Succeed())
}

// infra reads the Infrastructure.
func (s *shoot) infra() *extensionsv1alpha1.Infrastructure {
	infra := &extensionsv1alpha1.Infrastructure{}
	s.Expect(s.env.Client.Get(wctx, types.NamespacedName{Namespace: s.namespace, Name: "infra"}, infra)).To(Succeed())
	return infra
}

// providerWrites plays an infrastructure provider that has finished a reconciliation: it patches the status, networking
// rebuilt from nothing, as the provider extensions do.
func (s *shoot) providerWrites(state gardencorev1beta1.LastOperationState, networking *extensionsv1alpha1.InfrastructureStatusNetworking) *extensionsv1alpha1.Infrastructure {
	infra := s.infra()
	before := infra.DeepCopy()
	infra.Status.Networking = networking
	infra.Status.ObservedGeneration = infra.Generation
	infra.Status.LastError = nil
	infra.Status.LastOperation = &gardencorev1beta1.LastOperation{
		Type: gardencorev1beta1.LastOperationTypeReconcile, State: state, Progress: 100,
		Description: "said by the provider", LastUpdateTime: metav1.Now(),
	}
	s.Expect(s.env.Client.Status().Patch(wctx, infra, client.MergeFrom(before))).To(Succeed())
	return infra
}

// get reads one of the shoot's reservations; nil if there is none.
func (s *shoot) get(name string) *v1alpha1.PrefixReservation {
	r := &v1alpha1.PrefixReservation{}
	if err := s.env.Client.Get(wctx, types.NamespacedName{Namespace: s.namespace, Name: name}, r); err != nil {
		s.Expect(client.IgnoreNotFound(err)).To(Succeed())
		return nil
	}
	return r
}

func (s *shoot) phase(name string) func() v1alpha1.ReservationPhase {
	return func() v1alpha1.ReservationPhase {
		if r := s.get(name); r != nil {
			return r.Status.Phase
		}
		return "absent"
	}
}

// waitBound waits for the reservations of the demo's ranges.
func (s *shoot) waitBound() {
	s.t.Helper()
	for _, name := range []string{"nodes-ipv6", "services-ipv6"} {
		s.Eventually(s.phase(name)).Should(Equal(v1alpha1.PhaseBound), "%s in %s", name, s.namespace)
	}
}

// begin deleting the Shoot: from now on its Cluster says so.
func (s *shoot) markDeleted() {
	s.shoot.DeletionTimestamp = new(metav1.Now())
	s.syncCluster()
}

// infrastructureGone removes the Infrastructure, as at the end of its deletion.
func (s *shoot) infrastructureGone() {
	s.Expect(s.env.Client.Delete(wctx, s.infra())).To(Succeed())
}

// held is what the ledger of the pools holds, by prefix.
func (w *world) held(name string) map[netip.Prefix]reservation.Owner {
	ledger, err := w.store(name).Read(wctx)
	w.Expect(err).NotTo(HaveOccurred())
	held := map[netip.Prefix]reservation.Owner{}
	for a := range ledger.All() {
		held[a.Prefix] = a.Owner
	}
	return held
}

// heldBy lists "range prefix" of what the pools hold for the shoot, in the order of the prefixes.
func (s *shoot) heldBy(ledger string) func() []string {
	return func() []string {
		var texts []string
		for p, owner := range s.held(ledger) {
			if owner.ShootUID == string(s.shoot.Status.UID) {
				texts = append(texts, fmt.Sprintf("%s %s", owner.Range, p))
			}
		}
		return texts
	}
}

// tombstones in the extension's namespace.
func (w *world) tombstones() []v1alpha1.PrefixReservation {
	list := &v1alpha1.PrefixReservationList{}
	w.Expect(w.env.Client.List(wctx, list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}

// events about the shoot, "reason: note".
func (s *shoot) events() []string {
	list := &eventsv1.EventList{}
	s.Expect(s.env.Client.List(wctx, list, client.InNamespace(s.namespace))).To(Succeed())
	var texts []string
	for _, e := range list.Items {
		texts = append(texts, e.Reason+": "+e.Note)
	}
	return texts
}

func (w *world) store(name string) reservation.Store {
	return configmap.New(w.env.Client, w.env.Client, w.namespace, name)
}

func clusterOf(s *shoot) *extensionsv1alpha1.Cluster {
	return &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
}
