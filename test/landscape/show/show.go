// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package show prints what became of the demo's Shoot, for a person.
package show

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Report is what there is to show.
type Report struct {
	Shoot    string
	Scenario string
	Ranges   []Range
	Nodes    []Node
	Pods     []Pod
	Journeys []Journey
	// Tables are the scenario's own.
	Tables []Table
	Checks []Check
	// Hints are lines for a person that wants to look around.
	Hints []string
}

// Range tells what one range asked for and what it got.
type Range struct{ Name, Asked, Reserved, Published string }

// Node is a node with its prefix.
type Node struct{ Name, Address, Prefix, PodCIDR string }

// Pod is a pod with its address.
type Pod struct{ Name, Node, Address string }

// Journey is a packet's way and what was seen at its end.
type Journey struct {
	From, To string
	// How it was sent: ping, curl.
	How string
	// Seen is the caller's address, as the other end saw it.
	Seen string
	// Verdict says what is remarkable about it, for example "no NAT".
	Verdict string
	OK      bool
}

// Table is a table of a scenario's own.
type Table struct {
	Head []string
	Rows [][]string
}

// Check is something that must hold, and what was found.
type Check struct {
	Title, Found string
	OK           bool
}

// Print prints the report.
func Print(w io.Writer, r Report) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

	p("\nShoot %s", r.Shoot)

	if r.Scenario != "" {
		p(", scenario %s", r.Scenario)
	}

	p("\n")

	rows := make([][]string, 0, len(r.Ranges))
	for _, x := range r.Ranges {
		rows = append(rows, []string{x.Name, x.Asked, x.Reserved, x.Published})
	}

	table(w, []string{"range", "asked for", "reserved", "published to Kubernetes"}, rows)

	rows = rows[:0]
	for _, x := range r.Nodes {
		rows = append(rows, []string{x.Name, x.Address, x.Prefix, x.PodCIDR})
	}

	table(w, []string{"node", "address", "its prefix", "its pods' range (podCIDR)"}, rows)

	rows = rows[:0]
	for _, x := range r.Pods {
		rows = append(rows, []string{x.Name, x.Node, x.Address})
	}

	table(w, []string{"pod", "on", "address"}, rows)

	for _, x := range r.Tables {
		table(w, x.Head, x.Rows)
	}

	rows = rows[:0]

	var failures []string

	for _, x := range r.Journeys {
		mark, verdict := "ok", x.Verdict
		if !x.OK {
			mark, verdict = "FAILED", ""

			failures = append(failures, fmt.Sprintf("%s to %s: %s", x.From, x.To, x.Verdict))
		}

		rows = append(rows, []string{x.From, x.To, x.How, x.Seen, verdict, mark})
	}

	table(w, []string{"from", "to", "by", "source address seen", "", ""}, rows)

	rows = rows[:0]

	for _, x := range r.Checks {
		mark, found := "ok", x.Found
		if !x.OK {
			mark, found = "FAILED", ""

			failures = append(failures, x.Title+": "+x.Found)
		}

		rows = append(rows, []string{x.Title, found, mark})
	}

	if len(rows) > 0 {
		table(w, []string{"what holds", "", ""}, rows)
	}

	for _, failure := range failures {
		p("\n  %s\n", failure)
	}

	p("\n")

	for _, hint := range r.Hints {
		p("%s\n", hint)
	}

	p("\n")
}

// table prints aligned columns below a rule.
func table(w io.Writer, head []string, rows [][]string) {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}

	line := func(row []string) {
		var b strings.Builder

		for i, cell := range row {
			b.WriteString("  " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}

		_, _ = fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}

	total := 0
	for _, width := range widths {
		total += width + 2
	}

	_, _ = fmt.Fprintln(w)

	line(head)

	_, _ = fmt.Fprintln(w, "  "+strings.Repeat("─", total-2))

	for _, row := range rows {
		line(row)
	}
}
