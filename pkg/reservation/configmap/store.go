// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package configmap keeps a reservation.Ledger in ConfigMaps. One of them, the root, stands for the whole: the API server's
// resource version makes every update of it a compare-and-swap, so of two processes that read the same ledger only one can
// store its change. The root holds the latest changes itself, and names pages: other ConfigMaps, never changed once they are
// made, with all that was before.
//
//	ipv6-pool-ledger               ipv6-pool-ledger-k3v…  ipv6-pool-ledger-9xq…
//	  ledger.json: {"version":2}     changes:               changes:
//	  pages:   k3v… 9xq…      ───▶     +2001:db8::/64 …       -2001:db8::/64
//	  changes: +2001:db8:0:5::/64 …    +2001:db8:0:1::/64 …   +2001:db8:0:2::/64 …
//
// What is read from page to page and last from the root makes the ledger.
package configmap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	// trust is how long a root that was read or written here counts as the newest until the server refuses it. The server
	// tells a stale one by its resource version; only a database that is restored from a backup could count up to the same
	// version again, and no restoration is that quick.
	trust = time.Second
	// patience is how long a batch of changes may take. It is not the time of any one caller.
	patience = 30 * time.Second
)

// Conflicts are with other processes only, and each of them means that somebody else got on: the delays are short and jittered.
var backoff = wait.Backoff{Duration: 5 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: 20, Cap: time.Second}

// Limits of what one ConfigMap holds, in bytes of text. An entry takes about 130.
type Limits struct {
	// Changes that the root holds; more are moved to a page.
	Changes int
	// Page is the size of a page.
	Page int
}

// DefaultLimits keep the root small, for it is written with every change, and a page well below the megabyte of a ConfigMap.
var DefaultLimits = Limits{Changes: 24 << 10, Page: 256 << 10}

// Store is a reservation.Store. Changes that wait for one another in one process are stored together.
type Store struct {
	reader client.Reader
	writer client.Writer
	key    client.ObjectKey
	limits Limits

	mu    sync.Mutex
	queue []*job // changes that nobody works on yet
	last  *state // the newest that is known; nil if nothing is

	turn chan struct{} // held by who works on changes
}

var _ reservation.Store = &Store{}

// New makes a Store. The reader must not be a cache: manager.GetAPIReader, not manager.GetClient.
func New(reader client.Reader, writer client.Writer, namespace, name string) *Store {
	return &Store{
		reader: reader, writer: writer, key: client.ObjectKey{Namespace: namespace, Name: name}, limits: DefaultLimits,
		turn: make(chan struct{}, 1),
	}
}

// WithLimits sets others than the DefaultLimits.
func (s *Store) WithLimits(limits Limits) *Store {
	s.limits = limits
	return s
}

// Read returns the ledger as the API server has it now: one request if the pages are known.
func (s *Store) Read(ctx context.Context) (*reservation.Ledger, error) {
	now, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return now.ledger.Clone(), nil
}

// job is one caller's change.
type job struct {
	change func(*reservation.Ledger) error
	err    error
	done   chan struct{}
}

// Update changes the ledger by comparing and swapping the root. Of the callers that are there one works on the changes of all;
// each gets its own error.
func (s *Store) Update(ctx context.Context, change func(*reservation.Ledger) error) error {
	j := &job{change: change, done: make(chan struct{})}
	s.mu.Lock()
	s.queue = append(s.queue, j)
	s.mu.Unlock()

	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		if s.leave(j) {
			return ctx.Err()
		}
		<-j.done // somebody is at it: only they know how it ends
		return j.err
	case s.turn <- struct{}{}:
	}
	defer func() { <-s.turn }()
	s.mu.Lock()
	batch := s.queue // has j, unless somebody worked on it before the turn came
	s.queue = nil
	s.mu.Unlock()
	if len(batch) > 0 {
		s.work(ctx, batch)
	}
	<-j.done
	return j.err
}

// leave the queue; false if it is too late.
func (s *Store) leave(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.queue {
		if other == j {
			s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
			return true
		}
	}
	return false
}

func (s *Store) work(ctx context.Context, batch []*job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := errors.New("a change that was to be stored with this one panicked") // unless commit returns
	defer func() {
		for _, j := range batch {
			if err != nil {
				j.err = err
			}
			close(j.done)
		}
	}()
	err = s.commit(ctx, batch)
}

// commit applies the changes one after the other and stores the result. An error means that it is not known to be stored, or that
// the ledger cannot be read; then no result of any change counts, for each may stand on those before.
func (s *Store) commit(ctx context.Context, batch []*job) error {
	delay, live := backoff, false
	for {
		now, err := s.known(ctx, live)
		if err != nil {
			return err
		}
		live = live || now.live
		next := now.ledger.Clone()
		for _, j := range batch {
			trial := next.Clone()
			if j.err = j.change(trial); j.err == nil {
				next = trial
			}
		}
		if next.Equal(now.ledger) {
			if live {
				return nil
			}
			live = true // that nothing is to be done is true only of what the server has, and it was not asked
			continue
		}
		err = s.store(ctx, now.state, next)
		if err == nil {
			return nil
		}
		s.remember(nil)
		// A page that is not found is one that no root names any more.
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return err
		}
		if delay.Steps == 0 {
			return reservation.Errorf(reservation.Retry, "the ledger %s is changed by others all the time: %w", s.key, err)
		}
		if err := sleep(ctx, delay.Step()); err != nil {
			return fmt.Errorf("changing the ledger %s: %w", s.key, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type known struct {
	*state
	// live is true if the server was asked.
	live bool
}

// known is the state to change: the newest that is known if it is young, else the server's.
func (s *Store) known(ctx context.Context, live bool) (known, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if !live && last != nil && time.Since(last.at) < trust {
		return known{state: last}, nil
	}
	now, err := s.read(ctx)
	return known{state: now, live: true}, err
}

// remember the newest state.
func (s *Store) remember(now *state) {
	s.mu.Lock()
	s.last = now
	s.mu.Unlock()
}

// read asks the server for the root, and for the pages that are not known.
func (s *Store) read(ctx context.Context) (*state, error) {
	var version string
	for {
		at := time.Now()
		root := &corev1.ConfigMap{}
		err := s.reader.Get(ctx, s.key, root)
		switch {
		case apierrors.IsNotFound(err):
			root = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: s.key.Name}}
		case err != nil:
			return nil, fmt.Errorf("reading the ledger %s: %w", s.key, err)
		}
		s.mu.Lock()
		last := s.last // what this process has written meanwhile need not be made out of the root again
		s.mu.Unlock()
		if last != nil && same(last.root, root) {
			return s.update(last, &state{
				root: root, at: at, pages: last.pages, lineage: last.lineage, paged: last.paged, ledger: last.ledger,
			}), nil
		}
		now, err := s.decode(ctx, root, last)
		switch {
		case apierrors.IsNotFound(err) && root.ResourceVersion != version:
			version = root.ResourceVersion // a page is deleted when no root names it any more: look for a newer root
		case err != nil:
			// Never start from an empty book when there is one that cannot be read.
			return nil, fmt.Errorf("reading the ledger %s: %w", s.key, err)
		default:
			now.at = at
			return s.update(last, now), nil
		}
	}
}

// update remembers a state that was read, unless another was read or written meanwhile: that may be newer.
func (s *Store) update(last, now *state) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == last {
		s.last = now
	}
	return now
}

func same(a, b *corev1.ConfigMap) bool {
	return a.ResourceVersion == b.ResourceVersion && a.UID == b.UID && maps.Equal(a.Data, b.Data)
}
