// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package fake is a podip.Store in memory that behaves: it validates, refuses what a real one refuses, fails on command before or
// after the deed is done, and can be dumped.
package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// Store is the fake. Its zero value is not usable: New makes one.
type Store struct {
	mu      sync.Mutex
	records map[podip.Key]podip.Record
	faults  []Fault
}

// Fault makes one coming call fail.
type Fault struct {
	// Call is "Load", "Put" or "Delete".
	Call string
	// After means that the deed is done before the error is returned.
	After bool
	// Err is returned.
	Err error
}

// New returns an empty store.
func New() *Store { return &Store{records: map[podip.Key]podip.Record{}} }

// Inject lines up faults: each is used up by the first call of its name that follows.
func (s *Store) Inject(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f...)
}

func (s *Store) fault(call string) (before, after error) {
	for i, f := range s.faults {
		if f.Call != call {
			continue
		}
		s.faults = slices.Delete(s.faults, i, i+1)
		if f.After {
			return nil, f.Err
		}
		return f.Err, nil
	}
	return nil, nil
}

// Load implements podip.Store.
func (s *Store) Load(context.Context) ([]podip.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, after := s.fault("Load")
	if before != nil {
		return nil, before
	}
	var out []podip.Record
	for _, r := range s.records {
		r.Addrs = slices.Clone(r.Addrs)
		out = append(out, r)
	}
	return out, after
}

// Put implements podip.Store.
func (s *Store) Put(_ context.Context, r podip.Record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, after := s.fault("Put")
	if before != nil {
		return before
	}
	if _, ok := s.records[r.Key]; ok {
		return fmt.Errorf("%s: %w", r.Key, podip.ErrExists)
	}
	r.Addrs = slices.Clone(r.Addrs)
	s.records[r.Key] = r
	return after
}

// Delete implements podip.Store.
func (s *Store) Delete(_ context.Context, k podip.Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, after := s.fault("Delete")
	if before != nil {
		return before
	}
	delete(s.records, k)
	return after
}

// Dump returns one line a record, sorted.
func (s *Store) Dump() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, r := range s.records {
		var addrs []string
		for _, a := range r.Addrs {
			addrs = append(addrs, a.String())
		}
		lines = append(lines, fmt.Sprintf("%s %s\n", r.Key, strings.Join(addrs, ",")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
