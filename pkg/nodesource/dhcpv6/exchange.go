// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dhcpv6

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"go4.org/netipx"
)

// timing of a message that is sent until it is answered (RFC 8415, 15): first wait, longest wait, number of messages, duration. Zero: no
// limit but that of every exchange.
type timing struct {
	first, longest time.Duration
	count          int
	duration       time.Duration
}

// errUnanswered is what comes of a message that nobody answered in time.
var errUnanswered = errors.New("no server answers")

// unfit is an answer that was not taken.
type unfit struct{ error }

func (e unfit) Unwrap() error { return e.error }

// open the port for as long as an exchange lasts.
func (s *Source) open() (*nclient6.Client, error) {
	name := s.options.Interface
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	conn, err := nclient6.NewIPv6UDPConn(name, dhcpv6.DefaultClientPort)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d of %s is taken: %w: want no other DHCPv6 client on this interface", dhcpv6.DefaultClientPort, name, err)
	case err != nil:
		return nil, fmt.Errorf("interface %s: %w: want it up, with a link-local address", name, err)
	}
	// How often a message is sent again is decided here, by the RFC, and not by the library.
	return nclient6.NewWithConn(conn, link.HardwareAddr, nclient6.WithRetry(1), nclient6.WithTimeout(24*time.Hour))
}

// exchange sends a message until an answer is accepted. If none is, the error is the last answer's, or errUnanswered.
func (s *Source) exchange(ctx context.Context, t timing, m *dhcpv6.Message, accept func(*dhcpv6.Message) error) error {
	client, err := s.open()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	// A socket can go deaf when its interface goes down for a moment: it is not used for longer than that.
	const longest = 15 * time.Minute
	if t.duration <= 0 || t.duration > longest {
		t.duration = longest
	}
	inner, cancel := context.WithTimeout(ctx, t.duration)
	defer cancel()
	begun := time.Now()
	outcome := errUnanswered
	wait := t.first
	for n := 1; t.count == 0 || n <= t.count; n++ {
		m.UpdateOption(dhcpv6.OptElapsedTime(min(time.Since(begun), 655350*time.Millisecond)))
		attempt, cancel := context.WithTimeout(inner, jitter(wait))
		_, err := client.SendAndRead(attempt, client.RemoteAddr(), m, func(answer *dhcpv6.Message) bool {
			err := accept(answer)
			if err != nil {
				outcome = unfit{err}
			}
			return err == nil
		})
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case attempt.Err() == nil && !errors.Is(err, nclient6.ErrNoResponse):
			return fmt.Errorf("interface %s: %w", s.options.Interface, err)
		case inner.Err() != nil:
			return outcome
		}
		s.note(outcome)
		if wait *= 2; t.longest > 0 {
			wait = min(wait, t.longest)
		}
	}
	return outcome
}

// jitter keeps the nodes of a cluster apart: up to a tenth more or less.
func jitter(d time.Duration) time.Duration {
	return d*9/10 + time.Duration(rand.Int64N(int64(d)/5+1)) //nolint:gosec // no secret
}

// message of the client: who it is, what it wants, and of which server, if of one only.
func (s *Source) message(kind dhcpv6.MessageType, server []byte, prefixes []netip.Prefix) (*dhcpv6.Message, error) {
	m, err := dhcpv6.NewMessage()
	if err != nil {
		return nil, err
	}
	m.MessageType = kind
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: s.id.DUID})
	if server != nil {
		m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: server})
	}
	m.AddOption(dhcpv6.OptElapsedTime(0))
	ia := &dhcpv6.OptIAPD{IaId: s.id.IAID}
	for _, p := range prefixes {
		ia.Options.Add(&dhcpv6.OptIAPrefix{Prefix: netipx.PrefixIPNet(p)})
	}
	m.AddOption(ia)
	if kind != dhcpv6.MessageTypeRelease {
		// RFC 8415, 18.2: every message must ask for it. The answer is not heeded: a node without a prefix asks every two minutes.
		m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionSolMaxRT))
	}
	return m, nil
}

// hint of the length that is wanted, and of the prefix that the node had, if any.
func (s *Source) hint(had []netip.Prefix) []netip.Prefix {
	if len(had) == 0 && s.options.Bits > 0 {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv6Unspecified(), s.options.Bits)}
	}
	return had
}

func (l *lease) list() []netip.Prefix {
	var ps []netip.Prefix
	if l != nil {
		for _, p := range l.Prefixes {
			ps = append(ps, p.Prefix)
		}
	}
	return ps
}
