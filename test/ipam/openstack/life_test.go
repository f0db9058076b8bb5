// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// A port has an address of the subnet: it is freed when the port is gone.
func TestF17(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r, j := w.reserver(t, seed), &journal{}
	g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
	s := w.subnets(t)[0]
	g.Expect([]any{s.EnableDHCP, s.ServiceTypes}).To(Equal([]any{false, []string{"network:ipv6-reservation"}}))
	n, err := networks.Get(t.Context(), w.tenant.Network, s.NetworkID).Extract()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]any{n.AdminStateUp, n.Shared}).To(Equal([]any{false, false}))

	_, err = ports.Create(t.Context(), w.tenant.Network, ports.CreateOpts{NetworkID: s.NetworkID, DeviceOwner: "compute:nova"}).Extract()
	g.Expect(err).To(HaveOccurred(), "a machine that is attached to the network gets no address of the subnet")

	port, err := ports.Create(t.Context(), w.tenant.Network, ports.CreateOpts{
		NetworkID: s.NetworkID, DeviceOwner: "network:ipv6-reservation", FixedIPs: []ports.IP{{SubnetID: s.ID}},
	}).Extract()
	g.Expect(err).NotTo(HaveOccurred())
	w.expectKind(t, j.release(t, r, owner(1)), reservation.Retry, "InUse")
	g.Expect(r.Lookup(t.Context(), owner(1))).To(HaveLen(1))

	// Also beside another reservation, where the subnet is deleted alone.
	other := owner(1)
	other.Range = "pods-ipv6"
	_, err = r.Allocate(t.Context(), other, request(64))
	g.Expect(err).NotTo(HaveOccurred())
	w.expectKind(t, j.release(t, r, owner(1)), reservation.Retry, "SubnetInUse")

	g.Expect(ports.Delete(t.Context(), w.tenant.Network, port.ID).ExtractErr()).To(Succeed())
	g.Expect(j.release(t, r, owner(1))).To(Succeed())
	g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty())
	g.Expect(r.Lookup(t.Context(), other)).To(HaveLen(1))
}

// Somebody deletes the network by hand. The prefix is claimed again if it is free; if it is not, that is said, and no other
// is taken instead.
func TestF19(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r, j := w.reserver(t, seed), &journal{}
	g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
	claim := reservation.Allocation{Owner: owner(1), ID: j.record.ID, Prefix: j.record.Prefix}
	byHand := func() {
		g.Expect(networks.Delete(t.Context(), w.tenant.Network, w.subnets(t)[0].NetworkID).ExtractErr()).To(Succeed())
		w.expectNothing(t)
	}
	byHand()
	g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty(), "seen at once")
	g.Expect(r.Claim(t.Context(), claim)).To(Succeed())
	w.expectOnly(t, j, owner(1))

	byHand()
	thief, err := w.reserver(t, seed).Allocate(t.Context(), owner(2), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(thief.Prefix).To(Equal(claim.Prefix), "Neutron hands it out again at once")
	w.expectKind(t, r.Claim(t.Context(), claim), reservation.Conflict, claim.Prefix.String())
	g.Expect(w.subnets(t)).To(HaveLen(1))
	g.Expect(r.Release(t.Context(), claim)).To(Succeed(), "nothing to release")
	g.Expect(r.Release(t.Context(), thief)).To(Succeed())
	w.expectNothing(t)
}

// A shoot that is created again under its name is another owner.
func TestF20(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r, old, young := w.reserver(t, seed), &journal{}, &journal{}
	g.Expect(old.once(t, r, owner(1), request(64))).To(Succeed())
	again := owner(1)
	again.ShootUID = "another-uid"
	g.Expect(young.once(t, r, again, request(64))).To(Succeed())
	g.Expect(young.record.Prefix).NotTo(Equal(old.record.Prefix))
	g.Expect(old.release(t, r, owner(1))).To(Succeed())
	w.expectOnly(t, young, again)
}

