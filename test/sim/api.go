// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// errors of the model API server.
var (
	errNotFound = errors.New("not found")
	errExists   = errors.New("already exists")
	errConflict = errors.New("the object has been modified")
	errTimeout  = errors.New("the API server did not answer")
)

const quarantined reservation.Phase = "Quarantined"

// object is a PrefixReservation.
type object struct {
	namespace, name string
	uid, version    int
	finalizer       bool
	deleted         bool // has a deletion timestamp
	moved           bool // annotated: being let go
	created         time.Time
	owner           reservation.Owner // its attempt is the status's
	bits            int

	record  reservation.Record
	until   time.Time // the end of the quarantine
	endless bool
}

func (o object) key() string { return o.namespace + "/" + o.name }

// namespace of a shoot on a seed, with what gardenlet keeps there.
type namespace struct {
	reservation.Facts
	uid string // the Shoot's, as the Cluster has it
	// infra is the Infrastructure's status: what is published, by range.
	infra   map[string]netip.Prefix
	version int
	// exported is what Network.status.state carries.
	exported []object
}

// seed has an API server: objects under compare-and-swap.
type seed struct {
	name       string
	objects    []object // by key
	namespaces map[string]*namespace
	last       int // version and UID
	pools      []netip.Prefix
	ledger     *reservation.Ledger
	booked     int // the ledger's version
	backup     *backup
	// careful is set after a backup was restored: until all is as it was, garbage is not collected.
	careful bool
}

type backup struct {
	objects    []object
	namespaces map[string]*namespace
}

func (s *seed) find(key string) (int, bool) {
	return slices.BinarySearchFunc(s.objects, key, func(o object, k string) int { return cmp.Compare(o.key(), k) })
}

func (s *seed) next() int {
	s.last++
	return s.last
}

// settle removes what is deleted and has no finalizer.
func (s *seed) settle() {
	s.objects = slices.DeleteFunc(s.objects, func(o object) bool { return o.deleted && !o.finalizer })
}

// api is the client that a task has of its seed's API server.
type api struct{ *task }

// write is one write: it may get lost, or its answer.
func (a api) write(do func() error) error {
	var err error
	a.io(func() {
		switch {
		case a.happens(apiRequestLost):
			err = errTimeout
		case a.happens(apiReplyLost):
			if err = do(); err == nil {
				err = errTimeout
			}
		default:
			err = do()
		}
	})
	return err
}

func (a api) list() []object {
	var all []object
	a.io(func() { all = slices.Clone(a.proc.seed.objects) })
	return all
}

func (a api) get(key string) (object, error) {
	var (
		found object
		err   error
	)
	a.io(func() {
		i, ok := a.proc.seed.find(key)
		if !ok {
			err = errNotFound
			return
		}
		found = a.proc.seed.objects[i]
	})
	return found, err
}

// create stores a new object and sets what the server gives it.
func (a api) create(o *object) error {
	return a.write(func() error {
		s := a.proc.seed
		if n := s.namespaces[o.namespace]; o.namespace != tombs && (n == nil || n.NamespaceDeleted) {
			return errNotFound
		}
		i, exists := s.find(o.key())
		if exists {
			return errExists
		}
		o.uid, o.version, o.created = s.next(), s.next(), a.now
		s.objects = slices.Insert(s.objects, i, *o)
		return nil
	})
}

// update changes an object if it is still the one that was read.
func (a api) update(o *object, change func(*object)) error {
	next := *o
	change(&next)
	err := a.write(func() error {
		s := a.proc.seed
		i, ok := s.find(o.key())
		switch {
		case !ok || s.objects[i].uid != o.uid:
			return errNotFound
		case s.objects[i].version != o.version:
			return errConflict
		}
		next.deleted = s.objects[i].deleted
		next.version = s.next()
		s.objects[i] = next
		s.settle()
		return nil
	})
	if err == nil {
		*o = next
	}
	return err
}

// remove deletes this very object, if it is still as it was read: a tombstone may have been written anew meanwhile.
func (a api) remove(o *object) error {
	err := a.write(func() error {
		s := a.proc.seed
		i, ok := s.find(o.key())
		switch {
		case !ok || s.objects[i].uid != o.uid:
			return errNotFound
		case s.objects[i].version != o.version:
			return errConflict
		}
		s.objects[i].deleted = true
		s.objects[i].version = s.next()
		o.deleted, o.version = true, s.objects[i].version
		s.settle()
		return nil
	})
	return err
}

// journal stores the record in an object's status.
type journal struct {
	api
	object *object
}

// Save compares and swaps.
func (j journal) Save(_ context.Context, record reservation.Record) error {
	j.tracef("%s: %s %s -> %s %s attempt %d", j.name, j.object.key(), j.object.record.Phase, record.Phase, record.Prefix, record.Attempt)
	was := j.object.record.Phase
	err := j.update(j.object, func(o *object) { o.record = record })
	if err != nil {
		j.tracef("%s: not stored: %v", j.name, err)
		return err
	}
	j.stored = true
	if was == reservation.Allocating && record.Phase == reservation.Bound {
		j.checkBound(j.task, record.Prefix)
	}
	return err
}

// book keeps the ledger of a seed's own pool on its API server.
type book struct{ api }

// Read returns the ledger as it is now.
func (b book) Read(context.Context) (*reservation.Ledger, error) {
	var ledger *reservation.Ledger
	b.io(func() { ledger = b.proc.seed.ledger.Clone() })
	return ledger, nil
}

// Update compares and swaps.
func (b book) Update(_ context.Context, change func(*reservation.Ledger) error) error {
	for range 5 {
		var (
			ledger  *reservation.Ledger
			version int
		)
		b.io(func() { ledger, version = b.proc.seed.ledger.Clone(), b.proc.seed.booked })
		if err := change(ledger); err != nil {
			return err
		}
		err := b.write(func() error {
			s := b.proc.seed
			if s.booked != version {
				return errConflict
			}
			b.balance(s.ledger, ledger)
			s.ledger, s.booked = ledger, s.booked+1
			return nil
		})
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	return errConflict
}
