// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Parse reads the text of one range. The error, if any, is an ErrorList with every mistake of the text.
func Parse(name Name, text string) (Range, error) {
	r, errs := parse(name, text)
	if len(errs) > 0 {
		return Range{}, errs
	}
	return r, nil
}

// maxText is the length in bytes of the longest text that is looked at. Every mistake repeats the text, so without a bound a text
// of nothing but mistakes would cost the square of its length.
const maxText = 512

// parser collects values and mistakes of one text.
type parser struct {
	name Name
	text string
	errs ErrorList
}

// parsed is a value, the place where it stands, and whether it is without a mistake.
type parsed struct {
	Value
	pos, end int
	ok       bool
}

func parse(name Name, text string) (Range, ErrorList) {
	p := &parser{name: name, text: text}
	if !slices.Contains(Names(), name) {
		p.fail(0, len(text), "range-name", fmt.Sprintf("there is no range %q", name), "the ranges are nodes, pods and services")
		return Range{}, p.errs
	}
	if len(text) > maxText {
		return Range{}, ErrorList{{Range: name, Rule: "too-long", Msg: fmt.Sprintf("the text is %d bytes long, more than %d", len(text), maxText),
			Suggestion: "write for example " + example(name)}}
	}
	if strings.Trim(text, blanks) == "" {
		p.fail(0, len(text), "empty", "the range is empty", "leave it out, or write for example "+example(name))
		return Range{}, p.errs
	}
	var values []parsed
	start := 0
	tokens := lex(text)
	for i := 0; i <= len(tokens); i++ {
		if i < len(tokens) && tokens[i].kind != comma && !p.missingComma(tokens, i) {
			continue
		}
		pos, end := 0, len(text)
		if start > 0 {
			pos = tokens[start-1].end
		}
		if i < len(tokens) {
			end = tokens[i].pos
		}
		values = append(values, p.value(trim(tokens[start:i]), pos, end))
		start = i + 1
	}
	p.tuple(values)
	slices.SortStableFunc(p.errs, func(a, b Error) int { return a.Pos - b.Pos })
	var r Range
	for _, v := range values {
		r.Values = append(r.Values, v.Value)
	}
	return r, p.errs
}

func trim(ts []token) []token {
	for len(ts) > 0 && ts[0].kind == blank {
		ts = ts[1:]
	}
	for len(ts) > 0 && ts[len(ts)-1].kind == blank {
		ts = ts[:len(ts)-1]
	}
	return ts
}

// fail reports a mistake. Where nothing stands between pos and end, the mark goes under the next character.
func (p *parser) fail(pos, end int, rule, msg, suggestion string) {
	if end <= pos {
		end = min(pos+1, len(p.text))
	}
	p.errs = append(p.errs, Error{Range: p.name, Text: p.text, Pos: pos, End: end, Rule: rule, Msg: msg, Suggestion: suggestion})
}

// value parses what stands between two commas. pos and end are the place if there is nothing.
func (p *parser) value(ts []token, pos, end int) parsed {
	if len(ts) == 0 {
		p.fail(pos, end, "missing-value", "a value is missing beside the comma", "write one value for each family, or no comma")
		return parsed{pos: pos, end: end}
	}
	before := len(p.errs)
	v := parsed{pos: ts[0].pos, end: ts[len(ts)-1].end}
	ts = p.refuseBlanks(ts)

	head, rest := ts, []token(nil)
	if i := slices.IndexFunc(ts, func(t token) bool { return t.kind == plus }); i >= 0 {
		head, rest = ts[:i], ts[i:]
	}
	p.head(&v.Value, head, v.pos)
	headOK := len(p.errs) == before
	for len(rest) > 0 {
		next := slices.IndexFunc(rest[1:], func(t token) bool { return t.kind == plus }) + 1
		if next == 0 {
			next = len(rest)
		}
		p.modifier(&v.Value, rest[:next], headOK)
		rest = rest[next:]
	}
	v.ok = len(p.errs) == before
	return v
}

