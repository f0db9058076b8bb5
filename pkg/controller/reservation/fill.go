// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"maps"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// defaultMeterInterval is how often the backends are asked how full they are.
const defaultMeterInterval = time.Minute

// fill asks the backends in the background how full they are, so that no scrape has to wait for a cloud.
type fill struct {
	*kit

	mu     sync.Mutex
	usages map[string][]reservation.Usage
}

// NeedLeaderElection spares the services the questions of the other replicas.
func (f *fill) NeedLeaderElection() bool { return true }

// Start asks until the context ends.
func (f *fill) Start(ctx context.Context) error {
	ticker := time.NewTicker(f.MeterInterval)
	defer ticker.Stop()
	for {
		for _, b := range f.accounts.backends {
			f.read(ctx, b)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// read one backend. Of one in the shoots' accounts any account tells. What cannot be read is told no more: old figures would look
// like new ones.
func (f *fill) read(ctx context.Context, b reservation.Backend) {
	var usages []reservation.Usage
	reserver, err := f.someAccount(ctx, b)
	if meter, ok := reserver.(reservation.Meter); ok && err == nil {
		usages, err = meter.Usage(ctx)
	}
	if err != nil && ctx.Err() == nil {
		log.FromContext(ctx).WithName("prefixusage").Error(err, "Cannot tell how full the pools are", "backend", b.Backend)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.usages[b.Backend] = usages
}

func (f *fill) someAccount(ctx context.Context, b reservation.Backend) (reservation.Reserver, error) {
	if !b.PerShoot {
		return f.accounts.open(b, tenant{})
	}
	tenants, err := f.tenantsOf(ctx, b)
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		if _, err := SecretCredentials(f.live, t.secret)(ctx); err != nil {
			continue // its own reconciliation says so
		}
		if reserver, err := f.accounts.open(b, t); err == nil {
			return reserver, nil
		}
	}
	return nil, nil
}

// latest are the figures by backend.
func (f *fill) latest() map[string][]reservation.Usage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.usages)
}
