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
	return b.heldBy(ctx, func(o Owner) bool { return o == owner })
}

// List returns all entries of the garden.
func (b LedgerBackend) List(ctx context.Context, gardenID string) ([]Allocation, error) {
	return b.heldBy(ctx, func(o Owner) bool { return o.GardenID == gardenID })
}

func (b LedgerBackend) heldBy(ctx context.Context, match func(Owner) bool) ([]Allocation, error) {
	ledger, err := b.Store.Read(ctx)
	if err != nil {
		return nil, err
	}
	return ledger.HeldBy(match)
}

// Take enters what choose picks, unless the owner has something already: that is returned then, so nobody gets two.
func (b LedgerBackend) Take(ctx context.Context, owner Owner, choose func(*Ledger) (Allocation, error)) (Allocation, error) {
	var result Allocation
	err := b.Store.Update(ctx, func(ledger *Ledger) error {
		earlier, err := ledger.HeldBy(func(o Owner) bool { return o == owner })
		if err != nil {
			return err
		}
		if len(earlier) > 0 {
			result = earlier[0]
			return nil
		}
		if result, err = choose(ledger); err != nil {
			return err
		}
		result.Owner, result.Since = owner, b.stamp()
		return ledger.Claim(result)
	})
	if err != nil {
		return Allocation{}, err
	}
	return result, nil
}

// Claim enters an allocation that was made elsewhere.
func (b LedgerBackend) Claim(ctx context.Context, allocation Allocation) error {
	if allocation.Since.IsZero() {
		allocation.Since = b.stamp()
	}
	return b.Store.Update(ctx, func(ledger *Ledger) error { return ledger.Claim(allocation) })
}

// Release strikes the entry out.
func (b LedgerBackend) Release(ctx context.Context, allocation Allocation) error {
	return b.Store.Update(ctx, func(ledger *Ledger) error {
		return ledger.Remove(allocation.Prefix, allocation.Owner.Key())
	})
}

// stamp is the time as a ledger keeps it.
func (b LedgerBackend) stamp() time.Time { return b.Now().UTC().Truncate(time.Second) }
