// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/fake"
)

// cloud is the fake IPAM behind a door: each call must bring credentials whose token is one of those that are valid now. So it is
// reached by the way that a real one is, with what stands in the shoot's Secret at the time of the call.
type cloud struct {
	ipam *fake.Reserver

	mu    sync.Mutex
	valid map[string]bool
}

const cloudName = "fakecloud"

func newCloud(whole string, tokens ...string) *cloud {
	c := &cloud{ipam: fake.New(netip.MustParsePrefix(whole))}
	c.accept(tokens...)
	return c
}

// accept these tokens from now on, and no others.
func (c *cloud) accept(tokens ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.valid = map[string]bool{}
	for _, token := range tokens {
		c.valid[token] = true
	}
}

// backend as a configuration has it: on a seed, in each shoot's account.
func (c *cloud) backend(seed string, bits int) reservation.Backend {
	return reservation.Backend{
		Offer: reservation.Offer{
			Backend: cloudName, Type: "fake", Scope: plan.Global, Named: true,
			Pools: []reservation.Pool{{Name: "default", ID: "pool-1", Family: prefix.IPv6, MinBits: bits, MaxBits: 120}},
		},
		PerShoot: true,
		Open: func(t reservation.Tenant) (reservation.Reserver, error) {
			return &session{Reserver: c.ipam.On(seed), cloud: c, credentials: t.Credentials}, nil
		},
	}
}

// operated is the same in an account of the operator's.
func (c *cloud) operated(seed, token string) reservation.Backend {
	b := c.backend(seed, 32)
	b.PerShoot = false
	b.Open = func(reservation.Tenant) (reservation.Reserver, error) {
		return &session{Reserver: c.ipam.On(seed), cloud: c, credentials: func(context.Context) (map[string][]byte, error) {
			return map[string][]byte{"token": []byte(token)}, nil
		}}, nil
	}
	return b
}

// session is a Reserver that shows its credentials.
type session struct {
	reservation.Reserver
	cloud       *cloud
	credentials reservation.Credentials
}

func (s *session) Name() string { return cloudName }

func (s *session) login(ctx context.Context) error {
	data, err := s.credentials(ctx)
	if err != nil {
		return err
	}
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	if !s.cloud.valid[string(data["token"])] {
		return reservation.Errorf(reservation.Unauthorized, "the cloud refuses the credentials: check the key token")
	}
	return nil
}

func (s *session) Lookup(ctx context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	if err := s.login(ctx); err != nil {
		return nil, err
	}
	return s.Reserver.Lookup(ctx, owner)
}

func (s *session) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	if err := s.login(ctx); err != nil {
		return reservation.Allocation{}, err
	}
	return s.Reserver.Allocate(ctx, owner, request)
}

func (s *session) Claim(ctx context.Context, a reservation.Allocation) error {
	if err := s.login(ctx); err != nil {
		return err
	}
	return s.Reserver.Claim(ctx, a)
}

func (s *session) Release(ctx context.Context, a reservation.Allocation) error {
	if err := s.login(ctx); err != nil {
		return err
	}
	return s.Reserver.Release(ctx, a)
}

func (s *session) List(ctx context.Context, garden string) ([]reservation.Allocation, error) {
	if err := s.login(ctx); err != nil {
		return nil, err
	}
	return s.Reserver.List(ctx, garden)
}

// newCloudShoot is a shoot with credentials.
func (w *world) newCloudShoot(data map[string]string) *shoot {
	s := w.newShootIn(w.shootNamespace(), demo)
	s.setCredentials(data)
	s.createInfrastructure(nil)
	return s
}

// setCredentials writes the Secret as gardenlet does: data and nothing else.
func (s *shoot) setCredentials(data map[string]string) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "cloudprovider"}}
	if err := s.env.Client.Get(wctx, client.ObjectKeyFromObject(secret), secret); err != nil {
		s.Expect(client.IgnoreNotFound(err)).To(Succeed())
		secret.StringData = data
		s.Expect(s.env.Client.Create(wctx, secret)).To(Succeed())
		return
	}
	before := secret.DeepCopy()
	secret.Data = map[string][]byte{}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	s.Expect(s.env.Client.Patch(wctx, secret, client.MergeFrom(before))).To(Succeed())
}

// secretFinalizers are those of the shoot's credentials; nil if they are gone.
func (s *shoot) secretFinalizers() []string {
	secret := &corev1.Secret{}
	err := s.env.Client.Get(wctx, client.ObjectKey{Namespace: s.namespace, Name: "cloudprovider"}, secret)
	s.Expect(client.IgnoreNotFound(err)).To(Succeed())
	return secret.Finalizers
}

func (s *shoot) condition(name, kind string) func() *metav1.Condition {
	return func() *metav1.Condition {
		r := s.get(name)
		if r == nil {
			return nil
		}
		for i := range r.Status.Conditions {
			if r.Status.Conditions[i].Type == kind {
				return &r.Status.Conditions[i]
			}
		}
		return nil
	}
}

func (s *shoot) bound(name string) func() *metav1.Condition {
	return s.condition(name, v1alpha1.ConditionBound)
}

// gone waits until nothing is left of the shoot's reservations.
func (s *shoot) waitGone() {
	s.t.Helper()
	for _, name := range []string{"nodes-ipv6", "services-ipv6"} {
		s.Eventually(s.phase(name)).Should(BeEquivalentTo("absent"), "%s in %s", name, s.namespace)
	}
}

// end the shoot as its deletion does, up to the point where the Infrastructure is gone.
func (s *shoot) end() {
	s.markDeleted()
	s.infrastructureGone()
}

// createNetwork makes the Network that gardenlet makes later.
func (s *shoot) createNetwork() {
	s.Expect(s.env.Client.Create(wctx, &extensionsv1alpha1.Network{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "network"},
		Spec: extensionsv1alpha1.NetworkSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "ipv6"}, PodCIDR: "2001:db8::/64", ServiceCIDR: "2001:db8:0:1::/112",
		},
	})).To(Succeed())
}

// onShoot is the condition that gardenlet copies from the Network to the Shoot, "status reason message"; empty if there is none.
func (s *shoot) onShoot() string {
	network := &extensionsv1alpha1.Network{}
	s.Expect(s.env.Client.Get(wctx, client.ObjectKey{Namespace: s.namespace, Name: "network"}, network)).To(Succeed())
	for _, c := range network.Status.Conditions {
		if c.Type == gardencorev1beta1.ShootSystemComponentsHealthy {
			return fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message)
		}
	}
	return ""
}

func dump(c *cloud) func() string { return c.ipam.Dump }
