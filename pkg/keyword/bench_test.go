// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword_test

import (
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"one word": "v6global/64+prefix/96",
		"tuple":    "v6global/64+prefix/96, v4private+prefix/24",
		"mistake":  "v6globl/64+prefix/96",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keyword.Parse(keyword.Nodes, text); (err != nil) != (name == "mistake") {
					b.Fatal(err)
				}
			}
		})
	}
}
