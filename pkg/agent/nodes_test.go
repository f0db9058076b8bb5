// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
)

func kubeNode(name, addr string, ranges ...string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"large": "x"}},
		Spec:       corev1.NodeSpec{PodCIDRs: ranges},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: addr}, {Type: corev1.NodeExternalIP, Address: "192.0.2.1"},
		}},
	}
}

func TestWatchNodes(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	client := fake.NewClientset(kubeNode("n1", "2001:db8::11"), kubeNode("n2", "2001:db8::12", "2001:db8:0:2::/64", "10.0.2.0/24"))
	nodes, err := WatchNodes(ctx, client, "n1", true)
	g.Expect(err).NotTo(HaveOccurred())
	nodes.Wait(ctx)
	g.Eventually(nodes.Changed()).Should(Receive())
	own, peer := nodeNamed("n1", "2001:db8::11"), nodeNamed("n2", "2001:db8::12", "2001:db8:0:2::/64", "10.0.2.0/24")
	g.Eventually(nodes.View).Should(Equal(View{Known: true, Own: &own, Peers: []Node{peer}}))

	drain := func() {
		select {
		case <-nodes.Changed():
		default:
		}
	}
	drain()
	_, err = client.CoreV1().Nodes().Update(ctx, kubeNode("n1", "2001:db8::11", "2001:db8:0:1::/64"), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(nodes.Changed()).Should(Receive())
	own = nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/64")
	g.Eventually(nodes.View).Should(Equal(View{Known: true, Own: &own, Peers: []Node{peer}}))
	drain()

	heartbeat := kubeNode("n2", "2001:db8::12", "2001:db8:0:2::/64", "10.0.2.0/24")
	heartbeat.Annotations["large"] = "y"
	_, err = client.CoreV1().Nodes().Update(ctx, heartbeat, metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Consistently(nodes.Changed(), "100ms").ShouldNot(Receive(), "what a view does not show does not matter")

	g.Expect(client.CoreV1().Nodes().Delete(ctx, "n2", metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(nodes.Changed()).Should(Receive())
	g.Eventually(nodes.View).Should(Equal(View{Known: true, Own: &own}))
}

// TestAViewIsWholeOrEmpty: peers that were not listed yet would lose their routes.
func TestAViewIsWholeOrEmpty(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	answer := make(chan struct{})
	client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		<-answer
		return true, &corev1.NodeList{Items: []corev1.Node{*kubeNode("n1", "2001:db8::11"), *kubeNode("n2", "2001:db8::12")}}, nil
	})
	nodes, err := WatchNodes(t.Context(), client, "n1", true)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(nodes.informer.GetStore().Add(kubeNode("n1", "2001:db8::11"))).To(Succeed(), "the first of the list")
	g.Expect(nodes.View()).To(Equal(View{}))
	close(answer)
	g.Eventually(nodes.View).Should(And(HaveField("Own.Name", "n1"), HaveField("Peers", HaveLen(1))))
}

func TestNodesAreTrimmed(t *testing.T) {
	g := NewWithT(t)
	full := kubeNode("n1", "2001:db8::11", "2001:db8:0:1::/64")
	full.Status.Images = []corev1.ContainerImage{{Names: []string{"large"}}}
	full.Labels = map[string]string{"zone": "a"}
	n := &ClusterNodes{own: "n2"}
	out, err := n.trim(full)
	g.Expect(err).NotTo(HaveOccurred())
	trimmed := out.(*corev1.Node)
	g.Expect(trimmed.Status.Images).To(BeEmpty())
	g.Expect(trimmed.Annotations).To(BeEmpty())
	g.Expect(nodeOf(trimmed)).To(Equal(nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/64")), "labels matter of the own node only")
	g.Expect(n.trim("a tombstone")).To(Equal("a tombstone"))
}

func TestTheOwnNodeIsKnownBetter(t *testing.T) {
	n := &ClusterNodes{own: "n1"}
	for what, c := range map[string]struct {
		change func(*corev1.Node)
		want   announce.Phase
	}{
		"nothing":  {func(*corev1.Node) {}, ""},
		"cordoned": {func(n *corev1.Node) { n.Spec.Unschedulable = true }, ""},
		"tainted":  {func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "DeletionCandidateOfClusterAutoscaler"}} }, ""},
		"not ready": {func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "PLEG is not healthy"}}
		}, ""},
		"scaled down by the autoscaler": {func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "ToBeDeletedByClusterAutoscaler"}} }, announce.Draining},
		"its machine is deleted": {func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: "Terminating", Status: corev1.ConditionTrue}}
		}, announce.Draining},
		"its machine is not deleted": {func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: "Terminating", Status: corev1.ConditionFalse}}
		}, ""},
		"shuts down": {func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "[node is shutting down]"}}
		}, announce.Draining},
		"deleted": {func(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{} }, announce.Draining},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			full := kubeNode("n1", "2001:db8::11")
			full.Labels = map[string]string{"zone": "a"}
			full.Annotations[AnnotationRouterID] = "192.0.2.7"
			c.change(full)
			out, err := n.trim(full)
			g.Expect(err).NotTo(HaveOccurred())
			is := nodeOf(out.(*corev1.Node))
			g.Expect(is.Phase).To(Equal(c.want))
			g.Expect(is.Labels).To(Equal(map[string]string{"zone": "a"}))
			g.Expect(is.Annotations).To(Equal(map[string]string{"ipv6.networking.extensions.gardener.cloud/router-id": "192.0.2.7"}))
		})
	}
}

func TestEvents(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	events, stop := NewEvents(client, "n1")
	defer stop()
	events.Warn(ReasonNoPodRange, fmt.Sprintf("%2000d", 1))
	g.Eventually(func() ([]corev1.Event, error) {
		l, err := client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
		return l.Items, err
	}).Should(ConsistOf(And(
		HaveField("InvolvedObject", corev1.ObjectReference{Kind: "Node", Name: "n1", UID: "n1"}),
		HaveField("Reason", "NoPodRange"), HaveField("Type", "Warning"), HaveField("Message", HaveLen(1003)),
		HaveField("Source", corev1.EventSource{Component: "ipv6-agent", Host: "n1"}))))
}
