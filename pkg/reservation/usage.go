// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"iter"
	"math"
	"net/netip"
)

// Usage tells how full a pool is.
type Usage struct {
	Pool string
	// Capacity and Free are numbers of addresses; floating point because they do not fit an integer.
	Capacity, Free float64
	// LargestFree is the length of the largest prefix that can still be cut, -1 if nothing is left.
	LargestFree int
	// FreePrefixes are the numbers of prefixes that could still be cut if all free space went to prefixes of that length, by
	// length in bits. A backend that cannot tell leaves it empty.
	FreePrefixes map[int]float64
}

// Meter is a Reserver that can tell how full it is.
type Meter interface {
	Usage(context.Context) ([]Usage, error)
}

// UsageOf a pool that is made of whole prefixes, of which free are left: disjoint, as few and as large as can be. Every length
// that the pool gives has a figure, for one that is missing looks like one that is not known.
func UsageOf(pool Pool, whole []netip.Prefix, free iter.Seq[netip.Prefix]) Usage {
	usage := Usage{Pool: pool.Name, LargestFree: -1, FreePrefixes: map[int]float64{}}
	for _, p := range whole {
		usage.Capacity += addresses(p)
	}
	var maximal [129]float64 // free prefixes by length
	for p := range free {
		usage.Free += addresses(p)
		maximal[p.Bits()]++
		if usage.LargestFree < 0 || p.Bits() < usage.LargestFree {
			usage.LargestFree = p.Bits()
		}
	}
	room := 0.0 // prefixes of the current length that could be cut
	for bits := range maximal {
		room = 2*room + maximal[bits]
		if bits >= pool.MinBits && bits <= pool.MaxBits {
			usage.FreePrefixes[bits] = room
		}
	}
	return usage
}

func addresses(p netip.Prefix) float64 { return math.Ldexp(1, p.Addr().BitLen()-p.Bits()) }
