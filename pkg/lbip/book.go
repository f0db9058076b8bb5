// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package lbip decides which addresses Services of type LoadBalancer get out of the pools that a cluster has for them. It is pure. Why two
// Services never get one address, whatever crashes or runs beside it, says docs/decisions/0034.
package lbip

import (
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Service is what matters about a Service.
type Service struct {
	// Name is namespace/name.
	Name string
	// UID tells a Service from one that had its name before.
	UID string
	// Version is the resourceVersion, which every write makes greater.
	Version uint64
	// Wants addresses from us: it is of type LoadBalancer and of our class. Others are known for what they hold only.
	Wants bool
	// Families of its cluster IPs, in their order; it gets an address of each.
	Families []prefix.Family
	// AllFamilies or none, instead of what there is.
	AllFamilies bool
	// Requested are the addresses that it asks for, at most one a family.
	Requested []netip.Addr
	// Pool that it asks for; any if empty.
	Pool string
	// Invalid says why what it asks for cannot be understood; empty if it can.
	Invalid string
	// Holds are the addresses in its status.
	Holds []netip.Addr
	// Uses are addresses that it has for other reasons: spec.externalIPs.
	Uses []netip.Addr
}

// Claim is the right of one version of a Service to addresses. Whoever carries it out insists on that version, so that a claim is void
// when the Service has a later one: its write can't succeed any more, whenever it arrives.
type Claim struct {
	Service   string       `json:"service"`
	UID       string       `json:"uid"`
	Version   uint64       `json:"version"`
	Addresses []netip.Addr `json:"addresses"`
}

// Book knows every Service and who holds which address. It is a value in memory: it reads no clock and talks to nobody.
// It is not safe for concurrent use.
type Book struct {
	pools    []nodeprefix.LoadBalancerPool
	spaces   []*space
	services map[string]*entry
	// holders of each address that is not free, by name; more than one if somebody else gave it.
	holders map[netip.Addr][]string
	claims  int
}

// entry is what the book keeps of a Service.
type entry struct {
	Service
	// claims of this version, which may or may not have reached the Service. The last is to be carried out; those before are of another
	// configuration, and only kept from others.
	claims []Claim
	// wished are the addresses of a void claim. They are free, but nothing speaks against giving them to the same Service.
	wished []netip.Addr
	held   []netip.Addr
}

// NewBook makes the book of a cluster without Services, from valid pools.
func NewBook(pools []nodeprefix.LoadBalancerPool) *Book {
	b := &Book{pools: pools, services: map[string]*entry{}, holders: map[netip.Addr][]string{}}
	for _, pool := range pools {
		for _, p := range pool.Prefixes {
			b.spaces = append(b.spaces, newSpace(pool.Name, p))
		}
	}
	return b
}

// Version of the Service that the book knows; 0 if it knows none of that name.
func (b *Book) Version(name string) uint64 {
	if e := b.services[name]; e != nil {
		return e.Version
	}
	return 0
}

// Claims is the number of claims that are not known to be void.
func (b *Book) Claims() int { return b.claims }

// Set tells the book about a Service or a change of it, and reports whether others may be better off now: an address is free. An older view than what the book
// knows is ignored: claims that it does not show may have been carried out since.
func (b *Book) Set(s Service) (freed bool) {
	e := b.services[s.Name]
	switch {
	case e == nil:
		e = &entry{}
		b.services[s.Name] = e
	case s.Version <= e.Version:
		return false
	}
	e.wished = nil
	if n := len(e.claims); n > 0 && e.UID == s.UID {
		e.wished = e.claims[n-1].Addresses
	}
	b.claims -= len(e.claims)
	e.claims, e.Service = nil, s
	return b.rebook(e)
}

// Delete tells the book that there is no Service of that name, and reports the same as Set. The caller must know it from
// the API server: in a cache a Service may be missing because it is not there yet.
func (b *Book) Delete(name string) (freed bool) {
	e := b.services[name]
	if e == nil {
		return false
	}
	b.claims -= len(e.claims)
	e.claims, e.Service = nil, Service{Name: name}
	freed = b.rebook(e)
	delete(b.services, name)
	return freed
}

// rebook enters anew what the Service holds.
func (b *Book) rebook(e *entry) (freed bool) {
	var held []netip.Addr
	add := func(addrs []netip.Addr) {
		for _, a := range addrs {
			if !slices.Contains(held, a) {
				held = append(held, a)
			}
		}
	}
	add(e.Holds)
	add(e.Uses)
	for _, c := range e.claims {
		add(c.Addresses)
	}
	for _, a := range held {
		if !slices.Contains(e.held, a) {
			b.hold(a, e.Name)
		}
	}
	for _, a := range e.held {
		if !slices.Contains(held, a) {
			freed = b.release(a, e.Name) || freed
		}
	}
	e.held = held
	return freed
}

func (b *Book) hold(a netip.Addr, name string) {
	if len(b.holders[a]) == 0 {
		if s := b.spaceOf(a); s != nil {
			s.used++
		}
	}
	b.holders[a] = append(b.holders[a], name)
}

func (b *Book) release(a netip.Addr, name string) (freed bool) {
	rest := slices.DeleteFunc(b.holders[a], func(other string) bool { return other == name })
	if len(rest) > 0 {
		b.holders[a] = rest
		return true // for the others, it is over that it was given twice
	}
	delete(b.holders, a)
	s := b.spaceOf(a)
	if s != nil {
		s.used--
	}
	return s != nil
}

// takenBy another Service.
func (b *Book) takenBy(a netip.Addr, self string) (string, bool) {
	for _, name := range b.holders[a] {
		if name != self {
			return name, true
		}
	}
	return "", false
}

func (b *Book) spaceOf(a netip.Addr) *space {
	for _, s := range b.spaces {
		if s.prefix.Contains(a) {
			return s
		}
	}
	return nil
}

// Usage of the addresses of one family in a pool.
type Usage struct {
	Pool   string
	Family prefix.Family
	// Capacity is the number of addresses that can be given out at most.
	Capacity float64
	// Used are held by Services, whoever gave them.
	Used int
}

// Usage of every pool, in the order of the configuration.
func (b *Book) Usage() []Usage {
	var us []Usage
	for _, s := range b.spaces {
		i := slices.IndexFunc(us, func(u Usage) bool { return u.Pool == s.pool && u.Family == s.family() })
		if i < 0 {
			i = len(us)
			us = append(us, Usage{Pool: s.pool, Family: s.family()})
		}
		us[i].Capacity += s.capacity()
		us[i].Used += s.used
	}
	return us
}
