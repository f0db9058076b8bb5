// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword

import (
	"strings"
	"unicode"
)

// Error is one mistake in the text of one range.
type Error struct {
	// Range that the text is for.
	Range Name
	// Text is what was parsed, as the user wrote it, or the canonical text if the mistake was found later.
	Text string
	// Pos and End are byte offsets of the part of Text that is meant. Both 0: the whole range.
	Pos, End int
	// Rule is a stable identifier of the rule that is broken.
	Rule string
	// Msg says what is wrong.
	Msg string
	// Suggestion says what would be right, "" if nobody can know.
	Suggestion string
}

// Message is what is wrong and what would be right, in one line.
func (e Error) Message() string {
	if e.Suggestion == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Suggestion
}

// Caret is the text with a mark under the part that is meant, each line behind the indent; "" if no part is meant.
func (e Error) Caret(indent string) string {
	if e.Text == "" || e.Pos < 0 || e.Pos > len(e.Text) || e.End < e.Pos || e.End > len(e.Text) || e.Pos == 0 && e.End == 0 {
		return ""
	}
	var text, mark strings.Builder
	for i, r := range e.Text {
		switch {
		case i >= e.Pos && i < e.End:
			mark.WriteByte('^')
		case i < e.Pos && r == '\t':
			mark.WriteByte('\t')
		case i < e.Pos:
			mark.WriteByte(' ')
		}
		if r != '\t' && !unicode.IsPrint(r) {
			r = '\uFFFD' // one rune, so that the mark stays where it belongs
		}
		text.WriteRune(r)
	}
	if e.End == e.Pos {
		mark.WriteByte('^')
	}
	return indent + text.String() + "\n" + indent + mark.String()
}

// Error is the range, the message and, where the place is known, the text with the place marked.
func (e Error) Error() string {
	s := e.Message()
	if e.Range != "" {
		s = string(e.Range) + ": " + s
	}
	if c := e.Caret("    "); c != "" {
		s += "\n" + c
	}
	return s
}

// ErrorList is every mistake that was found, in the order of the text.
type ErrorList []Error

// Error is one paragraph a mistake.
func (l ErrorList) Error() string {
	lines := make([]string, 0, len(l))
	for _, e := range l {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Error.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, 0, len(l))
	for _, e := range l {
		errs = append(errs, e)
	}
	return errs
}

// OrNil is the list as an error, nil if it is empty.
func (l ErrorList) OrNil() error {
	if len(l) == 0 {
		return nil
	}
	return l
}
