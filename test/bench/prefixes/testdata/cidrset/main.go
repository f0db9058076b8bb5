// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command cidrset measures the CIDR set of Kubernetes' nodeipam controller: a bitmap of the children of one prefix that have one
// length. It is built in the module hack/tools/kubernetes.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"k8s.io/kubernetes/pkg/controller/nodeipam/ipam/cidrset"
)

// batch of calls that are measured together.
const batch = 1000

func main() {
	held := flag.Int("held", 60000, "prefixes that are held")
	batches := flag.Int("batches", 20, "batches of 1000")
	flag.Parse()
	_, whole, err := net.ParseCIDR("2001:db8::/48")
	check(err)
	set, err := cidrset.NewCIDRSet(whole, 64)
	check(err)
	before := heap()
	live := make([]*net.IPNet, *held)
	for i := range live {
		live[i], err = set.AllocateNext()
		check(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })

	var allocate, release []time.Duration
	for range *batches {
		some := live[random.IntN(len(live)-batch):][:batch]
		begin := spent()
		for _, p := range some {
			check(set.Release(p))
		}
		release = append(release, (spent()-begin)/batch)
		begin = spent()
		for i := range some {
			some[i], err = set.AllocateNext()
			check(err)
		}
		allocate = append(allocate, (spent()-begin)/batch)
	}

	begin := spent()
	again, err := cidrset.NewCIDRSet(whole, 64)
	check(err)
	for _, p := range live {
		check(again.Occupy(p))
	}
	start := spent() - begin
	live, again = nil, nil
	bytes := (heap() - before) / float64(*held)
	runtime.KeepAlive(set)
	check(json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"allocate": median(allocate), "release": median(release), "start": float64(start), "bytes": max(bytes, 0),
	}))
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2])
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// spent is the processor time of this process, garbage collection included: unlike the clock's it does not tell of what else the
// machine does.
func spent() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func check(err error) {
	if err != nil {
		log.Fatal(fmt.Errorf("cidrset: %w", err))
	}
}
