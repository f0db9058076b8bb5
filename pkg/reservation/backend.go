// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"time"
)

// LedgerBackend is what the backends without an IPAM service behind them have in common: an allocation is an entry of their
// ledger. They embed it and add which prefix to choose.
type LedgerBackend struct {
	Store Store
	// Now is the clock; it dates new entries.
	Now func() time.Time
}

// Lookup returns what the ledger holds for the owner.
func (b LedgerBackend) Lookup(ctx context.Context, owner Owner) ([]Allocation, error) {
	ledger, err := b.Store.Read(ctx)
	if err != nil {
		return nil, err
	}
	return ledger.HeldBy(owner), nil
}

// List returns all entries of the garden.
func (b LedgerBackend) List(ctx context.Context, gardenID string) ([]Allocation, error) {
	ledger, err := b.Store.Read(ctx)
	if err != nil {
		return nil, err
	}
	return ledger.HeldByGarden(gardenID), nil
}

// Take enters what choose picks, unless the owner has something already: that is returned then, so nobody gets two.
func (b LedgerBackend) Take(ctx context.Context, owner Owner, choose func(*Ledger) (Allocation, error)) (Allocation, error) {
	var result Allocation
	err := b.Store.Update(ctx, func(ledger *Ledger) error {
		if earlier := ledger.HeldBy(owner); len(earlier) > 0 {
			result = earlier[0]
			return nil
		}
		chosen, err := choose(ledger)
		if err != nil {
			return err
		}
		chosen.Owner, chosen.Since = owner, stampOf(b.Now())
		result = chosen
		return ledger.Claim(chosen)
	})
	if err != nil {
		return Allocation{}, err
	}
	return result, nil
}

// Claim enters an allocation that was made elsewhere.
func (b LedgerBackend) Claim(ctx context.Context, allocation Allocation) error {
	if allocation.Since.IsZero() {
		allocation.Since = stampOf(b.Now())
	}
	return b.Store.Update(ctx, func(ledger *Ledger) error { return ledger.Claim(allocation) })
}

// Release strikes the entry out.
func (b LedgerBackend) Release(ctx context.Context, allocation Allocation) error {
	return b.Store.Update(ctx, func(ledger *Ledger) error { return ledger.Remove(allocation.Prefix, allocation.Owner) })
}
