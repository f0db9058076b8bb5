// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Verdict is what to do about a Service.
type Verdict string

// The verdicts.
const (
	// Keep: it has what it shall have.
	Keep Verdict = "Keep"
	// Assign: its addresses are claimed in the book. Write the journal, then this version of the Service.
	Assign Verdict = "Assign"
	// Wait: nothing can be given now.
	Wait Verdict = "Wait"
	// Ignore: it is none of ours.
	Ignore Verdict = "Ignore"
)

// Reason of a problem, in CamelCase, for conditions, events and metrics.
type Reason string

// The reasons.
const (
	ReasonAllocated           Reason = "Allocated"
	ReasonPoolExhausted       Reason = "PoolExhausted"
	ReasonPoolUnknown         Reason = "PoolUnknown"
	ReasonNoPool              Reason = "NoPoolOfFamily"
	ReasonRequestInvalid      Reason = "RequestInvalid"
	ReasonAddressNotAvailable Reason = "AddressNotAvailable"
	ReasonAddressOutsidePools Reason = "AddressOutsidePools"
	ReasonAddressConflict     Reason = "AddressConflict"
)

// Problem is something that the Service's owner should know.
type Problem struct {
	Reason  Reason
	Message string
}

// Decision about one Service.
type Decision struct {
	Verdict Verdict
	// Addresses that it shall have in its status; none with Wait.
	Addresses []netip.Addr
	// New is true if the claim was not in the book before: the journal does not have it yet.
	New bool
	// Problems, the first of which says most. With Keep and Assign the Service has addresses, but not the ones that it asked for.
	Problems []Problem
}

// For decides about a Service. What it assigns is claimed from then on: the next For of any Service sees it taken.
func (b *Book) For(name string) Decision {
	e := b.services[name]
	if e == nil || !e.Wants {
		return Decision{Verdict: Ignore}
	}
	c := choice{book: b, entry: e}
	c.choose()
	d := Decision{Addresses: c.addresses, Problems: c.problems}
	switch {
	case len(d.Addresses) == 0:
		d.Verdict = Wait
		return d
	case sameSet(d.Addresses, e.Holds):
		d.Verdict = Keep
		d.Problems = append(d.Problems, b.problems(e)...)
		return d
	}
	d.Verdict = Assign
	if n := len(e.claims); n > 0 && slices.Equal(e.claims[n-1].Addresses, d.Addresses) {
		return d
	}
	d.New = true
	e.claims = append(e.claims, Claim{Service: e.Name, UID: e.UID, Version: e.Version, Addresses: d.Addresses})
	b.claims++
	b.rebook(e)
	for _, a := range c.found {
		s := b.spaceOf(a)
		s.cursor = s.after(a)
	}
	return d
}

// choice of one Service's addresses. It changes nothing.
type choice struct {
	book  *Book
	entry *entry
	// addresses that it shall have.
	addresses []netip.Addr
	// found are those of them that nobody asked for by name.
	found    []netip.Addr
	problems []Problem
}

func (c *choice) problem(reason Reason, format string, args ...any) {
	c.problems = append(c.problems, Problem{reason, fmt.Sprintf(format, args...)})
}

// choose keeps what the Service has unless it asks for something else that it can have.
func (c *choice) choose() {
	e := c.entry
	if e.Invalid != "" {
		c.problem(ReasonRequestInvalid, "%s", e.Invalid)
		c.addresses = e.Holds
		return
	}
	for _, a := range e.Requested {
		if !slices.Contains(e.Families, prefix.FamilyOf(a)) {
			c.problem(ReasonRequestInvalid, "%s is asked for, but the Service has no %s (spec.ipFamilies)", a, prefix.FamilyOf(a))
		}
	}
	complete := true
	for _, f := range e.Families {
		got := c.family(f)
		complete = complete && len(got) > 0
		c.addresses = append(c.addresses, got...)
	}
	if e.AllFamilies && !complete {
		for i := range c.problems {
			c.problems[i].Message += "; the Service takes an address of each family or none (RequireDualStack)"
		}
		c.addresses, c.found = e.Holds, nil
	}
}

