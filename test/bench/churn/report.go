// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"time"
)

// report prints what was measured, in Markdown.
func report(set settings, columns []column) {
	kernel := "a kernel in memory"
	if set.kernel {
		kernel = "a real kernel"
	}
	fmt.Printf("One agent on %s; %d heartbeats and %d changed Nodes a second for %s each; %d cores, %s.\n\n", kernel, set.beats, set.rate, set.seconds, runtime.NumCPU(), runtime.Version())
	row := func(what string, cell func(c column) string) {
		fmt.Printf("| %s |", what)
		for _, c := range columns {
			fmt.Printf(" %s |", cell(c))
		}
		fmt.Println()
	}
	row("", func(c column) string { return fmt.Sprintf("%s, %d Nodes", c.mode, c.size) })
	row("---", func(column) string { return "---" })
	row("from the process's start until all nodes are in the kernel", func(c column) string { return c.start.Round(time.Millisecond).String() })
	row("processor time until then", func(c column) string { return c.began.Processor.Round(time.Millisecond).String() })
	row("at rest, of one core", func(c column) string {
		return fmt.Sprintf("%.2f %%", 100*float64(c.rested.Processor-c.began.Processor)/float64(set.seconds))
	})
	row("a heartbeat", func(c column) string {
		return fmt.Sprintf("%d µs", (c.beaten.Processor-c.rested.Processor).Microseconds()/int64(c.beats))
	})
	n := func(c column) int { return len(c.waits) }
	row("a changed Node", func(c column) string {
		return fmt.Sprintf("%.2f ms", float64((c.changed.Processor-c.beaten.Processor).Microseconds())/1000/float64(n(c)))
	})
	row("– reconciliations", func(c column) string {
		return fmt.Sprintf("%.2f", float64(c.changed.Applies-c.beaten.Applies)/float64(n(c)))
	})
	row("– ways that the kernel was asked for", func(c column) string {
		return fmt.Sprintf("%.1f", float64(c.changed.Neighbours-c.beaten.Neighbours)/float64(n(c)))
	})
	row("– until the agent has acted on it, p50 / p99", func(c column) string {
		return fmt.Sprintf("%s / %s", c.waits[n(c)/2].Round(time.Millisecond), c.waits[n(c)*99/100].Round(time.Millisecond))
	})
	row("memory, resident, at first / at the end", func(c column) string {
		return fmt.Sprintf("%.0f / %.0f MiB", c.began.ResidentMiB, c.changed.ResidentMiB)
	})
	row("– of that Go's heap", func(c column) string { return fmt.Sprintf("%.0f / %.0f MiB", c.began.HeapMiB, c.changed.HeapMiB) })
}
