// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipamcontroller

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

func TestWhatCountsOfANode(t *testing.T) {
	g := NewWithT(t)
	n := nodeOf(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: "n", UID: "u", Labels: map[string]string{"cloud": "a"}, CreationTimestamp: metav1.Unix(1000, 0),
			Annotations: map[string]string{
				nodeprefix.AnnotationReportedPrefix: "2001:db8:1::/64", nodeprefix.AnnotationPrefixSource: "link of eth0",
				AnnotationNodePrefix: "2001:db8:1::/64,100.96.0.0/24,nonsense,2001:db8::1/64",
			},
		},
		Spec: corev1.NodeSpec{
			PodCIDRs: []string{"2001:db8:1:0:d000::/84"},
			Taints:   []corev1.Taint{{Key: "node.cloudprovider.kubernetes.io/uninitialized", Effect: corev1.TaintEffectNoSchedule}},
		},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n"}, {Type: corev1.NodeInternalIP, Address: "2001:db8:1::5"}}},
	})
	g.Expect(n).To(Equal(nodeprefix.Node{
		Name: "n", UID: "u", Labels: map[string]string{"cloud": "a"}, Created: metav1.Unix(1000, 0).Time,
		Report: "2001:db8:1::/64", ReportSource: "link of eth0", LabelsPending: true,
		Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:1::5")},
		PodCIDRs:  []netip.Prefix{netip.MustParsePrefix("2001:db8:1:0:d000::/84")},
		Prefixes:  []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("100.96.0.0/24")},
	}))
}

// TestTheUsualBeginningIsNotTold, what the node says afterwards is; and whoever waits for another is woken by what becomes of it.
func TestTheUsualBeginningIsNotTold(t *testing.T) {
	h := newHarness(t)
	h.options.Config.Sources = []nodeprefix.Source{{Origin: nodeprefix.FromNode}}
	joins := func(name, address string) {
		h.join(name)
		n := h.node(name)
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
		h.Expect(h.api.Status().Update(h.ctx, n)).To(Succeed())
		h.see(name)
	}
	joins("a", "10.0.0.1")
	h.process(h.ctx, []string{"a"})
	h.Expect(h.node("a").Status.Conditions).To(BeEmpty())
	h.Expect(testutil.ToFloat64(h.metrics.nodes.WithLabelValues("AwaitingReportedPrefix"))).To(Equal(1.0))
	h.Expect(h.events.Events).To(BeEmpty())

	for _, name := range []string{"a", "b"} {
		if name == "b" {
			joins("b", "10.0.0.2")
		}
		n := h.node(name)
		metav1.SetMetaDataAnnotation(&n.ObjectMeta, nodeprefix.AnnotationReportedPrefix, "2001:db8:1::/64")
		h.Expect(h.api.Update(h.ctx, n)).To(Succeed())
		h.see(name)
	}
	h.process(h.ctx, []string{"b", "a"})
	h.Expect(h.node("a").Spec.PodCIDRs).To(Equal([]string{"2001:db8:1:0:ffff::/80"}))
	h.Expect(h.node("a").Annotations).To(HaveKeyWithValue(AnnotationNodePrefix, "2001:db8:1::/64"))
	h.Expect(h.node("b").Spec.PodCIDRs).To(BeEmpty())
	h.Expect(<-h.events.Events).To(Equal("Warning ReportedPrefixOverlap reported prefix 2001:db8:1::/64 overlaps that of a"))
	h.Expect(testutil.ToFloat64(h.metrics.prefixes.WithLabelValues("IPv6", "brought"))).To(Equal(1.0))
	h.Expect(testutil.ToFloat64(h.metrics.problems.WithLabelValues("ReportedPrefixOverlap"))).To(Equal(1.0))

	h.Expect(h.queue.Len()).To(BeZero())
	h.Expect(h.api.Delete(h.ctx, h.node("a"))).To(Succeed())
	h.Expect(h.nodes.GetStore().Delete(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}})).To(Succeed())
	h.process(h.ctx, []string{"a"})
	h.Expect(h.queue.Len()).To(Equal(1), "b's turn again")
	h.process(h.ctx, []string{"b"})
	h.Expect(<-h.events.Events).To(Equal("Warning ReportedPrefixOverlap reported prefix 2001:db8:1::/64 is still in quarantine after a was deleted"))
}
