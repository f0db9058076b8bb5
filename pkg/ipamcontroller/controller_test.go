// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipamcontroller

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
	h.api = fake.NewClientBuilder().WithStatusSubresource(&corev1.Node{}).Build()
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
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if h.faults.Patch != nil {
				return h.faults.Patch(ctx, c, obj, patch, opts...)
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
	})
	h.Controller = &Controller{
		options: Options{Namespace: "kube-system", Quarantine: time.Hour, Config: nodeprefix.Config{
			APIVersion: nodeprefix.ConfigAPIVersion, Kind: nodeprefix.ConfigKind,
			Ranges: []nodeprefix.Range{{Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8::/64"), NodeBits: 80, PodBits: 80}},
		}},
		client: faulty, live: h.api, recorder: h.events, log: logr.Discard(), states: map[string]state{},
		nodes:   cache.NewSharedIndexInformer(&cache.ListWatch{}, &corev1.Node{}, 0, nil),
		metrics: newMeters(prometheus.NewRegistry()),
		now:     func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) },
		queue:   batchqueue.New("test"),
	}
	t.Cleanup(h.queue.ShutDown)
	return h
}

// join makes a node; the watch sees it.
func (h *harness) join(name string) {
	h.Expect(h.api.Create(h.ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}})).To(Succeed())
	h.see(name)
}

// see lets the watch catch up with a node.
func (h *harness) see(name string) {
	h.Expect(h.nodes.GetStore().Update(h.node(name))).To(Succeed())
}

func (h *harness) node(name string) *corev1.Node {
	var n corev1.Node
	h.Expect(h.api.Get(h.ctx, client.ObjectKey{Name: name}, &n)).To(Succeed())
	return &n
}

func (h *harness) written() nodeprefix.Journal {
	var object corev1.ConfigMap
	h.Expect(h.api.Get(h.ctx, client.ObjectKey{Namespace: "kube-system", Name: JournalName}, &object)).To(Succeed())
	j, err := nodeprefix.DecodeJournal(configjournal.Text(&object))
	h.Expect(err).NotTo(HaveOccurred())
	return j
}

func TestNothingIsWrittenBeforeTheJournal(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	h.faults.Create = func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return errLost }
	h.process(h.ctx, []string{"a"})
	h.Expect(h.node("a").Spec.PodCIDRs).To(BeEmpty())

	h.faults.Create = nil
	h.process(h.ctx, []string{"a"})
	h.Expect(h.node("a").Spec.PodCIDRs).To(Equal([]string{"2001:db8::/80"}), "the claim stood")
}

// TestJournalReplyLost: the journal was written but the program does not know.
func TestJournalReplyLost(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	h.process(h.ctx, []string{"a"})
	h.join("b")
	h.faults.Update = func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
		h.Expect(c.Update(ctx, obj, opts...)).To(Succeed())
		return errLost
	}
	h.process(h.ctx, []string{"b"})
	h.Expect(h.node("b").Spec.PodCIDRs).To(BeEmpty())
	h.Expect(h.written().Claims).To(HaveLen(2))

	h.faults.Update = nil
	h.process(h.ctx, []string{"b"})
	h.Expect(h.book).To(BeNil(), "what it knew of the journal was older, so it must read it again")
	h.process(h.ctx, []string{"b"})
	h.Expect(h.node("b").Spec.PodCIDRs).To(Equal([]string{"2001:db8:0:0:1::/80"}), "as was claimed")
}

// TestAQuarantineOutlivesAConflict: the node is gone, so nothing but the old book tells of its prefix.
func TestAQuarantineOutlivesAConflict(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	h.process(h.ctx, []string{"a"})
	h.see("a")
	h.process(h.ctx, []string{"a"})
	later := h.now().Add(time.Minute)
	h.now = func() time.Time { return later }
	h.process(h.ctx, []string{housekeeping})
	h.Expect(h.written().Claims).To(BeEmpty(), "the journal does not tell of it either")

	var other corev1.ConfigMap
	h.Expect(h.api.Get(h.ctx, client.ObjectKey{Namespace: "kube-system", Name: JournalName}, &other)).To(Succeed())
	other.Labels = map[string]string{"touched": "true"}
	h.Expect(h.api.Update(h.ctx, &other)).To(Succeed())
	a := h.node("a")
	h.Expect(h.api.Delete(h.ctx, a)).To(Succeed())
	h.Expect(h.nodes.GetStore().Delete(a)).To(Succeed())
	h.process(h.ctx, []string{"a"})
	h.Expect(h.book).To(BeNil())
	h.process(h.ctx, []string{"a"})
	h.Expect(h.written().Tombstones).To(ConsistOf(nodeprefix.Tombstone{
		Prefix: netip.MustParsePrefix("2001:db8::/80"), Node: "a", Until: h.now().Add(time.Hour),
	}), "once")
}

