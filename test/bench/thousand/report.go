// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report prints what was measured, in Markdown.
func report(set settings, created map[string]time.Time, got map[string]reserved, allCreated, allBound time.Duration, made requests, idle, busy used) {
	n := float64(set.Shoots * reservationsOfAShoot)
	var waits []time.Duration
	for key, r := range got {
		namespace, _, _ := strings.Cut(key, "/")
		waits = append(waits, r.at.Sub(created[namespace]))
	}
	slices.Sort(waits)
	at := func(part float64) time.Duration {
		return waits[min(len(waits)-1, int(part*float64(len(waits))))].Round(time.Millisecond)
	}
	limit := fmt.Sprintf("%.0f requests a second, %d at once", set.QPS, set.Burst)
	if set.QPS < 0 {
		limit = "any number of requests a second"
	}
	fmt.Printf("%d Shoots at once, two reservations each; %d workers, %s; %d cores, %s.\n\n", set.Shoots, set.Workers, limit, runtime.NumCPU(), runtime.Version())
	row := func(what, format string, values ...any) {
		fmt.Printf("| %s | "+format+" |\n", append([]any{what}, values...)...)
	}
	row("", "")
	row("---", "---")
	row("until all Shoots were created", "%s", allCreated.Round(100*time.Millisecond))
	row("until all were bound", "%s", allBound.Round(100*time.Millisecond))
	row("from Infrastructure to Bound, p50 / p99", "%s / %s", at(0.5), at(0.99))
	row("writes a reservation", "%.3f", made.writes("prefixreservations", "prefixreservations/status", "configmaps")/n)
	for _, resource := range []string{"prefixreservations", "prefixreservations/status", "configmaps", "infrastructures", "infrastructures/status", "events"} {
		writes := made.writes(resource)
		if resource == "infrastructures" {
			writes -= float64(set.Shoots) // the gardenlets'
		}
		row("– of them "+resource, "%.3f", writes/n)
	}
	row("the controller's memory before / after / at most", "%d / %d / %d MiB", idle.now, busy.now, busy.most)
	row("the controller's processor time", "%s", (busy.processor - idle.processor).Round(100*time.Millisecond))
	fmt.Println("\nRequests that the API server counted, the gardenlets' creations and this program's watch included:")
	for _, what := range made.sorted() {
		if made[what] >= float64(set.Shoots)/10 {
			fmt.Printf("- %s: %.0f\n", what, made[what])
		}
	}
}
