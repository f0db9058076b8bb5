// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword_test

import (
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name, text string
		wrong      bool
	}{
		{"one word", "v6global/64+prefix/96", false},
		{"tuple", "v6global/64+prefix/96, v4private+prefix/24", false},
		{"mistake", "v6globl/64+prefix/96", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keyword.Parse(keyword.Nodes, c.text); (err != nil) != c.wrong {
					b.Fatal(err)
				}
			}
		})
	}
}
