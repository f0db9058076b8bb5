// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// recover finds out which addresses are in use, from the store and the kernel.
func (a *Agent) recover(ctx context.Context) error {
	wires, err := a.Wirer.List(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	found := map[string]dataplane.FoundWire{}
	for _, w := range wires {
		found[w.HostInterface] = w
	}
	stale := 0
	a.addrs, err = podip.Open(ctx, a.Store, func(r podip.Record) bool {
		_, live := found[dataplane.HostInterface(r.String())]
		if !live {
			stale++
		}
		return live
	})
	if damaged := (*podip.DamagedError)(nil); errors.As(err, &damaged) {
		a.warn(Problem{Reason: ReasonDamagedRecord, Message: err.Error()})
	} else if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	a.metrics.stale.Add(float64(stale))
	a.adopt(ctx, wires)
	a.Log.Info("recovered", "pods", len(a.addrs.Records()), "staleAddressesReleased", stale)
	return nil
}

// adopt records the wires that the store does not know. One without an owner was being made when the agent died; nobody uses it.
func (a *Agent) adopt(ctx context.Context, wires []dataplane.FoundWire) {
	known := map[string]bool{}
	for _, r := range a.addrs.Records() {
		known[dataplane.HostInterface(r.String())] = true
	}
	for _, w := range wires {
		if known[w.HostInterface] {
			continue
		}
		if w.Owner == "" {
			if err := a.Wirer.Unwire(ctx, w.HostInterface); err != nil {
				a.Log.Error("remove a wire without an owner", "interface", w.HostInterface, "error", err)
			}
			continue
		}
		r, err := parseOwner(w.Owner)
		if err == nil {
			r.Addrs, r.MTU = w.Addrs, w.MTU
			err = a.addrs.Adopt(ctx, r)
		}
		if err != nil {
			a.warn(Problem{Reason: ReasonAddressConflict, Message: fmt.Sprintf("the pod behind %s: %v", w.HostInterface, err)})
			continue
		}
		a.Log.Warn("adopted a pod's wire that the store did not know", "interface", w.HostInterface, "attachment", r.Key, "addresses", r.Addrs)
	}
}
