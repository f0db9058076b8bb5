// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbip_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// world is an API server as far as it matters: versions, and requests that insist on them, arrive when they like, and outlive their sender.
type world struct {
	version  uint64
	uids     int
	services map[string]lbip.Service
	journal  string
	stored   uint64 // version of the journal
	requests []request
	replicas []*replica
	// naive makes replicas retry with whatever version the Service has: the fault that versions of claims are there for.
	naive bool
	// repooled: some process had other pools.
	repooled bool
}

type request struct {
	service   lbip.Service
	addresses []netip.Addr
	from      *replica
	life      int
}

// replica is the controller's protocol in small: a cache that lags, a book, the version of the journal that it read.
type replica struct {
	*world
	pools []nodeprefix.LoadBalancerPool
	cache map[string]lbip.Service
	book  *lbip.Book
	read  uint64
	dirty bool
	life  int
}

func poolOf(name string, prefixes ...string) nodeprefix.LoadBalancerPool {
	p := nodeprefix.LoadBalancerPool{Name: name}
	for _, text := range prefixes {
		p.Prefixes = append(p.Prefixes, netip.MustParsePrefix(text))
	}
	return p
}

// simPools are so small that Services can't but meet.
var simPools = [][]nodeprefix.LoadBalancerPool{
	{poolOf("a", "2001:db8:5::/126", "192.0.2.0/29"), poolOf("b", "2001:db8:6::/126")},
	{poolOf("b", "2001:db8:6::/126", "192.0.2.0/30")},
}

func newWorld() *world {
	w := &world{services: map[string]lbip.Service{}}
	for range 2 {
		w.replicas = append(w.replicas, &replica{world: w, pools: simPools[0], cache: map[string]lbip.Service{}})
	}
	return w
}

func (w *world) put(s lbip.Service) {
	w.version++
	s.Version = w.version
	w.services[s.Name] = s
}

// step does what the four bytes say.
func (w *world) step(b [4]byte) error {
	name := fmt.Sprintf("default/s%d", b[1]%6)
	s, exists := w.services[name]
	r := w.replicas[int(b[2])%len(w.replicas)]
	switch b[0] % 12 {
	case 0, 1:
		if !exists {
			w.uids++
			s = lbip.Service{Name: name, UID: fmt.Sprint(w.uids), Wants: true, Families: []prefix.Family{prefix.IPv6}}
			if b[2]%2 == 0 {
				s.Families, s.AllFamilies = append(s.Families, prefix.IPv4), b[3]%2 == 0
			}
			w.put(s)
		}
	case 2:
		delete(w.services, name)
	case 3: // another type; the API server empties the status
		if exists {
			s.Wants, s.Holds = !s.Wants, nil
			w.put(s)
		}
	case 4:
		if exists {
			s.Requested, s.Pool = nil, ""
			switch b[2] % 3 {
			case 0:
				s.Requested = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("2001:db8:5::%x", b[3]%5))}
			case 1:
				s.Pool = []string{"a", "b", "c"}[b[3]%3]
			}
			w.put(s)
		}
	case 5:
		if exists {
			w.put(s) // something else about it
		}
	case 6: // the watch catches up with one Service
		if exists {
			r.cache[name] = s
		} else {
			delete(r.cache, name)
		}
	case 7: // a new process, perhaps with other pools; what is under way stays under way
		r.book, r.dirty, r.pools = nil, false, simPools[int(b[3])%len(simPools)]
		r.life++
		w.repooled = w.repooled || int(b[3])%len(simPools) > 0
	case 8, 9:
		r.process([]string{name, fmt.Sprintf("default/s%d", b[3]%6)}, fault(b[3]%7))
	default:
		if n := len(w.requests); n > 0 {
			i := int(b[1]) % n
			q := w.requests[i]
			if b[3]%3 > 0 {
				w.requests = slices.Delete(w.requests, i, i+1)
			} // else it is sent twice
			w.arrive(q)
		}
	}
	return w.check()
}

