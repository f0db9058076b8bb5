// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ironcore reserves prefixes in IronCore's IPAM: Prefix objects of ipam.ironcore.dev/v1alpha1 with a parent, which
// IronCore's controller cuts out of the parent, in any length and, if wanted, at a certain place.
package ironcore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/objectipam"
)

// Config of the backend.
type Config struct {
	// Namespace of the Prefixes and their parents.
	Namespace string
	// Patience is how long the controller's answer is waited for; objectipam.Patience if 0.
	Patience time.Duration
}

// Reserver is the backend.
type Reserver struct {
	*objectipam.Reserver
}

var (
	_ reservation.Reserver = &Reserver{}
	_ reservation.Meter    = &Reserver{}
)

// New makes a Reserver. The client must read live; one that caches unstructured objects does not do.
func New(name string, cfg Config, pools []reservation.Pool, home reservation.Home, c client.Client) (*Reserver, error) {
	if cfg.Namespace == "" {
		return nil, fmt.Errorf("backend %s: the namespace of the Prefixes is missing", name)
	}
	var errs []error
	for _, p := range pools {
		if p.ID == "" {
			errs = append(errs, fmt.Errorf("backend %s, pool %s: the ID is missing, must be the name of the parent Prefix", name, p.Name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Reserver{&objectipam.Reserver{
		BackendName: name, Service: &service{client: c, namespace: cfg.Namespace}, Pools: pools, Home: home, Patience: cfg.Patience,
		// IronCore's controller computes what is free from its cache, in which its last answers may be missing.
		Distrust: true,
	}}, nil
}

// Usage computes from what is allocated of each parent what is left.
func (r *Reserver) Usage(ctx context.Context) ([]reservation.Usage, error) {
	usages := make([]reservation.Usage, 0, len(r.Pools))
	for _, pool := range r.Pools {
		space, err := r.Space(ctx, pool)
		if err != nil {
			return nil, err
		}
		free, err := prefix.Free(space.Whole, space.Prefixes())
		if err != nil {
			return nil, reservation.Errorf(reservation.Invalid, "pool %s: %w", pool.Name, err)
		}
		usages = append(usages, reservation.UsageOf(pool, space.Whole, slices.Values(free)))
	}
	return usages, nil
}
