// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

func stored(uid, shoot, allocated string) *v1alpha1.PrefixReservation {
	r := &v1alpha1.PrefixReservation{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}}
	r.Spec.Range, r.Spec.Family = v1alpha1.RangeNodes, v1alpha1.IPv6
	r.Spec.Owner.ShootUID = shoot
	r.Status.Phase, r.Status.Backend, r.Status.Allocated = v1alpha1.PhaseBound, "pool", allocated
	return r
}

func TestInventory(t *testing.T) {
	g := NewWithT(t)
	i := newInventory()
	overlapping := func(p, shoot string) string {
		if other, ok := i.overlapping(netip.MustParsePrefix(p), holderOf(stored("", shoot, ""))); ok {
			return other.String()
		}
		return ""
	}
	i.put(stored("1", "a", "2001:db8::/56"))
	i.put(stored("2", "b", "2001:db8:0:100::/64"))
	i.put(stored("3", "a", "2001:db8::/56")) // the tombstone of the same
	i.put(stored("4", "c", ""))

	//	 :0:0/56        :0:100/64   :0:101/64
	//	|aaaaaaaaaaaaa|bbbbbbbbbbb|..........
	for query, want := range map[string]string{
		"2001:db8:0:10::/64":  "2001:db8::/56",       // inside a
		"2001:db8::/48":       "2001:db8::/56",       // around both
		"2001:db8:0:100::/64": "2001:db8:0:100::/64", // the same as b
		"2001:db8:0:101::/64": "",
		"10.0.0.0/8":          "",
	} {
		g.Expect(overlapping(query, "c")).To(Equal(want), query)
	}
	g.Expect(overlapping("2001:db8::/56", "a")).To(BeEmpty(), "its own, and what is left of it")
	g.Expect(overlapping("2001:db8::/48", "a")).To(Equal("2001:db8:0:100::/64"))

	bound := standing{"Bound", "nodes", "pool"}
	g.Expect(i.figures().standing).To(Equal(map[standing]int{bound: 4}))
	lost := stored("2", "b", "2001:db8:0:200::/64")
	setHeld(lost, metav1.ConditionFalse, reasonLost, "gone")
	i.put(lost)
	moved := stored("3", "a", "2001:db8::/56")
	moved.Status.Phase = v1alpha1.PhaseQuarantined
	i.put(moved)
	i.remove(toolscache.DeletedFinalStateUnknown{Obj: stored("4", "c", "")})
	g.Expect(i.figures()).To(Equal(figures{
		standing: map[standing]int{bound: 2, {"Quarantined", "nodes", "pool"}: 1}, lost: map[string]int{"pool": 1}, moved: 1,
	}))
	g.Expect(overlapping("2001:db8:0:100::/64", "c")).To(BeEmpty(), "it has another one by now")
	i.remove(stored("1", "a", "2001:db8::/56"))
	g.Expect(overlapping("2001:db8::/64", "c")).To(Equal("2001:db8::/56"), "the tombstone still stands for it")
	i.remove(moved)
	i.remove(lost)
	g.Expect(i.figures()).To(Equal(figures{standing: map[standing]int{}, lost: map[string]int{"pool": 0}}))
	g.Expect([]int{i.tree.Len(), len(i.lengths), len(i.objects)}).To(Equal([]int{0, 0, 0}))
}

// The inventory says what a look at each of its objects would say.
func TestInventoryAgainstAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a reproducible test
	draw := func() netip.Prefix {
		address := [16]byte{0x20, 0x01, 0xd, 0xb8, byte(random.IntN(2)), byte(random.IntN(256)), byte(random.IntN(4))}
		return netip.PrefixFrom(netip.AddrFrom16(address), 36+random.IntN(30)).Masked()
	}
	i, model := newInventory(), map[string]*v1alpha1.PrefixReservation{}
	for step := range 20000 {
		uid := fmt.Sprint(random.IntN(60))
		switch random.IntN(3) {
		case 0:
			if r, ok := model[uid]; ok {
				i.remove(r)
				delete(model, uid)
			}
		case 1:
			r := stored(uid, fmt.Sprint(random.IntN(20)), draw().String())
			i.put(r)
			model[uid] = r
		default:
			p, holder := draw(), holderOf(stored("", fmt.Sprint(random.IntN(20)), ""))
			want := map[netip.Prefix]bool{}
			for _, r := range model {
				if other := netip.MustParsePrefix(r.Status.Allocated); holderOf(r) != holder && prefix.Overlaps(p, other) {
					want[other] = true
				}
			}
			got, ok := i.overlapping(p, holder)
			if ok != (len(want) > 0) || ok && !want[got] {
				t.Fatalf("step %d: %s overlaps %s (%t), want one of %v", step, p, got, ok, want)
			}
		}
	}
}

func BenchmarkInventory(b *testing.B) {
	i := newInventory()
	at := func(n int) string { return fmt.Sprintf("2001:db8:%x:%x::/64", n/60000, n%60000) }
	for n := range 100000 {
		i.put(stored(fmt.Sprint(n), fmt.Sprint(n), at(n)))
	}
	holder := holderOf(stored("", "x", ""))
	b.Run("overlapping", func(b *testing.B) {
		p := netip.MustParsePrefix("2001:db8:f::/64")
		for b.Loop() {
			i.overlapping(p, holder)
		}
	})
	b.Run("put", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			i.put(stored(fmt.Sprint(n%100000), "y", at(n%100000)))
		}
	})
}

func TestRounds(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := rounds{interval: 10 * time.Minute, now: func() time.Time { return now }, due: map[types.UID]time.Time{}}
	unknown, known := stored("1", "a", ""), stored("2", "a", "")
	setHeld(known, metav1.ConditionTrue, reasonVerified, "")

	g.Expect(r.left(unknown)).To(BeZero(), "what was never verified is at once")
	first := r.left(known)
	g.Expect(first).To(And(BeNumerically(">=", 0), BeNumerically("<", 10*time.Minute)), "spread when the process starts")
	g.Expect(r.left(known)).To(Equal(first), "and drawn once")
	next := r.done("1")
	g.Expect(next).To(And(BeNumerically(">=", 9*time.Minute), BeNumerically("<", 11*time.Minute)))
	now = now.Add(next - time.Second)
	g.Expect(r.left(unknown)).To(Equal(time.Second))
	now = now.Add(time.Minute)
	g.Expect(r.left(unknown)).To(BeZero())
	r.forget("1")
	r.forget("2")
	g.Expect(r.due).To(BeEmpty())
}
