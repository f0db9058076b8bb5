// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ironcore_test

import (
	"math"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/objects"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/program"
)

func owner(uid string) reservation.Owner {
	o := objects.Owner(uid)
	o.Attempt = 1
	return o
}

// TestF24SizeChanged: a parent gives any length within the limits of the configuration, but for its own.
func TestF24SizeChanged(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, "2001:db8:1::/52", "2001:db8:2::/60")
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	for bits, want := range map[int]int{53: 53, 56: 56, 64: 64, 80: 64} {
		request := objects.Request("first")
		request.Bits = bits
		o := owner("shoot")
		o.Attempt = bits
		got, err := r.Allocate(t.Context(), o, request)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Prefix.Bits()).To(Equal(want))
	}
	for _, c := range []struct {
		bits          int
		pool, message string
	}{
		{44, "first", "asking pool first for its lengths: it gives nothing larger than a /48, and a /44 was asked for"},
		{60, "second", "asking pool second for its lengths: the Prefix " + p.Namespace + "/parent-second is 2001:db8:2::/60: it gives nothing larger than a /61, and a /60 was asked for"},
	} {
		request := objects.Request(c.pool)
		request.Bits = c.bits
		_, err := r.Allocate(t.Context(), owner("other"), request)
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
		g.Expect(err).To(MatchError(c.message))
	}
}

func TestParentThatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, "2001:db8:1::/60")
	p.Pools[0].ID = "attic"
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	_, err := r.Allocate(t.Context(), owner("shoot"), objects.Request("first"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("asking pool first for its lengths: there is no Prefix attic in namespace " + p.Namespace))
	_, err = r.(reservation.Meter).Usage(t.Context())
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
}

func TestUsage(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, "2001:db8:1::/61")
	p.Pools[0].MinBits = 62
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	_, err := r.Allocate(t.Context(), owner("a"), objects.Request("first"))
	g.Expect(err).NotTo(HaveOccurred())
	size := math.Pow(2, 64)
	g.Expect(r.(reservation.Meter).Usage(t.Context())).To(Equal([]reservation.Usage{
		{Pool: "first", Capacity: 8 * size, Free: 7 * size, LargestFree: 62, FreePrefixes: map[int]float64{62: 1, 63: 3, 64: 7}},
	}))
}

// TestDocumented: the example in the docs is one.
func TestDocumented(t *testing.T) {
	g := NewWithT(t)
	text, err := program.Manifest("ipam/ironcore.md", "A parent")
	g.Expect(err).NotTo(HaveOccurred())
	u := &unstructured.Unstructured{}
	g.Expect(yaml.UnmarshalStrict([]byte(text), &u.Object)).To(Succeed())
	u.SetNamespace(env.Namespace(t, nil))
	g.Expect(env.Client.Create(t.Context(), u)).To(Succeed())
}