func (w *world) arrive(q request) {
	s, exists := w.services[q.service.Name]
	if !exists || s.UID != q.service.UID || !s.Wants || s.Version != q.service.Version && !w.naive {
		return
	}
	s.Holds = q.addresses
	w.put(s)
	if r := q.from; r.book != nil && r.life == q.life {
		r.book.Set(w.services[s.Name])
	}
}

func (r *replica) restore() {
	if r.book != nil {
		return
	}
	j, err := lbip.DecodeJournal(r.journal)
	if err != nil {
		panic(err)
	}
	r.read = r.stored
	var all []lbip.Service
	for _, s := range r.services {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b lbip.Service) int { return int(a.Version) - int(b.Version) })
	r.book = lbip.Restore(r.pools, j, all)
}

// fault of a write of the journal.
type fault int

const (
	replyLost fault = iota
	requestLost
	none
)

func (r *replica) process(names []string, f fault) {
	r.restore()
	var requests []request
	for _, name := range names {
		s, ok := r.cache[name]
		if !ok || s.Version < r.book.Version(name) {
			s, ok = r.services[name]
		}
		if !ok {
			r.book.Delete(name)
			continue
		}
		r.book.Set(s)
		d := r.book.For(name)
		r.dirty = r.dirty || d.New
		if d.Verdict == lbip.Assign {
			requests = append(requests, request{s, d.Addresses, r, r.life})
		}
	}
	if r.dirty {
		if f == requestLost {
			return
		}
		if r.read != r.stored {
			r.book, r.dirty = nil, false
			return
		}
		text, err := lbip.EncodeJournal(r.book.Journal())
		if err != nil {
			panic(err)
		}
		r.version++
		r.journal, r.stored = text, r.version
		if f == replyLost {
			return
		}
		r.read, r.dirty = r.stored, false
	}
	r.requests = append(r.requests, requests...)
}

// check that no two Services have one address.
func (w *world) check() error {
	by := map[netip.Addr]string{}
	for name, s := range w.services {
		for _, a := range s.Holds {
			if other, ok := by[a]; ok {
				return fmt.Errorf("%s and %s both have %s", name, other, a)
			}
			by[a] = name
		}
	}
	return nil
}

// settle lets one replica work until nothing changes, and tells what is not as it should be then.
func (w *world) settle() error {
	r := w.replicas[0]
	for range 20 {
		for i := range 6 {
			name := fmt.Sprintf("default/s%d", i)
			delete(r.cache, name) // it looks at what there is
			r.process([]string{name}, none)
			r.process([]string{name}, none)
			for _, q := range w.requests {
				w.arrive(q)
			}
			w.requests = nil
		}
	}
	r.restore()
	for name := range w.services {
		r.book.Set(w.services[name])
		d := r.book.For(name)
		if d.Verdict == lbip.Assign || d.Verdict == lbip.Wait && len(d.Problems) == 0 {
			return fmt.Errorf("%s is not settled: %+v", name, d)
		}
	}
	// Of other pools, a claim stands until its Service has another version: a request with it may arrive yet.
	if n := r.book.Claims(); n > 0 && !w.repooled {
		return fmt.Errorf("%d claims are left", n)
	}
	return w.check()
}

func run(w *world, data []byte) error {
	for ; len(data) >= 4; data = data[4:] {
		if err := w.step([4]byte(data)); err != nil {
			return err
		}
	}
	return w.settle()
}

func random(seed uint64, steps int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 4*steps)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// FuzzNeverOneAddressTwice lets replicas with stale caches, crashes, lost replies and requests that arrive late work on the same few addresses.
func FuzzNeverOneAddressTwice(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(random(seed, 400))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := run(newWorld(), data); err != nil {
			t.Fatal(err)
		}
	})
}

// TestVersionsMatter is the simulation's own test: without the version of claims it must find two Services with one address.
func TestVersionsMatter(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld()
		w.naive = true
		if err := run(w, random(seed, 400)); err != nil {
			return
		}
	}
	t.Fatal("the simulation cannot tell: it found nothing wrong")
}
