// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	logzap "sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	controllers "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/gcp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// record of what the controller logs, from several goroutines.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// TestShoot takes a shoot through its life, on a real kube-apiserver, with the controller and this adapter in the shoot's own account: nodes
// and pods are what the provider reports, services are reserved.
func TestShoot(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	w := newWorld(t)
	w.secret = w.WorkloadIdentity(true)
	var logs record
	ctrl.SetLogger(logzap.New(logzap.WriteTo(&logs), logzap.UseDevMode(true)))
	env := envtest.Start(t, envtest.WithScheme(extensionsv1alpha1.AddToScheme, v1alpha1.AddToScheme), envtest.WithGardenerCRDs(),
		envtest.WithCRDs("charts/gardener-extension-networking-ipv6/templates/crds"))
	namespace := env.Namespace(t, map[string]string{v1beta1constants.LabelNetworkingProvider: "ipv6"})
	w.startController(t, env, env.Namespace(t, nil))
	w.createShoot(t, env, namespace)

	// The account may not do what it has to: the Shoot's owner reads it.
	w.Deny("addresses.insert")
	infra := &extensionsv1alpha1.Infrastructure{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "infra"}}
	key := client.ObjectKeyFromObject(infra)
	provider := &extensionsv1alpha1.InfrastructureStatusNetworking{Nodes: []string{westRange.String()}, Pods: []string{westRange.String()}}
	g.Expect(env.Client.Create(t.Context(), &extensionsv1alpha1.Infrastructure{
		ObjectMeta: infra.ObjectMeta,
		Spec: extensionsv1alpha1.InfrastructureSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "gcp"}, Region: "europe-west1",
			SecretRef: corev1.SecretReference{Namespace: namespace, Name: "cloudprovider"},
		},
	})).To(Succeed())
	g.Eventually(func() error {
		if err := env.Client.Get(t.Context(), key, infra); err != nil {
			return err
		}
		infra.Status.Networking = provider
		infra.Status.ObservedGeneration = infra.Generation
		infra.Status.LastOperation = &gardencorev1beta1.LastOperation{
			Type: gardencorev1beta1.LastOperationTypeReconcile, State: gardencorev1beta1.LastOperationStateSucceeded, LastUpdateTime: metav1.Now(),
		}
		shoot, err := infrastructure.Gather(t.Context(), env.Client, namespace)
		if err != nil {
			return err
		}
		infrastructure.Mutate(infra, shoot) // what the webhook does to every write
		return env.Client.Status().Update(t.Context(), infra)
	}).Should(Succeed())
	services := &v1alpha1.PrefixReservation{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "services-ipv6"}}
	g.Eventually(func() v1alpha1.ReservationPhase {
		_ = env.Client.Get(t.Context(), client.ObjectKeyFromObject(services), services)
		return services.Status.Phase
	}).Should(Equal(v1alpha1.PhaseFailed))
	g.Expect(services.Status.Conditions[0].Reason).To(Equal("Unauthorized"))
	g.Expect(services.Status.Conditions[0].Message).To(ContainSubstring("forbidden: Required 'compute.addresses.create' permission for 'projects/my-project'"))
	g.Eventually(func() *gardencorev1beta1.LastError {
		g.Expect(env.Client.Get(t.Context(), key, infra)).To(Succeed())
		return infra.Status.LastError
	}).Should(HaveField("Codes", ConsistOf(gardencorev1beta1.ErrorInfraUnauthorized)))

	// Somebody grants it.
	w.Grant("addresses.insert")
	g.Eventually(func() *extensionsv1alpha1.InfrastructureStatusNetworking {
		g.Expect(env.Client.Get(t.Context(), key, infra)).To(Succeed())
		return infra.Status.Networking
	}).Should(Equal(&extensionsv1alpha1.InfrastructureStatusNetworking{
		Nodes: []string{westRange.String()}, Pods: []string{westRange.String()}, Services: []string{"2600:1900:4010:b::/112"},
	}))
	g.Expect(w.Dump()).To(HaveSuffix(` 2600:1900:4010:b::/96 "v1/my-garden/uid-1/services-ipv6/1 seed=seed-a"`))
	w.readsNoSecret(t, env, namespace, &logs)

	// The Shoot goes: what was reserved is given back, what was adopted is not ours to give.
	g.Expect(env.Client.Delete(t.Context(), infra)).To(Succeed())
	g.Expect(env.Client.Delete(t.Context(), &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	g.Eventually(w.Dump).Should(BeEmpty())
	g.Eventually(func() []v1alpha1.PrefixReservation {
		list := &v1alpha1.PrefixReservationList{}
		g.Expect(env.Client.List(t.Context(), list)).To(Succeed())
		return list.Items
	}).Should(BeEmpty())
	w.readsNoSecret(t, env, namespace, &logs)
}

// startController starts the one that the extension runs; it ends with the test.
func (w *world) startController(t *testing.T, env *envtest.Environment, namespace string) {
	g := NewWithT(t)
	mgr, err := ctrl.NewManager(env.Config, ctrl.Options{Scheme: env.Client.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}})
	g.Expect(err).NotTo(HaveOccurred())
	pools := []reservation.Pool{{Name: "services", ID: west2, Family: prefix.IPv6, MinBits: 96, MaxBits: 96}}
	g.Expect(controllers.AddToManager(t.Context(), mgr, controllers.Options{
		Config:    &configv1alpha1.ControllerConfiguration{GardenID: "my-garden", SeedName: "seed-a"},
		Namespace: namespace,
		Backends: []reservation.Backend{{
			Offer: reservation.Offer{
				Backend: "gcp", Type: "gcp", Scope: plan.Global, Pools: pools, Selector: reservation.Selector{ProviderTypes: []string{"gcp"}},
			},
			PerShoot: true,
			Open: func(tenant reservation.Tenant) (reservation.Reserver, error) {
				return gcp.New("gcp", gcp.Config{Transport: w.Transport(), Poll: time.Millisecond}, pools,
					reservation.Home{GardenID: "my-garden", Seed: "seed-a"}, tenant.Credentials)
			},
		}},
		Controller: controller.Options{
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 500*time.Millisecond),
		},
	})).To(Succeed())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		g.Expect(<-done).To(Succeed())
	})
}

