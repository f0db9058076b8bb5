// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	// versionKey holds the format. The first one had the whole ledger there, as a list: whoever knows only that one finds no
	// list and refuses to go on, instead of taking the ledger for an empty one.
	versionKey  = "ledger.json"
	versionText = `{"version":2}`
	pagesKey    = "pages"
	changesKey  = "changes"
	// lineageKey names the latest times that the pages were made anew, the last one last.
	lineageKey = "lineage"
	// generations are how many of them are kept. Who has missed more reads all pages.
	generations = 16
)

// page is a ConfigMap that the root names.
type page struct {
	// id is what its name has behind the root's.
	id string
	// records in it: a page that has another number of them is not the one that was written.
	records int
}

// state is a ledger as it was at some time. It is not changed once it is made.
type state struct {
	root *corev1.ConfigMap
	// at is when it was the server's newest.
	at      time.Time
	pages   []page
	lineage []string
	// paged is what the pages say, ledger what the root's changes make of it.
	paged, ledger *reservation.Ledger
}

// decode makes the state of a root. Pages that the last state was made of are not read again.
func (s *Store) decode(ctx context.Context, root *corev1.ConfigMap, last *state) (*state, error) {
	now := &state{root: root, paged: &reservation.Ledger{}, lineage: strings.Fields(root.Data[lineageKey])}
	text := root.Data[versionKey]
	var err error
	switch {
	case text == "" && root.Data[pagesKey] == "" && root.Data[changesKey] == "":
		now.ledger = &reservation.Ledger{}
		return now, nil
	case strings.HasPrefix(text, "[") || text == "null":
		now.ledger, err = decodeList(text)
		return now, err
	}
	var format struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal([]byte(text), &format); err != nil {
		return nil, fmt.Errorf("%s: %w", versionKey, err)
	}
	if format.Version != 2 {
		return nil, fmt.Errorf("its format is version %d, and this program knows 1 and 2", format.Version)
	}
	if now.pages, err = decodePages(root.Data[pagesKey]); err != nil {
		return nil, err
	}
	if now.paged, err = s.readPages(ctx, now, last); err != nil {
		return nil, err
	}
	now.ledger = now.paged.Clone()
	changes, err := decode(root.Data[changesKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", changesKey, err)
	}
	for _, r := range changes {
		if err := now.change(r); err != nil {
			return nil, fmt.Errorf("%s: %w", changesKey, err)
		}
	}
	return now, nil
}

func (s *state) change(r record) error {
	if !r.released {
		return s.ledger.Add(r.Allocation)
	}
	if !strike(s.ledger, r.Prefix) {
		return fmt.Errorf("%s is released and nobody had it", r.Prefix)
	}
	return nil
}

// strike removes the entry of this prefix; false if there is none.
func strike(ledger *reservation.Ledger, p netip.Prefix) bool {
	entry, ok := ledger.Overlapping(p)
	return ok && entry.Prefix == p && ledger.Remove(p, entry.Owner) == nil
}

func encodePages(pages []page) string {
	var b strings.Builder
	for _, p := range pages {
		fmt.Fprintf(&b, "%s %d\n", p.id, p.records)
	}
	return b.String()
}

func decodePages(text string) ([]page, error) {
	var pages []page
	for line := range strings.Lines(text) {
		id, count, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: want the end of a page's name, and how many changes it holds", pagesKey, line)
		}
		pages = append(pages, page{id: id, records: n})
	}
	return pages, nil
}

// readPages makes of pages what they say together. If they come from the last state's, by whatever was done in between, and begin with
// one of those, only the new ones are read: a release is never dropped from the pages before all pages are that are older (see
// compact), so the new ones say all that has changed.
func (s *Store) readPages(ctx context.Context, now, last *state) (*reservation.Ledger, error) {
	pages := now.pages
	if now.descends(last) {
		known := 0
		for known < len(pages) && slices.Contains(last.pages, pages[known]) {
			known++
		}
		if known > 0 || len(last.pages) == 0 {
			return s.readOn(ctx, pages[known:], last.paged)
		}
	}
	texts, err := s.fetch(ctx, pages)
	if err != nil {
		return nil, err
	}
	held := map[netip.Prefix]reservation.Allocation{}
	for _, records := range texts {
		for _, r := range records {
			if r.released {
				delete(held, r.Prefix)
			} else {
				held[r.Prefix] = r.Allocation
			}
		}
	}
	return reservation.NewLedger(slices.Collect(maps.Values(held)))
}

// descends tells whether the pages were made of those of the earlier state. They were not if a database was restored from a backup
// meanwhile, or if the earlier one is the later one.
func (s *state) descends(earlier *state) bool {
	if earlier == nil || len(earlier.lineage) == 0 {
		return earlier != nil && len(earlier.pages) == 0
	}
	return slices.Contains(s.lineage, earlier.lineage[len(earlier.lineage)-1])
}

// readOn applies pages to what those before them say.
func (s *Store) readOn(ctx context.Context, fresh []page, before *reservation.Ledger) (*reservation.Ledger, error) {
	texts, err := s.fetch(ctx, fresh)
	if err != nil {
		return nil, err
	}
	ledger := before.Clone()
	for i, records := range texts {
		for _, r := range records {
			if r.released {
				strike(ledger, r.Prefix)
			} else if err := ledger.Claim(r.Allocation); err != nil {
				return nil, fmt.Errorf("page %s: %w", fresh[i].id, err)
			}
		}
	}
	return ledger, nil
}

// atOnce is how many pages are fetched at a time.
const atOnce = 8

func (s *Store) fetch(ctx context.Context, pages []page) ([][]record, error) {
	found := make([][]record, len(pages))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, p := range pages {
		group.Go(func() error {
			object := &corev1.ConfigMap{}
			if err := s.reader.Get(ctx, s.pageKey(p.id), object); err != nil {
				return fmt.Errorf("page %s: %w", p.id, err)
			}
			records, err := decode(object.Data[changesKey])
			if err != nil {
				return fmt.Errorf("page %s: %w", p.id, err)
			}
			if len(records) != p.records {
				return fmt.Errorf("page %s has %d changes instead of %d", p.id, len(records), p.records)
			}
			found[i] = records
			return nil
		})
	}
	return found, group.Wait()
}

func (s *Store) pageKey(id string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.key.Namespace, Name: s.key.Name + "-" + id}
}
