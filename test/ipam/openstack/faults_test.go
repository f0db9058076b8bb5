// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// The request never reaches Neutron.
func TestF03(t *testing.T) {
	for name, match := range map[string]faultproxy.Match{"network": createNetwork, "subnet": createSubnet} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
			r, j := w.reserver(t, seed), &journal{}
			w.network.Next(match, drop(1)...)
			w.expectKind(t, j.once(t, r, owner(1), request(64)), reservation.Ambiguous, "creating a "+name)
			g.Expect(w.network.Requests(match)).To(HaveLen(1), "a creation is not repeated behind the protocol's back")
			g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
			w.expectOnly(t, j, owner(1))
		})
	}
}

// Neutron has done it, and its answer is lost.
func TestF04(t *testing.T) {
	for name, match := range map[string]faultproxy.Match{"network": createNetwork, "subnet": createSubnet} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
			j := &journal{}
			w.network.Next(match, cut(1)...)
			w.expectKind(t, j.once(t, w.reserver(t, seed), owner(1), request(64)), reservation.Ambiguous)
			g.Expect(j.once(t, w.reserver(t, seed), owner(1), request(64))).To(Succeed())
			g.Expect(w.network.Requests(match)).To(HaveLen(1), "what was made was found")
			w.expectOnly(t, j, owner(1))
		})
	}
}

// The process dies between the creation and the tag. Nothing depends on the tag; who claims again makes up for it.
func TestF06(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	ctx, die := context.WithCancel(t.Context())
	w.network.Next(tagSubnet, faultproxy.Fault{Before: die, Drop: true})
	_, err := w.reserver(t, seed).Allocate(ctx, owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.subnets(t)[0].Tags).To(BeEmpty())

	r, j := w.reserver(t, seed), &journal{}
	g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
	w.expectOnly(t, j, owner(1))
	g.Expect(r.Claim(t.Context(), reservation.Allocation{Owner: owner(1), Prefix: j.record.Prefix})).To(Succeed())
	g.Expect(w.subnets(t)[0].Tags).To(Equal([]string{"gardener-ipv6-reservation"}))
}

// Two replicas at once.
func TestF08(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	j := &journal{}
	var wg sync.WaitGroup
	for range 2 {
		r := w.reserver(t, seed)
		wg.Go(func() {
			for range 5 {
				_ = j.once(t, r, owner(1), request(64)) // conflicts are what is to be expected
			}
		})
	}
	wg.Wait()
	g.Expect(j.once(t, w.reserver(t, seed), owner(1), request(64))).To(Succeed())
	w.expectOnly(t, j, owner(1))
}

// A list lags: what was made does not show up yet.
func TestF09(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r, j := w.reserver(t, seed), &journal{}
	empty := faultproxy.Fault{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"subnets":[]}`}
	w.network.Next(listSubnets, empty, empty)
	w.expectKind(t, j.once(t, r, owner(1), request(64)), reservation.Retry, "does not show up")
	g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
	w.expectOnly(t, j, owner(1))
}

// The second page of a list fails: half a list is no list. Three subnets of one owner are what lost answers leave behind.
func TestF10(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	w.pageSize = 2
	r, j := w.reserver(t, seed), &journal{}
	for range 3 {
		_, err := r.Allocate(t.Context(), owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}
	for name, fault := range map[string]faultproxy.Fault{"500": {Status: 500}, "no JSON": {Status: 200, Body: "<html>"}} {
		w.network.Next(secondPage, fault, fault)
		_, err := r.Lookup(t.Context(), owner(1))
		w.expectKind(t, err, reservation.Retry)
		_, err = r.List(t.Context(), garden)
		w.expectKind(t, err, reservation.Retry)
		g.Expect(w.network.Pending()).To(BeZero(), name)
	}
	g.Expect(r.List(t.Context(), garden)).To(HaveLen(3))
	found, err := r.Lookup(t.Context(), owner(1))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(3))

	w.network.Next(secondPage, faultproxy.Fault{Status: 500})
	w.expectKind(t, j.once(t, r, owner(1), request(64)), reservation.Retry)
	g.Expect(w.subnets(t)).To(HaveLen(3), "nothing is freed, nothing is made")
	g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
	w.expectOnly(t, j, owner(1))
	g.Expect(j.record.ID).To(Equal(found[0].ID), "the oldest is kept")
}

// Deleted in Neutron, and its answer is lost; or it never got there.
func TestF16(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r, j := w.reserver(t, seed), &journal{}
	bind := func() {
		*j = journal{}
		g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
	}
	bind()
	w.network.Next(remove, cut(1)...)
	g.Expect(j.release(t, r, owner(1))).To(Succeed(), "a deletion is repeated, and 404 is success")
	w.expectNothing(t)

	for _, fault := range [][]faultproxy.Fault{cut(3), drop(3)} {
		bind()
		w.network.Next(remove, fault...)
		w.expectKind(t, j.release(t, r, owner(1)), reservation.Retry, "deleting")
		g.Expect(w.network.Pending()).To(BeZero())
		g.Expect(j.release(t, w.reserver(t, seed), owner(1))).To(Succeed())
		w.expectNothing(t)
	}
}
