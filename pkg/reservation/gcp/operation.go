// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"context"
	"errors"
	"time"

	"google.golang.org/api/compute/v1"
)

// errRunning says that an operation took longer than it was waited for.
var errRunning = errors.New("the operation is still running")

// finish waits until an operation is done. Its end decides, not the call that started it.
func (r *Reserver) finish(ctx context.Context, at place, op *compute.Operation) error {
	if op.Status == "DONE" {
		return operationFailure(op)
	}
	// The service holds the answer back until the operation is done, for two minutes at most; but it may also answer at once.
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	for {
		next, err := r.service.RegionOperations.Wait(at.project, at.region, op.Name).Context(ctx).Do()
		switch {
		case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return errRunning
		case err != nil:
			return err
		case next.Status == "DONE":
			return operationFailure(next)
		}
		timer := time.NewTimer(r.poll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errRunning
		case <-timer.C:
		}
	}
}
