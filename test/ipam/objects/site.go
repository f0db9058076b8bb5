// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package objects is the suite of faults that the backends over IPAMs made of Kubernetes objects pass, each against its real
// API servers and controllers. Each name begins with the number that the fault has in the project's list of faults.
package objects

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Site is an IPAM that runs.
type Site struct {
	// Place makes an empty namespace with pools "first" and "second". Each has room for so many /64.
	Place func(t *testing.T, room int) Place
	// Stop and Start the IPAM's controller.
	Stop, Start func(t *testing.T)
}

// Place is a namespace of an IPAM.
type Place struct {
	// Namespace of the objects.
	Namespace string
	// Config of a user who has the rights that the docs give.
	Config *rest.Config
	// Open makes the backend.
	Open func(name string, pools []reservation.Pool, home reservation.Home, patience time.Duration, c client.Client) (reservation.Reserver, error)
	// Pools of the place.
	Pools []reservation.Pool
	// Objects are the names of all the objects that ask for prefixes.
	Objects func(t *testing.T) []string
	// DeleteByHand deletes an object as a person would, and waits until it and all that follows from it is gone.
	DeleteByHand func(t *testing.T, name string)
	// Take lets somebody else take a certain prefix.
	Take func(t *testing.T, p netip.Prefix)
}

// Home of the backends that Reserver makes.
var Home = reservation.Home{GardenID: "garden-a", Seed: "seed-a"}

// Generous is longer than any answer takes, on a busy machine, too; Brief is for those that do not come.
const (
	Generous = 2 * time.Minute
	Brief    = 3 * time.Second
)

// Reserver opens the backend, with changes to how it reaches the API server.
func (p Place) Reserver(t *testing.T, home reservation.Home, patience time.Duration, wrap func(http.RoundTripper) http.RoundTripper) reservation.Reserver {
	t.Helper()
	g := gomega.NewWithT(t)
	config := rest.CopyConfig(p.Config)
	if wrap != nil {
		config.Wrap(wrap)
	}
	c, err := client.New(config, client.Options{})
	g.Expect(err).NotTo(gomega.HaveOccurred())
	r, err := p.Open("service", p.Pools, home, patience, c)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	return r
}

// Request for a /64 of the given pools.
func Request(pools ...string) reservation.Request {
	return reservation.Request{Key: plan.Key{Range: keyword.Pods, Family: prefix.IPv6}, Scope: plan.Global, Bits: 64, Pools: pools}
}

// Owner of the shoot with this UID.
func Owner(uid string) reservation.Owner {
	return reservation.Owner{GardenID: Home.GardenID, ShootUID: uid, Range: "pods-ipv6"}
}

// Journal is one that several processes share: a save on top of anything but the latest record fails.
type Journal struct {
	mu     sync.Mutex
	stored reservation.Record
}

// Session is one process's view of the journal.
type Session struct {
	journal *Journal
	seen    reservation.Record
}

// Open reads the journal.
func (j *Journal) Open() (*Session, reservation.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return &Session{journal: j, seen: j.stored}, j.stored
}

// Save is reservation.Journal.
func (s *Session) Save(_ context.Context, next reservation.Record) error {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	if s.journal.stored != s.seen {
		return errors.New("somebody else has changed the record")
	}
	s.journal.stored, s.seen = next, next
	return nil
}

// Fault is a transport that loses things. Only what Matches is hit, and only the first time.
type Fault struct {
	Matches func(*http.Request) bool
	// Sent is true if the request reaches the server and only the reply is lost.
	Sent bool
	hit  atomic.Bool
}

// Hit tells whether it has happened.
func (f *Fault) Hit() bool { return f.hit.Load() }

// Wrap a transport.
func (f *Fault) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if !f.Matches(request) || !f.hit.CompareAndSwap(false, true) {
			return next.RoundTrip(request)
		}
		if f.Sent {
			response, err := next.RoundTrip(request)
			if err != nil {
				return nil, err
			}
			_ = response.Body.Close()
		}
		return nil, errors.New("connection lost, says the test")
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func method(m string) func(*http.Request) bool {
	return func(request *http.Request) bool { return request.Method == m }
}
