// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
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
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/openstack"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// site is a seed with the controller, and one shoot on it.
type site struct {
	*world
	env       *envtest.Environment
	namespace string
	logs      logs
}

// logs of the controller, which come from several goroutines.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// A shoot's life on a real kube-apiserver, a real Keystone and a real Neutron, in the shoot's own project: its credentials
// are wrong at first, answers get lost, it is reserved what it asks for, and nothing is left when it is gone.
func TestShoot(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(2 * time.Minute)
	g.SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	s := newSite(t)
	wrong := maps.Clone(s.secret)
	wrong["password"] = []byte("not-the-password")
	cloudprovider := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "cloudprovider"}, Data: wrong}
	g.Expect(s.env.Client.Create(t.Context(), cloudprovider)).To(Succeed())
	infra := s.infrastructure(t)
	reread := func() *extensionsv1alpha1.Infrastructure {
		g.Expect(s.env.Client.Get(t.Context(), client.ObjectKeyFromObject(infra), infra)).To(Succeed())
		return infra
	}
	g.Eventually(reread).Should(HaveField("Status.LastError", HaveField("Codes", ConsistOf(gardencorev1beta1.ErrorInfraUnauthorized))))
	s.expectNothing(t)

	// The owner mends the Secret. Neutron's first answers to both kinds of creations get lost.
	s.network.Next(createNetwork, cut(1)...)
	s.network.Next(createSubnet, cut(1)...)
	before := cloudprovider.DeepCopy()
	cloudprovider.Data = s.secret
	g.Expect(s.env.Client.Patch(t.Context(), cloudprovider, client.MergeFrom(before))).To(Succeed()) // the controller writes its finalizer
	g.Eventually(func() *extensionsv1alpha1.InfrastructureStatusNetworking { return reread().Status.Networking }).
		Should(And(Not(BeNil()), HaveField("Nodes", HaveLen(1)), HaveField("Services", HaveLen(1))))
	g.Expect(s.network.Pending()).To(BeZero())
	cidrs := map[string]string{}
	for _, n := range s.subnets(t) {
		cidrs[n.Description] = n.CIDR
	}
	nodes, services := infra.Status.Networking.Nodes[0], infra.Status.Networking.Services[0]
	g.Expect(nodes).To(HaveSuffix("/64"))
	g.Expect(services).To(HaveSuffix("/112"))
	g.Expect(cidrs).To(Equal(map[string]string{
		"v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-1": nodes, "v1/garden-a/uid-1/services-ipv6/1 seed=seed-1": services,
	}))
	s.readsNoSecret(t)

	g.Expect(s.env.Client.Delete(t.Context(), infra)).To(Succeed())
	g.Expect(s.env.Client.Delete(t.Context(), &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})).To(Succeed())
	g.Eventually(func() []v1alpha1.PrefixReservation {
		list := &v1alpha1.PrefixReservationList{}
		g.Expect(s.env.Client.List(t.Context(), list)).To(Succeed())
		return list.Items
	}).Should(BeEmpty())
	s.expectNothing(t)
	s.readsNoSecret(t)
}

func newSite(t *testing.T) *site {
	g := NewWithT(t)
	s := &site{world: newWorld(t, "2001:db8::/48", neutron.PoolOptions{})}
	ctrl.SetLogger(logzap.New(logzap.WriteTo(&s.logs), logzap.UseDevMode(true)))
	s.env = envtest.Start(t, envtest.WithScheme(extensionsv1alpha1.AddToScheme, v1alpha1.AddToScheme), envtest.WithGardenerCRDs(),
		envtest.WithCRDs("charts/gardener-extension-networking-ipv6/templates/crds"))
	s.namespace = s.env.Namespace(t, map[string]string{v1beta1constants.LabelNetworkingProvider: "ipv6"})
	config := raw(t, &v1alpha1.NetworkConfig{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "NetworkConfig"},
		Ranges:   &v1alpha1.Ranges{Nodes: new("v6global/64+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/112")},
	})
	shoot := raw(t, &gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "garden-dev", Name: "demo"},
		Spec: gardencorev1beta1.ShootSpec{Networking: &gardencorev1beta1.Networking{
			Type: new("ipv6"), IPFamilies: []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6}, ProviderConfig: &config,
		}},
		Status: gardencorev1beta1.ShootStatus{UID: "uid-1"},
	})
	g.Expect(s.env.Client.Create(t.Context(), &extensionsv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace},
		Spec:       extensionsv1alpha1.ClusterSpec{Shoot: shoot, CloudProfile: runtime.RawExtension{Raw: []byte("{}")}},
	})).To(Succeed())
	s.startController(t, s.env.Namespace(t, nil))
	return s
}

