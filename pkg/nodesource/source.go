// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package nodesource is the language between a node and whoever gives it its prefix: a cloud's metadata server, a DHCPv6 server that
// delegates prefixes (RFC 8415), a router that advertises one (RFC 4861). It says what a source reports, and checks it. It does no I/O;
// the adapters are in the packages below it.
package nodesource

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Prefix is one that a source gives the node.
type Prefix struct {
	// Prefix, canonical. It may hold an address of the node: see Part.
	Prefix netip.Prefix `json:"prefix"`
	// ValidUntil is when it ends unless it is renewed; zero: never.
	ValidUntil time.Time `json:"validUntil,omitzero"`
	// Deprecated prefixes are still valid, but whoever gave them asks to leave them: nothing new should start in one.
	Deprecated bool `json:"deprecated,omitempty"`
	// Origin tells people where it is from, as in "DHCPv6 on eth0" or "aws metadata at 169.254.169.254".
	Origin string `json:"origin"`
}

// Source of the node's prefixes.
type Source interface {
	// Prefixes that the source gives the node now: canonical, sorted, those that are not deprecated first. It answers within seconds.
	//
	// ErrNone: the source works and gives the node nothing. *LostError: it has given, and took it back. With any other error the
	// source could not be asked, which says nothing about the prefixes: whoever knew some keeps them.
	Prefixes(context.Context) ([]Prefix, error)
	// Changed is sent to, without blocking, when Prefixes would answer otherwise than it did.
	Changed() <-chan struct{}
	// Close ends the source's work. It can be called again.
	Close(context.Context) error
}

// ErrNone is what a source that works and gives the node no prefix says, with what would be right.
var ErrNone = errors.New("the node has no prefix there")

// ErrClosed is what a closed source says.
var ErrClosed = errors.New("the source is closed")

// LostError says that a prefix, once given, is the node's no more.
type LostError struct {
	Prefix netip.Prefix
	Since  time.Time
	// Reason, for people.
	Reason string
}

// Error names the prefix and since when it is lost.
func (e *LostError) Error() string {
	return fmt.Sprintf("prefix %s is lost since %s: %s", e.Prefix, e.Since.UTC().Format(time.RFC3339), e.Reason)
}

// Sort puts prefixes in the order of Source.Prefixes, in place, and drops what is there twice: the one that lasts longer stays.
func Sort(ps []Prefix) []Prefix {
	slices.SortStableFunc(ps, func(a, b Prefix) int {
		if a.Deprecated != b.Deprecated {
			if a.Deprecated {
				return 1
			}
			return -1
		}
		if c := prefix.Compare(a.Prefix, b.Prefix); c != 0 {
			return c
		}
		switch {
		case a.ValidUntil.Equal(b.ValidUntil):
			return 0
		case a.ValidUntil.IsZero() || !b.ValidUntil.IsZero() && a.ValidUntil.After(b.ValidUntil):
			return -1
		}
		return 1
	})
	seen := map[netip.Prefix]bool{}
	return slices.DeleteFunc(ps, func(p Prefix) bool {
		twice := seen[p.Prefix]
		seen[p.Prefix] = true
		return twice
	})
}

// Same tells whether two answers of a source mean the same to a node. When a prefix ends may differ: it is renewed all the time.
func Same(a, b []Prefix) bool {
	return slices.EqualFunc(a, b, func(p, q Prefix) bool {
		return p.Prefix == q.Prefix && p.Deprecated == q.Deprecated && p.ValidUntil.IsZero() == q.ValidUntil.IsZero()
	})
}

// SameError tells whether two errors of a source mean the same to a node, whatever their words: none, none given, lost since the same
// time, or that it could not be asked.
func SameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	var lostA, lostB *LostError
	isLostA, isLostB := errors.As(a, &lostA), errors.As(b, &lostB)
	if isLostA || isLostB {
		return isLostA && isLostB && lostA.Prefix == lostB.Prefix && lostA.Since.Equal(lostB.Since)
	}
	return errors.Is(a, ErrNone) == errors.Is(b, ErrNone) && errors.Is(a, ErrClosed) == errors.Is(b, ErrClosed)
}
