// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
)

const namespace, root = "extension", "ipv6-pool-ledger"

// small limits, so that a few entries need pages.
var small = configmap.Limits{Changes: 400, Page: 3000}

func newStore(c client.Client) *configmap.Store {
	return configmap.New(c, c, namespace, root).WithLimits(small)
}

func allocation(i, shoot int) reservation.Allocation {
	return reservation.Allocation{
		Owner:  reservation.Owner{GardenID: "garden", ShootUID: fmt.Sprintf("a7e0c2f4-1b2c-4d3e-8f90-%012x", shoot), Range: "nodes-ipv6", Attempt: 1},
		ID:     "public",
		Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 6: byte(i >> 8), 7: byte(i)}), 64),
		Since:  time.Unix(1_790_000_000+int64(shoot), 0).UTC(),
	}
}

func claim(s *configmap.Store, a reservation.Allocation) error {
	return s.Update(context.Background(), func(l *reservation.Ledger) error { return l.Claim(a) })
}

func release(s *configmap.Store, a reservation.Allocation) error {
	return s.Update(context.Background(), func(l *reservation.Ledger) error { return l.Remove(a.Prefix, a.Owner) })
}

func read(g Gomega, s *configmap.Store) []reservation.Allocation {
	l, err := s.Read(context.Background())
	g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return slices.Collect(l.All())
}

func rootOf(g Gomega, c client.Client) *corev1.ConfigMap {
	object := &corev1.ConfigMap{}
	g.ExpectWithOffset(1, c.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: root}, object)).To(Succeed())
	return object
}

// expectTidy means that there are no other pages than those that the root names, and that none is too large.
func expectTidy(g Gomega, c client.Client) {
	list := &corev1.ConfigMapList{}
	g.ExpectWithOffset(1, c.List(context.Background(), list, client.InNamespace(namespace))).To(Succeed())
	named := rootOf(g, c).Data["pages"]
	g.ExpectWithOffset(1, list.Items).To(HaveLen(1 + strings.Count(named, "\n")))
	for _, item := range list.Items {
		if id, isPage := strings.CutPrefix(item.Name, root+"-"); isPage {
			g.ExpectWithOffset(1, named).To(ContainSubstring(id + " "))
			g.ExpectWithOffset(1, len(item.Data["changes"])).To(BeNumerically("<=", small.Page))
		} else {
			g.ExpectWithOffset(1, len(item.Data["changes"])).To(BeNumerically("<=", small.Changes))
		}
	}
}

// Two processes that take turns at random say the same as one ledger in memory, whatever is in pages.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(5) {
		g := NewWithT(t)
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test repeats itself
		c := server()
		stores := []*configmap.Store{newStore(c), newStore(c)}
		model := &reservation.Ledger{}
		for step := range 1500 {
			a, s := allocation(random.IntN(60), random.IntN(3)), stores[random.IntN(2)]
			if step > 700 && step < 900 {
				s = stores[0] // the other one has much to catch up with
			}
			if random.IntN(20) == 0 {
				a.Prefix = netip.PrefixFrom(a.Prefix.Addr(), 56).Masked()
			}
			if random.IntN(5) < 2 || step > 1200 {
				g.Expect(release(s, a) == nil).To(Equal(model.Remove(a.Prefix, a.Owner) == nil))
			} else {
				g.Expect(claim(s, a) == nil).To(Equal(model.Claim(a) == nil))
			}
			if step%7 == 0 {
				g.Expect(read(g, s)).To(Equal(slices.Collect(model.All())), "step %d", step)
				g.Expect(read(g, newStore(c))).To(Equal(slices.Collect(model.All())), "step %d, of one that knows nothing yet", step)
			}
		}
		for _, s := range append(stores, newStore(c)) {
			g.Expect(read(g, s)).To(Equal(slices.Collect(model.All())))
		}
		expectTidy(g, c)
	}
}

