// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package podip_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/fake"
)

func all(podip.Record) bool { return true }

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func claim(id string) podip.Claim {
	return podip.Claim{Key: podip.Key{ContainerID: id, Interface: "eth0"}, Network: "ipv6", Pod: "default/" + id, MTU: 1500}
}

// open opens an allocator on ranges.
func open(t *testing.T, s podip.Store, ranges ...string) *podip.Allocator {
	t.Helper()
	a, err := podip.Open(t.Context(), s, all)
	if err == nil {
		err = a.SetRanges(prefixes(ranges...), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get allocates, which must succeed, and returns the addresses as text.
func get(t *testing.T, a *podip.Allocator, id string) string {
	t.Helper()
	r, err := a.Allocate(t.Context(), claim(id))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(r.Addrs)
}

func TestAddressesAreGivenInOrder(t *testing.T) {
	g := NewWithT(t)
	a := open(t, fake.New(), "2001:db8::d000:0/100", "10.1.2.0/24")
	g.Expect(get(t, a, "a")).To(Equal("[2001:db8::d000:1 10.1.2.1]"), "never the network address")
	g.Expect(get(t, a, "b")).To(Equal("[2001:db8::d000:2 10.1.2.2]"))
	g.Expect(get(t, a, "a")).To(Equal("[2001:db8::d000:1 10.1.2.1]"), "whoever has addresses keeps them")
}

func TestAReleasedAddressIsTheLastToBeUsedAgain(t *testing.T) {
	g := NewWithT(t)
	a := open(t, fake.New(), "2001:db8::/126")
	for i, want := range []string{"[2001:db8::1]", "[2001:db8::2]", "[2001:db8::3]", "[2001:db8::1]"} {
		id := fmt.Sprint("c", i)
		g.Expect(get(t, a, id)).To(Equal(want))
		g.Expect(a.Release(t.Context(), claim(id).Key)).To(Succeed())
	}
}

func TestTheOrderGoesOnAfterARestart(t *testing.T) {
	g := NewWithT(t)
	store := fake.New()
	a := open(t, store, "2001:db8::/120")
	get(t, a, "a")
	get(t, a, "b")
	get(t, a, "c")
	g.Expect(a.Release(t.Context(), claim("a").Key)).To(Succeed())
	g.Expect(get(t, open(t, store, "2001:db8::/120"), "d")).To(Equal("[2001:db8::4]"))

	// What was never wired is dropped, but was given out.
	a, err := podip.Open(t.Context(), store, func(podip.Record) bool { return false })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.SetRanges(prefixes("2001:db8::/120"), nil)).To(Succeed())
	g.Expect(store.Dump()).To(BeEmpty())
	g.Expect(get(t, a, "e")).To(Equal("[2001:db8::5]"))
}

func TestReservedAddressesAreNeverGiven(t *testing.T) {
	for name, c := range map[string]struct {
		ranges, reserved string
		first, last      string
		free             uint64
	}{
		"IPv6, small":                   {"2001:db8::/124", "", "2001:db8::1", "2001:db8::f", 15},
		"IPv6, largest without anycast": {"2001:db8::/113", "", "2001:db8::1", "2001:db8::7fff", 32767},
		"IPv6, RFC 2526":                {"2001:db8::/112", "", "2001:db8::1", "2001:db8::ff7f", 65407},
		"IPv4, broadcast":               {"10.0.0.0/28", "", "10.0.0.1", "10.0.0.14", 14},
		"the node's own first":          {"2001:db8::/124", "2001:db8::1", "2001:db8::2", "2001:db8::f", 14},
		"the node's own last":           {"10.0.0.0/30", "10.0.0.2", "10.0.0.1", "10.0.0.1", 1},
		"beyond counting":               {"2001:db8::/64", "", "2001:db8::1", "", math.MaxUint64},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			a, err := podip.Open(t.Context(), fake.New(), all)
			g.Expect(err).NotTo(HaveOccurred())
			var reserved []netip.Addr
			if c.reserved != "" {
				reserved = append(reserved, netip.MustParseAddr(c.reserved))
			}
			g.Expect(a.SetRanges(prefixes(c.ranges), reserved)).To(Succeed())
			g.Expect(a.Usage()).To(Equal([]podip.Usage{{Range: netip.MustParsePrefix(c.ranges), Free: c.free}}))
			g.Expect(get(t, a, "first")).To(Equal("[" + c.first + "]"))
			if c.last == "" {
				return
			}
			last := c.first
			for i := range c.free - 1 {
				last = get(t, a, fmt.Sprint("c", i))[1:]
				last = last[:len(last)-1]
			}
			g.Expect(last).To(Equal(c.last))
			_, err = a.Allocate(t.Context(), claim("more"))
			g.Expect(err).To(MatchError(podip.ErrExhausted))
			g.Expect(err).To(MatchError(ContainSubstring("pod range " + c.ranges)))
			g.Expect(a.Usage()[0].Free).To(BeZero())
			g.Expect(a.Release(t.Context(), claim("first").Key)).To(Succeed())
			g.Expect(get(t, a, "more")).To(Equal("[" + c.first + "]"))
		})
	}
}

func TestAnExhaustedFamilyTakesNothingOfTheOther(t *testing.T) {
	g := NewWithT(t)
	store := fake.New()
	a := open(t, store, "2001:db8::/120", "10.0.0.0/30")
	get(t, a, "a")
	get(t, a, "b")
	_, err := a.Allocate(t.Context(), claim("c"))
	g.Expect(err).To(MatchError(podip.ErrExhausted))
	g.Expect(store.Dump()).To(Equal("a/eth0 2001:db8::1,10.0.0.1\nb/eth0 2001:db8::2,10.0.0.2\n"))
	g.Expect(a.Usage()[0].Used).To(Equal(uint64(2)))
}

