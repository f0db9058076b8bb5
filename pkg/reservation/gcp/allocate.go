// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Allocate reserves an address in the first of the pools that has room. An address that the owner has in that region already is
// returned as it is.
func (r *Reserver) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	none := reservation.Allocation{}
	pools, err := r.wanted(request.Pools)
	if err != nil {
		return none, err
	}
	if request.Bits < Length {
		return none, reservation.Errorf(reservation.Invalid, "backend %s: %s: Compute Engine reserves nothing larger than a /%d", r.name, request, Length)
	}
	var full []string
	for _, p := range pools {
		got, err := r.allocateIn(ctx, p, owner, request)
		if reservation.KindOf(err) != reservation.Exhausted {
			return got, err
		}
		full = append(full, err.Error())
	}
	return none, reservation.Errorf(reservation.Exhausted, "no room for %s: %s", request, strings.Join(full, "; "))
}

func (r *Reserver) allocateIn(ctx context.Context, p pool, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	none := reservation.Allocation{}
	net, err := r.subnetwork(ctx, p)
	if err != nil {
		return none, err
	}
	anywhere := request
	anywhere.Avoid = nil
	if err := anywhere.Accepts(netip.PrefixFrom(net.prefix.Addr(), Length)); err != nil {
		return none, reservation.Errorf(reservation.Invalid, "%s has only %s addresses: %w", p, strings.ToLower(net.addressType), err)
	}
	got, err := r.insert(ctx, p, net, owner, netip.Addr{})
	if err != nil || request.Accepts(got.Prefix) == nil {
		return got, err
	}
	return r.elsewhere(ctx, p, net, got, request)
}

// tries is how many addresses of our own choice are tried.
const tries = 8

// elsewhere exchanges an address that is in use elsewhere, as the service can't know, for one that we draw. Given back alone it
// would soon be handed out again.
func (r *Reserver) elsewhere(ctx context.Context, p pool, net subnetwork, got reservation.Allocation, request reservation.Request) (reservation.Allocation, error) {
	err := request.Accepts(got.Prefix)
	if back := r.Release(ctx, got); back != nil {
		return reservation.Allocation{}, fmt.Errorf("giving back %s (%w): %w", got.Prefix, err, back)
	}
	for range tries {
		drawn := net.draw()
		if err = request.Accepts(netip.PrefixFrom(drawn, Length)); err != nil {
			continue
		}
		next, failed := r.insert(ctx, p, net, got.Owner, drawn)
		if reservation.KindOf(failed) != reservation.Conflict {
			return next, failed
		}
		err = failed
	}
	return reservation.Allocation{}, reservation.Errorf(reservation.Exhausted, "%s: none of %d addresses is free: %w", p, tries, err)
}

// subnetwork is what must be known of one.
type subnetwork struct {
	addressType string
	prefix      netip.Prefix
}

func (r *Reserver) subnetwork(ctx context.Context, p pool) (subnetwork, error) {
	got, err := r.service.Subnetworks.Get(p.project, p.region, p.subnetwork).Context(ctx).Do()
	if err != nil {
		return subnetwork{}, problem(reading, err, "reading the subnetwork of %s", p)
	}
	text := got.ExternalIpv6Prefix
	if got.Ipv6AccessType == "INTERNAL" {
		if text = got.InternalIpv6Prefix; text == "" {
			text = got.Ipv6CidrRange
		}
	}
	cidr, err := netip.ParsePrefix(text)
	if err != nil || cidr.Bits() > Length-2 {
		return subnetwork{}, reservation.Errorf(reservation.Invalid, "%s has no IPv6 range: make it dual-stack or IPv6-only, or choose another", p)
	}
	return subnetwork{addressType: got.Ipv6AccessType, prefix: cidr.Masked()}, nil
}

// draw picks a /96 in the first half of the range, at random: the second half of an external range is for forwarding rules.
func (s subnetwork) draw() netip.Addr {
	bits := s.prefix.Addr().As16()
	var noise [16]byte
	_, _ = rand.Read(noise[:]) // never fails
	for i := s.prefix.Bits() + 1; i < Length; i++ {
		bits[i/8] |= noise[i/8] & (0x80 >> (i % 8))
	}
	return netip.AddrFrom16(bits)
}

