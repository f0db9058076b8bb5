// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package pool_test

import (
	"runtime"
	"testing"

	. "github.com/onsi/gomega"
)

// A reservation takes less than 200 bytes, shoots of their own included. Memory does not depend on what else the machine does.
func TestMemory(t *testing.T) {
	const n = 20_000
	before := heap()
	r, _ := full(t, n)
	each := (heap() - before) / n
	runtime.KeepAlive(r)
	NewWithT(t).Expect(each).To(And(BeNumerically(">", 100), BeNumerically("<", 200)))
}

// What is allocated for a change grows with the logarithm of what is held: sixteen times as many entries are four more levels of each
// tree, and a level is three allocations at most.
func TestCostOfAChange(t *testing.T) {
	cost := func(n int) float64 {
		r, _ := full(t, n)
		i := 0
		return testing.AllocsPerRun(200, func() {
			i++
			a, err := r.Allocate(t.Context(), benchOwner(1_000_000+i), request(64))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Release(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := cost(2_000), cost(32_000)
	NewWithT(t).Expect(many-few).To(BeNumerically("<=", 2*2*4*3), "%v allocations with 2,000 held, %v with 32,000", few, many)
}
