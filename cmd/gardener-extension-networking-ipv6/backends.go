// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/ula"
)

// The ConfigMaps in the extension's own namespace with what the backends of the seed hold.
const (
	poolLedger = "ipv6-pool-ledger"
	ulaLedger  = "ipv6-ula-ledger"
)

// seed is where the extension runs.
type seed struct {
	client client.Client
	// live reads past the client's cache.
	live client.Reader
	// namespace of the extension.
	namespace string
}

// backendsOf makes the backends of a configuration, in the order in which they are asked. This is the only place that picks
// adapters.
func backendsOf(config *configv1alpha1.ControllerConfiguration, in seed) ([]reservation.Backend, error) {
	offers, err := helper.Offers(config)
	if err != nil {
		return nil, err
	}
	configured := map[string]configv1alpha1.Backend{}
	for _, b := range config.Backends {
		configured[b.Name] = b
	}
	backends := make([]reservation.Backend, 0, len(offers))
	for _, offer := range offers {
		var b reservation.Backend
		switch offer.Type {
		case helper.BackendPool:
			b = ready(offer, pool.New(in.ledger(poolLedger), offer.Pools, time.Now))
		case helper.BackendULA:
			b = ready(offer, ula.New(in.ledger(ulaLedger), rand.Reader, time.Now))
		default:
			if b, err = serviceOf(config, configured[offer.Backend], offer, in); err != nil {
				return nil, fmt.Errorf("backend %s: %w", offer.Backend, err)
			}
		}
		backends = append(backends, b)
	}
	return backends, nil
}

func (s seed) ledger(name string) reservation.Store {
	return configmap.New(s.live, s.client, s.namespace, name)
}

// secret reads one in the namespace.
func (s seed) secret(name string) reservation.Credentials {
	return reservationcontroller.SecretCredentials(s.live, types.NamespacedName{Namespace: s.namespace, Name: name})
}

// ready is a backend that needs no account.
func ready(offer reservation.Offer, reserver reservation.Reserver) reservation.Backend {
	return reservation.Backend{Offer: offer, Open: func(reservation.Tenant) (reservation.Reserver, error) { return reserver, nil }}
}

// serviceOf is an IPAM service. It works in the operator's account if a Secret of his is named, or if it is objects of an API
// server, else in each shoot's own. What can be wrong with an account of the operator is found when the program starts.
func serviceOf(config *configv1alpha1.ControllerConfiguration, b configv1alpha1.Backend, offer reservation.Offer, in seed) (reservation.Backend, error) {
	adapter, ok := adapters[b.Type]
	if !ok {
		return reservation.Backend{}, fmt.Errorf("there is no adapter for an IPAM of type %q", b.Type)
	}
	s := service{config: b, offer: offer, home: reservation.Home{GardenID: config.GardenID, Seed: config.SeedName}, seed: in.client}
	if b.SecretName != nil {
		s.operator = in.secret(*b.SecretName)
	}
	backend := reservation.Backend{
		Offer:    offer,
		PerShoot: b.SecretName == nil && b.Type.IsCloud(),
		Open:     func(t reservation.Tenant) (reservation.Reserver, error) { return adapter(s, t) },
	}
	if !backend.PerShoot {
		if _, err := backend.Open(reservation.Tenant{}); err != nil {
			return reservation.Backend{}, err
		}
	}
	return backend, nil
}
