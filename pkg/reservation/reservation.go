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
	// Backend restricts the choice to the backend of this name; empty: any that serves.
	Backend string
	// Pool restricts the choice to the pool of this name; empty: any that fits.
	Pool string
	// Pools are the names of the pools to take it from, in the order in which they are asked; Choose fills them in. A backend
	// without pools ignores them.
	Pools []string
	// Avoid tells what the result must not overlap, beside what the backend itself knows to be taken. Nil avoids nothing.
	Avoid Avoid
}

// Avoid returns a prefix that is in use elsewhere and that p overlaps, if there is one.
type Avoid func(p netip.Prefix) (netip.Prefix, bool)

// AvoidAll avoids each of a few prefixes.
func AvoidAll(prefixes ...netip.Prefix) Avoid {
	return func(p netip.Prefix) (netip.Prefix, bool) { return prefix.OverlapsAny(p, prefixes...) }
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
	if r.Avoid == nil {
		return nil
	}
	if other, overlaps := r.Avoid(p); overlaps {
		return fmt.Errorf("%s overlaps %s, which is in use elsewhere", p, other)
	}
	return nil
}

// Cut takes the best fit from what used leaves free of whole and Avoid does not overlap.
func (r Request) Cut(whole, used []netip.Prefix) (netip.Prefix, bool, error) {
	used = append([]netip.Prefix{}, used...)
	for {
		cut, ok, err := prefix.Cut(whole, used, r.Bits)
		if err != nil || !ok || r.Avoid == nil {
			return cut, ok, err
		}
		other, overlaps := r.Avoid(cut)
		if !overlaps {
			return cut, true, nil
		}
		used = append(used, other)
	}
}

// Allocation is one prefix that a backend holds for an owner.
type Allocation struct {
	// Owner as the backend recorded it.
	Owner Owner
	// Seed that holds it, as the backend recorded it; empty in a backend that is one seed's own. The collection of garbage
	// leaves alone what another seed holds.
	Seed string
	// ID by which the backend knows the allocation.
	ID string
	// Prefix that is held.
	Prefix netip.Prefix
	// Since is when it was allocated, as the backend's clock saw it; zero if the backend does not tell.
	Since time.Time
}

// Reserver is an IPAM backend, opened for one account. All methods may be called concurrently, from several processes. Errors
// are of this package's kinds (see KindOf) and never contain a credential.
type Reserver interface {
	// Name of the backend, as it appears in a reservation's status.
	Name() string
	// Lookup returns all that the backend holds for the owner, in whichever of its pools, the oldest first. It reads live and
	// completely: an incomplete answer is an error.
	Lookup(context.Context, Owner) ([]Allocation, error)
	// Allocate takes a new prefix and marks it with the owner in the same step. It need not look for an earlier one. An
	// error of kind Ambiguous says that it may have succeeded.
	Allocate(context.Context, Owner, Request) (Allocation, error)
	// Claim records that the owner, under this seed, holds this very prefix, if nobody else does. It is idempotent. Restored
	// control planes and lost backends are mended with it. If somebody else holds the prefix the error is of kind Conflict;
	// if the backend cannot give out a certain prefix, of kind Invalid.
	Claim(context.Context, Allocation) error
	// Release gives back the allocation with this ID and prefix if it is the owner's; nothing to release is success. What is
	// still in use is an error of kind Retry.
	Release(context.Context, Allocation) error
	// List returns all allocations that bear the mark of the garden, for the collection of garbage.
	List(ctx context.Context, gardenID string) ([]Allocation, error)
}

// Credentials read the secret of an account, keys and values as the Secret has them. They are read anew for every call of a
// service: tokens rotate. Reading may fail; then the call is not made.
type Credentials func(context.Context) (map[string][]byte, error)

// Home is whose prefixes a backend marks as ours.
type Home struct {
	// GardenID is the identity of the Gardener installation.
	GardenID string
	// Seed is the name of the Seed.
	Seed string
}

// Tenant is in whose account a backend works. The zero Tenant is the operator himself.
type Tenant struct {
	// Namespace of the shoot in the seed.
	Namespace string
	// Region of the shoot.
	Region string
	// Credentials of the shoot.
	Credentials Credentials
}

// Backend is an IPAM of the configuration, ready to be opened.
type Backend struct {
	Offer
	// PerShoot tells that it works in each shoot's own account: Open wants the shoot as its tenant. Otherwise Open is called
	// once, with the zero Tenant.
	PerShoot bool
	// Open makes the Reserver. It does no I/O.
	Open func(Tenant) (Reserver, error)
}
