// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package gcp_test drives the adapter for Compute Engine, and the protocol on top of it, through Google's SDK against a fake of the service.
package gcp_test

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/gcp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/computefake"
)

const (
	west  = "projects/my-project/regions/europe-west1/subnetworks/shoots"
	west2 = "projects/my-project/regions/europe-west1/subnetworks/more-shoots"
	north = "projects/my-project/regions/europe-north1/subnetworks/shoots"
	inner = "projects/my-project/regions/europe-west1/subnetworks/inner"
	old   = "projects/my-project/regions/europe-west1/subnetworks/ipv4-only"
)

var (
	westRange  = netip.MustParsePrefix("2600:1900:4010:a::/64")
	first      = netip.MustParsePrefix("2600:1900:4010:a::/96")
	second     = netip.MustParsePrefix("2600:1900:4010:a:0:1::/96")
	innerRange = netip.MustParsePrefix("fd20:abc:12:3::/64")
)

// world is a fake with subnetworks, and a secret that is good for it.
type world struct {
	*computefake.Server
	secret map[string][]byte
	reads  atomic.Int64 // of the secret
}

func newWorld(t *testing.T) *world {
	w := &world{Server: computefake.New(t)}
	w.AddSubnetwork(west, "EXTERNAL", westRange)
	w.AddSubnetwork(west2, "EXTERNAL", netip.MustParsePrefix("2600:1900:4010:b::/64"))
	w.AddSubnetwork(north, "EXTERNAL", netip.MustParsePrefix("2600:1900:4150:c::/64"))
	w.AddSubnetwork(inner, "INTERNAL", innerRange)
	w.AddSubnetwork(old, "", netip.Prefix{})
	w.secret = w.Secret("my-project")
	return w
}

// reserver makes an adapter over subnetworks, as pools "pool-0", "pool-1", …
func (w *world) reserver(t *testing.T, seed string, subnetworks ...string) *gcp.Reserver {
	return w.configured(t, gcp.Config{Transport: w.Transport()}, seed, subnetworks...)
}

func (w *world) configured(t *testing.T, config gcp.Config, seed string, subnetworks ...string) *gcp.Reserver {
	var pools []reservation.Pool
	for i, id := range subnetworks {
		pools = append(pools, reservation.Pool{Name: poolName(i), ID: id, Family: prefix.IPv6, MinBits: 96, MaxBits: 96})
	}
	if config.Poll == 0 {
		config.Poll = time.Millisecond
	}
	r, err := gcp.New("gcp", config, pools, reservation.Home{GardenID: "garden-a", Seed: seed},
		func(context.Context) (map[string][]byte, error) { w.reads.Add(1); return w.secret, nil })
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return r
}

func poolName(i int) string { return "pool-" + string(rune('0'+i)) }

func request(pools ...string) reservation.Request {
	return reservation.Request{
		Key: plan.Key{Range: keyword.Services, Family: prefix.IPv6}, Scope: plan.Global, Bits: 96, Pools: pools,
	}
}

// TestConformance is the suite that all backends pass.
func TestConformance(t *testing.T) {
	reservetest.Run(t, reservetest.Subject{
		New: func(t *testing.T) (reservation.Reserver, func() reservation.Reserver) {
			w := newWorld(t)
			again := func() reservation.Reserver { return w.reserver(t, reservetest.SeedA, west, north) }
			return again(), again
		},
		Scope: plan.Global, Bits: 96, Pools: []string{"pool-0", "pool-1"}, Idempotent: true,
		Foreign: netip.MustParsePrefix("2600:1900:4010:a:0:77::/96"),
		Seeds: func(t *testing.T) (reservation.Reserver, reservation.Reserver) {
			w := newWorld(t)
			return w.reserver(t, reservetest.SeedA, west, north), w.reserver(t, reservetest.SeedB, west, north)
		},
		Full: func(t *testing.T) (reservation.Reserver, int) {
			w := newWorld(t)
			w.Room(west, 3)
			w.Room(north, 2)
			return w.reserver(t, reservetest.SeedA, west, north), 5
		},
		Lossy: func(t *testing.T) (reservation.Reserver, func()) {
			w := newWorld(t)
			return w.reserver(t, reservetest.SeedA, west, north), func() {
				w.Inject(computefake.Fault{Method: "addresses.insert", LoseReply: true})
			}
		},
	})
}

// lines of a dump, without the owner's hash, which is the same everywhere.
func lines(w *world) []string {
	if w.Dump() == "" {
		return nil
	}
	return strings.Split(w.Dump(), "\n")
}