// Another shoot's, another project's and a stranger's subnets are left alone, whatever their name and description say.
func TestForeign(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	pool := cloud.NewSharedPool(t, netip.MustParsePrefix("2001:db8:9::/48"), neutron.PoolOptions{})
	stranger := func(tenant *neutron.Tenant, name, description, poolID string) *subnets.Subnet {
		n, err := networks.Create(t.Context(), tenant.Network, networks.CreateOpts{Name: "n"}).Extract()
		g.Expect(err).NotTo(HaveOccurred())
		s, err := subnets.Create(t.Context(), tenant.Network, subnets.CreateOpts{
			NetworkID: n.ID, Name: name, Description: description, IPVersion: gophercloud.IPv6, SubnetPoolID: poolID, Prefixlen: 64,
		}).Extract()
		g.Expect(err).NotTo(HaveOccurred())
		return s
	}
	r := w.reserver(t, seed)
	same := stranger(w.tenant, owner(1).Hash(), "mine", w.pools[0].ID)
	g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty(), "a name alone is no mark")
	err := r.Release(t.Context(), reservation.Allocation{Owner: owner(1), ID: same.ID, Prefix: netip.MustParsePrefix(same.CIDR)})
	w.expectKind(t, err, reservation.Conflict, same.ID, `"mine"`)
	w.expectKind(t, r.Claim(t.Context(), reservation.Allocation{Owner: owner(1), Prefix: netip.MustParsePrefix(same.CIDR)}), reservation.Conflict)

	// A project that knows how our marks look puts one on a subnet of its own. The administrator sees that subnet.
	forged := stranger(cloud.NewTenant(t), owner(1).Hash(), owner(1).Key()+" seed="+seed, pool)
	w.use(cloud.AdminSecret())
	r = w.reserver(t, seed)
	g.Expect(subnets.Get(t.Context(), cloud.Admin(), forged.ID).Extract()).NotTo(BeNil())
	g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty())
	g.Expect(r.List(t.Context(), garden)).To(BeEmpty())
}

// The network of a shoot and pool is made with the first reservation and goes with the last.
func TestNetwork(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	w.add("pool-b", w.tenant.NewPool(t, netip.MustParsePrefix("2001:db8:1::/48"), neutron.PoolOptions{}))
	r := w.reserver(t, seed)
	pods, services := owner(1), owner(1)
	pods.Range, services.Range = "pods-ipv6", "services-ipv6"
	nets := func() int { _, n := w.there(t); return n }
	var held []reservation.Allocation
	for i, c := range []struct {
		owner reservation.Owner
		pool  string
		nets  int
	}{{owner(1), "pool-a", 1}, {pods, "pool-a", 1}, {services, "pool-b", 2}, {owner(2), "pool-a", 3}} {
		a, err := r.Allocate(t.Context(), c.owner, request(64, c.pool))
		g.Expect(err).NotTo(HaveOccurred())
		held = append(held, a)
		g.Expect(nets()).To(Equal(c.nets), "%d", i)
	}
	for i, want := range []int{3, 2, 1, 0} {
		g.Expect(r.Release(t.Context(), held[i])).To(Succeed())
		g.Expect(nets()).To(Equal(want), "%d", i)
	}
}

// While the last subnet of a network is being deleted, another one is made there: Neutron would delete it too.
func TestReleaseBesideAllocate(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	first, err := r.Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	pods := owner(1)
	pods.Range = "pods-ipv6"
	w.network.Next(remove, faultproxy.Fault{Before: func() {
		_, err := w.reserver(t, seed).Allocate(t.Context(), pods, request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}})
	g.Expect(r.Release(t.Context(), first)).To(Succeed())
	g.Expect(w.network.Requests(remove)[0].Status).To(Equal(412))
	g.Expect(r.Lookup(t.Context(), pods)).To(HaveLen(1))
	g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty())
}

// What another seed has taken over is published there: the old one does not release it, although it has seen it as its own
// before.
func TestWhatAnotherSeedHasTakenOverIsNotReleased(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	old, young := w.reserver(t, seed), w.reserver(t, "seed-2")
	held, err := old.Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(young.Claim(t.Context(), held)).To(Succeed())
	w.expectKind(t, old.Release(t.Context(), held), reservation.Retry, "2001:db8::/64 is not released: seed seed-2 has taken it over")
	g.Expect(w.network.Requests(remove)).To(BeEmpty())
	found, err := young.Lookup(t.Context(), owner(1))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(1))
	g.Expect(young.Release(t.Context(), found[0])).To(Succeed())
	w.expectNothing(t)
}

