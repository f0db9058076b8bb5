// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package aws reserves prefixes in pools of Amazon VPC IP Address Manager (IPAM): each reservation is a manual allocation
// ("custom") of a pool, made by EC2's AllocateIpamPoolCidr. The owner's hash is its client token, so that a repeated call gives
// the same allocation; the owner's key and the seed are its description, which is written in the same call and found again in
// the pool's list. What is allocated to VPCs or bears another description is never touched.
package aws

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Config says where the service is.
type Config struct {
	// Region of the pools: what VPC IPAM calls their locale.
	Region string
	// Endpoint of EC2, if it is not the region's public one.
	Endpoint string
	// TokenEndpoint of STS, which gives credentials for a workload identity, if it is not the region's public one.
	TokenEndpoint string
	// Transport of HTTP; the SDK's if nil.
	Transport http.RoundTripper
	// MaxBackoff between the SDK's repetitions of a call; five seconds if unset.
	MaxBackoff time.Duration
}

// Reserver allocates from pools of VPC IPAM. The ID of an allocation is the pool's and the allocation's ID, with a slash between.
type Reserver struct {
	name        string
	config      Config
	pools       []reservation.Pool
	home        reservation.Home
	credentials reservation.Credentials
	opened      session
}

var (
	_ reservation.Reserver = &Reserver{}
	_ reservation.Meter    = &Reserver{}
)

// New makes a Reserver over the pools, which are known by their IDs ("ipam-pool-…"). It does no I/O.
func New(name string, config Config, pools []reservation.Pool, home reservation.Home, credentials reservation.Credentials) (*Reserver, error) {
	switch {
	case config.Region == "":
		return nil, reservation.Errorf(reservation.Invalid, "backend %s: the region of the IPAM pools is not known; want for example eu-west-1", name)
	case credentials == nil:
		return nil, reservation.Errorf(reservation.Invalid, "backend %s: there are no credentials", name)
	case len(pools) == 0:
		return nil, reservation.Errorf(reservation.Invalid, "backend %s: there are no pools", name)
	}
	for _, p := range pools {
		if !strings.HasPrefix(p.ID, poolPrefix) {
			return nil, reservation.Errorf(reservation.Invalid, "backend %s, pool %s: %q is not the ID of an IPAM pool; want %s…", name, p.Name, p.ID, poolPrefix)
		}
	}
	if config.MaxBackoff == 0 {
		config.MaxBackoff = 5 * time.Second
	}
	return &Reserver{name: name, config: config, pools: slices.Clone(pools), home: home, credentials: credentials}, nil
}

const poolPrefix = "ipam-pool-"

// Name of the backend.
func (r *Reserver) Name() string { return r.name }

// Lookup returns what the pools hold for the owner. EC2 does not tell when something was allocated: the order is that of the
// prefixes, the same for everybody who looks.
func (r *Reserver) Lookup(ctx context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	return r.marked(ctx, func(o reservation.Owner) bool { return o == owner })
}

// List returns what the pools hold for the garden.
func (r *Reserver) List(ctx context.Context, gardenID string) ([]reservation.Allocation, error) {
	return r.marked(ctx, func(o reservation.Owner) bool { return o.GardenID == gardenID })
}

func (r *Reserver) marked(ctx context.Context, match func(reservation.Owner) bool) ([]reservation.Allocation, error) {
	entries, err := r.allEntries(ctx)
	if err != nil {
		return nil, err
	}
	var found []reservation.Allocation
	for _, e := range entries {
		if e.ours && match(e.owner) {
			found = append(found, e.allocation())
		}
	}
	slices.SortFunc(found, func(a, b reservation.Allocation) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	return found, nil
}

// pool with this name, if the reserver has it.
func (r *Reserver) pool(name string) (reservation.Pool, bool) {
	i := slices.IndexFunc(r.pools, func(p reservation.Pool) bool { return p.Name == name })
	if i < 0 {
		return reservation.Pool{}, false
	}
	return r.pools[i], true
}

// poolText names a pool for people.
func (r *Reserver) poolText(id string) string {
	for _, p := range r.pools {
		if p.ID == id {
			return fmt.Sprintf("pool %s (%s)", p.Name, p.ID)
		}
	}
	return "pool " + id
}

// parsePrefix reads a CIDR of EC2's answer.
func parsePrefix(cidr *string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(aws.ToString(cidr))
	if err != nil {
		return p, reservation.Errorf(reservation.Retry, "EC2 answered with %q, which is not a CIDR", aws.ToString(cidr))
	}
	return p.Masked(), nil
}
