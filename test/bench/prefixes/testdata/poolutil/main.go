// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command poolutil measures how Cluster API's in-cluster provider finds a prefix: it makes a set of all that are in use, and looks
// through it. Its controller does so for each claim, with the list that its cache gives it; making that list is not measured
// here. The functions are internal: this file is built as if it were in the provider's module, with go build -overlay.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"sigs.k8s.io/cluster-api-ipam-provider-in-cluster/internal/poolutil"
)

func main() {
	held := flag.Int("held", 60000, "prefixes that are held")
	batches := flag.Int("batches", 50, "allocations")
	flag.Parse()
	pool := &poolutil.PrefixPoolConfig{Prefixes: []string{"2001:db8::/32"}, AllocationPrefixLength: 64}
	bits := int32(64)
	live := make([]ipamv1.IPAddress, *held)
	for i := range live {
		live[i].Spec.Address, live[i].Spec.Prefix = fmt.Sprintf("2001:db8:%x:%x::", i>>16, i&0xffff), &bits
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })

	var allocate []time.Duration
	for range *batches {
		last := len(live) - 1
		at := random.IntN(len(live))
		live[at] = live[last]
		live = live[:last] // one is released

		begin := spent()
		used, err := poolutil.AddressesToAllocationPrefixSet(live)
		check(err)
		p, err := poolutil.FindFreePrefix(pool, used)
		check(err)
		allocate = append(allocate, spent()-begin)
		live = append(live, ipamv1.IPAddress{Spec: ipamv1.IPAddressSpec{Address: p.Addr().String(), Prefix: &bits}})
	}
	slices.Sort(allocate)
	check(json.NewEncoder(os.Stdout).Encode(map[string]float64{"allocate": float64(allocate[len(allocate)/2])}))
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
		log.Fatal(fmt.Errorf("poolutil: %w", err))
	}
}
