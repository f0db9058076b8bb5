// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package helper_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const everything = header + `gardenID: garden
seedName: seed
pools:
- name: own
  prefixes: ["2001:db8:1000::/36", "2001:db8:2000::/40"]
  ranges: [services]
  shootsMayName: true
backends:
- name: neutron
  type: openstack
  regions: [eu-1]
  shootsMayName: true
  pools:
  - {name: public, id: 6f2f3d2c-4b0f-4b57-9d3c-6a4f6a0d8a11, minPrefixLength: 48, maxPrefixLength: 112}
- name: compute
  type: gcp
  secretName: gcp
  pools:
  - {name: west, id: projects/p/regions/europe-west1/subnetworks/s, minPrefixLength: 96, maxPrefixLength: 96, ranges: [services], seeds: [a, b]}
`

func TestOffers(t *testing.T) {
	g := NewWithT(t)
	config, err := helper.Load(write(t, everything))
	g.Expect(err).NotTo(HaveOccurred())
	offers, err := helper.Offers(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(offers).To(Equal([]reservation.Offer{
		{
			Backend: "pool", Type: "pool", Scope: plan.Global, Family: prefix.IPv6, Keeps: true,
			Pools: []reservation.Pool{{
				Name: "own", Family: prefix.IPv6, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1000::/36"), netip.MustParsePrefix("2001:db8:2000::/40")},
				MinBits: 36, MaxBits: 120, Selector: reservation.Selector{Ranges: []keyword.Name{keyword.Services}}, Named: true,
			}},
		},
		{
			Backend: "neutron", Type: "openstack", Scope: plan.Global, Family: prefix.IPv6, Named: true,
			Selector: reservation.Selector{ProviderTypes: []string{"openstack"}, Regions: []string{"eu-1"}},
			Pools:    []reservation.Pool{{Name: "public", ID: "6f2f3d2c-4b0f-4b57-9d3c-6a4f6a0d8a11", Family: prefix.IPv6, MinBits: 48, MaxBits: 112}},
		},
		{
			Backend: "compute", Type: "gcp", Scope: plan.Global, Family: prefix.IPv6,
			Pools: []reservation.Pool{{
				Name: "west", ID: "projects/p/regions/europe-west1/subnetworks/s", Family: prefix.IPv6, MinBits: 96, MaxBits: 96,
				Selector: reservation.Selector{Regions: []string{"europe-west1"}, Seeds: []string{"a", "b"}, Ranges: []keyword.Name{keyword.Services}},
			}},
		},
		{Backend: "ula", Type: "ula", Scope: plan.Private, Family: prefix.IPv6},
	}))
}

func TestOffersOfAnEmptyConfiguration(t *testing.T) {
	g := NewWithT(t)
	offers, err := helper.Offers(&v1alpha1.ControllerConfiguration{})
	g.Expect(err).NotTo(HaveOccurred())
	_, _, err = reservation.Choose(offers, reservation.Place{}, reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Private, Bits: 64})
	g.Expect(err).NotTo(HaveOccurred(), "private ranges need no configuration")
	_, _, err = reservation.Choose(offers, reservation.Place{}, reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: 64})
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Wait), "the infrastructure may bring a range of its own")
}

// TestWhatIsValidServes: what is valid stays the same when it is written and read again, and every pool of it serves somebody.
// The configurations are drawn at random from values that are right for some and wrong for others.
func TestWhatIsValidServes(t *testing.T) {
	valid := 0
	for seed := range uint64(2000) {
		g, drawn := NewWithT(t), draw(rand.New(rand.NewPCG(seed, 0)))
		text, err := yaml.Marshal(drawn)
		g.Expect(err).NotTo(HaveOccurred())
		config, err := helper.Decode(text)
		g.Expect(err).NotTo(HaveOccurred())
		if len(validation.ValidateControllerConfiguration(config)) > 0 {
			continue
		}
		valid++
		written, err := yaml.Marshal(config)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(helper.Decode(written)).To(Equal(config), "%s", written)

		offers, err := helper.Offers(config)
		g.Expect(err).NotTo(HaveOccurred())
		for _, o := range offers {
			for _, p := range o.Pools {
				place, request := customer(o, p)
				names, why := o.Serves(place, request)
				g.Expect(names).To(ContainElement(p.Name), "seed %d, backend %s: %s\n%s", seed, o.Backend, why, text)
			}
		}
	}
	NewWithT(t).Expect(valid).To(BeNumerically(">", 200), "of 2000 that were drawn")
}

// draw makes up a configuration.
func draw(r *rand.Rand) *v1alpha1.ControllerConfiguration {
	types := []v1alpha1.BackendType{v1alpha1.BackendOpenStack, v1alpha1.BackendAWS, v1alpha1.BackendGCP, v1alpha1.BackendClusterAPI, v1alpha1.BackendIronCore}
	ids := []string{"6f2f3d2c-4b0f-4b57-9d3c-6a4f6a0d8a11", "ipam-pool-0a", "projects/p/regions/r1/subnetworks/s", "InClusterPrefixPool/a", "parent"}
	some := func(of ...string) (list []string) {
		if r.IntN(3) == 0 {
			r.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
			list = of[:1+r.IntN(len(of))]
		}
		return list
	}
	perhaps := func(of string) *string {
		if r.IntN(4) == 0 {
			return &of
		}
		return nil
	}
	selector := func() v1alpha1.Selector {
		return v1alpha1.Selector{ProviderTypes: some("openstack", "metal"), Regions: some("r1", "r2"), Seeds: some("a", "b"), Ranges: some("nodes", "pods", "services")}
	}
	lengths := []int32{48, 64, 96, 96, 96}
	config := &v1alpha1.ControllerConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "ControllerConfiguration"}, GardenID: "garden", SeedName: "a",
	}
	for i := range r.IntN(3) {
		config.Pools = append(config.Pools, v1alpha1.Pool{Name: string(rune('a' + i)), Prefixes: []string{[]string{"2001:db8::/40", "2001:db8:100::/40"}[r.IntN(2)]}, Selector: selector()})
	}
	for i := range r.IntN(3) {
		kind := r.IntN(len(types))
		b := v1alpha1.Backend{Name: string(rune('a' + i)), Type: types[kind], SecretName: perhaps("secret"), Region: perhaps("r1"), Selector: selector()}
		if !b.Type.IsCloud() {
			b.Namespace, b.Region = new("ipam"), nil
		}
		b.Pools = []v1alpha1.BackendPool{{Name: "a", ID: ids[kind], MinPrefixLength: lengths[r.IntN(5)], MaxPrefixLength: lengths[r.IntN(5)], Selector: selector()}}
		config.Backends = append(config.Backends, b)
	}
	return config
}

// customer is somebody whom the pool is for.
func customer(o reservation.Offer, p reservation.Pool) (reservation.Place, reservation.Request) {
	first := func(narrow, wide []string) string {
		if all := slices.Concat(narrow, wide); len(all) > 0 {
			return all[0]
		}
		return "any"
	}
	ranges := slices.Concat(p.Ranges, o.Ranges, keyword.Names())
	return reservation.Place{
			ProviderType: first(p.ProviderTypes, o.ProviderTypes), Region: first(p.Regions, o.Regions), Seed: first(p.Seeds, o.Seeds),
		}, reservation.Request{
			Key: plan.Key{Range: ranges[0], Family: prefix.IPv6}, Scope: plan.Global, Bits: p.MaxBits,
		}
}
