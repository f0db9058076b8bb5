// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"sync"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Store is a reservation.Store in memory. It swaps as a server does: the change works on a copy, without a lock, and is
// applied again if somebody else was faster.
type Store struct {
	mu      sync.Mutex
	ledger  *reservation.Ledger
	version int
	// Conflicts counts the changes that had to be applied again.
	conflicts int
}

var _ reservation.Store = &Store{}

// NewStore makes an empty Store.
func NewStore() *Store { return &Store{ledger: &reservation.Ledger{}} }

// Read returns a copy of the ledger.
func (s *Store) Read(context.Context) (*reservation.Ledger, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.Clone(), nil
}

// Conflicts is how often a change had to be applied again.
func (s *Store) Conflicts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conflicts
}

// Update compares and swaps.
func (s *Store) Update(_ context.Context, change func(*reservation.Ledger) error) error {
	for {
		s.mu.Lock()
		ledger, version := s.ledger.Clone(), s.version
		s.mu.Unlock()
		if err := change(ledger); err != nil {
			return err
		}
		s.mu.Lock()
		if s.version == version {
			s.ledger, s.version = ledger, version+1
			s.mu.Unlock()
			return nil
		}
		s.conflicts++
		s.mu.Unlock()
	}
}