// createShoot makes what gardenlet makes of a Shoot before its Infrastructure.
func (w *world) createShoot(t *testing.T, env *envtest.Environment, namespace string) {
	g := NewWithT(t)
	config, err := json.Marshal(&v1alpha1.NetworkConfig{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "NetworkConfig"},
		Ranges:   &v1alpha1.Ranges{Nodes: new("v6global/64+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/96")},
	})
	g.Expect(err).NotTo(HaveOccurred())
	shoot, err := json.Marshal(&gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "garden-dev", Name: "demo"},
		Spec: gardencorev1beta1.ShootSpec{Networking: &gardencorev1beta1.Networking{
			Type: new("ipv6"), IPFamilies: []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6}, ProviderConfig: &runtime.RawExtension{Raw: config},
		}},
		Status: gardencorev1beta1.ShootStatus{UID: "uid-1"},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(env.Client.Create(t.Context(), &extensionsv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec:       extensionsv1alpha1.ClusterSpec{Shoot: runtime.RawExtension{Raw: shoot}, CloudProfile: runtime.RawExtension{Raw: []byte("{}")}},
	})).To(Succeed())
	g.Expect(env.Client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cloudprovider"}, Data: w.secret,
	})).To(Succeed())
}

// readsNoSecret looks for tokens in all that people can read.
func (w *world) readsNoSecret(t *testing.T, env *envtest.Environment, namespace string, logs *record) {
	t.Helper()
	g := NewWithT(t)
	var read strings.Builder
	for _, list := range []client.ObjectList{&v1alpha1.PrefixReservationList{}, &extensionsv1alpha1.InfrastructureList{}, &eventsv1.EventList{}, &corev1.ConfigMapList{}} {
		g.Expect(env.Client.List(t.Context(), list)).To(Succeed())
		text, err := json.Marshal(list)
		g.Expect(err).NotTo(HaveOccurred())
		read.Write(text)
	}
	g.Expect(read.String()).To(ContainSubstring(namespace))
	read.WriteString(logs.String())
	secrets := append(w.Tokens(), string(w.secret["token"]))
	g.Expect(len(secrets)).To(BeNumerically(">", 2))
	for _, secret := range secrets {
		g.Expect(strings.Contains(read.String(), secret)).To(BeFalse())
	}
}
