// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// The pool is exhausted, which Neutron says with status 500. It is not asked a second time; the next pool is.
func TestF11(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/64", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	first, err := r.Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	before := len(w.network.Requests(createSubnet))

	_, err = r.Allocate(t.Context(), owner(2), request(64))
	w.expectKind(t, err, reservation.Exhausted, "pool-a", "Insufficient prefix space", "a /64 (IPv6, Global) for nodes")
	g.Expect(w.network.Requests(createSubnet)).To(HaveLen(before+1), "asked once")
	cidrs, nets := w.there(t)
	g.Expect(cidrs).To(HaveLen(1))
	g.Expect(nets).To(Equal(1), "no empty network is left behind")

	w.add("pool-b", w.tenant.NewPool(t, netip.MustParsePrefix("2001:db8:1::/64"), neutron.PoolOptions{}))
	r = w.reserver(t, seed)
	second, err := r.Allocate(t.Context(), owner(2), request(64, "pool-a", "pool-b"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second.Prefix.String()).To(Equal("2001:db8:1::/64"))
	_, err = r.Allocate(t.Context(), owner(3), request(64, "pool-a", "pool-b"))
	w.expectKind(t, err, reservation.Exhausted, "pool-a", "pool-b")

	g.Expect(r.Release(t.Context(), first)).To(Succeed())
	_, err = r.Allocate(t.Context(), owner(3), request(64, "pool-a", "pool-b"))
	g.Expect(err).NotTo(HaveOccurred())
}

// A creation that was answered with 500 although it was done is found, also when the pool is full because of it.
func TestF11Own(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/64", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	first, err := r.Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	again, err := r.Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(first))
}

// The quota of the pool, that of the project for subnets, and for networks.
func TestF12(t *testing.T) {
	g := NewWithT(t)
	one := 1
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{Quota: 1})
	w.add("pool-b", w.tenant.NewPool(t, netip.MustParsePrefix("2001:db8:1::/64"), neutron.PoolOptions{}))
	r := w.reserver(t, seed)
	_, err := r.Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.Allocate(t.Context(), owner(2), request(64))
	w.expectKind(t, err, reservation.Quota, "pool-a", "SubnetPoolQuotaExceeded")
	_, err = r.Allocate(t.Context(), owner(2), request(64, "pool-a", "pool-b"))
	g.Expect(err).NotTo(HaveOccurred(), "another pool has a quota of its own")
	_, err = r.Allocate(t.Context(), owner(3), request(64, "pool-b", "pool-a"))
	w.expectKind(t, err, reservation.Quota, "pool-a", "pool-b")
	cidrs, nets := w.there(t)
	g.Expect([]int{len(cidrs), nets}).To(Equal([]int{2, 2}))

	for name, limits := range map[string]quotas.UpdateOpts{"subnet": {Subnet: &one}, "network": {Network: &one}} {
		w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
		w.tenant.SetQuota(t, limits)
		r := w.reserver(t, seed)
		_, err := r.Allocate(t.Context(), owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
		_, err = r.Allocate(t.Context(), owner(2), request(64))
		w.expectKind(t, err, reservation.Quota, "OverQuota", name)
		cidrs, nets := w.there(t)
		g.Expect([]int{len(cidrs), nets}).To(Equal([]int{1, 1}), name)
	}
}

// Throttled: what may be repeated is repeated when the service wants, what may not is not; the next call waits for the
// time that was named.
func TestF13(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	wait := func(status int, after string) faultproxy.Fault {
		return faultproxy.Fault{Status: status, Header: http.Header{"Retry-After": {after}}}
	}
	for _, status := range []int{429, 503} {
		w.network.Next(listSubnets, wait(status, "1"))
		before := len(w.network.Requests(listSubnets))
		g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty())
		asked := w.network.Requests(listSubnets)[before:]
		g.Expect(asked).To(HaveLen(2))
		g.Expect(asked[1].At.Sub(asked[0].At)).To(BeNumerically(">=", time.Second))

		w.network.Next(createSubnet, wait(status, "1"))
		before = len(w.network.Requests(faultproxy.Match{}))
		_, err := r.Allocate(t.Context(), owner(1), request(64))
		w.expectKind(t, err, reservation.Retry, "creating a subnet", "pause of 1s")
		g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty())
		all := w.network.Requests(faultproxy.Match{})[before:]
		last := len(all) - 1
		for all[last].Method != "POST" {
			last--
		}
		g.Expect(all[last].Status).To(Equal(status))
		g.Expect(all[last+1].At.Sub(all[last].At)).To(BeNumerically(">=", time.Second))
	}

	w.network.Next(listSubnets, wait(429, "3600"))
	_, err := r.Lookup(t.Context(), owner(1))
	w.expectKind(t, err, reservation.Retry, "429")
	before := len(w.network.Requests(faultproxy.Match{}))
	_, err = r.Lookup(t.Context(), owner(1))
	w.expectKind(t, err, reservation.Retry, "asked not to be called")
	g.Expect(w.network.Requests(faultproxy.Match{})).To(HaveLen(before), "who asks for an hour's peace gets it")
}

