// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"testing"

	. "github.com/onsi/gomega"
)

func TestTable(t *testing.T) {
	a := &candidate{name: "a", by: map[int][]figures{
		10: {{"allocate": 9000, "bytes": 160}, {"allocate": 2000, "bytes": 160}, {"allocate": 3000, "bytes": 161}},
		20: {{"allocate": 4e6}},
	}}
	b := &candidate{name: "b", by: map[int][]figures{10: {{"allocate": 6000, "bytes": 0}}}}
	NewWithT(t).Expect(table(3, []int{10, 20}, []*candidate{a, b})).To(Equal(
		`Processor time, garbage collection included, medians of 3 processes each; ` + runtime.Version() + `.

| | a | b |
| --- | --- | --- |
| 10 held: find and take one | 3.0 µs | 6.0 µs (0.5×) |
| 10 held: take one back | - | - |
| 10 held: start from a list of all | - | - |
| 10 held: memory of each | 160 B | 0 B |
| 20 held: find and take one | 4 ms | - |
| 20 held: take one back | - | - |
| 20 held: start from a list of all | - | - |
| 20 held: memory of each | - | - |
`))
}

// What the comparison prints of us is measured, and in the order of magnitude that was measured before.
func TestOurs(t *testing.T) {
	g := NewWithT(t)
	got := ours(2000, 2)
	g.Expect(got).To(HaveLen(4))
	g.Expect(got["bytes"]).To(And(BeNumerically(">", 50), BeNumerically("<", 400)))
}
