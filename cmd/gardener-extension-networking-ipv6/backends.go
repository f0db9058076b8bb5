// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/manager"

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

// backends makes the backends of the configuration, in the order in which they are asked. This is the only place that picks
// adapters.
func (r *runtimeArgs) backends(mgr manager.Manager) ([]reservation.Backend, error) {
	config := r.options.config.loaded
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
			b = ready(offer, pool.New(r.ledger(mgr, poolLedger), offer.Pools, time.Now))
		case helper.BackendULA:
			b = ready(offer, ula.New(r.ledger(mgr, ulaLedger), rand.Reader, time.Now))
		default:
			if b, err = r.service(mgr, offer, configured[offer.Backend]); err != nil {
				return nil, fmt.Errorf("backend %s: %w", offer.Backend, err)
			}
		}
		backends = append(backends, b)
	}
	return backends, nil
}

func (r *runtimeArgs) ledger(mgr manager.Manager, name string) reservation.Store {
	return configmap.New(mgr.GetAPIReader(), mgr.GetClient(), r.namespace(), name)
}

// ready is a backend that needs no account.
func ready(offer reservation.Offer, reserver reservation.Reserver) reservation.Backend {
	return reservation.Backend{Offer: offer, Open: func(reservation.Tenant) (reservation.Reserver, error) { return reserver, nil }}
}

// service is an IPAM service. It works in the operator's account if a Secret of his is named, or if it is objects of an API
// server, else in each shoot's own.
func (r *runtimeArgs) service(mgr manager.Manager, offer reservation.Offer, config configv1alpha1.Backend) (reservation.Backend, error) {
	s := service{config: config, offer: offer, home: reservation.Home{GardenID: r.options.config.loaded.GardenID, Seed: r.options.config.loaded.SeedName}, mgr: mgr}
	adapter, ok := adapters[config.Type]
	if !ok {
		return reservation.Backend{}, fmt.Errorf("there is no IPAM of type %q", config.Type)
	}
	if config.SecretName != nil {
		s.operator = reservationcontroller.SecretCredentials(mgr.GetAPIReader(), types.NamespacedName{Namespace: r.namespace(), Name: *config.SecretName})
	}
	return reservation.Backend{
		Offer:    offer,
		PerShoot: config.SecretName == nil && config.Type.IsCloud(),
		Open:     func(t reservation.Tenant) (reservation.Reserver, error) { return adapter(s, t) },
	}, nil
}

// service is what an adapter is made from.
type service struct {
	config configv1alpha1.Backend
	offer  reservation.Offer
	home   reservation.Home
	mgr    manager.Manager
	// operator reads the operator's credentials; nil if the shoots' own are used, or none.
	operator reservation.Credentials
}

// credentials are the operator's if he gave some, else the shoot's.
func (s service) credentials(t reservation.Tenant) reservation.Credentials {
	if s.operator != nil {
		return s.operator
	}
	return t.Credentials
}

// adapters of the IPAM services.
var adapters = map[configv1alpha1.BackendType]func(service, reservation.Tenant) (reservation.Reserver, error){}
