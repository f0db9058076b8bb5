// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package openstack_test holds the backend openstack against real Neutron and Keystone, with a proxy before each that loses
// requests and answers.
package openstack_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/openstack"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// cloud serves all tests; each has a project of its own there.
var cloud *neutron.Cloud

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/ipam/openstack:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if why := neutron.Missing(); why != "" {
		if os.Getenv("CI") == "true" {
			return 1, fmt.Errorf("%s. Failing, because CI=true", why)
		}
		fmt.Fprintln(os.Stderr, "LEFT OUT: test/ipam/openstack:", why)
		return 0, nil
	}
	if cloud, err = neutron.Start(context.Background()); err != nil {
		return 1, err
	}
	code = m.Run()
	if file := os.Getenv("NEUTRON_LOG"); file != "" {
		if err := os.WriteFile(file, []byte(cloud.Log()), 0o600); err != nil {
			return 1, err
		}
	}
	return code, cloud.Stop()
}

const (
	garden = "garden-a"
	seed   = "seed-1"
)

// world is a project with a subnet pool, seen through a proxy before each service.
type world struct {
	tenant            *neutron.Tenant
	identity, network *faultproxy.Proxy
	pools             []reservation.Pool
	pageSize          int
	now               func() time.Time

	mu     sync.Mutex
	secret map[string][]byte
}

// newWorld has one pool, "pool-a", with prefixes from /56 to /112.
func newWorld(t *testing.T, whole string, options neutron.PoolOptions) *world {
	t.Helper()
	w := &world{
		tenant: cloud.NewTenant(t), identity: faultproxy.New(t, cloud.AuthURL), network: faultproxy.New(t, cloud.NetworkURL),
	}
	w.use(w.tenant.Secret())
	w.add("pool-a", w.tenant.NewPool(t, netip.MustParsePrefix(whole), options))
	return w
}

func (w *world) add(name, id string) {
	w.pools = append(w.pools, reservation.Pool{Name: name, ID: id, Family: prefix.IPv6, MinBits: 48, MaxBits: 112})
}

// use these credentials from now on, through the proxy.
func (w *world) use(secret map[string][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secret = maps.Clone(secret)
	w.secret["authURL"] = []byte(w.identity.URL + "/v3")
}

func (w *world) credentials(context.Context) (map[string][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.secret), nil
}

// reserver of a seed. Each has a login of its own, as another process would have.
func (w *world) reserver(t *testing.T, seed string) *openstack.Reserver {
	t.Helper()
	r, err := openstack.New("os", openstack.Config{Endpoint: w.network.URL, PageSize: w.pageSize, Now: w.now}, w.pools,
		reservation.Home{GardenID: garden, Seed: seed}, w.credentials)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func owner(i int) reservation.Owner { return reservetest.Owner(i) }

func request(bits int, pools ...string) reservation.Request {
	if len(pools) == 0 {
		pools = []string{"pool-a"}
	}
	return reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: bits, Pools: pools}
}
