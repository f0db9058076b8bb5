// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Sim simulates the life of reservations: the very code of pkg/reservation that production runs, against a model of an IPAM
// service that fails in every way, a model API server and shoots that come, go and move, with controllers that die between any
// two calls. Everything that happens is drawn from one number, so that a failing run can be had again.
// docs/decisions/0070-simulation.md tells what it checks.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	runs := flag.Int("runs", 100_000, "how many runs")
	seed := flag.Uint64("seed", 1, "of the first run; each further one adds one")
	verbose := flag.Bool("v", false, "print the trace of the first run, whether it fails or not")
	keepGoing := flag.Bool("k", false, "keep going after the first run that fails")
	flag.Parse()
	debug.SetGCPercent(1000) // runs are short and leave nothing behind
	if !simulate(os.Stdout, *seed, *runs, *keepGoing, *verbose) {
		os.Exit(1)
	}
}

// failure of a run.
type failure struct {
	seed       uint64
	violations []string
}

// simulate runs the seeds on all cores, prints what came of it and tells whether all went well.
func simulate(out io.Writer, first uint64, runs int, keepGoing, verbose bool) bool {
	var text strings.Builder
	if verbose {
		text.WriteString(strings.Join(run(first, traced).trace, "\n") + "\n")
	}
	start := time.Now()
	total, failures := runAll(first, runs, keepGoing)
	took := time.Since(start)
	fmt.Fprintf(&text, "%d runs in %s (%.0f a second), %d calls, %d crashes injected, %d violations\n", total.runs,
		took.Round(time.Millisecond), float64(total.runs)/took.Seconds(), total.calls, total.chances[crash], len(failures))
	text.WriteString(total.summary())
	for i, f := range failures {
		if i == 0 {
			text.WriteString(explain(f))
			continue
		}
		fmt.Fprintf(&text, "seed %d: %s\n", f.seed, f.violations[0])
	}
	_, _ = io.WriteString(out, text.String())
	return len(failures) == 0
}

// runAll returns the failures in the order of their seeds: those of all runs, or those up to the first that any core met.
func runAll(first uint64, runs int, keepGoing bool) (*stats, []failure) {
	var (
		next    atomic.Int64
		stopped atomic.Bool
		mu      sync.Mutex
		wg      sync.WaitGroup
		total   = newStats()
		found   = map[int]failure{}
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			mine := newStats()
			for !stopped.Load() {
				i := int(next.Add(1)) - 1
				if i >= runs {
					break
				}
				w := run(first + uint64(i))
				mine.add(w.stats)
				if len(w.violations) > 0 {
					mu.Lock()
					found[i] = failure{first + uint64(i), w.violations}
					mu.Unlock()
					stopped.Store(!keepGoing)
				}
			}
			mu.Lock()
			total.add(mine)
			mu.Unlock()
		})
	}
	wg.Wait()
	var failures []failure
	for i := range runs {
		if f, ok := found[i]; ok {
			failures = append(failures, f)
		}
	}
	return total, failures
}

// explain returns the trace of a failing run, made as short as can be cheaply.
func explain(f failure) string {
	changes, why := shrink(f.seed)
	var text strings.Builder
	fmt.Fprintf(&text, "\nseed %d fails (replay: go run ./test/sim -runs 1 -seed %d -v); the trace is that of a shorter run: %s\n%s\n",
		f.seed, f.seed, why, strings.Join(run(f.seed, append(changes, traced)...).trace, "\n"))
	for _, v := range f.violations {
		fmt.Fprintf(&text, "seed %d: %s\n", f.seed, v)
	}
	return text.String()
}

func traced(o *options) { o.traced = true }

// shrink finds changes with which the run still fails, in less time and with fewer kinds of fault.
func shrink(seed uint64) (changes []change, why string) {
	digits := regexp.MustCompile("[0-9a-f:/]*[0-9][0-9a-f:/]*")
	class := func(c ...change) string {
		if v := run(seed, c...).violations; len(v) > 0 {
			return digits.ReplaceAllString(v[0], "#")
		}
		return ""
	}
	want := class()
	fails := func(c ...change) bool { return class(c...) == want }
	var off []string
	for c := range chances {
		without := func(o *options) { o.off[c] = true }
		if fails(append(changes, without)...) {
			changes = append(changes, without)
			off = append(off, c.String())
		}
	}
	steps := draw(newRand(seed)).steps
	for cut := steps / 2; cut > 0; cut /= 2 {
		fewer := func(o *options) { o.steps = steps - cut }
		if steps > cut && fails(append(changes, fewer)...) {
			steps -= cut
		}
	}
	last := steps
	changes = append(changes, func(o *options) { o.steps = last })
	return changes, fmt.Sprintf("%d steps, without %s", steps, strings.Join(off, ", "))
}
