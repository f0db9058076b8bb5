// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbcontroller

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/batchqueue"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/configjournal"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

var errLost = errors.New("the reply was lost")

// harness is a controller whose requests can be made to fail, and whose watch sees what the test lets it see.
type harness struct {
	*WithT
	*Controller
	ctx    context.Context
	api    client.WithWatch
	faults interceptor.Funcs
	events *events.FakeRecorder
}

func newHarness(t *testing.T) *harness {
	h := &harness{WithT: NewWithT(t), ctx: context.Background(), events: events.NewFakeRecorder(100)}
	h.api = fake.NewClientBuilder().WithStatusSubresource(&corev1.Service{}).Build()
	faulty := interceptor.NewClient(h.api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if h.faults.Create != nil {
				return h.faults.Create(ctx, c, obj, opts...)
			}
			return c.Create(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			if h.faults.Update != nil {
				return h.faults.Update(ctx, c, obj, opts...)
			}
			return c.Update(ctx, obj, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			if h.faults.SubResourcePatch != nil {
				return h.faults.SubResourcePatch(ctx, c, sub, obj, patch, opts...)
			}
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	})
	h.Controller = &Controller{
		options: Options{Namespace: "kube-system", Pools: []nodeprefix.LoadBalancerPool{
			{Name: "public", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:5::/126")}},
		}},
		client: faulty, live: h.api, recorder: h.events, log: logr.Discard(), reasons: map[string]lbip.Reason{},
		services: cache.NewSharedIndexInformer(&cache.ListWatch{}, &corev1.Service{}, 0, nil),
		metrics:  newMeters(prometheus.NewRegistry()),
		now:      func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) },
		queue:    batchqueue.New("test"),
	}
	t.Cleanup(h.queue.ShutDown)
	return h
}

// add a Service; the watch sees it.
func (h *harness) add(name string) {
	h.Expect(h.api.Create(h.ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol}},
	})).To(Succeed())
	h.see(name)
}

// see lets the watch catch up with a Service.
func (h *harness) see(name string) {
	h.Expect(h.services.GetStore().Update(h.service(name))).To(Succeed())
}

func (h *harness) service(name string) *corev1.Service {
	var s corev1.Service
	h.Expect(h.api.Get(h.ctx, client.ObjectKey{Namespace: "default", Name: name}, &s)).To(Succeed())
	return &s
}

// touch changes something about a Service that does not matter here.
func (h *harness) touch(name string) {
	s := h.service(name)
	metav1.SetMetaDataLabel(&s.ObjectMeta, "touched", h.service(name).ResourceVersion)
	h.Expect(h.api.Update(h.ctx, s)).To(Succeed())
}

func (h *harness) run(names ...string) {
	for i, n := range names {
		names[i] = "default/" + n
	}
	h.process(h.ctx, names)
}

func (h *harness) has(name string) []string {
	var texts []string
	for _, ingress := range h.service(name).Status.LoadBalancer.Ingress {
		texts = append(texts, ingress.IP)
	}
	return texts
}

func (h *harness) written() lbip.Journal {
	var object corev1.ConfigMap
	h.Expect(h.api.Get(h.ctx, client.ObjectKey{Namespace: "kube-system", Name: JournalName}, &object)).To(Succeed())
	j, err := lbip.DecodeJournal(configjournal.Text(&object))
	h.Expect(err).NotTo(HaveOccurred())
	return j
}

func TestNothingIsWrittenBeforeTheJournal(t *testing.T) {
	h := newHarness(t)
	h.add("a")
	h.faults.Create = func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return errLost }
	h.run("a")
	h.Expect(h.has("a")).To(BeEmpty())
	h.run("a")
	h.Expect(h.has("a")).To(BeEmpty(), "the claim is in the book, but in no journal yet")
	h.faults.Create = nil
	h.run("a")
	h.Expect(h.has("a")).To(Equal([]string{"2001:db8:5::1"}), "the claim stood")
}

