// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// The access rules of the documentation allow everything that a reservation does in its life, and nothing else is tried.
func TestPolicyOfTheDocumentation(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../../../docs/ipam/openstack.md")
	g.Expect(err).NotTo(HaveOccurred())
	_, rest, found := strings.Cut(string(page), "```json\n")
	g.Expect(found).To(BeTrue())
	text, _, _ := strings.Cut(rest, "```")
	var rules []applicationcredentials.AccessRule
	g.Expect(json.Unmarshal([]byte(text), &rules)).To(Succeed())

	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{Name: "by-name"})
	w.pools[0].ID = "by-name"
	_, secret := w.tenant.ApplicationCredential(t, false, rules...)
	w.use(secret)
	r, j := w.reserver(t, seed), &journal{}
	g.Expect(j.once(t, r, owner(1), request(64))).To(Succeed())
	w.expectOnly(t, j, owner(1))
	pods := owner(1)
	pods.Range = "pods-ipv6"
	claimed := reservation.Allocation{Owner: pods, Prefix: netip.MustParsePrefix("2001:db8:0:77::/64")}
	g.Expect(r.Claim(t.Context(), claimed)).To(Succeed())
	g.Expect(w.reserver(t, "seed-2").Claim(t.Context(), claimed)).To(Succeed(), "another seed takes over")
	g.Expect(r.List(t.Context(), garden)).To(HaveLen(2))
	usage, err := r.Usage(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(usage).To(HaveLen(1))
	for _, s := range w.subnets(t) {
		g.Expect(s.Tags).To(Equal([]string{"gardener-ipv6-reservation"}))
	}
	g.Expect(j.release(t, r, owner(1))).To(Succeed())
	g.Expect(r.Release(t.Context(), claimed)).To(Succeed())
	w.expectNothing(t)

	// The rules are enforced: without one for networks nothing is made.
	var fewer []applicationcredentials.AccessRule
	for _, rule := range rules {
		if rule.Path != "/v2.0/networks" {
			fewer = append(fewer, rule)
		}
	}
	_, secret = w.tenant.ApplicationCredential(t, false, fewer...)
	w.use(secret)
	_, err = w.reserver(t, seed).Allocate(t.Context(), owner(1), request(64))
	w.expectKind(t, err, reservation.Unauthorized)
	_, err = networks.List(w.tenant.Network, networks.ListOpts{}).AllPages(t.Context())
	g.Expect(err).NotTo(HaveOccurred(), "the user himself may")
}
