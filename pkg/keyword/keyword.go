// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package keyword is the language in which a Shoot owner says what kind of addresses each range should get, instead of
// the addresses: lexer, parser, syntax tree and printer. docs/keywords.md specifies it.
package keyword

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Name names one of a Shoot's three ranges.
type Name string

// The three ranges of a Shoot.
const (
	Nodes    Name = "nodes"
	Pods     Name = "pods"
	Services Name = "services"
)

// Word is a word of the language in its canonical spelling. A CIDR has no word.
type Word string

// The words of the language.
const (
	V4Private  Word = "v4private"
	V6Global   Word = "v6global"
	V6Private  Word = "v6private"
	Custom     Word = "custom"
	NoV4       Word = "nov4"
	NoV6       Word = "nov6"
	V4FromNode Word = "v4fromNode"
	V6FromNode Word = "v6fromNode"
)

// Value is one element of a tuple. Either Word or CIDR is set.
type Value struct {
	Word Word
	CIDR netip.Prefix
	// Size is the prefix length written behind the word, 0 if none was written.
	Size int
	// NodePrefix is the length behind +prefix, 0 if the modifier is absent.
	NodePrefix int
}

// Family of the value; 0 for custom, which stands for both.
func (v Value) Family() prefix.Family {
	if v.CIDR.IsValid() {
		return prefix.FamilyOf(v.CIDR.Addr())
	}
	d, _ := define(v.Word)
	return d.family
}

// String prints the canonical text of the value.
func (v Value) String() string {
	var b strings.Builder
	if v.CIDR.IsValid() {
		b.WriteString(v.CIDR.String())
	} else {
		b.WriteString(string(v.Word))
		if v.Size != 0 {
			b.WriteString("/" + strconv.Itoa(v.Size))
		}
	}
	if v.NodePrefix != 0 {
		b.WriteString("+" + modifierPrefix + "/" + strconv.Itoa(v.NodePrefix))
	}
	return b.String()
}

// Range is the parsed text of one range.
type Range struct {
	Values []Value
}

// Value of a family, custom included; false if the range has none (nov4 and nov6 are no values).
func (r Range) Value(f prefix.Family) (Value, bool) {
	var custom Value
	for _, v := range r.Values {
		switch {
		case v.None() && v.Family() == f:
			return Value{}, false
		case v.None():
		case v.Family() == f:
			return v, true
		case v.Word == Custom:
			custom = v
		}
	}
	return custom, custom.Word == Custom
}

// Families that the range has a value for, in the order of the text. custom has both, IPv6 first, but for the one that
// nov4 or nov6 takes away.
func (r Range) Families() []prefix.Family {
	var fs []prefix.Family
	for _, v := range r.Values {
		switch {
		case v.None():
		case v.Word == Custom:
			for _, f := range []prefix.Family{prefix.IPv6, prefix.IPv4} {
				if _, ok := r.Value(f); ok {
					fs = append(fs, f)
				}
			}
		default:
			fs = append(fs, v.Family())
		}
	}
	return fs
}

// String prints the canonical text; Parse reads it back to an equal Range.
func (r Range) String() string {
	texts := make([]string, 0, len(r.Values))
	for _, v := range r.Values {
		texts = append(texts, v.String())
	}
	return strings.Join(texts, ",")
}

// Ranges are a Shoot's three ranges; a nil one was not given.
type Ranges struct {
	Nodes, Pods, Services *Range
}

// Get is the range of the name; nil if it was not given.
func (rs Ranges) Get(n Name) *Range {
	switch n {
	case Nodes:
		return rs.Nodes
	case Pods:
		return rs.Pods
	case Services:
		return rs.Services
	}
	return nil
}

// With is rs with one range replaced.
func (rs Ranges) With(n Name, r *Range) Ranges {
	switch n {
	case Nodes:
		rs.Nodes = r
	case Pods:
		rs.Pods = r
	case Services:
		rs.Services = r
	}
	return rs
}

// ParseRanges parses the ranges that were given. The error, if any, is an ErrorList with every mistake of every range; ranges
// without a mistake are returned beside it.
func ParseRanges(nodes, pods, services *string) (Ranges, error) {
	var (
		rs   Ranges
		errs ErrorList
	)
	texts := map[Name]*string{Nodes: nodes, Pods: pods, Services: services}
	for _, n := range Names() {
		if texts[n] == nil {
			continue
		}
		r, es := parse(n, *texts[n])
		if len(es) > 0 {
			errs = append(errs, es...)
			continue
		}
		rs = rs.With(n, &r)
	}
	return rs, errs.OrNil()
}