// family chooses the Service's addresses of one family. There is more than one only if somebody else gave them.
func (c *choice) family(f prefix.Family) []netip.Addr {
	e := c.entry
	had := slices.DeleteFunc(slices.Clone(e.Holds), func(a netip.Addr) bool { return prefix.FamilyOf(a) != f })
	if i := slices.IndexFunc(e.Requested, func(a netip.Addr) bool { return prefix.FamilyOf(a) == f }); i >= 0 {
		return c.requested(e.Requested[i], had)
	}
	if e.Pool == "" && len(had) > 0 {
		return had
	}
	var spaces []*space
	known := e.Pool == ""
	for _, s := range c.book.spaces {
		if e.Pool != "" && s.pool != e.Pool {
			continue
		}
		known = true
		if s.family() != f {
			continue
		}
		if e.Pool != "" && slices.ContainsFunc(had, s.prefix.Contains) {
			return had
		}
		spaces = append(spaces, s)
	}
	switch {
	case !known:
		c.problem(ReasonPoolUnknown, "there is no pool %q; there are %s", e.Pool, c.book.poolNames())
	case len(spaces) == 0:
		// A Service that only prefers two families is well with one.
		if e.AllFamilies || len(e.Families) == 1 || e.Pool != "" {
			c.problem(ReasonNoPool, "no pool%s has %s addresses", called(e.Pool), f)
		}
	default:
		if a, ok := c.find(spaces); ok {
			c.found = append(c.found, a)
			return []netip.Addr{a}
		}
		c.problem(ReasonPoolExhausted, "%s", exhausted(f, spaces))
	}
	return had
}

// requested address, if it can be had.
func (c *choice) requested(a netip.Addr, had []netip.Addr) []netip.Addr {
	if slices.Contains(had, a) {
		return had
	}
	s := c.book.spaceOf(a)
	switch {
	case s == nil:
		c.problem(ReasonAddressOutsidePools, "%s is asked for, which is in no pool; there are %s", a, c.book.poolNames())
	case c.entry.Pool != "" && s.pool != c.entry.Pool:
		c.problem(ReasonAddressOutsidePools, "%s is asked for, which is not in pool %s but in %s", a, c.entry.Pool, s.pool)
	case s.reserved(a) != "":
		c.problem(ReasonAddressNotAvailable, "%s is asked for, which is %s of %s", a, s.reserved(a), s.prefix)
	default:
		other, taken := c.book.takenBy(a, c.entry.Name)
		if !taken {
			return []netip.Addr{a}
		}
		c.problem(ReasonAddressNotAvailable, "%s is asked for, which Service %s has", a, other)
	}
	return had
}

// find a free address: the one that was claimed already, else the next of the first space that has one.
func (c *choice) find(spaces []*space) (netip.Addr, bool) {
	taken := func(a netip.Addr) bool {
		_, taken := c.book.takenBy(a, c.entry.Name)
		return taken
	}
	before := c.entry.wished
	if n := len(c.entry.claims); n > 0 {
		before = c.entry.claims[n-1].Addresses
	}
	for _, a := range before {
		for _, s := range spaces {
			if s.prefix.Contains(a) && !taken(a) && s.reserved(a) == "" {
				return a, true
			}
		}
	}
	for _, s := range spaces {
		if a, ok := s.next(taken, s.used+2); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// problems of the addresses that the Service has. None is taken away from it.
func (b *Book) problems(e *entry) []Problem {
	var ps []Problem
	for _, a := range e.Holds {
		if b.spaceOf(a) == nil {
			ps = append(ps, Problem{ReasonAddressOutsidePools, fmt.Sprintf("it keeps %s, which is in no pool: routers are not told of it", a)})
		}
		for _, name := range b.holders[a] {
			other := b.services[name]
			if name == e.Name || other == nil || !slices.Contains(other.Holds, a) && !slices.Contains(other.Uses, a) {
				continue
			}
			ps = append(ps, Problem{ReasonAddressConflict, fmt.Sprintf("%s is also an address of Service %s", a, name)})
		}
	}
	return ps
}

func (b *Book) poolNames() string {
	var names []string
	for _, p := range b.pools {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

func called(pool string) string {
	if pool == "" {
		return ""
	}
	return " " + pool
}

func exhausted(f prefix.Family, spaces []*space) string {
	var pools []string
	used := 0
	for _, s := range spaces {
		if !slices.Contains(pools, s.pool) {
			pools = append(pools, s.pool)
		}
		used += s.used
	}
	return fmt.Sprintf("no free %s address is left in %s: all %d are in use", f, strings.Join(pools, ", "), used)
}

func sameSet(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}
