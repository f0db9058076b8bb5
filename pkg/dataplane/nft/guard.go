// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"context"
	"fmt"
	"net/netip"

	"sigs.k8s.io/knftables"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// guardTable is ours alone, for packets of both families.
const guardTable = "ipv6-agent-tunnel"

const (
	setNodes6 = "nodes6"
	setNodes4 = "nodes4"
	chainIn   = "input"
)

// Guard is a dataplane.Guard. It runs the program nft.
type Guard struct {
	open func() (knftables.Interface, error)
}

// NewGuard returns the machine's. nft is looked for when there is something to do.
func NewGuard() *Guard {
	return &Guard{open: func() (knftables.Interface, error) { return knftables.New(knftables.InetFamily, guardTable) }}
}

// Guard implements dataplane.Guard: the whole table in one transaction. Packets of other tunnels pass: the rules look at the VNI, whose
// 24 bits are 12 bytes behind the beginning of the UDP header (RFC 7348, 5).
func (g *Guard) Guard(ctx context.Context, want *dataplane.Guarded) error {
	nft, err := g.open()
	if err != nil {
		if want == nil {
			return nil // without nft there never was a table
		}
		return fmt.Errorf("guard tunnels: %w", err)
	}
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{Comment: comment})
	tx.Delete(&knftables.Table{})
	if want != nil {
		guardRules(tx, want)
	}
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("guard tunnels: %w", err)
	}
	return nil
}

var comment = knftables.PtrTo("Only nodes of the cluster put packets into its tunnels")

func guardRules(tx *knftables.Transaction, want *dataplane.Guarded) {
	tx.Add(&knftables.Table{Comment: comment})
	for _, set := range []struct {
		name, key string
		is4       bool
	}{{setNodes6, "ipv6_addr", false}, {setNodes4, "ipv4_addr", true}} {
		tx.Add(&knftables.Set{Name: set.name, Type: set.key})
		for _, a := range want.Nodes {
			if a.Is4() == set.is4 {
				tx.Add(&knftables.Element{Set: set.name, Key: []string{addressOf(a)}})
			}
		}
	}
	tx.Add(&knftables.Chain{
		Name: chainIn, Type: knftables.PtrTo(knftables.FilterType), Hook: knftables.PtrTo(knftables.InputHook),
		Priority: knftables.PtrTo(knftables.FilterPriority),
	})
	ours := fmt.Sprintf("udp dport %d @th,96,24 %d", want.Port, want.VNI)
	for _, from := range []string{"iifname " + agentconfig.HostInterfacePrefix + "*", "ip6 saddr != @" + setNodes6, "ip saddr != @" + setNodes4} {
		tx.Add(&knftables.Rule{Chain: chainIn, Rule: ours + " " + from + " counter drop"})
	}
}

func addressOf(a netip.Addr) string { return a.WithZone("").String() }
