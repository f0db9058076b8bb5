// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"net/netip"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
)

const many = 100_000

// full is a server with a ledger of 100,000 entries, and a Store that knows it.
func full(b *testing.B) (client.WithWatch, *configmap.Store) {
	c := server()
	s := configmap.New(c, c, namespace, root)
	err := s.Update(b.Context(), func(l *reservation.Ledger) error {
		for i := range many {
			if err := l.Add(numbered(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return c, s
}

func numbered(i int) reservation.Allocation {
	a := allocation(0, i)
	a.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(i >> 16), 6: byte(i >> 8), 7: byte(i)}), 64)
	return a
}

// BenchmarkStart reads the ledger from all its pages, as a process does that starts. The server is in memory.
func BenchmarkStart(b *testing.B) {
	c, _ := full(b)
	for b.Loop() {
		if _, err := configmap.New(c, c, namespace, root).Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate reserves a prefix and releases it, beside 100,000 others: two swaps of the root.
func BenchmarkUpdate(b *testing.B) {
	_, s := full(b)
	a := numbered(many)
	for b.Loop() {
		if err := claim(s, a); err != nil {
			b.Fatal(err)
		}
		if err := release(s, a); err != nil {
			b.Fatal(err)
		}
	}
}
