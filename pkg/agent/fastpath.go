// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// ReasonFastPath says that packets of some pods go the ordinary way, which is slower.
const ReasonFastPath = "FastPathFailed"

// quicken puts the uplink and all pods on the fast path, if there is one. Whatever fails costs speed, not packets.
func (a *Agent) quicken(uplink string) []Problem {
	if a.FastPath == nil {
		return nil
	}
	if err := errors.Join(a.FastPath.Uplink(uplink), a.handler.quicken()); err != nil {
		return []Problem{{Reason: ReasonFastPath, Message: err.Error()}}
	}
	return nil
}

// quicken puts all pods on the fast path but those in the middle of an operation, which end on it by themselves.
func (h *handler) quicken() error {
	var errs []error
	for _, r := range h.addrs.Records() {
		if unlock, ok := h.keys.tryLock(r.Key); ok {
			errs = append(errs, h.quickenOne(r.Key))
			unlock()
		}
	}
	return errors.Join(errs...)
}

// quickenSoon puts a pod on the fast path without having its ADD wait: until then its packets go the ordinary way.
func (h *handler) quickenSoon(key podip.Key) {
	if h.fast == nil {
		return
	}
	go func() {
		defer h.keys.lock(key)()
		_ = h.quickenOne(key) // the next reconciliation tries again, and tells
	}()
}

// quickenOne is called with the key locked: a pod that is being deleted must not come back.
func (h *handler) quickenOne(key podip.Key) error {
	r, ok := h.addrs.Get(key)
	if !ok {
		return nil
	}
	return h.fast.Add(wireOf(r))
}

// slow takes a pod off the fast path.
func (h *handler) slow(key podip.Key) error {
	if h.fast == nil {
		return nil
	}
	if err := h.fast.Remove(dataplane.HostInterface(key.String())); err != nil {
		return fmt.Errorf("take the pod off the fast path: %w", err)
	}
	return nil
}
