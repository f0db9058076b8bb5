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

// BenchmarkManyReportOnePrefix is a mistake in a cluster of that size: all nodes report the prefix of the link that they share. It must
// not keep the controller from its work.
func BenchmarkManyReportOnePrefix(b *testing.B) {
	const size = 1000
	for b.Loop() {
		book := nodeprefix.NewBook(brought())
		for i := range size {
			n := node(fmt.Sprint("node-", i), fmt.Sprintf("2001:db8:1:2::%x", i+1))
			n.Report, n.ReportSource = "2001:db8:1:2::/64", "openstack metadata"
			book.Set(n, one)
			for retry := []string{n.Name}; len(retry) > 0; retry = book.Retry() {
				for _, name := range retry {
					if d := book.For(name); i > 0 && d.Verdict == nodeprefix.Assign {
						b.Fatal(name, d)
					}
				}
			}
		}
	}
}
