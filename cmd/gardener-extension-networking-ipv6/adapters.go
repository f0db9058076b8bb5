// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/aws"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/clusterapi"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/gcp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/ironcore"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/openstack"
)

// service is what the adapter of an IPAM service is made from.
type service struct {
	config configv1alpha1.Backend
	offer  reservation.Offer
	home   reservation.Home
	// seed is a client to the seed.
	seed client.Client
	// operator reads the operator's credentials; nil if the shoots' own are used, or none.
	operator reservation.Credentials
}

// adapters of the IPAM services.
var adapters = map[configv1alpha1.BackendType]func(service, reservation.Tenant) (reservation.Reserver, error){
	configv1alpha1.BackendOpenStack: func(s service, t reservation.Tenant) (reservation.Reserver, error) {
		config := openstack.Config{Region: s.region(t), Endpoint: ptr.Deref(s.config.Endpoint, "")}
		return openstack.New(s.offer.Backend, config, s.offer.Pools, s.home, s.credentials(t))
	},
	configv1alpha1.BackendAWS: func(s service, t reservation.Tenant) (reservation.Reserver, error) {
		config := aws.Config{Region: s.region(t), Endpoint: ptr.Deref(s.config.Endpoint, "")}
		return aws.New(s.offer.Backend, config, s.offer.Pools, s.home, s.credentials(t))
	},
	configv1alpha1.BackendGCP: func(s service, t reservation.Tenant) (reservation.Reserver, error) {
		config := gcp.Config{Endpoint: ptr.Deref(s.config.Endpoint, "")}
		return gcp.New(s.offer.Backend, config, s.offer.Pools, s.home, s.credentials(t))
	},
	configv1alpha1.BackendClusterAPI: func(s service, _ reservation.Tenant) (reservation.Reserver, error) {
		config := clusterapi.Config{Namespace: ptr.Deref(s.config.Namespace, "")}
		return clusterapi.New(s.offer.Backend, config, s.offer.Pools, s.home, s.cluster())
	},
	configv1alpha1.BackendIronCore: func(s service, _ reservation.Tenant) (reservation.Reserver, error) {
		config := ironcore.Config{Namespace: ptr.Deref(s.config.Namespace, "")}
		return ironcore.New(s.offer.Backend, config, s.offer.Pools, s.home, s.cluster())
	},
}

// region of the service; the shoot's if the configuration says none.
func (s service) region(t reservation.Tenant) string { return ptr.Deref(s.config.Region, t.Region) }

// credentials are the operator's if he gave some, else the shoot's.
func (s service) credentials(t reservation.Tenant) reservation.Credentials {
	if s.operator != nil {
		return s.operator
	}
	return t.Credentials
}

// cluster is the API server of an IPAM that is objects: that of the operator's kubeconfig, else the seed's.
func (s service) cluster() client.Client {
	if s.operator == nil {
		return s.seed
	}
	return newRemote(s.operator, s.seed.Scheme())
}
