// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// pageLabel marks the pages of a ledger, with the name of its root.
const pageLabel = "ipv6.networking.extensions.gardener.cloud/ledger"

// store swaps the root for one that says next. If the changes are too many for it they are moved to pages first.
//
// The order makes it safe to die anywhere, and beside others: pages are written before the root that names them, and deleted
// when no root does. A page that was there before the swap and is not named after it will never be: its writer would have to swap
// a root that it read before, and the server refuses that.
func (s *Store) store(ctx context.Context, now *state, next *reservation.Ledger) error {
	after := &state{pages: now.pages, lineage: now.lineage, paged: now.paged, ledger: next}
	lines := encode(now.paged.Diff(next))
	if size(lines) > s.limits.Changes {
		there := s.list(ctx)
		made, err := s.compact(ctx, now, after)
		if err != nil {
			return err
		}
		if err := s.swap(ctx, now, after, nil); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
				s.remove(ctx, names(made, nil, nil)) // refused for sure: nobody names these
			}
			return err
		}
		s.remove(ctx, names(now.pages, there, after.pages))
		return nil
	}
	return s.swap(ctx, now, after, lines)
}

// swap the root.
func (s *Store) swap(ctx context.Context, now, after *state, lines []string) error {
	at := time.Now()
	after.root = now.root.DeepCopy()
	after.root.Data = map[string]string{
		versionKey: versionText, lineageKey: strings.Join(after.lineage, " "),
		pagesKey: encodePages(after.pages), changesKey: strings.Join(lines, ""),
	}
	var err error
	if after.root.ResourceVersion == "" {
		err = s.writer.Create(ctx, after.root)
	} else {
		err = s.writer.Update(ctx, after.root)
	}
	switch {
	case err != nil && ambiguous(err):
		return reservation.Errorf(reservation.Ambiguous, "writing the ledger %s: %w", s.key, err)
	case err != nil:
		return fmt.Errorf("writing the ledger %s: %w", s.key, err)
	}
	after.at = at
	s.remember(after)
	return nil
}

// ambiguous tells whether a write may have succeeded that ended with this error: the server has not refused it.
func ambiguous(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err) ||
		apierrors.IsUnexpectedServerError(err)
}

// compact moves all changes to pages, and what is worth keeping of some old pages with them: of the last if it is small, so that
// there are not too many, and of the first ones if too much in the pages is of no use any more.
func (s *Store) compact(ctx context.Context, now, after *state) (made []page, err error) {
	removed, added := now.paged.Diff(after.ledger)
	first, middle, last := s.choose(now.pages, len(removed)+len(added), after.ledger.Len())
	old, err := s.fetch(ctx, slices.Concat(first, last))
	if err != nil {
		return nil, err
	}
	for i, records := range old {
		for _, r := range records {
			if r.released && i >= len(first) {
				removed = append(removed, r.Allocation)
			}
			if entry, ok := after.ledger.Overlapping(r.Prefix); !r.released && ok && entry == r.Allocation {
				added = append(added, entry)
			}
		}
	}
	if len(middle) == 0 {
		removed = nil // nothing is left that could say something of it
	}
	made, err = s.write(ctx, encode(unique(removed), unique(added)))
	if err != nil {
		return nil, err
	}
	after.pages = slices.Concat(middle, made)
	after.paged = after.ledger
	after.lineage = append(slices.Clone(now.lineage[max(0, len(now.lineage)-generations+1):]), newID())
	return made, nil
}

// choose which pages to make anew: those at the beginning and those at the end.
func (s *Store) choose(pages []page, changes, entries int) (first, middle, last []page) {
	// How many records may be there in excess of twice the entries.
	slack := s.limits.Page / lineSize
	total := changes
	for _, p := range pages {
		total += p.records
	}
	middle = pages
	// Each time the pages grow by the changes, and by twice as many records the beginning is cleared: so it gets on faster.
	for cleared := 0; total > 2*entries+slack && cleared <= 2*changes && len(middle) > 0; {
		cleared += middle[0].records
		first, middle = append(first, middle[0]), middle[1:]
	}
	if n := len(middle); n > 0 && middle[n-1].records < slack/2 {
		middle, last = middle[:n-1], middle[n-1:]
	}
	return first, middle, last
}

// lineSize is the usual size of a record.
const lineSize = 130

func unique(all []reservation.Allocation) []reservation.Allocation {
	slices.SortFunc(all, func(a, b reservation.Allocation) int { return prefix.Compare(a.Prefix, b.Prefix) })
	return slices.CompactFunc(all, func(a, b reservation.Allocation) bool { return a.Prefix == b.Prefix })
}

// write the lines to new pages.
func (s *Store) write(ctx context.Context, lines []string) ([]page, error) {
	var made []page
	for len(lines) > 0 {
		n, bytes := 0, 0
		for n < len(lines) && (n == 0 || bytes+len(lines[n]) <= s.limits.Page) {
			bytes += len(lines[n])
			n++
		}
		p := page{id: newID(), records: n}
		key := s.pageKey(p.id)
		err := s.writer.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: map[string]string{pageLabel: s.key.Name}},
			Immutable:  new(true),
			Data:       map[string]string{changesKey: strings.Join(lines[:n], "")},
		})
		if err != nil {
			return nil, fmt.Errorf("writing a page of the ledger %s: %w", s.key, err)
		}
		made, lines = append(made, p), lines[n:]
	}
	return made, nil
}

func newID() string { return strings.ToLower(rand.Text()) }

// list the pages that are there, named or not. Whoever may not list does without: what a crash left behind stays then.
func (s *Store) list(ctx context.Context) []string {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := s.reader.List(ctx, list, client.InNamespace(s.key.Namespace), client.MatchingLabels{pageLabel: s.key.Name}); err != nil {
		return nil
	}
	var there []string
	for _, item := range list.Items {
		if id, ok := strings.CutPrefix(item.Name, s.key.Name+"-"); ok {
			there = append(there, id)
		}
	}
	return there
}

// names are the ids of pages and of others, without those of named.
func names(pages []page, others []string, named []page) []string {
	ids := map[string]bool{}
	for _, p := range pages {
		ids[p.id] = true
	}
	for _, id := range others {
		ids[id] = true
	}
	for _, p := range named {
		delete(ids, p.id)
	}
	return slices.Sorted(maps.Keys(ids))
}

// remove pages that no root names. What cannot be removed now is found when pages are written the next time.
func (s *Store) remove(ctx context.Context, ids []string) {
	for _, id := range ids {
		key := s.pageKey(id)
		_ = s.writer.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})
	}
}
