// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dhcpv6

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"go4.org/netipx"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// lease is what a server has delegated.
type lease struct {
	// Server is the DUID of the server.
	Server []byte `json:"server"`
	// RenewAt (T1) and RebindAt (T2); zero: never.
	RenewAt  time.Time      `json:"renewAt,omitzero"`
	RebindAt time.Time      `json:"rebindAt,omitzero"`
	Prefixes []leasedPrefix `json:"prefixes"`
}

// leasedPrefix has its times as points on the clock, so that they outlive the process. Zero: never.
type leasedPrefix struct {
	Prefix         netip.Prefix `json:"prefix"`
	PreferredUntil time.Time    `json:"preferredUntil,omitzero"`
	ValidUntil     time.Time    `json:"validUntil,omitzero"`
}

// end is when the first of the prefixes ends; zero: never.
func (l *lease) end() time.Time {
	var end time.Time
	for _, p := range l.Prefixes {
		if !p.ValidUntil.IsZero() && (end.IsZero() || p.ValidUntil.Before(end)) {
			end = p.ValidUntil
		}
	}
	return end
}

// refusal is a server that answers, and gives nothing.
type refusal struct {
	server  []byte
	code    iana.StatusCode
	message string
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("server %x says %s", r.server, r.code)
	if r.message != "" {
		text += fmt.Sprintf(" (%.200q)", r.message)
	}
	return text
}

// forever is the lifetime that means infinity (RFC 8415, 7.7).
const forever = (1<<32 - 1) * time.Second

// after is now and a lifetime; zero: never.
func after(now time.Time, lifetime time.Duration) time.Time {
	if lifetime >= forever {
		return time.Time{}
	}
	return now.Add(lifetime).Truncate(time.Millisecond)
}

// identity of the client, the same for as long as its file lives.
type identity struct {
	DUID []byte  `json:"duid"`
	IAID [4]byte `json:"iaid"`
}

// read an Advertise or a Reply to this client: what it delegates, and what it takes back (RFC 8415, 18.2.10.1).
func (id identity) read(m *dhcpv6.Message, now time.Time) (l *lease, taken []netip.Prefix, err error) {
	client, server := m.Options.ClientID(), m.Options.ServerID()
	if client == nil || !bytes.Equal(client.ToBytes(), id.DUID) {
		return nil, nil, errors.New("the answer is for another client: want our client identifier in it")
	}
	if server == nil {
		return nil, nil, errors.New("the answer is nobody's: want a server identifier in it")
	}
	l = &lease{Server: server.ToBytes()}
	if status := m.Options.Status(); status != nil && status.StatusCode != iana.StatusSuccess {
		return nil, nil, &refusal{l.Server, status.StatusCode, status.StatusMessage}
	}
	index := slices.IndexFunc(m.Options.IAPD(), func(ia *dhcpv6.OptIAPD) bool { return ia.IaId == id.IAID })
	if index < 0 {
		return nil, nil, fmt.Errorf("the answer of server %x has no IA_PD with our IAID %x", l.Server, id.IAID)
	}
	ia := m.Options.IAPD()[index]
	if status := ia.Options.Status(); status != nil && status.StatusCode != iana.StatusSuccess {
		return nil, nil, &refusal{l.Server, status.StatusCode, status.StatusMessage}
	}
	if ia.T1 > ia.T2 && ia.T2 > 0 {
		return nil, nil, fmt.Errorf("server %x wants to be asked to renew after %s and to rebind after %s: want T1 ≤ T2", l.Server, ia.T1, ia.T2)
	}
	shortest := forever
	for _, o := range ia.Options.Prefixes() {
		p, err := prefixOf(o)
		if err != nil {
			return nil, nil, fmt.Errorf("server %x: %w", l.Server, err)
		}
		if o.ValidLifetime == 0 {
			taken = append(taken, p)
			continue
		}
		shortest = min(shortest, cmp.Or(o.PreferredLifetime, o.ValidLifetime))
		l.Prefixes = append(l.Prefixes, leasedPrefix{Prefix: p, PreferredUntil: after(now, o.PreferredLifetime), ValidUntil: after(now, o.ValidLifetime)})
	}
	if len(l.Prefixes) == 0 && len(taken) == 0 {
		return nil, nil, &refusal{l.Server, iana.StatusNoPrefixAvail, "an IA_PD without a prefix"}
	}
	l.RenewAt, l.RebindAt = times(now, ia.T1, ia.T2, shortest)
	return l, taken, nil
}

// times of renewing and rebinding; zero from the server leaves them to us: half and four fifths of the shortest lifetime.
func times(now time.Time, t1, t2, shortest time.Duration) (renew, rebind time.Time) {
	if shortest >= forever && t1 == 0 {
		return time.Time{}, time.Time{}
	}
	t1 = cmp.Or(t1, shortest/2)
	t2 = max(t1, cmp.Or(t2, shortest/5*4))
	return after(now, t1), after(now, t2)
}

func prefixOf(o *dhcpv6.OptIAPrefix) (netip.Prefix, error) {
	if o.Prefix == nil {
		return netip.Prefix{}, errors.New("a delegated prefix of length 0")
	}
	p, ok := netipx.FromStdIPNet(o.Prefix)
	if !ok {
		return netip.Prefix{}, fmt.Errorf("delegated prefix %s: want one as in 2001:db8:1::/64", o.Prefix)
	}
	if err := (nodesource.Rule{}).Check(p); err != nil {
		return netip.Prefix{}, fmt.Errorf("delegated %w", err)
	}
	if o.PreferredLifetime > o.ValidLifetime {
		return netip.Prefix{}, fmt.Errorf("delegated prefix %s is preferred for %s and valid for %s: want no longer preferred than valid", p, o.PreferredLifetime, o.ValidLifetime)
	}
	return p, nil
}

// merge an answer with what was delegated before: what it does not mention keeps its times.
func merge(old, fresh *lease, taken []netip.Prefix) *lease {
	merged := *fresh
	merged.Prefixes = slices.Clone(fresh.Prefixes)
	if old == nil {
		return &merged
	}
	for _, p := range old.Prefixes {
		mentioned := slices.Contains(taken, p.Prefix) ||
			slices.ContainsFunc(fresh.Prefixes, func(q leasedPrefix) bool { return q.Prefix == p.Prefix })
		if !mentioned {
			merged.Prefixes = append(merged.Prefixes, p)
		}
	}
	return &merged
}
