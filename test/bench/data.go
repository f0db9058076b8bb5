// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// course is two places that talk, and what was measured between them, one entry a round.
type course struct {
	name           string
	client, server place
	bits           []float64
	tcp, udp       []series
}

// dataPath measures what pods get of what the nodes can do. In each round every course is run, in a drawn order, and compared with the first, the
// nodes themselves: what else the machine does changes from round to round, and hardly within one.
func dataPath(ctx context.Context, o options, dir string) error {
	spaces, err := newSpaces("data", 1+5*len(sites))
	defer spaces.remove()
	if err != nil {
		return err
	}
	link := spaces[0]
	if err := newLink(link); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	var courses []*course
	for number, kind := range sites {
		if kind.name == fast && !o.tracked {
			continue // it serves no connection that is not tracked
		}
		s, err := newSite(ctx, number, kind.name, link, spaces[1+5*number:][:5], o.tracked)
		if err == nil {
			err = kind.network(ctx, s, number, dir)
		}
		if err != nil {
			return err
		}
		if number == 0 {
			courses = append(courses, &course{name: "node to node", client: s.nodes[0], server: s.nodes[1]})
		}
		courses = append(courses,
			&course{name: kind.name + ", across nodes", client: s.pods[0], server: s.pods[2]},
			&course{name: kind.name + ", on one node", client: s.pods[0], server: s.pods[1]})
	}
	before := load()
	fmt.Fprintln(os.Stderr, "measuring the data path ...")
	draw := rand.New(rand.NewPCG(1, 2))
	for range o.rounds {
		for _, i := range draw.Perm(len(courses)) {
			if err := courses[i].run(o.lasting); err != nil {
				return fmt.Errorf("%s: %w", courses[i].name, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("Load average %s at the beginning, %s at the end; connections %s.\n\n%s", before, load(),
		map[bool]string{true: "tracked as with kube-proxy", false: "not tracked"}[o.tracked], dataTable(courses))
	return nil
}

// kind is a way to connect pods.
type kind struct {
	name    string
	network func(ctx context.Context, s *site, number int, dir string) error
}

// fast is the name of what a kernel may lack.
const fast = "pods, fast path"

var sites = []kind{
	{"pods", func(ctx context.Context, s *site, number int, _ string) error { return s.ours(ctx, number) }},
	{fast, func(ctx context.Context, s *site, number int, _ string) error { return s.quick(ctx, number) }},
	{"ptp", func(ctx context.Context, s *site, number int, dir string) error { return s.reference(ctx, number, dir) }},
}

func (c *course) run(lasting time.Duration) error {
	bits, err := throughput(c.client, c.server, lasting)
	if err != nil {
		return err
	}
	c.bits = append(c.bits, bits)
	for kind, all := range map[int]*[]series{unix.SOCK_STREAM: &c.tcp, unix.SOCK_DGRAM: &c.udp} {
		took, err := roundTrips(kind, c.client, c.server, lasting)
		if err != nil {
			return err
		}
		*all = append(*all, took)
	}
	return nil
}

// median of figures, or of a ratio, of each round.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(v))
	return (sorted[(len(v)-1)/2] + sorted[len(v)/2]) / 2
}

// perRound computes a figure of each round.
func perRound[T any](rounds []T, figure func(T) float64) []float64 {
	out := make([]float64, 0, len(rounds))
	for _, r := range rounds {
		out = append(out, figure(r))
	}
	return out
}

func microseconds(p float64) func(series) float64 {
	return func(s series) float64 { return float64(s.percentile(p)) / float64(time.Microsecond) }
}

// cell is the median of a course's figures, and of their ratios to the floor's of the same rounds with the middle half of these.
func cell(format string, of, floor []float64) string {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = of[i] / floor[i]
	}
	sorted := slices.Sorted(slices.Values(ratios))
	return fmt.Sprintf(format+" (%.2f×, %.2f–%.2f)", median(of), median(ratios), sorted[len(sorted)/4], sorted[len(sorted)*3/4])
}

// dataTable is what was measured, in Markdown.
func dataTable(courses []*course) string {
	w := &strings.Builder{}
	w.WriteString("Medians of the rounds; in parentheses the median of the ratios to node to node in the same round, and the middle half of them.\n\n")
	row(w, []string{"", "TCP, Gbit/s", "TCP round trip, p50 µs", "p99 µs", "UDP round trip, p50 µs"})
	row(w, slices.Repeat([]string{"---"}, 5))
	for _, c := range courses {
		line := []string{c.name}
		for _, f := range []struct {
			format string
			of     func(*course) []float64
		}{
			{"%.1f", func(c *course) []float64 { return perRound(c.bits, func(b float64) float64 { return b / 1e9 }) }},
			{"%.1f", func(c *course) []float64 { return perRound(c.tcp, microseconds(50)) }},
			{"%.0f", func(c *course) []float64 { return perRound(c.tcp, microseconds(99)) }},
			{"%.1f", func(c *course) []float64 { return perRound(c.udp, microseconds(50)) }},
		} {
			line = append(line, cell(f.format, f.of(c), f.of(courses[0])))
		}
		row(w, line)
	}
	fmt.Fprintf(w, "\n%d rounds.\n", len(courses[0].bits))
	return w.String()
}
