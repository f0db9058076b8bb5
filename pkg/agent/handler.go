// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// wiring bounds how many pods are wired at once: the kernel takes one change of interfaces at a time anyway (rtnl), and each costs a
// thread.
const wiring = 8

// handler answers the plugin.
type handler struct {
	addrs   *podip.Allocator
	wirer   dataplane.Wirer
	fast    dataplane.FastPath // nil if there is none
	metrics *metrics
	slots   chan struct{}
	keys    keyed

	mu       sync.Mutex
	notReady string // why no pod can be wired; empty if they can
	mtu      int
}

func newHandler(addrs *podip.Allocator, w dataplane.Wirer, fast dataplane.FastPath, m *metrics) *handler {
	return &handler{addrs: addrs, wirer: w, fast: fast, metrics: m, slots: make(chan struct{}, wiring), notReady: "the agent is starting"}
}

// setReady says whether pods can be wired, and with which MTU; why is empty if they can.
func (h *handler) setReady(why string, mtu int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notReady, h.mtu = why, mtu
}

func (h *handler) ready() (why string, mtu int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.notReady, h.mtu
}

// Handle implements cnirpc.Handler.
func (h *handler) Handle(ctx context.Context, req cnirpc.Request, netns *os.File) (*cnirpc.Result, error) {
	begin := time.Now()
	result, err := h.dispatch(ctx, req, netns)
	h.metrics.operation(req.Command, err, time.Since(begin))
	return result, err
}

func (h *handler) dispatch(ctx context.Context, req cnirpc.Request, netns *os.File) (*cnirpc.Result, error) {
	switch req.Command {
	case cnirpc.GC:
		return nil, h.collect(ctx, req)
	case cnirpc.Status:
		return nil, h.status()
	case cnirpc.Add, cnirpc.Del, cnirpc.Check:
	default:
		return nil, &cnirpc.Error{Code: cnirpc.CodeDecoding, Msg: fmt.Sprintf("the agent does not know the command %q", req.Command)}
	}
	key := podip.Key{ContainerID: req.Attachment.ContainerID, Interface: req.Attachment.Interface}
	if err := key.Validate(); err != nil {
		return nil, &cnirpc.Error{Code: cnirpc.CodeInvalidEnvironment, Msg: err.Error()}
	}
	defer h.keys.lock(key)()
	h.slots <- struct{}{}
	defer func() { <-h.slots }()
	switch req.Command {
	case cnirpc.Add:
		return h.add(ctx, key, req, netns)
	case cnirpc.Del:
		return nil, h.remove(ctx, key)
	default:
		return nil, h.check(ctx, key, req, netns)
	}
}

// add allocates, then wires. A crash between leaves a record without a wire, which the next start drops.
func (h *handler) add(ctx context.Context, key podip.Key, req cnirpc.Request, netns *os.File) (*cnirpc.Result, error) {
	why, mtu := h.ready()
	if why != "" {
		return nil, &cnirpc.Error{Code: cnirpc.CodeTryAgainLater, Msg: "the node is not ready for pods", Details: why}
	}
	if netns == nil {
		return nil, &cnirpc.Error{Code: cnirpc.CodeInvalidEnvironment, Msg: "ADD came without a network namespace"}
	}
	record, err := h.addrs.Allocate(ctx, podip.Claim{Key: key, Network: req.Network, Pod: req.Pod, MTU: mtu})
	if err != nil {
		return nil, fromAllocator(err)
	}
	w := wireOf(record)
	if err := h.wirer.Wire(ctx, netns, w); err != nil {
		err = &cnirpc.Error{Code: cnirpc.CodeIO, Msg: "the pod could not be wired", Details: err.Error()}
		if undo := h.remove(ctx, key); undo != nil {
			h.metrics.leftovers.Inc() // the sweep comes back to it
		}
		return nil, err
	}
	h.quickenSoon(key)
	return resultOf(w), nil
}

func fromAllocator(err error) error {
	switch {
	case errors.Is(err, podip.ErrNoRange), errors.Is(err, podip.ErrExhausted), errors.Is(err, podip.ErrBusy):
		return &cnirpc.Error{Code: cnirpc.CodeTryAgainLater, Msg: "no address for the pod", Details: err.Error()}
	default:
		return &cnirpc.Error{Code: cnirpc.CodeIO, Msg: "no address for the pod", Details: err.Error()}
	}
}

