// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ula draws unique local prefixes (RFC 4193, section 3.2.2): fd00::/8 and a Global ID of 40 random bits make a /48.
// A request for a /48 gets one of its own. Longer ones of the same shoot are cut, disjoint from one another, from one /48
// that is drawn for the shoot. What was drawn is written down before it is used, and never drawn again.
package ula

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Name of the backend.
const Name = "ula"

// globalIDBits is the length of a prefix made of fd00::/8 and a Global ID.
const globalIDBits = 48

// draws is how often a Global ID is drawn anew when it hits what is taken; with 40 random bits once is nearly always enough.
const draws = 100

// Reserver draws and cuts unique local prefixes. The ID of an allocation is the /48 it comes from.
type Reserver struct {
	reservation.LedgerBackend
	random io.Reader
}

var _ reservation.Reserver = &Reserver{}

// New makes a Reserver; store keeps what was drawn, random is crypto/rand.Reader outside of tests.
func New(store reservation.Store, random io.Reader, now func() time.Time) *Reserver {
	return &Reserver{LedgerBackend: reservation.LedgerBackend{Store: store, Now: now}, random: random}
}

// Name of the backend.
func (r *Reserver) Name() string { return Name }

// Allocate draws or cuts a prefix and stores it before it returns it. It never gives one owner two.
func (r *Reserver) Allocate(ctx context.Context, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	if request.Bits < globalIDBits {
		return reservation.Allocation{}, reservation.Errorf(reservation.Invalid,
			"%s: a unique local prefix is a /%d at most", request, globalIDBits)
	}
	return r.Take(ctx, owner, func(ledger *reservation.Ledger) (reservation.Allocation, error) {
		return r.choose(ledger, owner, request)
	})
}

func (r *Reserver) choose(ledger *reservation.Ledger, owner reservation.Owner, request reservation.Request) (reservation.Allocation, error) {
	var chosen reservation.Allocation
	block, drawn := r.block(ledger, owner, request)
	if !drawn {
		var err error
		if block, err = r.draw(ledger, request.Avoid); err != nil {
			return chosen, err
		}
	}
	cut, _, ok := ledger.BestFit([]netip.Prefix{block}, request.Bits, request.Avoid)
	if !ok {
		return chosen, reservation.Errorf(reservation.Exhausted,
			"no room for %s in %s, the prefix that was drawn for this shoot: ask for longer prefixes, or for a /%d", request, block, globalIDBits)
	}
	chosen.ID, chosen.Prefix = block.String(), cut
	return chosen, nil
}

// block is the /48 that was drawn for the shoot before, as the shoot's other prefixes show it.
func (r *Reserver) block(ledger *reservation.Ledger, owner reservation.Owner, request reservation.Request) (netip.Prefix, bool) {
	if request.Bits == globalIDBits {
		return netip.Prefix{}, false
	}
	for _, sibling := range ledger.HeldByShoot(owner) {
		if sibling.Prefix.Bits() > globalIDBits {
			block, err := prefix.Parent(sibling.Prefix, globalIDBits)
			return block, err == nil
		}
	}
	return netip.Prefix{}, false
}

// draw a /48 of which no address is taken.
func (r *Reserver) draw(ledger *reservation.Ledger, avoid reservation.Avoid) (netip.Prefix, error) {
	for range draws {
		address := [16]byte{0xfd}
		if _, err := io.ReadFull(r.random, address[1:6]); err != nil {
			return netip.Prefix{}, fmt.Errorf("drawing a Global ID: %w", err)
		}
		block := netip.PrefixFrom(netip.AddrFrom16(address), globalIDBits)
		_, taken := ledger.Overlapping(block)
		if taken {
			continue
		}
		if avoid != nil {
			if _, avoided := avoid(block); avoided {
				continue
			}
		}
		return block, nil
	}
	return netip.Prefix{}, reservation.Errorf(reservation.Retry, "drew %d Global IDs that are all taken", draws)
}

// Claim enters a prefix that was drawn elsewhere.
func (r *Reserver) Claim(ctx context.Context, allocation reservation.Allocation) error {
	if allocation.ID == "" {
		if block, err := prefix.Parent(allocation.Prefix, globalIDBits); err == nil {
			allocation.ID = block.String()
		}
	}
	return r.LedgerBackend.Claim(ctx, allocation)
}
