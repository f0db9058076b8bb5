// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// FastPath is a dataplane.FastPath in memory. Its zero value is ready.
type FastPath struct {
	// Removing is called with each host's end that is about to be served no more, if it is set before use.
	Removing func(hostInterface string)

	mu     sync.Mutex
	uplink string
	served map[string]dataplane.Wire
	fault  error
}

// Fail makes every call fail until err is nil.
func (f *FastPath) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

// Uplink implements dataplane.FastPath.
func (f *FastPath) Uplink(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil {
		f.uplink = name
	}
	return f.fault
}

// Add implements dataplane.FastPath.
func (f *FastPath) Add(w dataplane.Wire) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return f.fault
	}
	if f.served == nil {
		f.served = map[string]dataplane.Wire{}
	}
	f.served[w.HostInterface] = w
	return nil
}

// Remove implements dataplane.FastPath.
func (f *FastPath) Remove(hostInterface string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return f.fault
	}
	if _, ok := f.served[hostInterface]; ok && f.Removing != nil {
		f.Removing(hostInterface)
	}
	delete(f.served, hostInterface)
	return nil
}

// Dump says what is served: the uplink, then the pods' addresses.
func (f *FastPath) Dump() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []string{f.uplink}
	for _, name := range slices.Sorted(maps.Keys(f.served)) {
		out = append(out, fmt.Sprint(f.served[name].Addrs))
	}
	slices.Sort(out[1:])
	return out
}
