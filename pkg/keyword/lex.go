// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword

import "strings"

// kind of a token.
type kind byte

const (
	atom  kind = 'a' // words, sizes and addresses: whatever stands between the others
	blank kind = ' '
	comma kind = ','
	slash kind = '/'
	plus  kind = '+'
)

// token is a part of the text; pos and end are byte offsets.
type token struct {
	kind     kind
	text     string
	pos, end int
}

const blanks = " \t"

// lex cuts the text into tokens. It cannot fail: what is wrong is wrong in a place that the parser knows more about.
func lex(text string) []token {
	var tokens []token
	for pos := 0; pos < len(text); {
		t := token{pos: pos, end: pos + 1}
		switch c := text[pos]; {
		case strings.IndexByte(blanks, c) >= 0:
			t.kind = blank
			t.end = pos + len(text[pos:]) - len(strings.TrimLeft(text[pos:], blanks))
		case c == ',' || c == '/' || c == '+':
			t.kind = kind(c)
		default:
			t.kind = atom
			if n := strings.IndexAny(text[pos:], ",/+"+blanks); n >= 0 {
				t.end = pos + n
			} else {
				t.end = len(text)
			}
		}
		t.text = text[t.pos:t.end]
		tokens = append(tokens, t)
		pos = t.end
	}
	return tokens
}
