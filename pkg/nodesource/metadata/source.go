// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package metadata asks a cloud's metadata server for the node's prefixes: AWS, GCP, OpenStack, Hetzner and, as far as its API gives one,
// Azure. What each of them gives, and does not, is in docs/node-prefixes.md.
package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// Provider whose metadata server is asked.
type Provider string

// The providers.
const (
	AWS       Provider = "aws"
	GCP       Provider = "gcp"
	OpenStack Provider = "openstack"
	Hetzner   Provider = "hetzner"
	Azure     Provider = "azure"
)

// Providers that there are.
func Providers() []Provider { return []Provider{AWS, GCP, OpenStack, Hetzner, Azure} }

// Options of a source.
type Options struct {
	Provider Provider
	// Interface through which link-local metadata servers are asked; needed for OpenStack's IPv6 one only.
	Interface string
	// MAC of the network interface whose prefixes count, as in 02:00:5e:10:00:01; empty: every one's.
	MAC string
	// Endpoints replace the provider's own, as in http://169.254.169.254; the first that answers is asked from then on.
	Endpoints []string
	// Interval between two looks whether something changed; a minute if zero.
	Interval time.Duration
	// Timeout of one request; 2 s if zero.
	Timeout time.Duration
	// Attempts before Prefixes gives up; 3 if zero. Between them it waits Backoff (250 ms if zero), then twice as long each time.
	Attempts int
	Backoff  time.Duration
	Log      *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Interval == 0 {
		o.Interval = time.Minute
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Backoff == 0 {
		o.Backoff = 250 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.MAC = strings.ToLower(o.MAC)
	return o
}

// Source is a metadata server.
type Source struct {
	options Options
	client  *client
	fetch   fetcher
	changed chan struct{}
	// one fetch at a time: an older answer must not come after a newer one.
	one  chan struct{}
	stop context.CancelCauseFunc
	ctx  context.Context
	done sync.WaitGroup

	mu    sync.Mutex
	known bool
	last  []nodesource.Prefix
	err   error
}

// New makes a source and begins to look for changes.
func New(options Options) (*Source, error) {
	o := options.withDefaults()
	p, ok := providers[o.Provider]
	if !ok {
		return nil, fmt.Errorf("metadata provider %q: want one of %q", o.Provider, Providers())
	}
	endpoints := o.Endpoints
	if len(endpoints) == 0 {
		endpoints = p.endpoints(o.Interface)
	}
	for _, e := range endpoints {
		if u, err := url.Parse(e); err != nil || u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("metadata endpoint %q: want something like http://169.254.169.254 or http://[fe80::a9fe:a9fe%%25eth0]", e)
		}
	}
	ctx, stop := context.WithCancelCause(context.Background())
	s := &Source{
		options: o, client: newClient(o, endpoints), fetch: p.fetch,
		changed: make(chan struct{}, 1), one: make(chan struct{}, 1), ctx: ctx, stop: stop,
	}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		s.poll()
	}()
	return s, nil
}

// Prefixes asks the server, now.
func (s *Source) Prefixes(ctx context.Context) ([]nodesource.Prefix, error) {
	ps, err := s.ask(ctx)
	if errors.Is(err, nodesource.ErrClosed) {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.last, s.err = true, ps, err
	return slices.Clone(ps), err
}

// Changed is sent to when a look found something else than the last answer of Prefixes. A server that does not answer is not news.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Close ends the looks for changes.
func (s *Source) Close(context.Context) error {
	s.stop(nodesource.ErrClosed)
	s.done.Wait()
	return nil
}

func (s *Source) poll() {
	for {
		// Not all nodes of a cluster at the same time.
		wait := s.options.Interval - time.Duration(rand.Int64N(int64(s.options.Interval)/5+1)) //nolint:gosec // no secret
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(wait):
		}
		ps, err := s.ask(s.ctx)
		if err != nil && !errors.Is(err, nodesource.ErrNone) {
			s.options.Log.Warn("The metadata server was not to be asked; what is known stays", "error", err)
			continue
		}
		s.mu.Lock()
		if !s.known || !nodesource.Same(ps, s.last) || !nodesource.SameError(err, s.err) {
			s.known, s.last, s.err = true, ps, err
			nodesource.Notify(s.changed)
		}
		s.mu.Unlock()
	}
}

// ask the server as often as it takes, within limits.
func (s *Source) ask(caller context.Context) ([]nodesource.Prefix, error) {
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(nodesource.ErrClosed) })()
	select {
	case s.one <- struct{}{}:
		defer func() { <-s.one }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	backoff := s.options.Backoff
	for attempt := 1; ; attempt++ {
		ps, err := s.fetch(ctx, s.client, s.options.MAC)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%s metadata: %w", s.options.Provider, context.Cause(ctx))
		case err == nil:
			return nodesource.Sort(ps), nil
		case attempt >= s.options.Attempts || !temporary(err):
			return nil, fmt.Errorf("%s metadata: %w", s.options.Provider, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff *= 2
	}
}
