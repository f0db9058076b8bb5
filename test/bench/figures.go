// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// series are durations in no order.
type series []time.Duration

// percentile by nearest rank: a duration that was measured, never one between two.
func (s series) percentile(p float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}

// figures is the cell of one series: p50 and p99.
func (s series) figures() string {
	return milliseconds(s.percentile(50)) + " / " + milliseconds(s.percentile(99))
}

func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// ratio is s as a multiple of other, of p50 and p99.
func (s series) ratio(other series) string {
	return multiple(s.percentile(50), other.percentile(50)) + " / " + multiple(s.percentile(99), other.percentile(99))
}

func multiple(a, b time.Duration) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2g×", float64(a)/float64(b))
}

// machine is what of this machine matters to the figures.
func machine(dir string) string {
	return fmt.Sprintf("%d cores, Linux %s, host-local's addresses on %s and ipv6-cni's in memory, load average %s at the beginning.", runtime.NumCPU(), kernel(), fileSystem(dir), load())
}

// table is what was measured, in Markdown. The first plugin is compared with each of the others.
func table(atOnce int, plugins []*plugin) string {
	w := &strings.Builder{}
	fmt.Fprintf(w, "Milliseconds, p50 / p99; in parentheses %s's time as a multiple of it.\n\n", plugins[0].name)
	head := []string{"", plugins[0].name}
	for _, p := range plugins[1:] {
		head = append(head, p.name)
	}
	row(w, head)
	row(w, slices.Repeat([]string{"---"}, len(head)))
	for _, line := range []struct {
		name string
		of   func(p *plugin) series
	}{
		{"ADD, alone", func(p *plugin) series { return p.alone.add }},
		{"DEL, alone", func(p *plugin) series { return p.alone.del }},
		{fmt.Sprintf("ADD, %d at once", atOnce), func(p *plugin) series { return p.atOnce.add }},
		{fmt.Sprintf("DEL, %d at once", atOnce), func(p *plugin) series { return p.atOnce.del }},
		{fmt.Sprintf("until the last of %d ADD is done", atOnce), func(p *plugin) series { return p.atOnce.allAdd }},
		{fmt.Sprintf("until the last of %d DEL is done", atOnce), func(p *plugin) series { return p.atOnce.allDel }},
	} {
		own := line.of(plugins[0])
		if len(own) == 0 {
			continue // not asked for
		}
		cells := []string{line.name, own.figures()}
		for _, p := range plugins[1:] {
			cells = append(cells, fmt.Sprintf("%s (%s)", line.of(p).figures(), own.ratio(line.of(p))))
		}
		row(w, cells)
	}
	var counts []string
	for _, p := range plugins {
		counts = append(counts, fmt.Sprintf("%s %d alone and %d at once", p.name, len(p.alone.add), len(p.atOnce.add)))
	}
	fmt.Fprintf(w, "\nCalls measured: %s.\n", strings.Join(counts, "; "))
	return w.String()
}

func row(w *strings.Builder, cells []string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	version, _, _ := bytes.Cut(bytes.TrimSpace(release), []byte("-"))
	return string(version)
}

// load is the load average of the last minute: whatever else the machine does is in the figures.
func load() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(averages), " ")
	return minute
}

// fileSystem matters because the agent's addresses are synced to disk.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "an unknown file system"
	}
	if name, ok := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.TMPFS_MAGIC: "tmpfs", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}[s.Type]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", s.Type)
}