func TestAnOldRangeIsNotUsed(t *testing.T) {
	g := NewWithT(t)
	store := fake.New()
	get(t, open(t, store, "2001:db8:aaaa::/120"), "a")
	// The node was re-created under its name, with the old disk: its range is another.
	a := open(t, store, "2001:db8:bbbb::/120")
	g.Expect(get(t, a, "b")).To(Equal("[2001:db8:bbbb::1]"))
	g.Expect(get(t, a, "a")).To(Equal("[2001:db8:aaaa::1]"), "a pod that runs keeps its own")
	g.Expect(a.Usage()).To(Equal([]podip.Usage{{Range: netip.MustParsePrefix("2001:db8:bbbb::/120"), Used: 1, Free: 254}}))
	g.Expect(a.Release(t.Context(), claim("a").Key)).To(Succeed())
	g.Expect(get(t, a, "a")).To(Equal("[2001:db8:bbbb::2]"))
}

func TestRangesAreValidated(t *testing.T) {
	g := NewWithT(t)
	a, err := podip.Open(t.Context(), fake.New(), all)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = a.Allocate(t.Context(), claim("a"))
	g.Expect(err).To(MatchError(podip.ErrNoRange))
	for r, want := range map[string]string{
		"2001:db8::/127":  "pod range 2001:db8::/127 is too small",
		"10.0.0.0/31":     "pod range 10.0.0.0/31 is too small",
		"2001:db8::1/120": "pod range 2001:db8::1/120 is not a prefix without host bits",
	} {
		g.Expect(a.SetRanges(prefixes(r), nil)).To(MatchError(ContainSubstring(want)))
	}
	g.Expect(a.SetRanges(prefixes("2001:db8::/120", "2001:db8:1::/120"), nil)).To(MatchError(ContainSubstring("are of one family")))
}

func TestAFailedWriteHoldsNothing(t *testing.T) {
	oops := errors.New("disk full")
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("deed done: ", after), func(t *testing.T) {
			g := NewWithT(t)
			store := fake.New()
			a := open(t, store, "2001:db8::/126")
			store.Inject(fake.Fault{Call: "Put", After: after, Err: oops})
			_, err := a.Allocate(t.Context(), claim("a"))
			g.Expect(err).To(MatchError(oops))
			g.Expect(store.Dump()).To(BeEmpty())
			g.Expect(a.Usage()[0].Free).To(Equal(uint64(3)))
		})
	}
}

func TestAnAddressOfUncertainFateStaysHeld(t *testing.T) {
	g := NewWithT(t)
	store, oops := fake.New(), errors.New("disk gone")
	a := open(t, store, "2001:db8::/126")
	store.Inject(fake.Fault{Call: "Put", After: true, Err: oops}, fake.Fault{Call: "Delete", Err: oops})
	_, err := a.Allocate(t.Context(), claim("a"))
	g.Expect(err).To(MatchError(oops))
	g.Expect(get(t, a, "b")).To(Equal("[2001:db8::2]"), "2001:db8::1 may be recorded for a")
	g.Expect(a.Release(t.Context(), claim("a").Key)).To(Succeed())
	g.Expect(a.Usage()[0].Free).To(Equal(uint64(2)))
}

func TestAFailedReleaseFreesNothing(t *testing.T) {
	g := NewWithT(t)
	store, oops := fake.New(), errors.New("disk gone")
	a := open(t, store, "2001:db8::/126")
	get(t, a, "a")
	store.Inject(fake.Fault{Call: "Delete", After: true, Err: oops})
	g.Expect(a.Release(t.Context(), claim("a").Key)).To(MatchError(oops))
	g.Expect(a.Usage()[0].Free).To(Equal(uint64(2)))
	g.Expect(a.Release(t.Context(), claim("a").Key)).To(Succeed())
	g.Expect(a.Usage()[0].Free).To(Equal(uint64(3)))
}

func TestAdopt(t *testing.T) {
	g := NewWithT(t)
	store := fake.New()
	a := open(t, store, "2001:db8::/126")
	found := podip.Record{Key: claim("a").Key, Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}
	g.Expect(a.Adopt(t.Context(), found)).To(Succeed())
	g.Expect(store.Dump()).To(Equal("a/eth0 2001:db8::1\n"))
	g.Expect(a.Adopt(t.Context(), found)).To(MatchError(podip.ErrExists))
	found.Key = claim("b").Key
	g.Expect(a.Adopt(t.Context(), found)).To(MatchError(podip.ErrInUse))
	found.Key, found.Addrs = podip.Key{ContainerID: "c", Interface: "eth0"}, nil
	g.Expect(a.Adopt(t.Context(), found)).To(MatchError("adopt c/eth0: no address was found"), "a store takes such a record for damaged")
	g.Expect(get(t, a, "c")).To(Equal("[2001:db8::2]"))
}

func TestManyAtOnce(t *testing.T) {
	g := NewWithT(t)
	a := open(t, fake.New(), "2001:db8::/112", "10.0.0.0/16")
	const n = 500
	var wait sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wait.Go(func() {
			_, errs[i] = a.Allocate(t.Context(), claim(fmt.Sprint("c", i)))
			if i%3 == 0 && errs[i] == nil {
				errs[i] = a.Release(t.Context(), claim(fmt.Sprint("c", i)).Key)
			}
		})
	}
	wait.Wait()
	g.Expect(errs).To(HaveEach(BeNil()))
	seen := map[netip.Addr]bool{}
	for _, r := range a.Records() {
		for _, addr := range r.Addrs {
			g.Expect(seen[addr]).To(BeFalse(), "%s twice", addr)
			seen[addr] = true
		}
	}
	g.Expect(seen).To(HaveLen(2 * (n - n/3 - 1)))
}
