// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword

import "strings"

// wordsOf are the canonical words that are allowed in the range.
func wordsOf(n Name) []string {
	var words []string
	for _, d := range definitions {
		if d.allowedIn(n) {
			words = append(words, string(d.word))
		}
	}
	return words
}

// nearestWord is the word, allowed in the range, that takes the fewest edits to get to from text, and how many. Case counts for
// nothing: it is the most frequent mistake.
func nearestWord(n Name, text string) (Word, int) {
	var (
		best     Word
		distance = -1
	)
	consider := func(spelling string, w Word) {
		if d := edits(strings.ToLower(text), strings.ToLower(spelling)); distance < 0 || d < distance {
			best, distance = w, d
		}
	}
	for _, d := range definitions {
		if !d.allowedIn(n) {
			continue
		}
		consider(string(d.word), d.word)
		for alias, w := range aliases {
			if w == d.word {
				consider(alias, w)
			}
		}
	}
	return best, distance
}

// edits counts the insertions, deletions, replacements and swaps of neighbours that make b out of a (optimal string alignment).
func edits(a, b string) int {
	const limit = 64 // no word is nearly as long; a text of a megabyte must not cost a minute
	ra, rb := []rune(a), []rune(b)
	if len(ra) > limit {
		return len(ra)
	}
	rows := make([][]int, len(ra)+1)
	for i := range rows {
		rows[i] = make([]int, len(rb)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(ra); i++ {
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(ra)][len(rb)]
}
