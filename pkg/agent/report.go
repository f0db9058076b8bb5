// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// ReporterOptions are what a Reporter works with. Those without a default are needed.
type ReporterOptions struct {
	// Sources, the first of which that matches the node's labels is asked.
	Sources []agentconfig.NodePrefixSource
	// Open a source. The addresses are the node's own, as the cluster knows them.
	Open func(context.Context, agentconfig.NodePrefixSource, Node) (nodesource.Source, error)
	// Annotate the node's own object: what is nil is removed.
	Annotate func(context.Context, map[string]*string) error
	Recorder Recorder
	Log      *slog.Logger
	// Interval between two questions if nothing changes; 3 minutes if zero.
	Interval time.Duration
	// Backoff after the first failure; a second if zero. It doubles up to a minute.
	Backoff time.Duration
	// Grace that a source has to find its first prefix before anybody is told that there is none; 10 seconds if zero.
	Grace time.Duration
}

// Reporter asks the node's infrastructure which prefix it gave the node, and tells the cluster, in two annotations of the node's own
// object. What becomes of that is ipv6-ipam-controller's to decide. Without an answer it leaves what it told.
type Reporter struct {
	ReporterOptions
	metrics  *reportMetrics
	observed chan struct{}

	mu sync.Mutex
	// own is the node as it was last seen; gone, that it was there and is no more.
	own  *Node
	gone bool

	// The rest belongs to Run.
	chosen *agentconfig.NodePrefixSource
	source nodesource.Source
	// said is what the cluster is to know; nil before the source has answered.
	said *statement
	// saidAt is when, and err what the source said to that.
	saidAt time.Time
	err    error
	last   []nodesource.Prefix
	askAt  time.Time
	opened time.Time
	// failures in a row, of opening the source or of writing.
	failures int
	warned   Problem
}