// remove takes the wire away, then the record: never the other way, as the address would be free while it is in use.
func (h *handler) remove(ctx context.Context, key podip.Key) error {
	err := h.slow(key)
	if err == nil {
		err = h.wirer.Unwire(ctx, dataplane.HostInterface(key.String()))
	}
	if err != nil {
		return &cnirpc.Error{Code: cnirpc.CodeIO, Msg: "the pod's wire could not be removed", Details: err.Error()}
	}
	if err := h.addrs.Release(ctx, key); err != nil {
		return &cnirpc.Error{Code: cnirpc.CodeIO, Msg: "the pod's address could not be released", Details: err.Error()}
	}
	return nil
}

func (h *handler) check(ctx context.Context, key podip.Key, req cnirpc.Request, netns *os.File) error {
	record, ok := h.addrs.Get(key)
	if !ok {
		return &cnirpc.Error{Code: cnirpc.CodeCheckFailed, Msg: "the agent has no record of the pod's interface"}
	}
	if !slices.Equal(record.Addrs, req.Addrs) {
		return &cnirpc.Error{Code: cnirpc.CodeCheckFailed, Msg: fmt.Sprintf("the runtime believes in addresses %v, the agent gave %v", req.Addrs, record.Addrs)}
	}
	findings, err := h.wirer.Check(ctx, netns, wireOf(record))
	if err != nil {
		return &cnirpc.Error{Code: cnirpc.CodeIO, Msg: "the pod's wire could not be checked", Details: err.Error()}
	}
	if len(findings) > 0 {
		return &cnirpc.Error{Code: cnirpc.CodeCheckFailed, Msg: "the pod's wire is not as it was made", Details: strings.Join(findings, "; ")}
	}
	return nil
}

func (h *handler) status() error {
	if why, _ := h.ready(); why != "" {
		return &cnirpc.Error{Code: cnirpc.CodeNotAvailable, Msg: "the node is not ready for pods", Details: why}
	}
	return nil
}

// collect removes what the runtime does not know, of its network. Attachments in the middle of an operation are left alone.
func (h *handler) collect(ctx context.Context, req cnirpc.Request) error {
	valid := map[podip.Key]bool{}
	for _, a := range req.Valid {
		valid[podip.Key{ContainerID: a.ContainerID, Interface: a.Interface}] = true
	}
	var errs []error
	for _, r := range h.addrs.Records() {
		if r.Network != req.Network || valid[r.Key] {
			continue
		}
		if unlock, ok := h.keys.tryLock(r.Key); ok {
			errs = append(errs, h.remove(ctx, r.Key))
			unlock()
		}
	}
	return errors.Join(errs...)
}

// sweep releases the addresses whose wire is gone: of pods whose namespace went away while the agent did, too.
func (h *handler) sweep(ctx context.Context) (released int, err error) {
	var errs []error
	for _, r := range h.addrs.Records() {
		unlock, ok := h.keys.tryLock(r.Key)
		if !ok {
			continue
		}
		exists, err := h.wirer.Exists(ctx, dataplane.HostInterface(r.String()))
		if err == nil && !exists {
			err = h.slow(r.Key)
		}
		if err == nil && !exists {
			if err = h.addrs.Release(ctx, r.Key); err == nil {
				released++
			}
		}
		errs = append(errs, err)
		unlock()
	}
	return released, errors.Join(errs...)
}

// wireOf is the wire of a record.
func wireOf(r podip.Record) dataplane.Wire {
	return dataplane.Wire{
		HostInterface: dataplane.HostInterface(r.String()), PodInterface: r.Interface, Owner: owner(r), MTU: r.MTU, Addrs: r.Addrs,
	}
}

func resultOf(w dataplane.Wire) *cnirpc.Result {
	host, pod := w.Ends()
	out := &cnirpc.Result{HostInterface: host.Interface, HostMAC: host.MAC.String(), PodMAC: pod.MAC.String(), MTU: w.MTU, Addrs: w.Addrs}
	for _, a := range w.Addrs {
		if a.Is4() {
			out.Gateways = append(out.Gateways, dataplane.Gateway4)
		} else {
			out.Gateways = append(out.Gateways, dataplane.Gateway6)
		}
	}
	return out
}

// owner is what the host's end of the wire says in its alias: "container/interface network".
func owner(r podip.Record) string { return r.String() + " " + r.Network }

// parseOwner is the inverse of owner.
func parseOwner(s string) (podip.Record, error) {
	k, network, _ := strings.Cut(s, " ")
	key, err := podip.ParseKey(k)
	return podip.Record{Key: key, Network: network}, err
}
