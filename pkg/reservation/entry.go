// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"time"
	"unique"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// entry of a Ledger.
type entry = prefix.Item[holding]

// holding is who holds a prefix, in 32 bytes: a seed may have a hundred thousand of them.
type holding struct {
	// uid of the shoot if it is a UUID, as those of real shoots are.
	uid   [16]byte
	since int64 // seconds since 1970
	kind  unique.Handle[kind]
}

// kind is what many entries have in common, and so is in memory once.
type kind struct {
	garden, rng, id string
	attempt         int
	// shoot is the UID of a shoot if it is no UUID.
	shoot string
}

func hold(a Allocation) holding {
	h := holding{since: a.Since.Unix()}
	k := kind{garden: a.Owner.GardenID, rng: a.Owner.Range, attempt: a.Owner.Attempt, id: a.ID}
	if uid, ok := parseUUID(a.Owner.ShootUID); ok {
		h.uid = uid
	} else {
		k.shoot = a.Owner.ShootUID
	}
	h.kind = unique.Make(k)
	return h
}

func (h holding) owner() Owner {
	k := h.kind.Value()
	o := Owner{GardenID: k.garden, ShootUID: k.shoot, Range: k.rng, Attempt: k.attempt}
	if h.uid != [16]byte{} {
		o.ShootUID = formatUUID(h.uid)
	}
	return o
}

func allocation(e *entry) Allocation {
	return Allocation{Owner: e.Value.owner(), ID: e.Value.kind.Value().id, Prefix: e.Prefix(), Since: time.Unix(e.Value.since, 0).UTC()}
}

var seed = maphash.MakeSeed()

// hash is the same for all that one shoot holds.
func (h holding) hash() uint64 {
	if h.uid != [16]byte{} {
		return maphash.Bytes(seed, h.uid[:])
	}
	return maphash.String(seed, h.kind.Value().shoot)
}

// parseUUID reads a UUID in the form in which API servers write it, so that formatUUID gives the same text. The nil UUID counts
// as none.
func parseUUID(text string) (uid [16]byte, ok bool) {
	if len(text) != 36 {
		return uid, false
	}
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	if _, err := hex.Decode(uid[:], []byte(digits)); err != nil {
		return uid, false
	}
	return uid, uid != [16]byte{} && formatUUID(uid) == text
}

func formatUUID(uid [16]byte) string {
	var text [36]byte
	at := 0
	for i, part := range [][]byte{uid[:4], uid[4:6], uid[6:8], uid[8:10], uid[10:]} {
		if i > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], part)
	}
	return string(text[:])
}

// shelf is an index of a ledger's entries by shoot: a tree over a hash, two bits of it a level. Like the ledger's other tree it is
// never changed, but made anew along the way to a change. Nil is an empty one.
type shelf struct {
	entries []*entry
	// below, if there is anything: then this shelf has no entries itself.
	below *[4]*shelf
}

// shelfSize is the number of entries on a shelf before it gets shelves below.
const shelfSize = 12

const hashBits = 64

// newShelf makes the index of many entries at once.
func newShelf(entries []*entry) *shelf {
	hashed := make([]hashedEntry, len(entries))
	for i, e := range entries {
		hashed[i] = hashedEntry{e, e.Value.hash()}
	}
	return buildShelf(hashed, 0)
}

type hashedEntry struct {
	*entry
	hash uint64
}

func buildShelf(hashed []hashedEntry, depth int) *shelf {
	if len(hashed) == 0 {
		return nil
	}
	if len(hashed) <= shelfSize || depth == hashBits {
		entries := make([]*entry, len(hashed))
		for i, h := range hashed {
			entries[i] = h.entry
		}
		return &shelf{entries: entries}
	}
	slices.SortFunc(hashed, func(a, b hashedEntry) int { return cmp.Compare(a.hash>>depth&3, b.hash>>depth&3) })
	var below [4]*shelf
	for at := range below {
		end := slices.IndexFunc(hashed, func(h hashedEntry) bool { return h.hash>>depth&3 > uint64(at) }) //nolint:gosec // 0 to 3
		if end < 0 {
			end = len(hashed)
		}
		below[at], hashed = buildShelf(hashed[:end], depth+2), hashed[end:]
	}
	return &shelf{below: &below}
}

func (s *shelf) with(e *entry, hash uint64, depth int) *shelf {
	switch {
	case s == nil:
		return &shelf{entries: []*entry{e}}
	case s.below != nil:
		below := *s.below
		at := hash >> depth & 3
		below[at] = below[at].with(e, hash, depth+2)
		return &shelf{below: &below}
	case len(s.entries) < shelfSize || depth == hashBits:
		entries := make([]*entry, len(s.entries)+1)
		entries[copy(entries, s.entries)] = e
		return &shelf{entries: entries}
	}
	split := &shelf{below: &[4]*shelf{}}
	for _, other := range s.entries {
		split = split.with(other, other.Value.hash(), depth)
	}
	return split.with(e, hash, depth)
}

func (s *shelf) without(e *entry, hash uint64, depth int) *shelf {
	if s == nil {
		return nil
	}
	if s.below == nil {
		at := slices.Index(s.entries, e)
		switch {
		case at < 0:
			return s
		case len(s.entries) == 1:
			return nil
		}
		rest := make([]*entry, len(s.entries)-1)
		copy(rest[copy(rest, s.entries[:at]):], s.entries[at+1:])
		return &shelf{entries: rest}
	}
	below := *s.below
	at := hash >> depth & 3
	below[at] = below[at].without(e, hash, depth+2)
	if below == [4]*shelf{} {
		return nil
	}
	return &shelf{below: &below}
}

// of returns the entries with this hash, and perhaps others.
func (s *shelf) of(hash uint64) []*entry {
	for s != nil && s.below != nil {
		s, hash = s.below[hash&3], hash>>2
	}
	if s == nil {
		return nil
	}
	return s.entries
}
