// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
)

// The requests that faults are for.
var (
	createSubnet  = faultproxy.Match{Method: "POST", Path: `/subnets$`}
	createNetwork = faultproxy.Match{Method: "POST", Path: `/networks$`}
	listSubnets   = faultproxy.Match{Method: "GET", Path: `/subnets\?`}
	secondPage    = faultproxy.Match{Method: "GET", Path: `/subnets\?.*marker=`}
	tagSubnet     = faultproxy.Match{Method: "PUT", Path: `/tags/`}
	remove        = faultproxy.Match{Method: "DELETE"}
	login         = faultproxy.Match{Method: "POST", Path: `/auth/tokens`}
)

// journal is the reservation's object, which only takes what is based on its latest version.
type journal struct {
	mu      sync.Mutex
	record  reservation.Record
	version int
}

// view is the journal as one process has read it.
type view struct {
	*journal
	read int
}

func (v *view) Save(_ context.Context, r reservation.Record) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.read != v.version {
		return errors.New("conflict: the object has been modified")
	}
	v.version++
	v.read, v.record = v.version, r
	return nil
}

// once runs the protocol once, as a process does that has just been started.
func (j *journal) once(t *testing.T, r reservation.Reserver, o reservation.Owner, req reservation.Request) error {
	t.Helper()
	record, v := j.open()
	p := reservation.Protocol{Reserver: r, Journal: v, Owner: o, Seed: seed}
	_, err := p.Ensure(t.Context(), record, req)
	return err
}

func (j *journal) open() (reservation.Record, *view) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.record, &view{journal: j, read: j.version}
}

// release runs the second half of the protocol once.
func (j *journal) release(t *testing.T, r reservation.Reserver, o reservation.Owner) error {
	t.Helper()
	record, v := j.open()
	p := reservation.Protocol{Reserver: r, Journal: v, Owner: o, Seed: seed}
	record, err := p.BeginRelease(t.Context(), record)
	if err != nil {
		return err
	}
	return p.FinishRelease(t.Context(), record)
}

// there is what the project has in Neutron, seen past the proxy: CIDRs by name of the subnet, and the number of networks.
func (w *world) there(t *testing.T) (cidrs map[string][]string, nets int) {
	t.Helper()
	g := NewWithT(t)
	cidrs = map[string][]string{}
	for _, s := range w.subnets(t) {
		cidrs[s.Name] = append(cidrs[s.Name], s.CIDR)
	}
	pages, err := networks.List(w.tenant.Network, networks.ListOpts{}).AllPages(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	all, err := networks.ExtractNetworks(pages)
	g.Expect(err).NotTo(HaveOccurred())
	return cidrs, len(all)
}

func (w *world) subnets(t *testing.T) []subnets.Subnet {
	t.Helper()
	g := NewWithT(t)
	pages, err := subnets.List(w.tenant.Network, subnets.ListOpts{}).AllPages(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	all, err := subnets.ExtractSubnets(pages)
	g.Expect(err).NotTo(HaveOccurred())
	return all
}

// expectOnly holds that the journal is bound to the one subnet that there is, on the one network.
func (w *world) expectOnly(t *testing.T, j *journal, o reservation.Owner) {
	t.Helper()
	g := NewWithT(t)
	cidrs, nets := w.there(t)
	g.Expect(j.record.Phase).To(Equal(reservation.Bound))
	g.Expect(cidrs).To(Equal(map[string][]string{o.Hash(): {j.record.Prefix.String()}}))
	g.Expect(nets).To(Equal(1))
}

func (w *world) expectNothing(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	cidrs, nets := w.there(t)
	g.Expect(cidrs).To(BeEmpty())
	g.Expect(nets).To(BeZero())
}

// expectKind holds that an error is of a kind and gives nothing away.
func (w *world) expectKind(t *testing.T, err error, kind reservation.Kind, parts ...string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(err).To(HaveOccurred())
	g.Expect(reservation.KindOf(err)).To(Equal(kind), "%v", err)
	for _, part := range parts {
		g.Expect(err).To(MatchError(ContainSubstring(part)))
	}
	w.expectNoSecret(t, err)
}

func (w *world) expectNoSecret(t *testing.T, err error) {
	t.Helper()
	g := NewWithT(t)
	secret, _ := w.credentials(t.Context())
	for _, key := range []string{"password", "applicationCredentialSecret"} {
		if value := string(secret[key]); value != "" {
			g.Expect(err.Error()).NotTo(ContainSubstring(value))
		}
	}
	for _, r := range w.network.Requests(faultproxy.Match{}) {
		g.Expect(err.Error()).NotTo(ContainSubstring(r.Header.Get("X-Auth-Token")))
	}
	var response gophercloud.ErrUnexpectedResponseCode
	g.Expect(errors.As(err, &response)).To(BeFalse(), "an error of the SDK has URLs, headers and bodies in it")
}

func drop(n int) []faultproxy.Fault { return repeat(faultproxy.Fault{Drop: true}, n) }
func cut(n int) []faultproxy.Fault  { return repeat(faultproxy.Fault{Cut: true}, n) }

func repeat(f faultproxy.Fault, n int) []faultproxy.Fault {
	var all []faultproxy.Fault
	for range n {
		all = append(all, f)
	}
	return all
}
