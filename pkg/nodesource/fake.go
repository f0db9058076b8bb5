// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Fake is a source that gives what it is told to give, and holds what it is told to the rules of Source.
type Fake struct {
	mu       sync.Mutex
	prefixes []Prefix
	err      error
	closed   bool
	changed  chan struct{}
}

// NewFake makes a source that gives nothing yet.
func NewFake() *Fake {
	return &Fake{err: fmt.Errorf("the fake was not told any: %w", ErrNone), changed: make(chan struct{}, 1)}
}

// Set what the source gives from now on. It panics if no source could answer that.
func (f *Fake) Set(prefixes []Prefix, err error) {
	if (err == nil) != (len(prefixes) > 0) {
		panic("a source gives prefixes or an error, and never both or neither")
	}
	for _, p := range prefixes {
		if _, err := Parse(p.Prefix.String()); err != nil {
			panic(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	prefixes = Sort(append([]Prefix(nil), prefixes...))
	same := Same(prefixes, f.prefixes) && SameError(err, f.err)
	f.prefixes, f.err = prefixes, err
	if !same {
		Notify(f.changed)
	}
}

// Prefixes that were set.
func (f *Fake) Prefixes(ctx context.Context) ([]Prefix, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return append([]Prefix(nil), f.prefixes...), f.err
}

// Changed is sent to by Set.
func (f *Fake) Changed() <-chan struct{} { return f.changed }

// Close the source.
func (f *Fake) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// Dump says what the source gives, a line each, for tests that compare texts.
func (f *Fake) Dump() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, p := range f.prefixes {
		fmt.Fprintf(&b, "%s from %q", p.Prefix, p.Origin)
		if !p.ValidUntil.IsZero() {
			fmt.Fprintf(&b, " until %s", p.ValidUntil.UTC().Format(time.RFC3339))
		}
		if p.Deprecated {
			b.WriteString(" deprecated")
		}
		b.WriteByte('\n')
	}
	if f.err != nil {
		fmt.Fprintf(&b, "error: %v\n", f.err)
	}
	return b.String()
}

// Notify sends without blocking: one that waits stands for all.
func Notify(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}