// insert makes the address, or finds it made: by name, by the ID of the request, or by the reply of an earlier one.
func (r *Reserver) insert(ctx context.Context, p pool, net subnetwork, owner reservation.Owner, addr netip.Addr) (reservation.Allocation, error) {
	wanted := r.wish(p, net, owner, addr)
	what := "a /96"
	if addr.IsValid() {
		what = netip.PrefixFrom(addr, Length).String()
	}
	// The service answers a request whose ID it remembers with the operation of then, also if that has failed, or if what it made is
	// deleted again since. A new operation is never done at once, so one that is may be of old: then the question is asked anew. The
	// name keeps it to one address.
	for _, again := range []bool{false, true} {
		id := requestID(wanted.Name, p.path(), wanted.Address)
		if again {
			id = requestID(rand.Text())
		}
		done, err := r.make(ctx, p.place, wanted, id)
		old := done && !again
		failed := asFailure(err)
		switch {
		case err == nil || failed != nil && failed.exists():
		case errors.Is(err, errRunning):
			return reservation.Allocation{}, reservation.Errorf(reservation.Ambiguous, "reserving %s in %s: %w", what, p, err)
		case old:
			continue
		case addr.IsValid() && failed != nil && failed.taken():
			return reservation.Allocation{}, reservation.Errorf(reservation.Conflict, "%s in %s is in use: %w", what, p, failed)
		default:
			return reservation.Allocation{}, problem(creating, err, "reserving %s in %s", what, p)
		}
		got, there, failure := r.get(ctx, p.place, owner)
		switch {
		case failure != nil || there:
			return adopt(got, p, addr, failure)
		case !old:
			return reservation.Allocation{}, vanished(p, what, addr, failed)
		}
	}
	return reservation.Allocation{}, vanished(p, what, addr, nil)
}

// wish is the address to be made; any of the subnetwork if addr is not valid.
func (r *Reserver) wish(p pool, net subnetwork, owner reservation.Owner, addr netip.Addr) *compute.Address {
	wanted := &compute.Address{
		Name: nameOf(owner), Description: describe(owner, r.home.Seed), AddressType: net.addressType,
		IpVersion: "IPV6", PrefixLength: Length, Subnetwork: p.path(),
	}
	if net.addressType == "EXTERNAL" {
		wanted.Ipv6EndpointType, wanted.NetworkTier = "VM", "PREMIUM"
	}
	if addr.IsValid() {
		wanted.Address = addr.String()
	}
	return wanted
}

// make calls the service and waits for what comes of it; done tells that the operation was at its end already.
func (r *Reserver) make(ctx context.Context, at place, wanted *compute.Address, id string) (done bool, err error) {
	op, err := r.service.Addresses.Insert(at.project, at.region, wanted).RequestId(id).Context(ctx).Do()
	if err != nil {
		return false, err
	}
	return op.Status == "DONE", r.finish(ctx, at, op)
}

// vanished is when the address is not to be seen by its name after the service said that it is there.
func vanished(p pool, what string, asked netip.Addr, exists *failure) error {
	if exists != nil && asked.IsValid() { // it exists, under another name
		return reservation.Errorf(reservation.Conflict, "%s in %s is in use: %w", what, p, exists)
	}
	return reservation.Errorf(reservation.Ambiguous, "%s was reserved in %s but does not show up yet", what, p)
}

// adopt checks that what is there by the owner's name is what was asked for.
func adopt(got reservation.Allocation, p pool, addr netip.Addr, err error) (reservation.Allocation, error) {
	switch {
	case err != nil:
		return reservation.Allocation{}, err
	case addr.IsValid() && got.Prefix != netip.PrefixFrom(addr, Length):
		return reservation.Allocation{}, reservation.Errorf(reservation.Conflict, "%s holds %s already, in the region of %s", got.Owner.Key(), got.Prefix, p)
	}
	return got, nil
}

// get reads the owner's address in a region; false if there is none.
func (r *Reserver) get(ctx context.Context, at place, owner reservation.Owner) (reservation.Allocation, bool, error) {
	name := nameOf(owner)
	got, err := r.service.Addresses.Get(at.project, at.region, name).Context(ctx).Do()
	if f := asFailure(err); f != nil && f.missing() {
		return reservation.Allocation{}, false, nil
	}
	if err != nil {
		return reservation.Allocation{}, false, problem(reading, err, "reading %s", at.address(name))
	}
	found, ours, err := r.allocation(at, got)
	switch {
	case err != nil:
		return reservation.Allocation{}, false, err
	case !ours || found.Owner != owner:
		return reservation.Allocation{}, false, reservation.Errorf(reservation.Conflict,
			"%s does not bear the mark of %s: somebody else made it; delete or rename it", at.address(name), owner.Key())
	}
	return found, true, nil
}
