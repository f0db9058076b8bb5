// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package gcp reserves prefixes in Google Compute Engine: regional addresses of /96 out of the /64 of a subnetwork. The API knows
// no other length.
//
// The name of an address is made of its owner's hash, so a repeated call can't make a second one, and its description, which
// the call that makes it carries and nothing changes later, holds the owner's key and the seed. When another seed takes over, a
// label says so: labels are all that can be changed of an address.
package gcp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/option"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Length of all prefixes that Compute Engine reserves in a subnetwork, in bits.
const Length = 96

// Config of the adapter.
type Config struct {
	// Endpoint is the URL of the Compute Engine API, https://compute.googleapis.com/compute/v1/ if empty. Its host is then trusted
	// with the exchange of credentials, too.
	Endpoint string
	// Transport makes the requests, http.DefaultTransport if nil.
	Transport http.RoundTripper
	// Poll is the time between two looks at an operation if the service does not wait itself, one second if zero.
	Poll time.Duration
	// Patience is how long an operation is waited for, 15 seconds if zero. One that takes longer is found by a later look: who waits
	// keeps others waiting.
	Patience time.Duration
	// Timeout is how long one request may take, half a minute if zero. It is longer than Patience.
	Timeout time.Duration
}

// Reserver makes regional addresses. The ID of an allocation is the resource's path:
// projects/<p>/regions/<r>/addresses/<name>.
type Reserver struct {
	name     string
	home     reservation.Home
	pools    []pool
	service  *compute.Service
	poll     time.Duration
	patience time.Duration
}

var (
	_ reservation.Reserver = &Reserver{}
	_ reservation.Meter    = &Reserver{}
)

// pool is a subnetwork.
type pool struct {
	name string
	place
	subnetwork string
}

// place is where addresses have their names.
type place struct{ project, region string }

func (p pool) path() string {
	return fmt.Sprintf("projects/%s/regions/%s/subnetworks/%s", p.project, p.region, p.subnetwork)
}

func (p pool) String() string { return fmt.Sprintf("pool %s (%s)", p.name, p.path()) }

func (p place) address(name string) string {
	return fmt.Sprintf("projects/%s/regions/%s/addresses/%s", p.project, p.region, name)
}

// New makes a Reserver over subnetworks. It does no I/O.
func New(name string, config Config, pools []reservation.Pool, home reservation.Home, credentials reservation.Credentials) (*Reserver, error) {
	r := &Reserver{name: name, home: home, poll: config.Poll, patience: config.Patience}
	if r.poll == 0 {
		r.poll = time.Second
	}
	if r.patience == 0 {
		r.patience = 15 * time.Second
	}
	for _, p := range pools {
		parsed, err := parsePool(p)
		if err != nil {
			return nil, reservation.Errorf(reservation.Invalid, "backend %s: %w", name, err)
		}
		r.pools = append(r.pools, parsed)
	}
	if config.Timeout == 0 {
		config.Timeout = 30 * time.Second
	}
	if config.Transport == nil {
		config.Transport = http.DefaultTransport
	}
	transport := &authorized{base: config.Transport, credentials: credentials, trusted: trustedHosts}
	// A redirect is not followed: the transport puts a token on every request, wherever it goes.
	options := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: noRedirect, Timeout: config.Timeout})}
	if config.Endpoint != "" {
		endpoint, err := parseEndpoint(config.Endpoint)
		if err != nil {
			return nil, reservation.Errorf(reservation.Invalid, "backend %s: %w", name, err)
		}
		transport.trusted = append(slices.Clone(trustedHosts), endpoint.Scheme+"://"+endpoint.Host)
		options = append(options, option.WithEndpoint(endpoint.String()))
	}
	var err error
	if r.service, err = compute.NewService(context.Background(), options...); err != nil {
		return nil, reservation.Errorf(reservation.Invalid, "backend %s: %w", name, err)
	}
	r.service.UserAgent = "gardener-extension-networking-ipv6"
	return r, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Name of the backend.
func (r *Reserver) Name() string { return r.name }

var poolID = regexp.MustCompile(`^projects/([a-z0-9][a-z0-9:.-]*)/regions/([a-z][a-z0-9-]*)/subnetworks/([a-z][a-z0-9-]*)$`)

func parsePool(p reservation.Pool) (pool, error) {
	parts := poolID.FindStringSubmatch(p.ID)
	switch {
	case parts == nil:
		return pool{}, fmt.Errorf("pool %s: id %q is not of the form projects/<project>/regions/<region>/subnetworks/<subnetwork>", p.Name, p.ID)
	case p.Family != prefix.IPv6:
		return pool{}, fmt.Errorf("pool %s: family %s: only IPv6 can be reserved", p.Name, p.Family)
	case p.MinBits != Length || p.MaxBits != Length:
		return pool{}, fmt.Errorf("pool %s: lengths from /%d to /%d: Compute Engine reserves nothing but /%d, set both to %d",
			p.Name, p.MinBits, p.MaxBits, Length, Length)
	}
	return pool{name: p.Name, place: place{project: parts[1], region: parts[2]}, subnetwork: parts[3]}, nil
}

// parseEndpoint completes a bare host with the path of the API.
func parseEndpoint(text string) (*url.URL, error) {
	endpoint, err := url.Parse(text)
	if err != nil || endpoint.Host == "" || (endpoint.Scheme != "https" && endpoint.Scheme != "http") {
		return nil, fmt.Errorf("endpoint %q is no URL of the form https://<host>/compute/v1/", text)
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/compute/v1/"
	}
	if !strings.HasSuffix(endpoint.Path, "/") {
		endpoint.Path += "/"
	}
	return endpoint, nil
}

// places are the projects and regions of the pools, each once.
func (r *Reserver) places() []place {
	var found []place
	for _, p := range r.pools {
		if !slices.Contains(found, p.place) {
			found = append(found, p.place)
		}
	}
	return found
}

// wanted are the pools that a request is to be served from, in its order.
func (r *Reserver) wanted(names []string) ([]pool, error) {
	var found []pool
	for _, name := range names {
		at := slices.IndexFunc(r.pools, func(p pool) bool { return p.name == name })
		if at < 0 {
			return nil, reservation.Errorf(reservation.Invalid, "backend %s has no pool %q", r.name, name)
		}
		found = append(found, r.pools[at])
	}
	if len(found) == 0 {
		return nil, reservation.Errorf(reservation.Invalid, "backend %s: the request names no pool", r.name)
	}
	return found, nil
}
