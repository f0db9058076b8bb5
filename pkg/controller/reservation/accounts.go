// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"fmt"
	"sync"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// annotationRegion keeps the region of a shoot in its reservations: they outlive the Infrastructure and the Cluster that say it.
const annotationRegion = "ipv6.networking.extensions.gardener.cloud/region"

// tenant is where a shoot stands, and in whose account its prefixes are reserved.
type tenant struct {
	namespace string
	place     reservation.Place
	// secret with the shoot's credentials.
	secret types.NamespacedName
	// forced is true if the Shoot is deleted by force: what cannot be given back is left to its owner.
	forced bool
}

func (k *kit) tenantOf(g *gathered) tenant {
	t := tenant{
		namespace: g.namespace.Name,
		place:     reservation.Place{Seed: k.Config.SeedName},
		secret:    types.NamespacedName{Namespace: g.namespace.Name, Name: v1beta1constants.SecretNameCloudProvider},
	}
	if g.infra != nil {
		t.place.ProviderType, t.place.Region = g.infra.Spec.Type, g.infra.Spec.Region
		if ref := g.infra.Spec.SecretRef; ref.Name != "" {
			t.secret = types.NamespacedName{Namespace: cmp.Or(ref.Namespace, t.namespace), Name: ref.Name}
		}
	}
	if g.cluster != nil {
		t.place.ProviderType = cmp.Or(t.place.ProviderType, g.cluster.Shoot.Spec.Provider.Type)
		t.place.Region = cmp.Or(t.place.Region, g.cluster.Shoot.Spec.Region)
		t.forced = v1beta1helper.ShootNeedsForceDeletion(g.cluster.Shoot)
		if g.cluster.Seed != nil {
			t.place.Seed = cmp.Or(t.place.Seed, g.cluster.Seed.Name)
		}
	}
	for i := range g.reservations {
		t.place.Region = cmp.Or(t.place.Region, g.reservations[i].Annotations[annotationRegion])
	}
	return t
}

// accounts opens the backends, once for the operator and once for each shoot whose own account they work in.
type accounts struct {
	backends []reservation.Backend
	live     client.Reader

	mu     sync.Mutex
	opened map[account]reservation.Reserver
}

// account names one in which a backend is open. The region and the Secret count: a shoot that is made again under its name may stand
// elsewhere.
type account struct {
	backend, namespace, region string
	secret                     types.NamespacedName
}

func newAccounts(backends []reservation.Backend, live client.Reader) *accounts {
	return &accounts{backends: backends, live: live, opened: map[account]reservation.Reserver{}}
}

// find a backend by its name.
func (a *accounts) find(name string) (reservation.Backend, bool) {
	for _, b := range a.backends {
		if b.Backend == name {
			return b, true
		}
	}
	return reservation.Backend{}, false
}

// offers of all backends, in the operator's order.
func (a *accounts) offers() []reservation.Offer {
	offers := make([]reservation.Offer, len(a.backends))
	for i, b := range a.backends {
		offers[i] = b.Offer
	}
	return offers
}

// open returns the backend for the tenant, who does not matter to one in the operator's account.
func (a *accounts) open(b reservation.Backend, t tenant) (reservation.Reserver, error) {
	key, who := account{backend: b.Backend}, reservation.Tenant{}
	if b.PerShoot {
		key.namespace, key.region, key.secret = t.namespace, t.place.Region, t.secret
		who = reservation.Tenant{Namespace: t.namespace, Region: t.place.Region, Credentials: SecretCredentials(a.live, t.secret)}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if reserver, ok := a.opened[key]; ok {
		return reserver, nil
	}
	reserver, err := b.Open(who)
	if err != nil {
		return nil, fmt.Errorf("opening backend %s: %w", b.Backend, err)
	}
	reserver = reservation.Observed(reserver, observeCalls(b.Backend))
	a.opened[key] = reserver
	return reserver, nil
}

// forget what was opened for a namespace that is gone.
func (a *accounts) forget(namespace string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.opened {
		if key.namespace == namespace {
			delete(a.opened, key)
		}
	}
}
