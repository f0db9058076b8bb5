// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// document is what matters of a Markdown file.
type document struct {
	links   []link
	anchors map[string]bool
}

type link struct {
	line   int
	target string
}

var (
	fence     = regexp.MustCompile("^ {0,3}(```+|~~~+)")
	heading   = regexp.MustCompile(`^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$`)
	inline    = regexp.MustCompile(`\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)`)
	reference = regexp.MustCompile(`^ {0,3}\[[^\]]+\]:\s*<?([^\s<>]+)>?`)
	attribute = regexp.MustCompile(`(?i)<(?:a|img|source)\b[^>]*?\b(?:href|src)\s*=\s*["']([^"']+)["']`)
	identity  = regexp.MustCompile(`(?i)<[a-z][a-z0-9]*\b[^>]*?\b(?:id|name)\s*=\s*["']([^"']+)["']`)
	code      = regexp.MustCompile("``[^`]*``|`[^`]*`")
	linkText  = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	tag       = regexp.MustCompile(`<[^>]+>`)
)

// parse finds links and anchors outside of code.
func parse(text string) document {
	d := document{anchors: map[string]bool{}}
	seen := map[string]int{}
	fenced := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if m := fence.FindStringSubmatch(line); m != nil {
			switch {
			case fenced == "":
				fenced = m[1]
			case m[1][0] == fenced[0] && len(m[1]) >= len(fenced):
				fenced = ""
			}
			continue
		}
		if fenced != "" {
			continue
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			d.anchors[unique(seen, slug(m[1]))] = true
		}
		for _, m := range identity.FindAllStringSubmatch(line, -1) {
			d.anchors[m[1]] = true
		}
		// Blanks keep code from being read as a link, and what is around it from growing together.
		prose := code.ReplaceAllString(line, " ")
		for _, re := range []*regexp.Regexp{inline, reference, attribute} {
			for _, m := range re.FindAllStringSubmatch(prose, -1) {
				d.links = append(d.links, link{line: i + 1, target: m[1]})
			}
		}
	}
	return d
}

// slug is the anchor that GitHub gives a heading: letters, digits, hyphens and underscores of the text as it is read, in lower case,
// blanks as hyphens.
func slug(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	title = tag.ReplaceAllString(strings.ReplaceAll(title, "`", ""), "")
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(title)) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

// unique numbers a heading that was there before.
func unique(seen map[string]int, s string) string {
	n := seen[s]
	seen[s]++
	if n == 0 {
		return s
	}
	return fmt.Sprintf("%s-%d", s, n)
}
