// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package nft masquerades IPv4 pods, in an nftables table of its own.
package nft

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/knftables"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// table is ours alone, of the family ip: nothing in it can touch IPv6.
const table = "ipv6-agent"

const (
	setSources = "pods"
	setExcept  = "except"
	chain      = "postrouting"
)

// Masquerader is a dataplane.Masquerader. It runs the program nft.
type Masquerader struct {
	// open connects to nftables; tests put a fake here.
	open func() (knftables.Interface, error)
}

// New returns the machine's. nft is looked for when there is something to do.
func New() *Masquerader {
	return &Masquerader{open: func() (knftables.Interface, error) { return knftables.New(knftables.IPv4Family, table) }}
}

// Masquerade implements dataplane.Masquerader: the whole table in one transaction.
func (m *Masquerader) Masquerade(ctx context.Context, want *dataplane.Masquerade) error {
	nft, err := m.open()
	if err != nil {
		if want == nil {
			return nil // without nft there never was a table
		}
		return fmt.Errorf("masquerade: %w", err)
	}
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("IPv4 pods leave the cluster under their node's address")})
	tx.Delete(&knftables.Table{})
	if want != nil {
		if err := rules(tx, want); err != nil {
			return err
		}
	}
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("masquerade: %w", err)
	}
	return nil
}

func rules(tx *knftables.Transaction, want *dataplane.Masquerade) error {
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("IPv4 pods leave the cluster under their node's address")})
	for name, prefixes := range map[string][]netip.Prefix{setSources: want.Sources, setExcept: want.Except} {
		tx.Add(&knftables.Set{Name: name, Type: "ipv4_addr", Flags: []knftables.SetFlag{knftables.IntervalFlag}, AutoMerge: knftables.PtrTo(true)})
		for _, p := range prefixes {
			if !p.Addr().Is4() {
				return fmt.Errorf("masquerade: %s is not an IPv4 range", p)
			}
			tx.Add(&knftables.Element{Set: name, Key: []string{p.String()}})
		}
	}
	tx.Add(&knftables.Chain{
		Name: chain, Type: knftables.PtrTo(knftables.NATType), Hook: knftables.PtrTo(knftables.PostroutingHook),
		Priority: knftables.PtrTo(knftables.SNATPriority),
	})
	tx.Add(&knftables.Rule{Chain: chain, Rule: strings.Join([]string{
		"ip saddr @" + setSources, "ip daddr != @" + setExcept, "fib daddr type != { local, multicast, broadcast }", "masquerade fully-random",
	}, " ")})
	return nil
}