// TestJournalReplyLost: the journal was written but the program does not know.
func TestJournalReplyLost(t *testing.T) {
	h := newHarness(t)
	h.add("a")
	h.run("a")
	h.add("b")
	h.faults.Update = func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
		h.Expect(c.Update(ctx, obj, opts...)).To(Succeed())
		return errLost
	}
	h.run("b")
	h.Expect(h.has("b")).To(BeEmpty())
	h.Expect(h.written().Claims).To(HaveLen(1))

	h.faults.Update = nil
	h.run("b")
	h.Expect(h.book).To(BeNil(), "what it knew of the journal was older, so it must read it again")
	h.run("b")
	h.Expect(h.has("b")).To(Equal([]string{"2001:db8:5::2"}), "as was claimed")
}

// TestChangedMeanwhile: the Service is newer than what was decided on. It must not be written at that version, but be decided anew.
func TestChangedMeanwhile(t *testing.T) {
	h := newHarness(t)
	h.add("a")
	h.touch("a")
	h.restoreFrom()
	h.run("a")
	h.Expect(h.has("a")).To(BeEmpty())
	h.see("a")
	h.run("a")
	h.Expect(h.has("a")).To(Equal([]string{"2001:db8:5::1"}))
	h.Expect(h.written().Claims).To(HaveLen(1))
	h.Expect(h.book.Claims()).To(BeZero())
}

// restoreFrom makes a book that knows nothing: as if it had been made before the Services were.
func (h *harness) restoreFrom() {
	h.book = lbip.NewBook(h.options.Pools)
	h.journal = journal{object: configjournal.New("kube-system", JournalName)}
}

// TestTheCacheLagsBehind the list that the book was made from: a Service that is not in it, or an older one that shows no address, does
// not free what the Service has.
func TestTheCacheLagsBehind(t *testing.T) {
	h := newHarness(t)
	h.add("a")
	before := h.service("a")
	h.run("a")
	h.Expect(h.services.GetStore().Update(before)).To(Succeed())
	h.book = nil
	h.add("b")
	h.run("a", "b")
	h.Expect(h.services.GetStore().Delete(before)).To(Succeed())
	h.add("c")
	h.run("a", "c")
	h.Expect(h.has("a")).To(Equal([]string{"2001:db8:5::1"}))
	h.Expect(h.has("b")).To(Equal([]string{"2001:db8:5::2"}))
	h.Expect(h.has("c")).To(Equal([]string{"2001:db8:5::3"}))

	h.add("d")
	h.run("d")
	h.Expect(h.reasons).To(HaveKeyWithValue("default/d", lbip.ReasonPoolExhausted))
	h.Expect(h.api.Delete(h.ctx, h.service("a"))).To(Succeed())
	h.run("a")
	var waiting []string
	for h.queue.Len() > 0 {
		name, _ := h.queue.Get()
		waiting = append(waiting, name)
	}
	h.Expect(waiting).To(ContainElement("default/d"), "what is really gone is free, for whoever waits")
	h.run("d")
	h.Expect(h.has("d")).To(Equal([]string{"2001:db8:5::1"}))
}

// TestReplyLost: the Service was written but the program does not know.
func TestReplyLost(t *testing.T) {
	h := newHarness(t)
	h.add("a")
	h.faults.SubResourcePatch = func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
		h.Expect(c.SubResource(sub).Patch(ctx, obj, patch, opts...)).To(Succeed())
		return errLost
	}
	h.run("a")
	h.faults.SubResourcePatch = nil
	h.run("a") // the watch has not seen it yet
	h.see("a")
	h.run("a")
	h.Expect(h.has("a")).To(Equal([]string{"2001:db8:5::1"}))
	h.Expect(h.book.Usage()[0].Used).To(Equal(1))
	h.Expect(h.reasons).To(HaveKeyWithValue("default/a", lbip.ReasonAllocated))
}

// TestAskersFirst: of one batch, those that ask for a certain address get it before another gets it by chance.
func TestAskersFirst(t *testing.T) {
	h := newHarness(t)
	h.add("a")
	h.add("b")
	b := h.service("b")
	b.Spec.LoadBalancerIP = "2001:db8:5::1"
	h.Expect(h.api.Update(h.ctx, b)).To(Succeed())
	h.see("b")
	h.run("a", "b")
	h.Expect(h.has("b")).To(Equal([]string{"2001:db8:5::1"}))
	h.Expect(h.has("a")).To(Equal([]string{"2001:db8:5::2"}))
}

