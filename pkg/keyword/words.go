// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword

import (
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// definition is a row of the table of words in docs/keywords.md.
type definition struct {
	word   Word
	family prefix.Family
	// ranges that the word is allowed in; nil: all.
	ranges []Name
	// min and max length; both 0: no size may be written.
	min, max int
	// nodePrefix tells whether +prefix may follow.
	nodePrefix bool
	// sizes are the default lengths for nodes, pods and services.
	sizes [3]int
}

// definitions are in the order in which they are suggested.
var definitions = []definition{
	{word: V6Global, family: prefix.IPv6, min: 16, max: 120, nodePrefix: true, sizes: [3]int{64, 64, 64}},
	{word: V6Private, family: prefix.IPv6, min: 48, max: 112, nodePrefix: true, sizes: [3]int{64, 48, 112}},
	{word: V6FromNode, family: prefix.IPv6, ranges: []Name{Pods}, min: 1, max: 128},
	{word: V4Private, family: prefix.IPv4, nodePrefix: true, sizes: [3]int{16, 11, 13}},
	{word: V4FromNode, family: prefix.IPv4, ranges: []Name{Pods}, min: 1, max: 32},
	{word: Custom, nodePrefix: true},
	{word: NoV4, family: prefix.IPv4},
	{word: NoV6, family: prefix.IPv6},
}

// aliases are accepted and printed as the canonical word.
var aliases = map[string]Word{"globalIPv6": V6Global}

// The modifier, and its alias.
const (
	modifierPrefix   = "prefix"
	modifierNodeCIDR = "nodeCidr"
)

// Bounds of +prefix.
const (
	maxNodePrefixIPv4 = 30
	maxNodePrefixIPv6 = 120
)

// v4Private are the fixed ranges of the word v4private.
var v4Private = map[Name]netip.Prefix{
	Nodes:    netip.MustParsePrefix("10.250.0.0/16"),
	Pods:     netip.MustParsePrefix("100.96.0.0/11"),
	Services: netip.MustParsePrefix("100.64.0.0/13"),
}

// forbidden ranges can be nobody's nodes, pods or services.
var forbidden = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
}

func define(w Word) (definition, bool) {
	i := slices.IndexFunc(definitions, func(d definition) bool { return d.word == w })
	if i < 0 {
		return definition{}, false
	}
	return definitions[i], true
}

// lookup finds a word by its text, aliases included.
func lookup(text string) (definition, bool) {
	if w, ok := aliases[text]; ok {
		return define(w)
	}
	return define(Word(text))
}

func (d definition) allowedIn(n Name) bool { return d.ranges == nil || slices.Contains(d.ranges, n) }

// Names are the three ranges, in the order in which people read them.
func Names() []Name { return []Name{Nodes, Pods, Services} }

// Forbidden tells which special range p overlaps, in one word ("link-local"), "" if none: those can be nobody's nodes, pods
// or services.
func Forbidden(p netip.Prefix) string {
	for _, f := range forbidden {
		if f.prefix.Overlaps(p) {
			return f.what
		}
	}
	return ""
}

// Effective is the length that the value stands for in the range: the CIDR's, the one written, or the default of the word; 0
// if it has none (custom, nov4, nov6, and the fromNode words without a size).
func (v Value) Effective(n Name) int {
	if v.CIDR.IsValid() {
		return v.CIDR.Bits()
	}
	if v.Size != 0 {
		return v.Size
	}
	d, _ := define(v.Word)
	switch n {
	case Nodes:
		return d.sizes[0]
	case Pods:
		return d.sizes[1]
	case Services:
		return d.sizes[2]
	}
	return 0
}

// Fixed is the prefix that the value names by itself: a CIDR, or what v4private stands for in the range.
func (v Value) Fixed(n Name) (netip.Prefix, bool) {
	if v.CIDR.IsValid() {
		return v.CIDR, true
	}
	if v.Word == V4Private {
		p, ok := v4Private[n]
		return p, ok
	}
	return netip.Prefix{}, false
}

// FromNode tells whether the value is v4fromNode or v6fromNode.
func (v Value) FromNode() bool { return v.Word == V4FromNode || v.Word == V6FromNode }

// None tells whether the value is nov4 or nov6, which name a family that is absent.
func (v Value) None() bool { return v.Word == NoV4 || v.Word == NoV6 }
