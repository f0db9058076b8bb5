// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dhcpv6

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// run is the client's life (RFC 8415, 18.2): solicit, request, wait, renew, rebind, and from the beginning when all of that failed.
func (s *Source) run() {
	const shortest, longest = time.Second, time.Minute
	pause := shortest
	if l := s.lease(); l != nil && (l.end().IsZero() || time.Now().Before(l.end())) {
		// After a restart the servers may have other ideas. If none answers, the lease holds as long as it was given for.
		s.problemOf(s.keep(dhcpv6.MessageTypeRebind, l, timing{first: time.Second, longest: 4 * time.Second, duration: 10 * time.Second}))
	}
	for s.ctx.Err() == nil {
		err := s.step()
		s.problemOf(err)
		if err == nil {
			pause = shortest
			continue
		}
		s.sleep(time.Now().Add(jitter(pause)))
		pause = min(2*pause, longest)
	}
}

func (s *Source) problemOf(err error) {
	if err != nil && s.ctx.Err() == nil {
		s.note(err)
	}
}

func (s *Source) lease() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Lease
}

// step does what the time asks for. An error means that it should not be tried again at once.
func (s *Source) step() error {
	l, now := s.lease(), time.Now()
	if l == nil {
		return s.solicit()
	}
	end := l.end()
	passed := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	again := timing{first: s.options.Retransmit, longest: 10 * time.Minute}
	switch {
	case passed(end):
		s.expire(l, now)
		return nil
	case passed(l.RebindAt):
		again.duration = end.Sub(now)
		return unlessLate(s.keep(dhcpv6.MessageTypeRebind, l, again), end)
	case passed(l.RenewAt):
		until := sooner(l.RebindAt, end)
		again.duration = until.Sub(now)
		return unlessLate(s.keep(dhcpv6.MessageTypeRenew, l, again), until)
	}
	next := sooner(l.RenewAt, end)
	var deprecated time.Time
	for _, p := range l.Prefixes {
		if p.PreferredUntil.After(now) {
			deprecated = sooner(deprecated, p.PreferredUntil)
		}
	}
	s.sleep(sooner(next, deprecated))
	if !deprecated.IsZero() && !time.Now().Before(deprecated) {
		nodesource.Notify(s.changed)
	}
	return nil
}

// sooner of two points in time, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// unlessLate drops the error of an attempt that took all the time it had: the next step is another one.
func unlessLate(err error, until time.Time) error {
	if !until.IsZero() && !time.Now().Before(until) {
		return nil
	}
	return err
}

// sleep until a point in time, or for ever if it is zero.
func (s *Source) sleep(until time.Time) {
	var timer <-chan time.Time
	if !until.IsZero() {
		timer = time.After(time.Until(until))
	}
	select {
	case <-s.ctx.Done():
	case <-timer:
	}
}

// expire drops what has ended.
func (s *Source) expire(l *lease, now time.Time) {
	left := *l
	left.Prefixes = nil
	var ended leasedPrefix
	for _, p := range l.Prefixes {
		if p.ValidUntil.IsZero() || p.ValidUntil.After(now) {
			left.Prefixes = append(left.Prefixes, p)
		} else {
			ended = p
		}
	}
	if len(left.Prefixes) > 0 {
		s.set(&left, nil)
		return
	}
	s.set(nil, &nodesource.LostError{Prefix: ended.Prefix, Since: ended.ValidUntil, Reason: "no server renewed it in time"})
}

// solicit until a server delegates.
func (s *Source) solicit() error {
	s.mu.Lock()
	var had []netip.Prefix
	if lost := s.state.Lost; lost != nil {
		had = []netip.Prefix{lost.Prefix}
	}
	s.mu.Unlock()
	m, err := s.message(dhcpv6.MessageTypeSolicit, nil, s.hint(had))
	if err != nil {
		return err
	}
	var offer *lease
	err = s.exchange(s.ctx, timing{first: time.Second, longest: 2 * time.Minute}, m, func(answer *dhcpv6.Message) error {
		if answer.MessageType != dhcpv6.MessageTypeAdvertise {
			return fmt.Errorf("a %s for a Solicit: want an Advertise", answer.MessageType)
		}
		l, _, err := s.id.read(answer, time.Now())
		if err == nil && len(l.Prefixes) == 0 {
			err = &refusal{l.Server, iana.StatusNoPrefixAvail, "offered for no time"}
		}
		offer = l
		return err
	})
	if err != nil {
		return err
	}
	return s.request(offer.Server, offer.list())
}

// request what a server has offered, or has to offer.
func (s *Source) request(server []byte, prefixes []netip.Prefix) error {
	m, err := s.message(dhcpv6.MessageTypeRequest, server, prefixes)
	if err != nil {
		return err
	}
	var given *lease
	err = s.exchange(s.ctx, timing{first: time.Second, longest: 30 * time.Second, count: 5}, m, s.reply(func(l *lease, _ []netip.Prefix, err error) error {
		given = l
		if err == nil && len(l.Prefixes) == 0 {
			err = &refusal{l.Server, iana.StatusNoPrefixAvail, "given for no time"}
		}
		return err
	}))
	if err != nil {
		return err
	}
	s.set(given, nil)
	return nil
}

// reply accepts what take does not object to.
func (s *Source) reply(take func(*lease, []netip.Prefix, error) error) func(*dhcpv6.Message) error {
	return func(answer *dhcpv6.Message) error {
		if answer.MessageType != dhcpv6.MessageTypeReply {
			return fmt.Errorf("a %s: want a Reply", answer.MessageType)
		}
		return take(s.id.read(answer, time.Now()))
	}
}

// keep the lease: Renew with its server, Rebind with any.
func (s *Source) keep(kind dhcpv6.MessageType, old *lease, t timing) error {
	var server []byte
	if kind == dhcpv6.MessageTypeRenew {
		server = old.Server
	}
	m, err := s.message(kind, server, old.list())
	if err != nil {
		return err
	}
	var fresh *lease
	var unbound *refusal
	err = s.exchange(s.ctx, t, m, s.reply(func(l *lease, taken []netip.Prefix, err error) error {
		var r *refusal
		if errors.As(err, &r) && r.code == iana.StatusNoBinding {
			unbound = r // an answer, too: it is to be asked for anew
			return nil
		}
		if err == nil {
			fresh = merge(old, l, taken)
		}
		return err
	}))
	switch {
	case err != nil:
		return err
	case unbound != nil:
		return s.unbound(old, unbound)
	case len(fresh.Prefixes) == 0:
		s.set(nil, &nodesource.LostError{Prefix: old.Prefixes[0].Prefix, Since: time.Now(), Reason: fmt.Sprintf("server %x took it back", fresh.Server)})
		return nil
	}
	s.set(fresh, nil)
	return nil
}

// unbound asks a server that does not know of the lease to give it (RFC 8415, 18.2.10.1). What it refuses then, we have no more.
func (s *Source) unbound(old *lease, r *refusal) error {
	err := s.request(r.server, old.list())
	var refused *refusal
	if errors.As(err, &refused) {
		s.set(nil, &nodesource.LostError{Prefix: old.Prefixes[0].Prefix, Since: time.Now(), Reason: refused.Error()})
		return nil
	}
	return err
}

// release gives the prefixes back.
func (s *Source) release(ctx context.Context, l *lease) error {
	m, err := s.message(dhcpv6.MessageTypeRelease, l.Server, l.list())
	if err != nil {
		return err
	}
	return s.exchange(ctx, timing{first: time.Second, count: 4}, m, s.reply(func(*lease, []netip.Prefix, error) error {
		return nil // whatever it says: it was ours, or it was not
	}))
}