// missingComma tells, and reports, that token i is a blank where a comma should be: with a word, an address or a size on either
// side. The text is then read as if the comma were there, so that the rest is looked at too.
func (p *parser) missingComma(ts []token, i int) bool {
	if ts[i].kind != blank || i == 0 || i+1 == len(ts) || ts[i-1].kind != atom || ts[i+1].kind != atom {
		return false
	}
	whole := strings.Trim(p.text[:ts[i].pos]+","+p.text[ts[i].end:], blanks)
	p.fail(ts[i].pos, ts[i].end, "missing-comma", "a comma is missing between two values", "write "+strconv.Quote(whole))
	return true
}

// refuseBlanks reports blanks inside a value and drops them, so that the rest is still looked at.
func (p *parser) refuseBlanks(ts []token) []token {
	var out []token
	for _, t := range ts {
		if t.kind == blank {
			p.fail(t.pos, t.end, "blank", "no blank is allowed inside a value", "blanks may stand around the comma and at both ends")
			continue
		}
		out = append(out, t)
	}
	return out
}

// head parses "word", "word/size" or "address/size".
func (p *parser) head(v *Value, ts []token, pos int) {
	if len(ts) == 0 || ts[0].kind != atom {
		end := pos
		if len(ts) > 0 {
			end = ts[0].end
		}
		p.fail(pos, end, "missing-word", "a word or a CIDR is missing here", "write for example "+example(p.name))
		return
	}
	first := ts[0]
	if looksLikeAddress(first.text) {
		p.cidr(v, ts)
		return
	}
	d, ok := lookup(first.text)
	if !ok {
		p.unknownWord(first)
		return
	}
	v.Word = d.word
	if !d.allowedIn(p.name) {
		p.fail(first.pos, first.end, "range-not-allowed", fmt.Sprintf("%s belongs to %s only", d.word, joinNames(d.ranges)),
			"write for example "+example(p.name))
	}
	if size, ok := p.size(ts[1:], first.end, "/"); ok {
		p.wordSize(v, d, size)
	}
}

func (p *parser) unknownWord(t token) {
	msg := fmt.Sprintf("unknown word %q", t.text)
	near, distance := nearestWord(p.name, t.text)
	if distance > len(t.text)/2 {
		msg += fmt.Sprintf(" (%s knows %s and CIDRs)", p.name, strings.Join(wordsOf(p.name), ", "))
	}
	p.fail(t.pos, t.end, "unknown-word", msg, fmt.Sprintf("did you mean %q?", near))
}

// wordSize checks the size behind a word against the word's bounds.
func (p *parser) wordSize(v *Value, d definition, s size) {
	switch {
	case d.max == 0 && d.word == V4Private:
		p.fail(s.slash, s.end, "size-not-allowed", "v4private takes no size: the range is always "+v4Private[p.name].String(),
			"write v4private, or a CIDR of your own")
	case d.max == 0:
		p.fail(s.slash, s.end, "size-not-allowed", fmt.Sprintf("%s takes no size", d.word), fmt.Sprintf("write %s", d.word))
	case s.n < d.min || s.n > d.max:
		p.fail(s.pos, s.end, "size-bounds", fmt.Sprintf("the size of %s lies between /%d and /%d, not /%d", d.word, d.min, d.max, s.n), "")
	default:
		v.Size = s.n
	}
}

