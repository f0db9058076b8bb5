// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objectipam_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/objectipam"
)

var objects = schema.GroupResource{Resource: "objects"}

// model is a Service in memory, with a controller that does its work before each Get: it answers what was asked, and clears
// what was deleted.
type model struct {
	mu      sync.Mutex
	whole   netip.Prefix
	stored  map[string]*objectipam.Object
	labels  map[string]map[string]string
	version int
	// missing is the ID of a pool that is not there.
	missing string
	// down: the controller does nothing.
	down bool
	// beforeDelete and beforeAnnotate are called once, before the next Delete and the next Annotate.
	beforeDelete, beforeAnnotate func()
	// afterCreate is called at the end of each Create.
	afterCreate func(name string)
	// failing is what every call answers, failingCreate what Create does.
	failing, failingCreate error
	// unbounded are the calls that might have taken for ever.
	unbounded []string
}

func (m *model) note(ctx context.Context, call string) {
	if _, bounded := ctx.Deadline(); !bounded {
		m.unbounded = append(m.unbounded, call)
	}
}

func newModel(whole string) *model {
	return &model{whole: netip.MustParsePrefix(whole), stored: map[string]*objectipam.Object{}, labels: map[string]map[string]string{}}
}

func (m *model) next() string {
	m.version++
	return strconv.Itoa(m.version)
}

func (m *model) used(but string) []netip.Prefix {
	var used []netip.Prefix
	for name, o := range m.stored {
		if name != but && o.Prefix.IsValid() {
			used = append(used, o.Prefix)
		}
	}
	return used
}

// work is what the controller does.
func (m *model) work() {
	for name, o := range m.stored {
		if o.Deleting {
			delete(m.stored, name)
			continue
		}
		if o.Prefix.IsValid() {
			continue
		}
		answer, ok := o.Wants, true
		if !answer.IsValid() {
			answer, ok, _ = prefix.Cut([]netip.Prefix{m.whole}, m.used(name), o.Bits)
		} else if _, taken := prefix.OverlapsAny(answer, m.used(name)...); taken {
			ok = false
		}
		if ok {
			o.Prefix, o.ResourceVersion = answer, m.next()
		}
	}
}

func (m *model) Length(_ context.Context, pool reservation.Pool, bits int) (int, error) {
	if bits < pool.MinBits {
		return 0, reservation.Errorf(reservation.Invalid, "nothing larger than a /%d", pool.MinBits)
	}
	return min(bits, pool.MaxBits), m.failing
}

func (m *model) Create(_ context.Context, ask objectipam.Ask) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failingCreate != nil {
		return m.failingCreate
	}
	if m.stored[ask.Name] != nil {
		return apierrors.NewAlreadyExists(objects, ask.Name)
	}
	m.stored[ask.Name] = &objectipam.Object{
		Name: ask.Name, UID: "uid-" + m.next(), ResourceVersion: m.next(), Annotations: maps.Clone(ask.Annotations),
		Pool: ask.Pool.ID, Bits: ask.Bits, Wants: ask.Prefix, Since: time.Date(2026, 1, 1, 0, 0, m.version, 0, time.UTC),
	}
	m.labels[ask.Name] = ask.Labels
	if m.afterCreate != nil {
		m.afterCreate(ask.Name)
	}
	return nil
}

func (m *model) Get(ctx context.Context, name string) (*objectipam.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(ctx, "Get")
	if m.failing != nil {
		return nil, m.failing
	}
	if !m.down {
		m.work()
	}
	o := m.stored[name]
	if o == nil {
		return nil, nil
	}
	seen := *o
	return &seen, nil
}

func (m *model) List(ctx context.Context, key, value string) ([]objectipam.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(ctx, "List")
	var found []objectipam.Object
	for name, o := range m.stored {
		if m.labels[name][key] == value {
			found = append(found, *o)
		}
	}
	return found, m.failing
}

func (m *model) Annotate(_ context.Context, object objectipam.Object, annotations map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.beforeAnnotate != nil {
		m.beforeAnnotate()
		m.beforeAnnotate = nil
	}
	o := m.stored[object.Name]
	switch {
	case o == nil:
		return apierrors.NewNotFound(objects, object.Name)
	case o.UID != object.UID, o.ResourceVersion != object.ResourceVersion:
		return apierrors.NewConflict(objects, object.Name, fmt.Errorf("the object has been modified"))
	}
	m.annotate(o, annotations)
	return nil
}

func (m *model) annotate(o *objectipam.Object, annotations map[string]string) {
	o.Annotations, o.ResourceVersion = maps.Clone(o.Annotations), m.next()
	maps.Copy(o.Annotations, annotations)
}

func (m *model) Delete(_ context.Context, object objectipam.Object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.beforeDelete != nil {
		m.beforeDelete()
		m.beforeDelete = nil
	}
	o := m.stored[object.Name]
	switch {
	case o == nil:
		return apierrors.NewNotFound(objects, object.Name)
	case o.UID != object.UID, object.ResourceVersion != "" && object.ResourceVersion != o.ResourceVersion:
		return apierrors.NewConflict(objects, object.Name, fmt.Errorf("the object has been modified"))
	}
	o.Deleting = true
	return nil
}

func (m *model) Space(ctx context.Context, pool reservation.Pool) (objectipam.Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(ctx, "Space")
	if pool.ID == m.missing {
		return objectipam.Space{}, reservation.Errorf(reservation.Invalid, "there is no %s", pool.ID)
	}
	space := objectipam.Space{Whole: []netip.Prefix{m.whole}}
	for name, o := range m.stored {
		if o.Prefix.IsValid() {
			space.Used = append(space.Used, objectipam.Part{Prefix: o.Prefix, Name: name, Holder: name})
		}
	}
	return space, m.failing
}

func (m *model) Refusal(_ context.Context, object objectipam.Object, _ reservation.Pool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if object.Wants.IsValid() {
		return nil
	}
	if _, ok, _ := prefix.Cut([]netip.Prefix{m.whole}, m.used(object.Name), object.Bits); !ok {
		return reservation.Errorf(reservation.Exhausted, "%s is full", m.whole)
	}
	return nil
}
