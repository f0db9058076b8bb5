// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package podip_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/fake"
)

// FuzzAgainstModel plays a node's life: allocations, releases, faults of the store, crashes with a restart that finds some pods gone,
// changes of the range. The model is a map. What must hold: no address has two owners, an owner's addresses do not change, nothing
// reserved or outside of the range is given out, exhaustion is reported only when it is true, and what the allocator holds is what the
// store holds.
func FuzzAgainstModel(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5})
	f.Add([]byte{0, 8, 16, 24, 32, 40, 48, 56, 1, 9, 17, 2, 10, 3, 0, 8})
	f.Add([]byte{0, 4, 8, 5, 8, 16, 3, 6, 8, 0, 7, 1, 2})
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := newModel(t)
		for _, op := range ops {
			m.step(op%8, fmt.Sprint("c", op/8))
			m.check()
		}
	})
}

type model struct {
	t     *testing.T
	store *fake.Store
	a     *podip.Allocator
	held  map[podip.Key]netip.Addr
	rng   netip.Prefix
	node  netip.Addr
}

var errFault = errors.New("fault")

func newModel(t *testing.T) *model {
	m := &model{t: t, store: fake.New(), held: map[podip.Key]netip.Addr{}, rng: netip.MustParsePrefix("2001:db8::/125"), node: netip.MustParseAddr("2001:db8::3")}
	m.open(func(podip.Record) bool { return true })
	return m
}

func (m *model) open(live func(podip.Record) bool) {
	a, err := podip.Open(context.Background(), m.store, live)
	if err != nil {
		m.t.Fatal(err)
	}
	m.a = a
	m.setRange()
}

func (m *model) setRange() {
	if err := m.a.SetRanges([]netip.Prefix{m.rng}, []netip.Addr{m.node}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) step(op byte, id string) {
	k := claim(id).Key
	switch op {
	case 0, 1:
		m.allocate(id)
	case 2:
		if err := m.a.Release(context.Background(), k); err != nil {
			m.t.Fatal(err)
		}
		delete(m.held, k)
	case 3: // a crash, after which this pod is gone
		m.open(func(r podip.Record) bool { return r.Key != k })
		delete(m.held, k)
	case 4, 5:
		m.store.Inject(fake.Fault{Call: "Put", After: op == 4, Err: errFault})
		m.allocate(id)
	case 6:
		m.store.Inject(fake.Fault{Call: "Delete", After: len(id)%2 == 0, Err: errFault})
		if err := m.a.Release(context.Background(), k); err == nil {
			if _, ok := m.held[k]; ok {
				m.t.Fatalf("release of %s hid the fault", k)
			}
			_ = m.store.Delete(context.Background(), podip.Key{ContainerID: "none", Interface: "eth0"}) // use the fault up
			return
		}
		if err := m.a.Release(context.Background(), k); err != nil {
			m.t.Fatal(err)
		}
		delete(m.held, k)
	case 7:
		m.rng, m.node = netip.MustParsePrefix("2001:db8:1::/125"), netip.MustParseAddr("2001:db8:1::7")
		m.setRange()
	}
}

func (m *model) allocate(id string) {
	k := claim(id).Key
	before, had := m.held[k]
	r, err := m.a.Allocate(context.Background(), claim(id))
	switch {
	case errors.Is(err, errFault):
		return
	case errors.Is(err, podip.ErrExhausted):
		if free := m.free(); free > 0 || had {
			m.t.Fatalf("exhausted with %d free", free)
		}
		m.useFaultUp()
		return
	case err != nil:
		m.t.Fatal(err)
	}
	if had && r.Addrs[0] != before {
		m.t.Fatalf("%s had %s, got %s", k, before, r.Addrs[0])
	}
	if !had {
		if a := r.Addrs[0]; !m.rng.Contains(a) || a == m.rng.Addr() || a == m.node {
			m.t.Fatalf("%s was given out of %s", a, m.rng)
		}
	}
	m.held[k] = r.Addrs[0]
	m.useFaultUp()
}

// useFaultUp spends a fault that no Put met.
func (m *model) useFaultUp() {
	k := podip.Key{ContainerID: "spent", Interface: "eth0"}
	_ = m.store.Put(context.Background(), podip.Record{Key: k})
	_ = m.store.Delete(context.Background(), k)
}

func (m *model) free() int {
	n := 6 // a /125 without the network's and the node's address
	for _, a := range m.held {
		if m.rng.Contains(a) {
			n--
		}
	}
	return n
}

func (m *model) check() {
	owner := map[netip.Addr]podip.Key{}
	for k, a := range m.held {
		if other, ok := owner[a]; ok {
			m.t.Fatalf("%s is held by %s and %s", a, k, other)
		}
		owner[a] = k
	}
	stored, err := m.store.Load(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	if len(stored) != len(m.held) || len(m.a.Records()) != len(m.held) {
		m.t.Fatalf("the model holds %d, the allocator %d, the store %d:\n%s", len(m.held), len(m.a.Records()), len(stored), m.store.Dump())
	}
	for _, r := range stored {
		if m.held[r.Key] != r.Addrs[0] {
			m.t.Fatalf("the store says %s of %s, the model %s", r.Addrs[0], r.Key, m.held[r.Key])
		}
	}
	if u := m.a.Usage()[0]; u.Free != uint64(m.free()) {
		m.t.Fatalf("usage says %d free, the model %d", u.Free, m.free())
	}
}