// modifier parses "+prefix/size".
func (p *parser) modifier(v *Value, ts []token, headOK bool) {
	start := ts[0]
	if len(ts) == 1 || ts[1].kind != atom {
		p.fail(start.pos, start.end, "missing-modifier", "a modifier is missing behind +", "write +prefix/96, say")
		return
	}
	name := ts[1]
	if name.text != modifierPrefix && name.text != modifierNodeCIDR {
		p.fail(name.pos, name.end, "unknown-modifier", fmt.Sprintf("unknown modifier %q", name.text), `did you mean "prefix"?`)
		return
	}
	end := ts[len(ts)-1].end
	if p.name != Nodes {
		p.fail(start.pos, end, "prefix-not-allowed", "+prefix belongs to a value of nodes, not of "+string(p.name), "")
		return
	}
	s, ok := p.size(ts[2:], name.end, "+prefix/")
	switch {
	case !ok && len(ts) == 2:
		p.fail(start.pos, end, "missing-size", "+prefix needs a size", "write +prefix/96, say")
	case !ok:
	case v.NodePrefix != 0:
		p.fail(start.pos, end, "prefix-twice", "+prefix is given twice", "")
	case headOK:
		p.nodePrefix(v, start, s)
	}
}

// nodePrefix checks the size of +prefix against the range that the prefixes are cut from.
func (p *parser) nodePrefix(v *Value, start token, s size) {
	d, _ := define(v.Word)
	if v.Word != "" && !d.nodePrefix {
		p.fail(start.pos, s.end, "prefix-not-allowed", fmt.Sprintf("%s takes no +prefix", v.Word), "")
		return
	}
	least, most := max(v.Effective(Nodes), 1), maxNodePrefixIPv6
	if v.Family() == prefix.IPv4 {
		most = maxNodePrefixIPv4
	}
	switch {
	case least > most:
		p.fail(start.pos, s.end, "prefix-bounds", fmt.Sprintf("a range of /%d is too small for +prefix, which is at most /%d", least, most), "")
	case s.n < least || s.n > most:
		of := "its range's size /" + strconv.Itoa(least)
		if v.Word == Custom {
			of = "/1"
		}
		p.fail(s.pos, s.end, "prefix-bounds", fmt.Sprintf("the size of +prefix lies between %s and /%d, not /%d", of, most, s.n), "")
	default:
		v.NodePrefix = s.n
	}
}

// size is a number behind a slash, and the place of both.
type size struct{ n, slash, pos, end int }

// size parses "/number"; false if there is none, or if it was reported.
func (p *parser) size(ts []token, at int, what string) (size, bool) {
	if len(ts) == 0 || ts[0].kind != slash {
		return size{}, false
	}
	if len(ts) == 1 || ts[1].kind != atom {
		p.fail(ts[0].pos, ts[0].end, "missing-size", "a size is missing behind /", "write "+what+"64, say")
		return size{}, false
	}
	t := ts[1]
	if len(ts) > 2 {
		if ts[2].kind == slash {
			p.fail(ts[2].pos, ts[len(ts)-1].end, "second-size", "only one size is allowed", "")
		}
		return size{}, false
	}
	n, ok := p.number(t)
	return size{n: n, slash: at, pos: t.pos, end: t.end}, ok
}

// number parses a decimal without sign and leading zero, at most 128.
func (p *parser) number(t token) (int, bool) {
	digits := t.text != "" && strings.Trim(t.text, "0123456789") == ""
	switch {
	case !digits:
		p.fail(t.pos, t.end, "size", fmt.Sprintf("%q is no size", t.text), "a size is a decimal number without a sign")
		return 0, false
	case len(t.text) > 1 && t.text[0] == '0':
		suggestion := ""
		if short := strings.TrimLeft(t.text, "0"); short != "" {
			suggestion = "write " + short
		}
		p.fail(t.pos, t.end, "leading-zero", "a size has no leading zero", suggestion)
		return 0, false
	}
	n, err := strconv.Atoi(t.text)
	if err != nil || n > 128 {
		p.fail(t.pos, t.end, "size", "a size is at most 128, the number of bits of an IPv6 address", "")
		return 0, false
	}
	return n, true
}

func example(n Name) string {
	switch n {
	case Pods:
		return "v6fromNode"
	case Services:
		return "v6global/64"
	default:
		return "v6global/64+prefix/96"
	}
}

func joinNames(ns []Name) string {
	texts := make([]string, 0, len(ns))
	for _, n := range ns {
		texts = append(texts, string(n))
	}
	return strings.Join(texts, ", ")
}
