// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package dhcpv6 asks a DHCPv6 server to delegate a prefix to the node (IA_PD, RFC 8415) and keeps it: renews it, binds it to another
// server when its own is gone, and keeps it over a restart of the agent.
package dhcpv6

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// Options of a source.
type Options struct {
	// Interface to the servers or their relay.
	Interface string
	// Bits is the length that is asked for; servers may give another one. 0: theirs to choose.
	Bits int
	// File keeps the client's identity and lease. Its folder must be there.
	File string
	// Release gives the prefix back on Close: for a node that goes away, not for an agent that does.
	Release bool
	// Retransmit is when an unanswered Renew or Rebind is sent again for the first time; 10 s if zero, as RFC 8415 has it.
	Retransmit time.Duration
	Log        *slog.Logger
}

// Source is a DHCPv6 client.
type Source struct {
	options Options
	id      identity
	changed chan struct{}
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
	begun   time.Time

	mu     sync.Mutex
	state  state
	closed bool
	// problem is why there is no lease yet, or what stands in the way of keeping it.
	problem error
}

// New makes a client and begins to ask. A lease that the file holds counts at once, and is confirmed.
func New(options Options) (*Source, error) {
	if options.Retransmit == 0 {
		options.Retransmit = 10 * time.Second
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Bits < 0 || options.Bits > 128 {
		return nil, fmt.Errorf("prefix length %d: want one up to 128", options.Bits)
	}
	if options.File == "" {
		return nil, errors.New("no lease file: want a path, or the prefix would change with every start")
	}
	link, err := net.InterfaceByName(options.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", options.Interface, err)
	}
	if len(link.HardwareAddr) == 0 {
		return nil, fmt.Errorf("interface %q has no hardware address: want an Ethernet one", options.Interface)
	}
	st, err := load(options.File, link)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Source{options: options, id: st.identity, state: st, changed: make(chan struct{}, 1), ctx: ctx, stop: stop, begun: time.Now()}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		s.run()
	}()
	return s, nil
}

// Prefixes that are delegated to the node.
func (s *Source) Prefixes(ctx context.Context) ([]nodesource.Prefix, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nodesource.ErrClosed
	}
	now := time.Now()
	var ps []nodesource.Prefix
	if l := s.state.Lease; l != nil {
		for _, p := range l.Prefixes {
			if p.ValidUntil.IsZero() || p.ValidUntil.After(now) {
				ps = append(ps, nodesource.Prefix{
					Prefix: p.Prefix, ValidUntil: p.ValidUntil, Origin: "DHCPv6 on " + s.options.Interface,
					Deprecated: !p.PreferredUntil.IsZero() && !p.PreferredUntil.After(now),
				})
			}
		}
	}
	if len(ps) > 0 {
		return nodesource.Sort(ps), nil
	}
	return nil, s.none()
}

// none says why there is no prefix.
func (s *Source) none() error {
	if lost := s.state.Lost; lost != nil {
		return fmt.Errorf("DHCPv6 on %s: %w", s.options.Interface, lost)
	}
	var refused *refusal
	switch {
	case errors.As(s.problem, &refused):
		return fmt.Errorf("DHCPv6 on %s: %w: %w: want a pool of prefixes there with one left for this client (DUID %x)",
			s.options.Interface, nodesource.ErrNone, refused, s.id.DUID)
	case s.problem != nil:
		return fmt.Errorf("DHCPv6 on %s, asking since %s: %w", s.options.Interface, s.begun.UTC().Format(time.RFC3339), s.problem)
	}
	return fmt.Errorf("DHCPv6 on %s: asking since %s", s.options.Interface, s.begun.UTC().Format(time.RFC3339))
}

// Changed is sent to when a prefix came, went or was deprecated, or a server refused one.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// note what stands in the way.
func (s *Source) note(problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var before, now *refusal
	if errors.As(problem, &now) != errors.As(s.problem, &before) {
		nodesource.Notify(s.changed)
	}
	if problem != nil && (s.problem == nil || s.problem.Error() != problem.Error()) {
		s.options.Log.Warn("DHCPv6", "interface", s.options.Interface, "problem", problem)
	}
	s.problem = problem
}

// set what is delegated from now on, on disk first: what others are told of must survive us.
func (s *Source) set(l *lease, lost *nodesource.LostError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state.Lease.list()
	s.state.Lease, s.state.Lost = l, lost
	s.problem = nil
	if err := s.state.save(s.options.File); err != nil {
		// The prefix is the node's nonetheless. Without the file the next start asks anew, with the same identity if it can.
		s.problem = err
		s.options.Log.Error("DHCPv6: the lease is not on disk", "error", err)
	}
	if after := l.list(); !same(before, after) || lost != nil {
		s.options.Log.Info("DHCPv6", "interface", s.options.Interface, "before", before, "now", after, "lost", lost != nil)
		nodesource.Notify(s.changed)
	}
}

func same(a, b []netip.Prefix) bool { return nodesource.FormatList(a) == nodesource.FormatList(b) }

// ReleaseOnClose makes Close give the prefixes back.
func (s *Source) ReleaseOnClose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Release = true
}

// Close ends the client. With Release it gives the prefixes back, for as long as ctx allows.
func (s *Source) Close(ctx context.Context) error {
	s.stop()
	s.done.Wait()
	s.mu.Lock()
	again, l, release := s.closed, s.state.Lease, s.options.Release
	s.closed = true
	s.mu.Unlock()
	if again || l == nil || !release {
		return nil
	}
	// From here on it is not ours (RFC 8415, 18.2.7), whatever becomes of the message.
	s.set(nil, nil)
	if err := s.release(ctx, l); err != nil {
		return fmt.Errorf("DHCPv6 on %s: prefixes %s were not given back: %w", s.options.Interface, nodesource.FormatList(l.list()), err)
	}
	return nil
}