// What is of no use any more is cleared away, also while most entries live on.
func TestPagesDoNotGrow(t *testing.T) {
	g := NewWithT(t)
	c := server()
	s := newStore(c)
	for i := range 100 {
		g.Expect(claim(s, allocation(i, i))).To(Succeed())
	}
	records := func() (sum int) {
		for line := range strings.Lines(rootOf(g, c).Data["pages"]) {
			var id string
			var n int
			_, err := fmt.Sscan(line, &id, &n)
			g.Expect(err).NotTo(HaveOccurred())
			sum += n
		}
		return sum
	}
	most := 0
	for i := range 3000 {
		g.Expect(claim(s, allocation(1000+i, i))).To(Succeed())
		if i >= 20 {
			g.Expect(release(s, allocation(1000+i-20, i-20))).To(Succeed())
		}
		most = max(most, records())
	}
	g.Expect(most).To(And(BeNumerically(">", 200), BeNumerically("<", 300)), "twice the 120 entries, and the slack of a page")
	g.Expect(read(g, newStore(c))).To(HaveLen(120))
	expectTidy(g, c)
}

// counted counts the requests.
type counted struct {
	client.WithWatch
	reads, writes int
}

func count(c client.WithWatch) *counted {
	n := &counted{}
	n.WithWatch = interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			n.reads++
			return c.Get(ctx, key, o, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			n.writes++
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			n.writes++
			return c.Update(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			n.writes++
			return c.Delete(ctx, o, opts...)
		},
	})
	return n
}

func (n *counted) expect(g Gomega, reads, writes int, what string) {
	g.ExpectWithOffset(1, []int{n.reads, n.writes}).To(Equal([]int{reads, writes}), what)
	n.reads, n.writes = 0, 0
}

func TestRequests(t *testing.T) {
	g := NewWithT(t)
	c := count(server())
	s := newStore(c)
	g.Expect(claim(s, allocation(1, 1))).To(Succeed())
	c.expect(g, 1, 1, "the first change looks what is there")
	g.Expect(claim(s, allocation(2, 2))).To(Succeed())
	c.expect(g, 0, 1, "the next one knows")
	g.Expect(claim(s, allocation(2, 2))).To(Succeed())
	c.expect(g, 1, 0, "what changes nothing asks whether that is so, and stores nothing")
	g.Expect(claim(s, allocation(2, 3))).NotTo(Succeed())
	c.expect(g, 1, 0, "what fails, too")
	read(g, s)
	c.expect(g, 1, 0, "a look at the ledger")
	for i := range 200 {
		g.Expect(claim(s, allocation(i, i))).To(Succeed())
	}
	c.reads, c.writes = 0, 0
	read(g, s)
	c.expect(g, 1, 0, "a look at the ledger if all pages are known")
}

// What another process has written is read without reading all pages again.
func TestRequestsOfAnother(t *testing.T) {
	g := NewWithT(t)
	plain := server()
	c := count(plain)
	s, other := newStore(c), newStore(plain)
	for i := range 300 {
		g.Expect(claim(other, allocation(i, i))).To(Succeed())
	}
	g.Expect(strings.Count(rootOf(g, plain).Data["pages"], "\n")).To(BeNumerically(">", 10))
	read(g, s)
	for round := range 20 {
		for i := range 5 {
			g.Expect(claim(other, allocation(300+5*round+i, i))).To(Succeed())
		}
		c.reads = 0
		g.Expect(read(g, s)).To(HaveLen(300 + 5*round + 5))
		g.Expect(c.reads).To(BeNumerically("<=", 4), "the root, and the newest pages")
	}
}

// By default it is less than one write a change and a half a hundredth more, pages included.
func TestRequestsOfManyChanges(t *testing.T) {
	g := NewWithT(t)
	c := count(server())
	s := configmap.New(c, c, namespace, root)
	const n = 2000
	for i := range n {
		g.Expect(claim(s, allocation(i, i))).To(Succeed())
	}
	g.Expect(c.writes).To(And(BeNumerically(">=", n), BeNumerically("<", n+n/50)))
	g.Expect(c.reads).To(BeNumerically("<", n/50))
	g.Expect(read(g, configmap.New(c, c, namespace, root))).To(HaveLen(n))
}