// The same, when the other seed comes between the looks and the deletion: of the network, when the subnet is alone there, or of
// the subnet. Neutron raises the network's revision when the subnet's description changes.
func TestReleaseBesideClaim(t *testing.T) {
	network := faultproxy.Match{Method: "GET", Path: `/networks/`}
	for _, c := range []struct {
		beside  bool
		moment  faultproxy.Match
		refused []string // deletions, which Neutron refuses
	}{
		{false, network, nil},
		{false, remove, []string{"/v2.0/networks/"}},
		{true, network, []string{"/v2.0/subnets/"}},
		{true, remove, []string{"/v2.0/subnets/"}},
	} {
		g := NewWithT(t)
		w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
		old, young := w.reserver(t, seed), w.reserver(t, "seed-2")
		held, err := old.Allocate(t.Context(), owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
		if c.beside {
			pods := owner(1)
			pods.Range = "pods-ipv6"
			_, err := old.Allocate(t.Context(), pods, request(64))
			g.Expect(err).NotTo(HaveOccurred())
		}
		w.network.Next(c.moment, faultproxy.Fault{Before: func() {
			g.Expect(young.Claim(context.WithoutCancel(t.Context()), held)).To(Succeed())
		}})
		w.expectKind(t, old.Release(t.Context(), held), reservation.Retry, "is not released: seed seed-2 has taken it over")
		deletions := w.network.Requests(remove)
		g.Expect(deletions).To(HaveLen(len(c.refused)))
		for i, path := range c.refused {
			g.Expect(deletions[i].Path).To(HavePrefix(path))
			g.Expect(deletions[i].Status).To(Equal(412))
		}
		found, err := young.Lookup(t.Context(), owner(1))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found).To(HaveLen(1))
		g.Expect([]string{found[0].ID, found[0].Seed}).To(Equal([]string{held.ID, "seed-2"}))
	}
}

// Two replicas free the same superfluous subnet: the other one on the network stays.
func TestReleaseBesideRelease(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	var both []reservation.Allocation
	for range 2 {
		a, err := r.Allocate(t.Context(), owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
		both = append(both, a)
	}
	w.network.Next(faultproxy.Match{Method: "GET", Path: "/networks/"}, faultproxy.Fault{Before: func() {
		g.Expect(subnets.Delete(t.Context(), w.tenant.Network, both[1].ID).ExtractErr()).To(Succeed())
	}})
	g.Expect(r.Release(t.Context(), both[1])).To(Succeed())
	found, err := r.Lookup(t.Context(), owner(1))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(1))
	g.Expect(found[0].ID).To(Equal(both[0].ID))
}

// Two networks of one name are what two replicas make at once. All use the one with something on it; empty ones go.
func TestDuplicateNetworks(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	w.network.Next(createNetwork, faultproxy.Fault{Before: func() {
		_, err := w.reserver(t, seed).Allocate(context.WithoutCancel(t.Context()), owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}})
	pods := owner(1)
	pods.Range = "pods-ipv6"
	_, err := r.Allocate(t.Context(), pods, request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.network.Requests(createNetwork)).To(HaveLen(2))
	cidrs, nets := w.there(t)
	g.Expect(cidrs).To(HaveLen(2))
	g.Expect(nets).To(Equal(1))
}

// A crash before the subnet leaves an empty network. Whoever finds nothing for the shoot removes it once it is old.
func TestForgottenNetwork(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	w.network.Next(createSubnet, drop(1)...)
	_, err := r.Allocate(t.Context(), owner(1), request(64))
	w.expectKind(t, err, reservation.Ambiguous)
	g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty())
	_, nets := w.there(t)
	g.Expect(nets).To(Equal(1), "somebody may be about to use it")

	w.now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	g.Expect(w.reserver(t, seed).Lookup(t.Context(), owner(1))).To(BeEmpty())
	w.expectNothing(t)
}

// A pool may be given by its name, if that says which one is meant.
func TestPoolByName(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{Name: "garden-pool"})
	w.pools[0].ID = "garden-pool"
	_, err := w.reserver(t, seed).Allocate(t.Context(), owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())

	w.tenant.NewPool(t, netip.MustParsePrefix("2001:db8:1::/48"), neutron.PoolOptions{Name: "garden-pool"})
	_, err = w.reserver(t, seed).Allocate(t.Context(), owner(2), request(64))
	w.expectKind(t, err, reservation.Invalid, `2 IPv6 subnet pools that these credentials see are called "garden-pool"`)

	w.pools[0].ID = "00000000-0000-4000-8000-000000000000"
	_, err = w.reserver(t, seed).Allocate(t.Context(), owner(2), request(64))
	w.expectKind(t, err, reservation.Invalid, "pool-a", "404")
	_, nets := w.there(t)
	g.Expect(nets).To(Equal(1), "no empty network is left behind")
}