// TestClaimsAreDropped from the journal when there is time, also if others came in the meantime.
func TestClaimsAreDropped(t *testing.T) {
	h := newHarness(t)
	clock := h.now()
	h.now = func() time.Time { return clock }
	h.add("a")
	h.run("a")
	h.process(h.ctx, []string{housekeeping})
	clock = clock.Add(confirmAfter / 2)
	h.add("b")
	h.run("b")
	h.process(h.ctx, []string{housekeeping})
	clock = clock.Add(confirmAfter - time.Second)
	h.process(h.ctx, []string{housekeeping})
	h.Expect(h.written().Claims).To(HaveLen(1), "not yet")
	clock = clock.Add(time.Second)
	h.process(h.ctx, []string{housekeeping})
	h.Expect(h.written().Claims).To(BeEmpty())
}

// TestVersionThatIsNoNumber: better no address than one that somebody else may have.
func TestVersionThatIsNoNumber(t *testing.T) {
	g := NewWithT(t)
	_, err := (&Controller{}).serviceOf(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", ResourceVersion: "x"}})
	g.Expect(err).To(MatchError(`the resourceVersion "x" of Service default/web is no number, so that older cannot be told from newer`))
}

// TestAddressesAsKubeProxyReadsThem: what it takes for an address is taken, however it is written.
func TestAddressesAsKubeProxyReadsThem(t *testing.T) {
	g := NewWithT(t)
	s, err := (&Controller{}).serviceOf(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", ResourceVersion: "1"},
		Spec:       corev1.ServiceSpec{ExternalIPs: []string{"::ffff:192.0.2.7", "192.0.2.008", "2001:DB8:0::1", "x"}},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
			{IP: "::ffff:192.0.2.9"}, {Hostname: "lb.example.com"},
		}}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Uses).To(Equal([]netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("2001:db8::1")}))
	g.Expect(s.Holds).To(Equal([]netip.Addr{netip.MustParseAddr("192.0.2.9")}))
}

func TestOurs(t *testing.T) {
	class := func(name string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &name }
	}
	for _, tc := range []struct {
		name            string
		change          func(*corev1.Service)
		want, classOnly bool
	}{
		{"no class", func(*corev1.Service) {}, true, false},
		{"our class", class(Class), true, true},
		{"another class", class("example.com/other"), false, false},
		{"another type", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }, false, false},
		{"being deleted", func(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{} }, false, false},
		{"served by a cloud", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}}
		}, false, false},
	} {
		g := NewWithT(t)
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
		tc.change(s)
		g.Expect((&Controller{}).ours(s)).To(Equal(tc.want), tc.name)
		g.Expect((&Controller{options: Options{ClassOnly: true}}).ours(s)).To(Equal(tc.classOnly), tc.name)
	}
}

func TestRequested(t *testing.T) {
	for _, tc := range []struct {
		annotation, field string
		want              []netip.Addr
		invalid           string
	}{
		{"", "", nil, ""},
		{"", "192.0.2.7", []netip.Addr{netip.MustParseAddr("192.0.2.7")}, ""},
		{"2001:db8::7, 192.0.2.7", "192.0.2.8", []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.0.2.7")}, ""},
		{"2001:db8::7,2001:db8::8", "", nil, "the annotation " + AnnotationAddresses + " asks for two IPv6 addresses; a Service gets one a family"},
		{"", "fe80::1%eth0", nil, `spec.loadBalancerIP asks for "fe80::1%eth0", which is no address; write one a family, separated by commas, such as 2001:db8::7,192.0.2.7`},
	} {
		g := NewWithT(t)
		s := &corev1.Service{Spec: corev1.ServiceSpec{LoadBalancerIP: tc.field}}
		s.Annotations = map[string]string{AnnotationAddresses: tc.annotation}
		got, invalid := requested(s)
		g.Expect(got).To(Equal(tc.want))
		g.Expect(invalid).To(Equal(tc.invalid))
	}
}