// Changes that come while another is being written go with the next one together, and each gets its own answer.
func TestChangesTogether(t *testing.T) {
	g := NewWithT(t)
	var (
		mu     sync.Mutex
		writes int
	)
	inWrite, goOn := make(chan struct{}), make(chan struct{})
	c := interceptor.NewClient(server(), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			inWrite <- struct{}{}
			<-goOn
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			mu.Lock()
			defer mu.Unlock()
			writes++
			return c.Update(ctx, o, opts...)
		},
	})
	s := newStore(c).WithLimits(configmap.DefaultLimits)
	first := make(chan error, 1)
	go func() { first <- claim(s, allocation(0, 0)) }()
	<-inWrite

	const n = 30
	var waiting sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		waiting.Go(func() { errs[i] = claim(s, allocation(i, i%2*i)) }) // the owner 0 wants all that are even: it gets each
	}
	gone := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		gone <- s.Update(ctx, func(l *reservation.Ledger) error { return l.Claim(allocation(99, 99)) })
	}()
	g.Eventually(s.Waiting).Should(Equal(n + 1))
	cancel()
	g.Eventually(gone).Should(Receive(MatchError(context.Canceled)))
	thief := make(chan error, 1)
	go func() { thief <- claim(s, allocation(0, 7)) }()
	g.Eventually(s.Waiting).Should(Equal(n + 1))
	close(goOn)
	waiting.Wait()
	g.Expect(<-first).To(Succeed())
	g.Expect(reservation.KindOf(<-thief)).To(Equal(reservation.Conflict))
	for i, err := range errs {
		g.Expect(err).NotTo(HaveOccurred(), "%d", i)
	}
	g.Expect(writes).To(Equal(1))
	g.Expect(read(g, s)).To(HaveLen(n))
}

func TestPanicLeavesNobodyWaiting(t *testing.T) {
	g := NewWithT(t)
	s := newStore(server())
	g.Expect(func() {
		_ = s.Update(t.Context(), func(*reservation.Ledger) error { panic("a mistake") })
	}).To(PanicWith("a mistake"))
	g.Expect(claim(s, allocation(1, 1))).To(Succeed())
}

func TestOldFormat(t *testing.T) {
	g := NewWithT(t)
	c := server()
	var texts []string
	for i := range 50 {
		texts = append(texts, fmt.Sprintf(`{"prefix":"2001:db8:0:%x::/64","owner":"v1/garden/a7e0c2f4-1b2c-4d3e-8f90-%012x/nodes-ipv6/1","id":"public","since":"%s"}`,
			i, i, time.Unix(1_790_000_000+int64(i), 0).UTC().Format(time.RFC3339)))
	}
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: root, Annotations: map[string]string{"kept": "yes"}},
		Data:       map[string]string{"ledger.json": "[" + strings.Join(texts, ",") + "]"},
	}
	g.Expect(c.Create(t.Context(), object)).To(Succeed())
	var want []reservation.Allocation
	for i := range 50 {
		want = append(want, allocation(i, i))
	}
	s := newStore(c)
	g.Expect(read(g, s)).To(Equal(want))
	g.Expect(rootOf(g, c).Data).To(HaveLen(1), "a look changes nothing")

	g.Expect(release(s, want[7])).To(Succeed())
	g.Expect(read(g, newStore(c))).To(Equal(slices.Concat(want[:7], want[8:])))
	g.Expect(rootOf(g, c).Data).To(HaveKeyWithValue("ledger.json", `{"version":2}`), "an older program finds no list and stops")
	g.Expect(rootOf(g, c).Annotations).To(HaveKeyWithValue("kept", "yes"))
	expectTidy(g, c)

	empty := server()
	g.Expect(empty.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: root}, Data: map[string]string{"ledger.json": "null"},
	})).To(Succeed())
	g.Expect(read(g, newStore(empty))).To(BeEmpty())
}

