// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress tells a person what is being done and how long it took.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

// NewProgress writes to out; the times it shows count from now.
func NewProgress(out io.Writer) *Progress {
	return &Progress{out: out, start: time.Now()}
}

// Say prints a line with the time that has passed.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()

	_, _ = fmt.Fprintf(p.out, "%s  %s\n", stopwatch(time.Since(p.start)), fmt.Sprintf(format, args...))
}

func stopwatch(d time.Duration) string {
	return fmt.Sprintf("%2d:%04.1f", int(d.Minutes()), d.Seconds()-60*float64(int(d.Minutes())))
}

// Step runs fn and prints one line with its time, or fails with an error that names the step.
func (p *Progress) Step(ctx context.Context, title string, fn func(context.Context) error) error {
	begin := time.Now()
	err := fn(ctx)
	took := time.Since(begin).Round(100 * time.Millisecond)

	if err != nil {
		p.Say("%-58s FAILED after %s", title, took)

		return &StepError{Step: title, Err: err}
	}

	p.Say("%-58s %6s", title, took)

	return nil
}

// StepError says which step failed.
type StepError struct {
	Step string
	Err  error
}

// Error implements error.
func (e *StepError) Error() string { return fmt.Sprintf("step %q: %v", e.Step, e.Err) }

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// waitError says what was awaited and what was seen instead.
type waitError struct {
	what  string
	after time.Duration
	last  error
	logs  string
}

func (e *waitError) Error() string {
	var b strings.Builder

	fmt.Fprintf(&b, "waited %s for %s", e.after, e.what)

	if e.last != nil {
		fmt.Fprintf(&b, "; last seen: %v", e.last)
	}

	if e.logs != "" {
		fmt.Fprintf(&b, "; look at %s", e.logs)
	}

	return b.String()
}

func (e *waitError) Unwrap() error { return e.last }

// errTerminal marks an error that waiting cannot mend.
var errTerminal = errors.New("no use waiting")

// waiting describes a wait.
type waiting struct {
	what  string
	limit time.Duration
	// every is the pause between two looks, half a second if unset.
	every time.Duration
	// logs says where a person finds out more when the wait was in vain.
	logs string
}

// until looks again and again until look returns nil, the limit is reached or look returns errTerminal.
func until(ctx context.Context, w waiting, look func(context.Context) error) error {
	if w.every == 0 {
		w.every = 500 * time.Millisecond
	}

	begin := time.Now()

	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()

	var last error

	for {
		err := look(ctx)
		if err == nil {
			return nil
		}

		if errors.Is(err, errTerminal) {
			return &waitError{what: w.what, after: time.Since(begin).Round(time.Second), last: err, logs: w.logs}
		}

		// The limit itself says nothing about what was missing.
		if last == nil || ctx.Err() == nil {
			last = err
		}

		select {
		case <-ctx.Done():
			return &waitError{what: w.what, after: time.Since(begin).Round(time.Second), last: last, logs: w.logs}
		case <-time.After(w.every):
		}
	}
}