// NewReporter makes one; nil if no source is one that a node can ask. It does nothing before Run.
func NewReporter(o ReporterOptions) *Reporter {
	if !slices.ContainsFunc(o.Sources, func(s agentconfig.NodePrefixSource) bool { return asked(&s) }) {
		return nil
	}
	if o.Interval == 0 {
		o.Interval = 3 * time.Minute
	}
	if o.Backoff == 0 {
		o.Backoff = time.Second
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	return &Reporter{ReporterOptions: o, metrics: newReportMetrics(), observed: make(chan struct{}, 1)}
}

// Observe tells the reporter what the cluster says of the node; nil: nothing.
func (r *Reporter) Observe(own *Node) {
	if r == nil {
		return // nodes bring no prefixes
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case own != nil && !r.gone && r.own != nil && reflect.DeepEqual(*own, *r.own), own == nil && (r.own == nil || r.gone):
		return // the agent looks at the node for other reasons, too: that must not hurry what is being retried
	case own != nil:
		is := *own
		r.own, r.gone = &is, false
	default:
		r.gone = true
	}
	nodesource.Notify(r.observed)
}

func (r *Reporter) collectors() []prometheus.Collector {
	if r == nil {
		return nil
	}
	return r.metrics.collectors()
}

func (r *Reporter) node() (own *Node, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own, r.gone
}

// Run works until the context ends. The source's prefixes are given back then if, and only if, the node's object is deleted.
func (r *Reporter) Run(ctx context.Context) error {
	if r == nil {
		return nil
	}
	defer r.close(ctx)
	for {
		wait := r.step(ctx)
		var changed <-chan struct{}
		if r.source != nil {
			changed = r.source.Changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.observed:
		case <-changed:
			r.askAt = time.Time{}
		case <-time.After(wait):
		}
	}
}

// step brings the annotations up to date and says when to look again.
func (r *Reporter) step(ctx context.Context) time.Duration {
	own, gone := r.node()
	if own == nil || gone {
		return r.Interval
	}
	if err := r.choose(ctx, *own); err != nil {
		return r.failed(ctx, "open", err, own.statement())
	}
	if r.source != nil && !time.Now().Before(r.askAt) {
		r.ask(ctx, own.statement())
	}
	if err := r.write(ctx, own); err != nil {
		if ctx.Err() == nil {
			r.Log.Error("the node's prefix could not be told to the API server", "error", err)
		}
		return r.backoff()
	}
	r.failures = 0
	if r.askAt.IsZero() {
		return r.Interval // labels are still to come
	}
	return max(time.Until(r.askAt), r.Backoff)
}

// choose the source by the node's labels, and open it if it is another one than before.
func (r *Reporter) choose(ctx context.Context, own Node) error {
	if own.LabelsPending && slices.ContainsFunc(r.Sources, func(s agentconfig.NodePrefixSource) bool { return len(s.MatchLabels) > 0 }) {
		return nil // what is chosen now might be another node's
	}
	chosen := choose(r.Sources, own.Labels)
	if r.chosen == chosen && (r.source != nil || !asked(chosen)) {
		return nil
	}
	if r.source != nil {
		r.Log.Info("the node's prefix comes from another source from now on", "before", r.chosen.Source, "now", sourceName(chosen))
		r.metrics.forget(r.chosen.Source)
		r.closeSource(ctx)
	}
	if r.chosen != chosen {
		r.said, r.err, r.last, r.failures = nil, nil, nil, 0
		r.chosen = chosen
	}
	if !asked(chosen) {
		r.said = &statement{}
		r.askAt = time.Now().Add(r.Interval)
		return nil
	}
	source, err := r.Open(ctx, *chosen, own)
	if err != nil {
		return err
	}
	r.source, r.askAt, r.opened = source, time.Time{}, time.Now()
	r.Log.Info("the node's prefix comes from", "source", chosen.Source)
	return nil
}

// choose the first source that matches; nil if none does.
func choose(sources []agentconfig.NodePrefixSource, labels map[string]string) *agentconfig.NodePrefixSource {
	for i, s := range sources {
		matches := true
		for k, v := range s.MatchLabels {
			has, ok := labels[k]
			matches = matches && ok && has == v
		}
		if matches {
			return &sources[i]
		}
	}
	return nil
}

// asked tells whether there is somebody on the node to ask.
func asked(s *agentconfig.NodePrefixSource) bool { return s != nil && s.Source.Reported() }

func sourceName(s *agentconfig.NodePrefixSource) agentconfig.PrefixSource {
	if s == nil {
		return agentconfig.SourcePool
	}
	return s.Source
}

// ask the source, and decide what the cluster is to know.
func (r *Reporter) ask(ctx context.Context, told statement) {
	const limit = 30 * time.Second
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ps, err := r.source.Prefixes(asking)
	if ctx.Err() != nil {
		return
	}
	r.metrics.answered(sourceName(r.chosen), r.last, ps, err)
	if err == nil {
		r.last = ps
	}
	r.askAt = time.Now().Add(r.Interval)
	if err != nil && r.last == nil && time.Since(r.opened) < r.Grace {
		r.askAt = r.opened.Add(r.Grace)
		return
	}
	r.conclude(told, ps, err)
}

func (r *Reporter) conclude(told statement, ps []nodesource.Prefix, err error) {
	if r.said != nil {
		told = *r.said
	}
	s, problem := say(told, ps, err)
	// The words of an error may differ every time; the API server need not be told of each.
	quiet := r.said != nil && err != nil && nodesource.SameError(err, r.err) && time.Since(r.saidAt) < r.Interval
	if !quiet {
		r.said, r.saidAt = &s, time.Now()
	}
	if r.said.Prefixes == "" && err != nil && !errors.Is(err, nodesource.ErrNone) {
		r.askAt = time.Now().Add(min(r.Interval, r.Backoff*5)) // nothing is known yet
	}
	if problem.Reason != "" && (problem.Reason != r.warned.Reason || !quiet && problem != r.warned) {
		r.Log.Warn(problem.Message, "reason", problem.Reason)
		r.Recorder.Warn(problem.Reason, problem.Message)
	}
	if problem.Reason == "" && r.warned.Reason != "" {
		r.Log.Info("no longer a problem", "reason", r.warned.Reason)
	}
	r.warned, r.err = problem, err
}

// write the annotations if the node's object says otherwise.
func (r *Reporter) write(ctx context.Context, own *Node) error {
	if r.said == nil || own.statement() == *r.said {
		return nil
	}
	err := r.Annotate(ctx, r.said.annotations())
	r.metrics.wrote(err)
	if err != nil {
		return err
	}
	r.Log.Info("told the cluster of the node's prefix", "prefixes", r.said.Prefixes, "source", r.said.Source)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own == own { // nothing newer was seen meanwhile
		is := *own
		is.Annotations = r.said.in(own.Annotations)
		r.own = &is
	}
	return nil
}

// failed is a source that could not even be opened: it could not be asked.
func (r *Reporter) failed(ctx context.Context, what string, err error, told statement) time.Duration {
	if ctx.Err() != nil {
		return r.Interval
	}
	r.metrics.answered(sourceName(r.chosen), r.last, nil, err)
	r.conclude(told, nil, fmt.Errorf("%s the source %s: %w", what, sourceName(r.chosen), err))
	if own, _ := r.node(); own != nil {
		if err := r.write(ctx, own); err != nil {
			r.Log.Error("the node's prefix could not be told to the API server", "error", err)
		}
	}
	return r.backoff()
}

func (r *Reporter) backoff() time.Duration {
	const most = time.Minute
	wait := r.Backoff << min(r.failures, 6)
	r.failures++
	return min(wait, most)
}

// releaser is a source that can give the node's prefixes back when it is closed.
type releaser interface{ ReleaseOnClose() }

func (r *Reporter) close(ctx context.Context) {
	if r.source == nil {
		return
	}
	own, gone := r.node()
	if s, ok := r.source.(releaser); ok && own != nil && (gone || own.Deleting) {
		r.Log.Info("the node is deleted: its prefixes are given back", "source", r.chosen.Source)
		s.ReleaseOnClose()
	}
	r.closeSource(ctx)
}

func (r *Reporter) closeSource(ctx context.Context) {
	const limit = 5 * time.Second
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := r.source.Close(closing); err != nil {
		r.Log.Error("close the source of the node's prefix", "error", err)
	}
	r.source = nil
}

// statement is what the node says of its prefix.
type statement struct{ Prefixes, Source string }

func (n Node) statement() statement {
	return statement{n.Annotations[nodeprefix.AnnotationReportedPrefix], n.Annotations[nodeprefix.AnnotationPrefixSource]}
}

func (s statement) annotations() map[string]*string {
	of := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	return map[string]*string{nodeprefix.AnnotationReportedPrefix: of(s.Prefixes), nodeprefix.AnnotationPrefixSource: of(s.Source)}
}

// in the annotations that the node has beside these.
func (s statement) in(annotations map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range annotations {
		out[k] = v
	}
	for k, v := range s.annotations() {
		delete(out, k)
		if v != nil {
			out[k] = *v
		}
	}
	return out
}
