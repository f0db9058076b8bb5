// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package fake is a BGP speaker in memory that behaves: it refuses what a real one refuses, remembers in which order things were done,
// and has the sessions and routes that a test gives it.
package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// Speaker is a bgp.Speaker. Its zero value is not usable: New makes one.
type Speaker struct {
	mu      sync.Mutex
	changed chan struct{}
	has     *bgp.Desired
	states  map[string]bgp.Session
	routes  []bgp.Route
	done    []string
	fault   error
}

var _ bgp.Speaker = &Speaker{}

// New returns a speaker that has not spoken yet.
func New() *Speaker {
	return &Speaker{changed: make(chan struct{}, 1), states: map[string]bgp.Session{}}
}

// Fail makes Apply fail until err is nil.
func (s *Speaker) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

// Session sets what becomes of the session with a peer, by its address. Without it a session is established and the peer has told all.
func (s *Speaker) Session(peer string, is bgp.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[peer] = is
}

// Tell routes, in the place of those before.
func (s *Speaker) Tell(routes ...bgp.Route) {
	s.mu.Lock()
	s.routes = routes
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Apply implements bgp.Speaker.
func (s *Speaker) Apply(_ context.Context, d bgp.Desired) error {
	if err := d.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return s.fault
	}
	var had bgp.Desired
	if s.has != nil {
		had = *s.has
	}
	changes := bgp.Compare(had, d)
	for _, a := range changes.Advertise {
		s.done = append(s.done, "announce "+a.Prefix.String())
	}
	for _, p := range slices.Concat(changes.RemovePeers, changes.ReplacePeers) {
		s.done = append(s.done, "end "+p.String())
	}
	for _, p := range slices.Concat(changes.AddPeers, changes.ReplacePeers) {
		s.done = append(s.done, "open "+p.String())
	}
	for _, a := range changes.Withdraw {
		s.done = append(s.done, "withdraw "+a.Prefix.String())
	}
	s.has = &d
	return nil
}

// Status implements bgp.Speaker.
func (s *Speaker) Status(context.Context) (bgp.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out bgp.Status
	if s.has == nil {
		return out, nil
	}
	for _, p := range s.has.Peers {
		is, ok := s.states[p.Address.String()]
		if !ok {
			is = bgp.Session{State: bgp.Established, Since: time.Now(), Told: true, Advertised: uint64(len(s.has.Advertisements))}
		}
		is.Peer = p
		out.Sessions = append(out.Sessions, is)
	}
	out.Routes = slices.Clone(s.routes)
	return out, nil
}

// Changed implements bgp.Speaker.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Withdraw implements bgp.Speaker.
func (s *Speaker) Withdraw(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, "withdraw all")
	s.has = nil
	return nil
}

// Leave implements bgp.Speaker.
func (s *Speaker) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, "leave")
}

// Desired is what was applied last; nil before, and after Withdraw.
func (s *Speaker) Desired() *bgp.Desired {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has
}

// Done returns what was done since it was last asked, a line each.
func (s *Speaker) Done() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.done, "\n")
	s.done = nil
	return out
}

// Dump returns the state, one line a thing.
func (s *Speaker) Dump() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "AS %d router %s\n", s.has.ASN, s.has.RouterID)
	for _, p := range s.has.Peers {
		fmt.Fprintf(&b, "peer %s\n", p)
	}
	for _, a := range s.has.Advertisements {
		fmt.Fprintf(&b, "announces %s\n", a.Prefix)
	}
	return b.String()
}