// TestNodeReplyLost: the node was written but the program does not know.
func TestNodeReplyLost(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	h.faults.Patch = func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
		h.Expect(c.Patch(ctx, obj, patch, opts...)).To(Succeed())
		return errLost
	}
	h.process(h.ctx, []string{"a"})
	h.faults.Patch = nil
	h.process(h.ctx, []string{"a"}) // the watch has not seen it yet
	h.see("a")
	h.process(h.ctx, []string{"a"})
	h.Expect(h.node("a").Spec.PodCIDRs).To(Equal([]string{"2001:db8::/80"}))
	h.Expect(h.states["a"].reason).To(Equal(nodeprefix.ReasonAssigned))
	h.Expect(h.events.Events).To(BeEmpty())
}

// TestKubeletWritesMeanwhile: the node is older than what the API server has.
func TestKubeletWritesMeanwhile(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	n := h.node("a")
	n.Labels = map[string]string{"new": "label"}
	h.Expect(h.api.Update(h.ctx, n)).To(Succeed())
	h.process(h.ctx, []string{"a"})
	h.Expect(h.node("a").Spec.PodCIDRs).To(HaveLen(1))
	h.Expect(h.node("a").Labels).To(HaveKeyWithValue("new", "label"))
}

// TestAnotherIsFaster: somebody else writes pod ranges after we decided. Theirs stay, and our claim is free again at once.
func TestAnotherIsFaster(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	n := h.node("a")
	n.Spec.PodCIDRs = []string{"2001:db8:0:0:7::/80"}
	h.Expect(h.api.Update(h.ctx, n)).To(Succeed())
	h.process(h.ctx, []string{"a"})
	h.Expect(h.node("a").Spec.PodCIDRs).To(Equal([]string{"2001:db8:0:0:7::/80"}))
	h.see("a")
	h.process(h.ctx, []string{"a"})
	h.Expect(h.book.Usage()[0].Nodes).To(Equal(1))
	h.Expect(h.book.Usage()[0].Quarantined).To(BeZero())
}

// TestGoneMeanwhile: the node is deleted between the decision and its write. The claim may have got through, so it is quarantined.
func TestGoneMeanwhile(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	n := h.node("a")
	h.Expect(h.api.Delete(h.ctx, n)).To(Succeed())
	h.book, h.journal = nodeprefix.NewBook(h.options.Config), journal{object: configjournal.New("kube-system", JournalName)}
	h.process(h.ctx, []string{"a"})
	h.Expect(h.written().Claims).To(HaveLen(1))
	h.Expect(h.nodes.GetStore().Delete(n)).To(Succeed())
	h.process(h.ctx, []string{"a"})
	h.Expect(h.written().Claims).To(BeEmpty())
	h.Expect(h.written().Tombstones).To(HaveLen(1))
}

// TestAddressesOfOneBatch: a node's address must not end up in the prefix of a node that is decided on before it.
func TestAddressesOfOneBatch(t *testing.T) {
	h := newHarness(t)
	h.join("a")
	h.join("b")
	n := h.node("b")
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "b"}, {Type: corev1.NodeInternalIP, Address: "2001:db8::b"}}
	h.Expect(h.api.Status().Update(h.ctx, n)).To(Succeed())
	h.see("b")
	h.book, h.journal = nodeprefix.NewBook(h.options.Config), journal{object: configjournal.New("kube-system", JournalName)}
	h.process(h.ctx, []string{"a", "b"})
	h.Expect(h.node("a").Spec.PodCIDRs).To(Equal([]string{"2001:db8:0:0:1::/80"}))
	h.Expect(h.node("b").Spec.PodCIDRs).To(Equal([]string{"2001:db8:0:0:2::/80"}))
}
