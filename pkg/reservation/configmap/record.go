// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// record is one line: "-2001:db8::/64" if the prefix is released, "+2001:db8::/64 1790000000 v1/garden/uid/nodes-ipv6/1 public" if
// it was reserved: since when (seconds since 1970), the owner's key, the ID.
type record struct {
	released bool
	reservation.Allocation
}

// encode writes what was removed before what was added: what is added may overlap what was removed.
func encode(removed, added []reservation.Allocation) []string {
	lines := make([]string, 0, len(removed)+len(added))
	for _, a := range removed {
		lines = append(lines, "-"+a.Prefix.String()+"\n")
	}
	for _, a := range added {
		line := "+" + a.Prefix.String() + " " + strconv.FormatInt(a.Since.Unix(), 10) + " " + a.Owner.Key()
		if a.ID != "" {
			line += " " + a.ID
		}
		lines = append(lines, line+"\n")
	}
	return lines
}

func size(lines []string) int {
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	return size
}

func decode(text string) ([]record, error) {
	records := make([]record, 0, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		r, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(records)+1, err)
		}
		records = append(records, r)
	}
	return records, nil
}

func decodeLine(line string) (record, error) {
	text, whole := strings.CutSuffix(line, "\n")
	if !whole || text == "" {
		return record{}, fmt.Errorf("%q is cut off", line)
	}
	fields := strings.Split(text[1:], " ")
	p, err := netip.ParsePrefix(fields[0])
	if err != nil {
		return record{}, err
	}
	r := record{released: text[0] == '-', Allocation: reservation.Allocation{Prefix: p}}
	if r.released && len(fields) == 1 {
		return r, nil
	}
	if text[0] != '+' || len(fields) < 3 || len(fields) > 4 {
		return record{}, fmt.Errorf("%q: want -PREFIX, or +PREFIX SECONDS OWNER [ID]", text)
	}
	seconds, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return record{}, fmt.Errorf("%q: %w", text, err)
	}
	r.Since = time.Unix(seconds, 0).UTC()
	if r.Owner, err = reservation.ParseOwner(fields[2]); err != nil {
		return record{}, err
	}
	if len(fields) == 4 {
		r.ID = fields[3]
	}
	return r, nil
}
