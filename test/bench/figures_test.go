// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestPercentile(t *testing.T) {
	g := NewWithT(t)
	var hundred series
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	g.Expect(hundred.percentile(50)).To(Equal(50 * time.Millisecond))
	g.Expect(hundred.percentile(99)).To(Equal(99 * time.Millisecond))
	g.Expect(hundred[0]).To(Equal(100*time.Millisecond), "what was measured keeps its order")
	g.Expect(series{7, 3}.percentile(50)).To(Equal(time.Duration(3)))
	g.Expect(series{7, 3}.percentile(99)).To(Equal(time.Duration(7)))
	g.Expect(series{}.percentile(99)).To(BeZero())
}

func TestCells(t *testing.T) {
	g := NewWithT(t)
	a, b := series{9940 * time.Microsecond}, series{20 * time.Millisecond}
	g.Expect(a.figures()).To(Equal("9.9 / 9.9"))
	g.Expect(b.figures()).To(Equal("20 / 20"))
	g.Expect(a.ratio(b)).To(Equal("0.5× / 0.5×"))
	g.Expect(a.ratio(nil)).To(Equal("- / -"))
}

func TestTable(t *testing.T) {
	g := NewWithT(t)
	ms := func(d ...int) (s series) {
		for _, x := range d {
			s = append(s, time.Duration(x)*time.Millisecond)
		}
		return s
	}
	a := &plugin{name: "a", alone: times{add: ms(6, 12), del: ms(30)}}
	b := &plugin{name: "b", alone: times{add: ms(3, 40), del: ms(30)}}
	g.Expect(table(50, []*plugin{a, b})).To(Equal(`Milliseconds, p50 / p99; in parentheses a's time as a multiple of it.

|  | a | b |
| --- | --- | --- |
| ADD, alone | 6.0 / 12 | 3.0 / 40 (2× / 0.3×) |
| DEL, alone | 30 / 30 | 30 / 30 (1× / 1×) |

Calls measured: a 2 alone and 0 at once; b 2 alone and 0 at once.
`))
}

func TestMemory(t *testing.T) {
	g := NewWithT(t)
	const status = "VmPeak:\t  9 kB\nVmRSS:\t   47492 kB\nRssAnon:\t   10972 kB\n"
	g.Expect(memory{60, kib(status, "VmRSS:"), kib(status, "RssAnon:")}.String()).To(Equal(
		"46.4 MiB resident with 60 pods, 10.7 MiB of it without the program's file"))
	g.Expect(kib(status, "VmSwap:")).To(BeZero())
}

func TestDataCell(t *testing.T) {
	g := NewWithT(t)
	g.Expect(median([]float64{3, 1, 2})).To(Equal(2.0))
	g.Expect(median([]float64{4, 1, 2, 3})).To(Equal(2.5))
	g.Expect(cell("%.1f", []float64{1, 2, 3, 4}, []float64{2, 2, 2, 2})).To(Equal("2.5 (1.25×, 1.00–2.00)"))
}
