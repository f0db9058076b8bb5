// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package reservation is the language between those who need a prefix and those who have some: requests, owners,
// allocations, the Reserver interface that every IPAM backend implements, the kinds of errors that drive control flow, and
// the crash-safe protocol on top of them. It knows neither Kubernetes nor any cloud.
package reservation

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Request is what is wanted of a backend.
type Request struct {
	plan.Key
	// Scope of the addresses.
	Scope plan.Scope
	// Bits is the greatest acceptable prefix length.
	Bits int
	// Pool restricts the choice to the pool of this name; empty: any that fits.
	Pool string
	// Avoid are prefixes that the result must not overlap, beside what the backend itself knows to be taken.
	Avoid []netip.Prefix
}

// String names the request for people: "a /64 (IPv6, Global) for nodes".
func (r Request) String() string {
	return fmt.Sprintf("a /%d (%s, %s) for %s", r.Bits, r.Family, r.Scope, r.Range)
}

var uniqueLocal = netip.MustParsePrefix("fc00::/7")

// Accepts tells whether a prefix satisfies the request.
func (r Request) Accepts(p netip.Prefix) error {
	switch {
	case !p.IsValid() || p != p.Masked():
		return fmt.Errorf("%s is not a canonical prefix", p)
	case prefix.FamilyOf(p.Addr()) != r.Family:
		return fmt.Errorf("%s is not %s", p, r.Family)
	case p.Bits() > r.Bits:
		return fmt.Errorf("%s is smaller than the /%d asked for", p, r.Bits)
	case r.Family == prefix.IPv6 && r.Scope == plan.Global && uniqueLocal.Overlaps(p):
		return fmt.Errorf("%s is not global, but unique local (RFC 4193)", p)
	case r.Family == prefix.IPv6 && r.Scope == plan.Private && !prefix.Covers(uniqueLocal, p):
		return fmt.Errorf("%s is not unique local (RFC 4193)", p)
	}
	if other, overlaps := prefix.OverlapsAny(p, r.Avoid...); overlaps {
		return fmt.Errorf("%s overlaps %s, which is in use elsewhere", p, other)
	}
	return nil
}

// Allocation is one prefix that a backend holds for an owner.
type Allocation struct {
	// Owner as the backend recorded it.
	Owner Owner
	// ID by which the backend knows the allocation.
	ID string
	// Prefix that is held.
	Prefix netip.Prefix
	// Since is when it was allocated, as the backend's clock saw it.
	Since time.Time
}

// Reserver is an IPAM backend. All methods may be called concurrently, from several processes. Errors are of this package's
// kinds (see KindOf).
type Reserver interface {
	// Name of the backend, as it appears in a reservation's status.
	Name() string
	// Serves tells whether requests of this kind are this backend's business at all. It does no I/O.
	Serves(Request) bool
	// Lookup returns all that the backend holds for the owner, the oldest first. It reads live and completely: an
	// incomplete answer is an error.
	Lookup(context.Context, Owner) ([]Allocation, error)
	// Allocate takes a new prefix and marks it with the owner in the same step. It need not look for an earlier one. An
	// error of kind Ambiguous says that it may have succeeded.
	Allocate(context.Context, Owner, Request) (Allocation, error)
	// Claim records that the owner holds this very prefix, if nobody else does. It is idempotent. Restored control planes
	// and lost backends are mended with it.
	Claim(context.Context, Allocation) error
	// Release gives back the allocation with this ID and prefix if it is the owner's; nothing to release is success.
	Release(context.Context, Allocation) error
	// List returns all allocations that bear the mark of the garden, for the collection of garbage.
	List(ctx context.Context, gardenID string) ([]Allocation, error)
}

// Select returns the first backend that serves the request.
func Select(reservers []Reserver, request Request) (Reserver, bool) {
	for _, r := range reservers {
		if r.Serves(request) {
			return r, true
		}
	}
	return nil, false
}

// Keeper is a Reserver that also records prefixes of kinds that it has none of to give: those that shoots bring with them.
type Keeper interface {
	// Keeps tells whether prefixes that satisfy such a request can be claimed here. It does no I/O.
	Keeps(Request) bool
}

// SelectKeeper returns the first backend that a prefix of the request's kind can be claimed with.
func SelectKeeper(reservers []Reserver, request Request) (Reserver, bool) {
	for _, r := range reservers {
		if keeper, ok := r.(Keeper); r.Serves(request) || ok && keeper.Keeps(request) {
			return r, true
		}
	}
	return nil, false
}

// Named returns the backend of that name.
func Named(reservers []Reserver, name string) (Reserver, bool) {
	for _, r := range reservers {
		if r.Name() == name {
			return r, true
		}
	}
	return nil, false
}