func raw(t *testing.T, object any) runtime.RawExtension {
	t.Helper()
	text, err := json.Marshal(object)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return runtime.RawExtension{Raw: text}
}

// startController starts the one that the extension runs; it ends with the test.
func (s *site) startController(t *testing.T, namespace string) {
	g := NewWithT(t)
	mgr, err := ctrl.NewManager(s.env.Config, ctrl.Options{Scheme: s.env.Client.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}})
	g.Expect(err).NotTo(HaveOccurred())
	home := reservation.Home{GardenID: garden, Seed: seed}
	g.Expect(controllers.AddToManager(t.Context(), mgr, controllers.Options{
		Config:    &configv1alpha1.ControllerConfiguration{GardenID: garden, SeedName: seed},
		Namespace: namespace,
		Backends: []reservation.Backend{{
			Offer: reservation.Offer{
				Backend: "neutron", Type: openstack.Type, Scope: plan.Global, Pools: s.pools,
				Selector: reservation.Selector{ProviderTypes: []string{"openstack"}},
			},
			PerShoot: true,
			Open: func(tenant reservation.Tenant) (reservation.Reserver, error) {
				return openstack.New("neutron", openstack.Config{Endpoint: s.network.URL, Region: tenant.Region}, s.pools, home, tenant.Credentials)
			},
		}},
		Controller: controller.Options{
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, time.Second),
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

// infrastructure is made, and its provider is done with it: it reports nothing of IPv6.
func (s *site) infrastructure(t *testing.T) *extensionsv1alpha1.Infrastructure {
	g := NewWithT(t)
	infra := &extensionsv1alpha1.Infrastructure{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "infra"},
		Spec: extensionsv1alpha1.InfrastructureSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "openstack"}, Region: neutron.Region,
			SecretRef: corev1.SecretReference{Namespace: s.namespace, Name: "cloudprovider"},
		},
	}
	g.Expect(s.env.Client.Create(t.Context(), infra)).To(Succeed())
	g.Eventually(func() error {
		if err := s.env.Client.Get(t.Context(), client.ObjectKeyFromObject(infra), infra); err != nil {
			return err
		}
		infra.Status.ObservedGeneration = infra.Generation
		infra.Status.LastOperation = &gardencorev1beta1.LastOperation{
			Type: gardencorev1beta1.LastOperationTypeReconcile, State: gardencorev1beta1.LastOperationStateSucceeded, LastUpdateTime: metav1.Now(),
		}
		shoot, err := infrastructure.Gather(t.Context(), s.env.Client, s.namespace)
		if err != nil {
			return err
		}
		infrastructure.Mutate(infra, shoot) // what the webhook does to every write
		return s.env.Client.Status().Update(t.Context(), infra)
	}).Should(Succeed())
	return infra
}

// readsNoSecret looks for passwords and tokens in all that people can read.
func (s *site) readsNoSecret(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	var read strings.Builder
	for _, list := range []client.ObjectList{
		&v1alpha1.PrefixReservationList{}, &extensionsv1alpha1.InfrastructureList{}, &eventsv1.EventList{}, &corev1.ConfigMapList{},
	} {
		g.Expect(s.env.Client.List(t.Context(), list)).To(Succeed())
		text, err := json.Marshal(list)
		g.Expect(err).NotTo(HaveOccurred())
		read.Write(text)
	}
	g.Expect(read.String()).To(ContainSubstring(s.namespace))
	s.logs.mu.Lock()
	read.Write(s.logs.text.Bytes())
	s.logs.mu.Unlock()
	secrets := map[string]bool{s.tenant.Password: true, "not-the-password": true}
	for _, r := range s.network.Requests(faultproxy.Match{}) {
		secrets[r.Header.Get("X-Auth-Token")] = true
	}
	g.Expect(len(secrets)).To(BeNumerically(">", 2), "there was a token")
	for secret := range secrets {
		g.Expect(strings.Contains(read.String(), secret)).To(BeFalse())
	}
}
