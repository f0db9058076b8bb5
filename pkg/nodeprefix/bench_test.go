// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodeprefix_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// BenchmarkOneMoreNode is what a node that joins, and leaves again, costs a cluster of that size.
func BenchmarkOneMoreNode(b *testing.B) {
	for _, size := range []int{1000, 10000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			book := nodeprefix.NewBook(config(fromNode()))
			for i := range size {
				name := fmt.Sprint("node-", i)
				book.Set(node(name, fmt.Sprintf("2001:db8:1:2:%x:ff:fe00:%x", i*7%65521, i)), one)
				book.For(name)
			}
			joining := node("joining", "2001:db8:1:2:ffff:ff:fe00:ffff")
			b.ReportAllocs()
			for b.Loop() {
				book.Set(joining, one)
				if d := book.For("joining"); d.Verdict != nodeprefix.Assign {
					b.Fatal(d)
				}
				book.Delete("joining", noon)
				book.Expire(noon.Add(time.Second))
			}
		})
	}
}