// Every length that the pool allows, cut where it fits best, so that large spaces stay whole.
func TestSizes(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{MinBits: 56, MaxBits: 112})
	r := w.reserver(t, seed)
	for i, c := range []struct {
		bits int
		want string
	}{
		{64, "2001:db8::/64"},
		{112, "2001:db8:0:1::/112"},
		{56, "2001:db8:0:100::/56"},
		{60, "2001:db8:0:10::/60"},
		{80, "2001:db8:0:1:1::/80"},
		{96, "2001:db8:0:1:0:1::/96"},
		{120, "2001:db8:0:1::1:0/112"}, // longer than the pool gives: the longest that it does
	} {
		a, err := r.Allocate(t.Context(), owner(i), request(c.bits))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(a.Prefix.String()).To(Equal(c.want))
	}
	// The configuration promises more than the subnet pool allows.
	_, err := r.Allocate(t.Context(), owner(9), request(52))
	w.expectKind(t, err, reservation.Invalid, "MinPrefixSubnetAllocationError", "pool-a")
	_, err = r.Allocate(t.Context(), owner(9), request(40))
	w.expectKind(t, err, reservation.Invalid, "nothing larger than a /48")
	g.Expect(w.network.Requests(createSubnet)).To(HaveLen(8))
}

// How full the pool is: with everybody's subnets in it, or not at all.
func TestUsage(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/60", neutron.PoolOptions{})
	w.pools[0].MinBits, w.pools[0].MaxBits = 60, 66
	r := w.reserver(t, seed)
	_, err := r.Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.Usage(t.Context())).To(Equal([]reservation.Usage{{
		Pool: "pool-a", Capacity: 16 * (1 << 32) * (1 << 32), Free: 15 * (1 << 32) * (1 << 32), LargestFree: 61,
		FreePrefixes: map[int]float64{60: 0, 61: 1, 62: 3, 63: 7, 64: 15, 65: 30, 66: 60},
	}}))

	shared := cloud.NewSharedPool(t, netip.MustParsePrefix("2001:db8:5::/63"), neutron.PoolOptions{})
	w.pools = nil
	w.add("pool-a", shared)
	_, err = w.reserver(t, seed).Allocate(t.Context(), owner(2), request(64))
	g.Expect(err).NotTo(HaveOccurred(), "a shared pool serves")
	g.Expect(w.reserver(t, seed).Usage(t.Context())).To(BeEmpty(), "others' subnets in a shared pool are not visible")
	w.use(cloud.AdminSecret())
	usage, err := w.reserver(t, seed).Usage(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(usage).To(HaveLen(1))
	g.Expect(usage[0].LargestFree).To(Equal(64), "the administrator sees what the project has taken")
}
