// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// Identity of the journal's document.
const (
	JournalAPIVersion = "ipam.ipv6.networking.extensions.gardener.cloud/v1"
	JournalKind       = "LoadBalancerJournal"
)

// Journal is what has to outlive the process and can't be read off the Services. It is written before any Service is, and only if
// nobody else wrote it since it was read: whoever holds it has the sole right to what it claims.
type Journal struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Cursors are where the search for the next free address goes on, by prefix.
	Cursors map[string]netip.Addr `json:"cursors,omitempty"`
	// Claims were decided, and may or may not have reached their Services.
	Claims []Claim `json:"claims,omitempty"`
}

// Journal of the book as it is now.
func (b *Book) Journal() Journal {
	j := Journal{APIVersion: JournalAPIVersion, Kind: JournalKind, Cursors: map[string]netip.Addr{}}
	for _, s := range b.spaces {
		j.Cursors[s.prefix.String()] = s.cursor
	}
	for _, e := range b.services {
		j.Claims = append(j.Claims, e.claims...)
	}
	// Stable: the last of a Service's claims is the one to carry out.
	slices.SortStableFunc(j.Claims, func(a, c Claim) int { return strings.Compare(a.Service, c.Service) })
	return j
}

// EncodeJournal prints a journal.
func EncodeJournal(j Journal) (string, error) {
	data, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("encode the load balancers' journal: %w", err)
	}
	return string(data), nil
}

// DecodeJournal reads one back. An empty text is the journal of a new cluster.
func DecodeJournal(text string) (Journal, error) {
	if text == "" {
		return Journal{APIVersion: JournalAPIVersion, Kind: JournalKind}, nil
	}
	var j Journal
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return Journal{}, fmt.Errorf("decode the load balancers' journal: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Journal{}, errors.New("decode the load balancers' journal: something follows the document")
	}
	if j.APIVersion != JournalAPIVersion || j.Kind != JournalKind {
		return Journal{}, fmt.Errorf("decode the load balancers' journal: it is %q %q, want %q %q", j.APIVersion, j.Kind, JournalAPIVersion, JournalKind)
	}
	return j, nil
}

// Restore makes the book of a cluster from its journal and all its Services. The Services have to be read after the journal, from the
// API server itself: then a Service is at the version of its claim, or at a later one and the claim is void.
func Restore(pools []nodeprefix.LoadBalancerPool, j Journal, services []Service) *Book {
	b := NewBook(pools)
	for _, s := range b.spaces {
		if c, ok := j.Cursors[s.prefix.String()]; ok && s.prefix.Contains(c) {
			s.cursor = c
		}
	}
	for _, s := range services {
		b.Set(s)
	}
	for _, c := range j.Claims {
		e := b.services[c.Service]
		if e == nil || e.UID != c.UID || e.Version > c.Version {
			continue
		}
		e.claims = append(e.claims, c)
		b.claims++
		b.rebook(e)
	}
	return b
}
