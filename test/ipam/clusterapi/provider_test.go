// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package clusterapi_test

import (
	"math"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

// TestF24SizeChanged: a pool gives one length. A longer request gets it, a shorter one is refused with both lengths.
func TestF24SizeChanged(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, namespaced, "2001:db8:1::/60")
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	long, short := objects.Request("first"), objects.Request("first")
	long.Bits, short.Bits = 80, 56
	got, err := r.Allocate(t.Context(), owner("long"), long)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Prefix.Bits()).To(Equal(64))
	_, err = r.Allocate(t.Context(), owner("short"), short)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("asking pool first for its lengths: " + p.Pools[0].ID + " gives nothing but /64, and a /56 was asked for"))

	p.Pools[0].MinBits, p.Pools[0].MaxBits = 72, 80
	_, err = p.Reserver(t, objects.Home, objects.Generous, nil).Allocate(t.Context(), owner("other"), long)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError(ContainSubstring("which is not between the minPrefixLength 72 and the maxPrefixLength 80 of the configuration")))
}

func TestPoolThatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, namespaced, "2001:db8:1::/60")
	p.Pools[0].ID = namespaced + "/attic"
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	_, err := r.Allocate(t.Context(), owner("shoot"), objects.Request("first"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("asking pool first for its lengths: there is no InClusterPrefixPool attic in namespace " + p.Namespace))
	_, err = r.(reservation.Meter).Usage(t.Context())
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
}

// TestPausedPool: an operator has paused the pool. The claim waits with it, and says so.
func TestPausedPool(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, namespaced, "2001:db8:1::/60")
	pause := func(value string) { // a patch: the provider writes into its pools, too
		pool := newPool(namespaced, p.Namespace, p.Namespace+"-first", "2001:db8:1::/60", 64)
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"cluster.x-k8s.io/paused":`+value+`}}}`))
		g.Expect(env.Client.Patch(t.Context(), pool, patch)).To(Succeed())
	}
	pause(`""`)
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	var waiting reservation.Owner
	g.Eventually(func(g Gomega) { // the provider hears of it through a watch, and may serve one before
		waiting = owner(time.Now().String())
		_, err := r.Allocate(t.Context(), waiting, objects.Request("first"))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Wait))
		g.Expect(err).To(MatchError("pool first: " + p.Pools[0].ID + " is paused"))
	}, objects.Generous).Should(Succeed())
	pause(`null`)
	_, err := r.Allocate(t.Context(), waiting, objects.Request("first"))
	g.Expect(err).NotTo(HaveOccurred())
}

func TestUsage(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, namespaced, "2001:db8:1::/62", "2001:db8:2::/64")
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	_, err := r.Allocate(t.Context(), owner("a"), objects.Request("first"))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.Allocate(t.Context(), owner("b"), objects.Request("second"))
	g.Expect(err).NotTo(HaveOccurred())
	size := math.Pow(2, 64)
	g.Eventually(func() ([]reservation.Usage, error) { return r.(reservation.Meter).Usage(t.Context()) }, objects.Generous).Should(Equal([]reservation.Usage{
		{Pool: "first", Capacity: 4 * size, Free: 3 * size, LargestFree: 64, FreePrefixes: map[int]float64{64: 3}},
		{Pool: "second", Capacity: size, Free: 0, LargestFree: -1, FreePrefixes: map[int]float64{64: 0}},
	}))
}

// TestF12Quota: the namespace has a quota of claims.
func TestF12Quota(t *testing.T) {
	g := NewWithT(t)
	p := newPlace(t, namespaced, "2001:db8:1::/60")
	hard := corev1.ResourceList{"count/ipaddressclaims.ipam.cluster.x-k8s.io": resource.MustParse("0")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "claims"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	g.Expect(env.Client.Create(t.Context(), quota)).To(Succeed())
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{"count/ipaddressclaims.ipam.cluster.x-k8s.io": resource.MustParse("0")}}
	g.Expect(env.Client.Status().Update(t.Context(), quota)).To(Succeed()) // as kube-controller-manager does
	r := p.Reserver(t, objects.Home, objects.Generous, nil)
	g.Eventually(func(g Gomega) { // the quota works once the API server has seen it
		_, err := r.Allocate(t.Context(), owner(time.Now().String()), objects.Request("first"))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Quota))
		g.Expect(err).To(MatchError(ContainSubstring("exceeded quota: claims")))
	}, objects.Generous).Should(Succeed())
}

// TestF21ClaimInterrupted: a prefix is claimed again after its claim was lost, and the process dies between the two objects
// that this takes. Meanwhile nobody gets the prefix, and whoever comes next finishes it or gives it back.
func TestF21ClaimInterrupted(t *testing.T) {
	for name, finish := range map[string]func(g Gomega, namespace string, r reservation.Reserver, a reservation.Allocation){
		"claimed": func(g Gomega, namespace string, r reservation.Reserver, a reservation.Allocation) {
			g.Expect(r.Claim(t.Context(), a)).To(Succeed())
			for _, kind := range []string{"IPAddressClaim", "IPAddress"} {
				o := object(kind, namespace, a.ID)
				g.Expect(env.Client.Get(t.Context(), client.ObjectKeyFromObject(o), o)).To(Succeed())
			}
		},
		"released": func(g Gomega, namespace string, r reservation.Reserver, a reservation.Allocation) {
			g.Expect(r.Release(t.Context(), a)).To(Succeed())
			g.Expect(names(t, namespace)).To(BeEmpty())
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := newPlace(t, namespaced, "2001:db8:1::/62")
			fault := &objects.Fault{Matches: func(request *http.Request) bool {
				return request.Method == http.MethodPost && strings.HasSuffix(request.URL.Path, "/ipaddressclaims")
			}}
			lost := reservation.Allocation{Owner: owner("shoot"), ID: "ipv6-" + owner("shoot").Hash(), Prefix: netip.MustParsePrefix("2001:db8:1::/64")}
			err := p.Reserver(t, objects.Home, objects.Generous, fault.Wrap).Claim(t.Context(), lost)
			g.Expect(reservation.KindOf(err)).To(Equal(reservation.Ambiguous))

			r := p.Reserver(t, objects.Home, objects.Generous, nil)
			g.Eventually(func(g Gomega) {
				got, err := r.Allocate(t.Context(), owner("other"), objects.Request("first"))
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(got.Prefix).NotTo(Equal(lost.Prefix))
				g.Expect(r.Release(t.Context(), got)).To(Succeed())
			}).Should(Succeed())
			for _, find := range []func() ([]reservation.Allocation, error){
				func() ([]reservation.Allocation, error) { return r.Lookup(t.Context(), lost.Owner) },
				func() ([]reservation.Allocation, error) { return r.List(t.Context(), objects.Home.GardenID) },
			} {
				found, err := find()
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(found).To(HaveLen(1))
				g.Expect(found[0].Prefix).To(Equal(lost.Prefix))
			}
			finish(g, p.Namespace, r, lost)
		})
	}
}

// TestDocumented: the example in the docs is one.
func TestDocumented(t *testing.T) {
	g := NewWithT(t)
	text, err := program.Manifest("ipam/clusterapi.md", "A pool")
	g.Expect(err).NotTo(HaveOccurred())
	u := &unstructured.Unstructured{}
	g.Expect(yaml.UnmarshalStrict([]byte(text), &u.Object)).To(Succeed())
	u.SetNamespace(env.Namespace(t, nil))
	g.Expect(env.Client.Create(t.Context(), u)).To(Succeed())
}
