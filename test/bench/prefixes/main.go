// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command prefixes measures how long the backend "pool" takes to find a prefix, and to take one back, when very many are held, beside
// the two that others use for it: the CIDR set of Kubernetes' nodeipam controller, and what Cluster API's in-cluster IPAM
// provider does for a prefix. All is in memory: what an API server adds is the same for all three, and not in it.
//
// Each measurement is a process of its own, and the three take turns, because only a ratio of figures of one run means anything on
// another machine.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// nodeipamLimit is the number of prefixes in a CIDR set of nodeipam: 16 bits of them, no more.
const nodeipamLimit = 1 << 16

func main() {
	measure := flag.Bool("measure", false, "measure the backend pool and print the figures as JSON")
	held := flag.Int("held", 60000, "prefixes that are held, if one thing is measured")
	batches := flag.Int("batches", 20, "batches of 1000 calls, if one thing is measured")
	rounds := flag.Int("rounds", 5, "processes of each kind; the medians count")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *measure {
		err = json.NewEncoder(os.Stdout).Encode(ours(*held, *batches))
	} else {
		err = compare(ctx, *rounds, []int{60_000, 100_000})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prefixes:", err)
		os.Exit(1)
	}
}

// figures by name, in nanoseconds; of memory in bytes.
type figures map[string]float64

// candidate is one that is compared.
type candidate struct {
	name string
	cmd  []string
	// batches of one process; fewer where one call takes long.
	batches string
	limit   int
	by      map[int][]figures // by number of held prefixes
}

func compare(ctx context.Context, rounds int, held []int) error {
	dir, err := os.MkdirTemp("", "ipv6-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	candidates, err := build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "measuring ...")
	for range rounds {
		for _, n := range held {
			for _, c := range candidates {
				if err := c.measure(ctx, n); err != nil {
					return err
				}
			}
		}
	}
	fmt.Print(table(rounds, held, candidates))
	return nil
}

func (c *candidate) measure(ctx context.Context, held int) error {
	if c.limit > 0 && held > c.limit {
		return nil
	}
	cmd := exec.CommandContext(ctx, c.cmd[0], append(c.cmd[1:], "-held", fmt.Sprint(held), "-batches", c.batches)...) //nolint:gosec // built here
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	var f figures
	if err := json.Unmarshal(out, &f); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	c.by[held] = append(c.by[held], f)
	return nil
}

// build builds the peers from the sources of their own modules, at the versions that hack/tools pins.
func build(ctx context.Context, dir string) ([]*candidate, error) {
	fmt.Fprintln(os.Stderr, "building the peers ...")
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	sources, err := filepath.Abs("test/bench/prefixes/testdata")
	if err != nil {
		return nil, err
	}
	cidrset, poolutil := filepath.Join(dir, "cidrset"), filepath.Join(dir, "poolutil")
	if _, err := run(ctx, "hack/tools/kubernetes", "build", "-o", cidrset, filepath.Join(sources, "cidrset", "main.go")); err != nil {
		return nil, err
	}
	// What is measured is internal to the provider's module: its source is copied, and the measurement put into it.
	const provider = "sigs.k8s.io/cluster-api-ipam-provider-in-cluster"
	found, err := run(ctx, "hack/tools/capiipam", "list", "-m", "-f", "{{.Dir}}", provider)
	if err != nil {
		return nil, err
	}
	copied := filepath.Join(dir, "module")
	if err := os.CopyFS(copied, os.DirFS(strings.TrimSpace(found))); err != nil {
		return nil, err
	}
	inside := filepath.Join(copied, "internal", "measure")
	if err := os.CopyFS(inside, os.DirFS(filepath.Join(sources, "poolutil"))); err != nil {
		return nil, err
	}
	if _, err := run(ctx, copied, "build", "-o", poolutil, "./internal/measure"); err != nil {
		return nil, err
	}
	return []*candidate{
		{name: "pool", cmd: []string{self, "-measure"}, batches: "20", by: map[int][]figures{}},
		{name: "nodeipam CIDR set", cmd: []string{cidrset}, batches: "20", limit: nodeipamLimit, by: map[int][]figures{}},
		{name: "Cluster API in-cluster", cmd: []string{poolutil}, batches: "10", by: map[int][]figures{}},
	}, nil
}

func run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // arguments of this program
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w (run it in the repository's folder)\n%s", strings.Join(args, " "), dir, err, stderr.String())
	}
	return string(out), nil
}

// table is what was measured, in Markdown; medians, and in parentheses pool's as a multiple of them.
func table(rounds int, held []int, candidates []*candidate) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Processor time, garbage collection included, medians of %d processes each; %s.\n\n|", rounds, runtime.Version())
	for _, c := range candidates {
		fmt.Fprintf(&b, " | %s", c.name)
	}
	fmt.Fprintf(&b, " |\n|%s\n", strings.Repeat(" --- |", len(candidates)+1))
	for _, n := range held {
		for _, row := range []struct{ name, key string }{
			{"find and take one", "allocate"}, {"take one back", "release"}, {"start from a list of all", "start"}, {"memory of each", "bytes"},
		} {
			fmt.Fprintf(&b, "| %d held: %s", n, row.name)
			own, _ := median(candidates[0].by[n], row.key)
			for i, c := range candidates {
				value, ok := median(c.by[n], row.key)
				switch {
				case !ok:
					b.WriteString(" | -")
				case i == 0:
					fmt.Fprintf(&b, " | %s", format(row.key, value))
				case value == 0:
					fmt.Fprintf(&b, " | %s", format(row.key, value))
				default:
					fmt.Fprintf(&b, " | %s (%.2g×)", format(row.key, value), own/value)
				}
			}
			b.WriteString(" |\n")
		}
	}
	return b.String()
}

func median(all []figures, key string) (float64, bool) {
	var values []float64
	for _, f := range all {
		if v, ok := f[key]; ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	return values[len(values)/2], true
}

func format(key string, value float64) string {
	if key == "bytes" {
		return fmt.Sprintf("%.0f B", value)
	}
	switch d := time.Duration(value); {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1f µs", value/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", value/1e3)
	default:
		return fmt.Sprintf("%.0f ms", value/1e6)
	}
}