// A book that cannot be read is no empty book.
func TestBrokenBooks(t *testing.T) {
	const good = `{"version":2}`
	for _, tc := range []struct {
		data map[string]string
		want string
	}{
		{map[string]string{"ledger.json": `[{"prefix":"2001:db8::/64"`}, "unexpected end of JSON input"},
		{map[string]string{"ledger.json": `{"ver`}, "ledger.json: unexpected end of JSON input"},
		{map[string]string{"ledger.json": `{"version":3}`}, "its format is version 3, and this program knows 1 and 2"},
		{map[string]string{"ledger.json": `{}`}, "its format is version 0"},
		{map[string]string{"changes": "+2001:db8::/64 1 v1/g/u/nodes-ipv6/1\n"}, "ledger.json: unexpected end of JSON input"},
		{map[string]string{"ledger.json": `[{"prefix":"2001:db8::/64","owner":"somebody","since":"2026-01-02T03:04:05Z"}]`},
			`ledger entry 2001:db8::/64: owner key "somebody"`},
		{map[string]string{"ledger.json": `[{"prefix":"2001:db8::/64","owner":"v1/g/u/nodes-ipv6/1","since":"2026-01-02T03:04:05Z"},` +
			`{"prefix":"2001:db8::/96","owner":"v1/g/v/nodes-ipv6/1","since":"2026-01-02T03:04:05Z"}]`},
			"2001:db8::/96 overlaps 2001:db8::/64, which v1/g/u/nodes-ipv6/1 holds"},
		{map[string]string{"ledger.json": good, "changes": "+2001:db8::/64 1 v1/g/u/nodes-ipv6/1\n+2001:db8::/96 1 v1/g/v/nodes-ipv6/1\n"},
			"changes: 2001:db8::/96 overlaps 2001:db8::/64"},
		{map[string]string{"ledger.json": good, "changes": "-2001:db8::/64\n"}, "changes: 2001:db8::/64 is released and nobody had it"},
		{map[string]string{"ledger.json": good, "changes": "+2001:db8::/64 1 v1/g/u/nodes-ipv6/1"}, "is cut off"},
		{map[string]string{"ledger.json": good, "changes": "2001:db8::/64 1 v1/g/u/nodes-ipv6/1\n"}, "changes: line 1: "},
		{map[string]string{"ledger.json": good, "changes": "+2001:db8::/64 x v1/g/u/nodes-ipv6/1\n"}, "changes: line 1: "},
		{map[string]string{"ledger.json": good, "pages": "abc 5\n"}, "page abc: "},
		{map[string]string{"ledger.json": good, "pages": "abc\n"}, "pages: "},
		{map[string]string{"ledger.json": good, "pages": "two 3\n"}, "page two has 2 changes instead of 3"},
		{map[string]string{"ledger.json": good, "pages": "two 2\none 1\n"}, "overlaps"},
	} {
		g := NewWithT(t)
		c := server()
		for id, text := range map[string]string{
			"one": "+2001:db8::/48 1 v1/g/u/nodes-ipv6/1\n",
			"two": "+2001:db8::/64 1 v1/g/u/nodes-ipv6/1\n+2001:db8:0:1::/64 1 v1/g/u/nodes-ipv6/1\n",
		} {
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: root + "-" + id}, Data: map[string]string{"changes": text}}
			g.Expect(c.Create(t.Context(), object)).To(Succeed())
		}
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: root}, Data: tc.data}
		g.Expect(c.Create(t.Context(), object)).To(Succeed())
		s := newStore(c)
		_, err := s.Read(t.Context())
		g.Expect(err).To(MatchError(And(ContainSubstring("reading the ledger extension/ipv6-pool-ledger: "), ContainSubstring(tc.want))))
		g.Expect(claim(s, allocation(9, 9))).NotTo(Succeed())
		g.Expect(rootOf(g, c).Data).To(Equal(tc.data), "what is left of it is somebody's evidence")
	}
}
