// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package keyword is the language in which a Shoot owner says what kind of addresses each range should get, instead of
// the addresses: lexer, parser, syntax tree and printer. docs/keywords.md specifies it.
package keyword

import (
	"net/netip"

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
func (v Value) Family() prefix.Family { panic("not written yet") }

// Range is the parsed text of one range.
type Range struct {
	Values []Value
}

// Value of a family, custom included; false if the range has none (nov4 and nov6 are no values).
func (r Range) Value(f prefix.Family) (Value, bool) { panic("not written yet") }

// String prints the canonical text; Parse reads it back to an equal Range.
func (r Range) String() string { panic("not written yet") }

// Ranges are a Shoot's three ranges; a nil one was not given.
type Ranges struct {
	Nodes, Pods, Services *Range
}

// Parse reads the text of one range. The error, if any, is an ErrorList with every mistake of the text.
func Parse(name Name, text string) (Range, error) { panic("not written yet") }
