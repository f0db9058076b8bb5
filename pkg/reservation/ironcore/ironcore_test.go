// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ironcore

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func TestNewRefusesWhatItCannotWorkWith(t *testing.T) {
	g := NewWithT(t)
	_, err := New("ipam", Config{}, nil, reservation.Home{}, nil)
	g.Expect(err).To(MatchError("backend ipam: the namespace of the Prefixes is missing"))
	_, err = New("ipam", Config{Namespace: "ipam"}, []reservation.Pool{{Name: "good", ID: "parent"}, {Name: "bad"}}, reservation.Home{}, nil)
	g.Expect(err).To(MatchError("backend ipam, pool bad: the ID is missing, must be the name of the parent Prefix"))
}

func TestPrefixHoldsSomethingOnceItIsAllocated(t *testing.T) {
	g := NewWithT(t)
	o := prefixObject{
		ObjectMeta: metav1.ObjectMeta{Name: "ipv6-1", UID: "uid", ResourceVersion: "7", Annotations: map[string]string{"a": "b"}},
		Spec:       prefixSpec{PrefixLength: 64, ParentRef: &named{"parent"}},
	}
	asked, err := o.object()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(asked.Prefix.IsValid() || asked.Wants.IsValid() || asked.Deleting).To(BeFalse())
	g.Expect([]any{asked.Name, asked.UID, asked.ResourceVersion, asked.Pool, asked.Bits}).To(Equal([]any{"ipv6-1", "uid", "7", "parent", 64}))

	p := netip.MustParsePrefix("2001:db8::/64")
	o.Spec.Prefix = p.String()
	chosen, err := o.object()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]netip.Prefix{chosen.Prefix, chosen.Wants}).To(Equal([]netip.Prefix{{}, p}))

	o.Status.Phase = "Allocated"
	held, err := o.object()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]netip.Prefix{held.Prefix, held.Wants}).To(Equal([]netip.Prefix{p, {}}))

	o.Spec.Prefix = "here"
	_, err = o.object()
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
}
