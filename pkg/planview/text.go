// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package planview

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
)

// row is a line of the tree: what it is, and what there is to say about it, in columns.
type row struct{ left, middle, right string }

// Text writes the view as an aligned tree.
func Text(w io.Writer, v View) error {
	var rows []row
	for i, r := range v.Ranges {
		if i > 0 {
			rows = append(rows, row{})
		}
		asked := r.Asked
		if asked == "" {
			asked = "(not given)"
		}
		rows = append(rows, row{left: r.Name, middle: asked})
		for j, f := range r.Families {
			rows = append(rows, familyRows(r.Name, f, j == len(r.Families)-1)...)
		}
	}
	rows = append(rows, row{}, row{left: "ipFamilies", middle: strings.Join(v.IPFamilies, ", ")})
	if v.NodeCIDRMaskSizeIPv6 != 0 {
		rows = append(rows, row{left: "node mask IPv6", middle: "/" + strconv.Itoa(v.NodeCIDRMaskSizeIPv6)})
	}
	if err := writeRows(w, append(rows, v.Network.rows()...)); err != nil {
		return err
	}
	for i, warning := range v.Warnings {
		if i == 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w, "Warning: %s: %s\n", warning.Range, warning.Message); err != nil {
			return err
		}
	}
	return nil
}

func familyRows(name string, f Family, last bool) []row {
	branch, trunk := "├─ ", "│  "
	if last {
		branch, trunk = "└─ ", "   "
	}
	rows := []row{{left: branch + f.Family, middle: source(f), right: publication(name, f)}}
	p := f.PerNode
	rows = append(rows, ipamRows(trunk, p == nil, f.IPAM)...)
	if p == nil {
		return rows
	}
	what := "/" + strconv.Itoa(p.PrefixBits)
	if p.PodBits == p.PrefixBits {
		return append(rows, row{left: trunk + "└─ each node", middle: what + ", all of it for pods", right: join(count(p.NodesLog2, "node", ""), count(p.PodsLog2, "pod", " each"))})
	}
	if p.Custom {
		what += ", brought by others"
	}
	rows = append(rows, row{left: trunk + "└─ each node", middle: what, right: count(p.NodesLog2, "node", "")})
	if p.PodBits != 0 {
		rows = append(rows, row{left: trunk + "   └─ its pods", middle: child(p), right: count(p.PodsLog2, "pod", " each")})
	}
	return rows
}

func source(f Family) string {
	switch f.Source {
	case Fixed:
		return "fixed"
	case Nodes:
		return "part of each node's own prefix"
	case Reserved:
		if f.Scope == string(plan.Private) {
			return fmt.Sprintf("draw a private /%d", f.ReservedBits)
		}
		return fmt.Sprintf("reserve a global /%d or larger", f.ReservedBits)
	default:
		return "brought by others"
	}
}

func publication(name string, f Family) string {
	switch {
	case f.Published != "":
		return "publish " + f.Published
	case f.Source == Nodes:
		return "publish the nodes range"
	case f.PublishedBits != 0 && f.PublishedBits == f.ReservedBits && f.Scope == string(plan.Private):
		return "publish it"
	case f.PublishedBits != 0:
		return fmt.Sprintf("publish its first /%d", f.PublishedBits)
	case name == "nodes":
		return "publish what the infrastructure reports, if it does"
	default:
		return "publish what the infrastructure reports"
	}
}

func child(p *PerNode) string {
	if p.PodChild < 0 {
		return fmt.Sprintf("the highest /%d without the node's address", p.PodBits)
	}
	return fmt.Sprintf("child %x of its /%ds", p.PodChild, p.PodBits)
}

// count says 2^log2 of something, "" if it is not known.
func count(log2 *int, what, suffix string) string {
	if log2 == nil {
		return ""
	}
	if *log2 != 0 {
		what += "s"
	}
	return power(*log2) + " " + what + suffix
}

// power prints 2^n: as digits while they are few.
func power(n int) string {
	if n > 40 {
		return "2^" + strconv.Itoa(n)
	}
	digits := strconv.FormatUint(1<<n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func join(texts ...string) string {
	var some []string
	for _, t := range texts {
		if t != "" {
			some = append(some, t)
		}
	}
	return strings.Join(some, ", ")
}

func writeRows(w io.Writer, rows []row) error {
	var left, middle int
	for _, r := range rows {
		left = max(left, utf8.RuneCountInString(r.left))
		if r.right != "" {
			middle = max(middle, utf8.RuneCountInString(r.middle))
		}
	}
	for _, r := range rows {
		line := pad(r.left, left) + "  " + r.middle
		if r.right != "" {
			line = pad(r.left, left) + "  " + pad(r.middle, middle) + "  " + r.right
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}
