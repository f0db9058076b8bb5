// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package clusterapi reserves prefixes with Cluster API's IPAM contract, served by its in-cluster provider from v1.1.0 on: an
// IPAddressClaim refers to an InClusterPrefixPool or a GlobalInClusterPrefixPool, and the provider answers with an IPAddress
// of the same name, whose address and prefix length are the prefix. A pool gives one length only.
package clusterapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/objectipam"
)

// Config of the backend.
type Config struct {
	// Namespace of the claims, and of the InClusterPrefixPools.
	Namespace string
	// Patience is how long the provider's answer is waited for; objectipam.Patience if 0.
	Patience time.Duration
}

// Reserver is the backend.
type Reserver struct {
	*objectipam.Reserver
	service *service
}

var (
	_ reservation.Reserver = &Reserver{}
	_ reservation.Meter    = &Reserver{}
)

// New makes a Reserver. The client must read live; one that caches unstructured objects does not do.
func New(name string, cfg Config, pools []reservation.Pool, home reservation.Home, c client.Client) (*Reserver, error) {
	if cfg.Namespace == "" {
		return nil, fmt.Errorf("backend %s: the namespace of the claims is missing", name)
	}
	var errs []error
	for _, p := range pools {
		if _, err := refTo(p.ID); err != nil {
			errs = append(errs, fmt.Errorf("backend %s, pool %s: %w", name, p.Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &service{client: c, namespace: cfg.Namespace}
	return &Reserver{
		Reserver: &objectipam.Reserver{BackendName: name, Service: s, Pools: pools, Home: home, Patience: cfg.Patience},
		service:  s,
	}, nil
}

// The kinds of pools.
const (
	namespaced = "InClusterPrefixPool"
	global     = "GlobalInClusterPrefixPool"
)

// refTo reads a pool's ID.
func refTo(id string) (poolRef, error) {
	kind, name, ok := strings.Cut(id, "/")
	if !ok || name == "" || strings.Contains(name, "/") || !slices.Contains([]string{namespaced, global}, kind) {
		return poolRef{}, fmt.Errorf("the pool's ID is %q, must be %s/<name> or %s/<name>", id, namespaced, global)
	}
	return poolRef{APIGroup: group, Kind: kind, Name: name}, nil
}

func (r poolRef) id() string { return r.Kind + "/" + r.Name }

// Usage tells what the pools say of themselves. All their prefixes are of one length.
func (r *Reserver) Usage(ctx context.Context) ([]reservation.Usage, error) {
	ctx, cancel := r.Bounded(ctx)
	defer cancel()
	usages := make([]reservation.Usage, 0, len(r.Pools))
	for _, configured := range r.Pools {
		p, err := r.service.pool(ctx, configured)
		if err != nil {
			return nil, objectipam.Classify(err, "reading pool "+configured.Name)
		}
		if p.Status.Addresses == nil {
			return nil, reservation.Errorf(reservation.Retry, "pool %s has no status yet: is the IPAM's controller running?", configured.Name)
		}
		size := math.Ldexp(1, 128-p.bits())
		total, free := float64(p.Status.Addresses.Total), float64(p.Status.Addresses.Free)
		usage := reservation.Usage{Pool: configured.Name, Capacity: total * size, Free: free * size, LargestFree: -1, FreePrefixes: map[int]float64{p.bits(): free}}
		if free > 0 {
			usage.LargestFree = p.bits()
		}
		usages = append(usages, usage)
	}
	return usages, nil
}
