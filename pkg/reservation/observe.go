// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"time"
)

// Observer is told of every call of a backend: the method, the kind of its error, empty if there was none, and how long it took.
type Observer func(method string, kind Kind, took time.Duration)

// Observed is a Reserver that tells of every call. If r is a Meter, so is it.
func Observed(r Reserver, observe Observer) Reserver {
	o := observed{Reserver: r, observe: observe}
	if meter, ok := r.(Meter); ok {
		return observedMeter{observed: o, meter: meter}
	}
	return o
}

type observed struct {
	Reserver
	observe Observer
}

func (o observed) done(method string, start time.Time, err error) {
	o.observe(method, KindOf(err), time.Since(start))
}

// Lookup as the Reserver does it.
func (o observed) Lookup(ctx context.Context, owner Owner) ([]Allocation, error) {
	start := time.Now()
	found, err := o.Reserver.Lookup(ctx, owner)
	o.done("Lookup", start, err)
	return found, err
}

// Allocate as the Reserver does it.
func (o observed) Allocate(ctx context.Context, owner Owner, request Request) (Allocation, error) {
	start := time.Now()
	a, err := o.Reserver.Allocate(ctx, owner, request)
	o.done("Allocate", start, err)
	return a, err
}

// Claim as the Reserver does it.
func (o observed) Claim(ctx context.Context, a Allocation) error {
	start := time.Now()
	err := o.Reserver.Claim(ctx, a)
	o.done("Claim", start, err)
	return err
}

// Release as the Reserver does it.
func (o observed) Release(ctx context.Context, a Allocation) error {
	start := time.Now()
	err := o.Reserver.Release(ctx, a)
	o.done("Release", start, err)
	return err
}

// List as the Reserver does it.
func (o observed) List(ctx context.Context, gardenID string) ([]Allocation, error) {
	start := time.Now()
	listed, err := o.Reserver.List(ctx, gardenID)
	o.done("List", start, err)
	return listed, err
}

type observedMeter struct {
	observed
	meter Meter
}

// Usage as the Meter tells it.
func (o observedMeter) Usage(ctx context.Context) ([]Usage, error) {
	start := time.Now()
	usage, err := o.meter.Usage(ctx)
	o.done("Usage", start, err)
	return usage, err
}
