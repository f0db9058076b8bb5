// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package nodepolicy_test tries on a real kube-apiserver what whoever has an agent's token may do to Node objects.
package nodepolicy_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/render"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	reported = "ipv6.networking.extensions.gardener.cloud/reported-node-prefix"
	source   = "ipv6.networking.extensions.gardener.cloud/node-prefix-source"
)

// cluster has the nodes a and b, an agent's pod on each, and the policy.
type cluster struct {
	*envtest.Environment
	*WithT
	t     *testing.T
	admin kubernetes.Interface
}

func start(t *testing.T) *cluster {
	t.Helper()
	g := NewWithT(t)
	env := envtest.Start(t)
	admin, err := kubernetes.NewForConfig(env.Config)
	g.Expect(err).NotTo(HaveOccurred())
	c := &cluster{Environment: env, WithT: g, t: t, admin: admin}
	ctx := t.Context()
	c.Expect(env.Client.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: render.AgentName}})).To(Succeed())
	for _, name := range []string{"a", "b"} {
		c.join(metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"zone": "one"}, Annotations: map[string]string{"kept": "as it is"}, Finalizers: []string{"example.com/kept"},
		})
	}
	// More than the agent has: the policy must hold by itself.
	c.allow("agent", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "kube-system", Name: render.AgentName})
	for _, obj := range render.NodePolicyObjects() {
		c.Expect(env.Client.Create(ctx, obj)).To(Succeed())
	}
	c.Eventually(func() error { return c.patch(c.agent("a"), "b", reports("2001:db8::/64")) }).WithTimeout(time.Minute).WithPolling(100 * time.Millisecond).
		ShouldNot(Succeed()) // the policy is in force a little later
	return c
}

// join makes a node, and an agent's pod on it.
func (c *cluster) join(node metav1.ObjectMeta) {
	c.t.Helper()
	c.Expect(c.Client.Create(c.t.Context(), &corev1.Node{ObjectMeta: node})).To(Succeed())
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent-" + node.Name}, Spec: corev1.PodSpec{
		NodeName: node.Name, ServiceAccountName: render.AgentName, Containers: []corev1.Container{{Name: "agent", Image: "agent"}},
	}}
	c.Expect(c.Client.Create(c.t.Context(), pod)).To(Succeed())
}

// allow everything with nodes.
func (c *cluster) allow(name string, subject rbacv1.Subject) {
	c.t.Helper()
	c.Expect(c.Client.Create(c.t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-" + name}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes", "nodes/status"}, Verbs: []string{"*"}},
	}})).To(Succeed())
	c.Expect(c.Client.Create(c.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-" + name}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "test-" + name},
	})).To(Succeed())
}

// agent is whoever has the token of the agent's pod on that node; of none, if the node is empty.
func (c *cluster) agent(node string) kubernetes.Interface {
	c.t.Helper()
	request := &authenticationv1.TokenRequest{}
	if node != "" {
		pod, err := c.admin.CoreV1().Pods("kube-system").Get(c.t.Context(), "agent-"+node, metav1.GetOptions{})
		c.Expect(err).NotTo(HaveOccurred())
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	}
	token, err := c.admin.CoreV1().ServiceAccounts("kube-system").CreateToken(c.t.Context(), render.AgentName, request, metav1.CreateOptions{})
	c.Expect(err).NotTo(HaveOccurred())
	config := rest.AnonymousClientConfig(c.Config)
	config.BearerToken = token.Status.Token
	config.QPS = 1000
	agent, err := kubernetes.NewForConfig(config)
	c.Expect(err).NotTo(HaveOccurred())
	return agent
}

type object = map[string]any

func reports(prefix string) object {
	return object{"metadata": object{"annotations": object{reported: prefix, source: "aws metadata"}}}
}

func (c *cluster) patch(as kubernetes.Interface, node string, patch object, subresources ...string) error {
	data, err := json.Marshal(patch)
	c.Expect(err).NotTo(HaveOccurred())
	_, err = as.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, data, metav1.PatchOptions{}, subresources...)
	return err
}

func TestWhatAnAgentsTokenMay(t *testing.T) {
	c := start(t)
	a := c.agent("a")
	c.Expect(c.patch(a, "a", reports("2001:db8:1::/64"))).To(Succeed())
	c.Expect(c.patch(a, "a", reports("2001:db8:2::/64"))).To(Succeed())
	c.Expect(c.patch(a, "a", object{"metadata": object{"annotations": object{reported: nil, source: nil}}})).To(Succeed())
	c.Expect(c.patch(a, "a", reports("2001:db8:3::/64"))).To(Succeed())
	c.Expect(c.patch(c.agent("b"), "b", reports("2001:db8:4::/64"))).To(Succeed())

	const not = `nodes "a" is forbidden: ValidatingAdmissionPolicy 'ipv6-agent-own-node' with binding 'ipv6-agent-own-node' denied request: `
	const notB = `nodes "b" is forbidden: ValidatingAdmissionPolicy 'ipv6-agent-own-node' with binding 'ipv6-agent-own-node' denied request: `
	const others = "the agent may change no annotations of its Node but " + reported + " and " + source
	meta := func(field string, value any) object { return object{"metadata": object{field: value}} }
	spec := func(field string, value any) object { return object{"spec": object{field: value}} }
	for _, tc := range []struct {
		name    string
		as      kubernetes.Interface
		node    string
		patch   object
		message string
	}{
		{"a stolen token", a, "b", reports("2001:db8:5::/64"), notB + "the token belongs to a pod on node a, and may change that Node only, not b"},
		{"a token of no pod", c.agent(""), "a", reports("2001:db8:5::/64"), not + "the token does not say which node its pod runs on: the agent's must be bound to its pod"},
		{"labels: another", a, "a", meta("labels", object{"more": "x"}), not + "the agent may not change labels of its Node"},
		{"labels: another value", a, "a", meta("labels", object{"zone": "two"}), not + "the agent may not change labels of its Node"},
		{"labels: none", a, "a", meta("labels", nil), not + "the agent may not change labels of its Node"},
		{"annotations: another", a, "a", meta("annotations", object{"more": "x"}), not + others},
		{"annotations: another value", a, "a", meta("annotations", object{"kept": "x"}), not + others},
		{"annotations: one less", a, "a", meta("annotations", object{"kept": nil}), not + others},
		{"annotations: none", a, "a", meta("annotations", nil), not + others},
		{"annotations: what the controller recorded", a, "a", meta("annotations", object{"ipv6.networking.extensions.gardener.cloud/node-prefix": "2001:db8::/32"}), not + others},
		{"annotations: beside its own", a, "a", meta("annotations", object{reported: "2001:db8:6::/64", "more": "x"}), not + others},
		{"finalizers", a, "a", meta("finalizers", []string{}), not + "the agent may not change finalizers of its Node"},
		{"owners", a, "a", meta("ownerReferences", []object{{"apiVersion": "v1", "kind": "Node", "name": "b", "uid": "x"}}), not + "the agent may not change owners of its Node"},
		{"taints", a, "a", spec("taints", []object{{"key": "x", "effect": "NoSchedule"}}), not + "the agent may not change the spec of its Node"},
		{"podCIDRs", a, "a", object{"spec": object{"podCIDR": "2001:db8::/64", "podCIDRs": []string{"2001:db8::/64"}}}, not + "the agent may not change the spec of its Node"},
		{"unschedulable", a, "a", spec("unschedulable", true), not + "the agent may not change the spec of its Node"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			before, err := c.admin.CoreV1().Nodes().Get(t.Context(), tc.node, metav1.GetOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			err = c.patch(tc.as, tc.node, tc.patch)
			g.Expect(err).To(MatchError(tc.message))
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue())
			g.Expect(c.admin.CoreV1().Nodes().Get(t.Context(), tc.node, metav1.GetOptions{})).To(Equal(before))
		})
	}

	const neither = "the agent may change two annotations of its Node, and neither create nor delete it nor write its status"
	c.Expect(c.patch(a, "a", object{"status": object{"phase": "x"}}, "status")).To(MatchError(ContainSubstring(neither)))
	c.Expect(a.CoreV1().Nodes().Delete(t.Context(), "a", metav1.DeleteOptions{})).To(MatchError(not + neither))
	_, err := a.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{})
	c.Expect(err).To(MatchError(ContainSubstring("the token belongs to a pod on node a, and may change that Node only, not c")))
}

// TestNodeOfNothing has no maps to compare. Nor is there another way to write it, or to have many deleted.
func TestNodeOfNothing(t *testing.T) {
	c := start(t)
	c.join(metav1.ObjectMeta{Name: "bare"})
	bare := c.agent("bare")
	const not = `nodes "bare" is forbidden: ValidatingAdmissionPolicy 'ipv6-agent-own-node' with binding 'ipv6-agent-own-node' denied request: the agent may `
	meta := func(field string, value any) object { return object{"metadata": object{field: value}} }
	c.Expect(c.patch(bare, "bare", meta("labels", object{"more": "x"}))).To(MatchError(not + "not change labels of its Node"))
	c.Expect(c.patch(bare, "bare", meta("finalizers", []string{"example.com/x"}))).To(MatchError(not + "not change finalizers of its Node"))
	c.Expect(c.patch(bare, "bare", meta("annotations", object{"more": "x"}))).To(MatchError(HavePrefix(not + "change no annotations of its Node but ")))

	apply := func(name string, metadata object) error {
		metadata["name"] = name
		data, err := json.Marshal(object{"apiVersion": "v1", "kind": "Node", "metadata": metadata})
		c.Expect(err).NotTo(HaveOccurred())
		force := true
		_, err = bare.CoreV1().Nodes().Patch(t.Context(), name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: "test", Force: &force})
		return err
	}
	c.Expect(apply("bare", object{"labels": object{"more": "x"}})).To(MatchError(not + "not change labels of its Node"))
	c.Expect(apply("a", object{"annotations": object{reported: "2001:db8:8::/64"}})).To(MatchError(ContainSubstring("may change that Node only, not a")))
	c.Expect(apply("new", object{})).To(MatchError(ContainSubstring("may change that Node only, not new")), "applying what is not there creates it")
	c.Expect(apply("bare", object{"annotations": object{reported: "2001:db8:8::/64"}})).To(Succeed())
	c.Expect(c.patch(bare, "bare", reports("2001:db8:9::/64"))).To(Succeed())

	generated := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "bare"}}
	_, err := bare.CoreV1().Nodes().Create(t.Context(), generated, metav1.CreateOptions{})
	c.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
	err = bare.CoreV1().Nodes().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	c.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
	nodes, err := c.admin.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	c.Expect(err).NotTo(HaveOccurred())
	c.Expect(nodes.Items).To(HaveEach(HaveField("DeletionTimestamp", BeNil())))
	c.Expect(nodes.Items).To(HaveLen(3))
}

// TestOthersAreNotConcerned: neither the kubelet, nor another ServiceAccount, nor an administrator.
func TestOthersAreNotConcerned(t *testing.T) {
	c := start(t)
	for name, groups := range map[string][]string{
		"system:node:a": {"system:nodes", "system:authenticated"},
		"system:serviceaccount:kube-system:ipv6-ipam-controller": {"system:serviceaccounts", "system:authenticated"},
		"system:serviceaccount:default:ipv6-agent":               {"system:serviceaccounts", "system:authenticated"},
		"somebody": {"system:authenticated"},
	} {
		config, _ := c.AddUser(t, name, groups...)
		as, err := kubernetes.NewForConfig(config)
		c.Expect(err).NotTo(HaveOccurred())
		c.allow(strings.ReplaceAll(name, ":", "-"), rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: name})
		patch := object{"metadata": object{"labels": object{"by": "others"}, "annotations": object{"by": name, reported: "2001:db8:7::/64"}}}
		c.Eventually(func() error { return c.patch(as, "a", patch) }).WithTimeout(30*time.Second).Should(Succeed(), name)
		c.Expect(c.patch(as, "a", object{"status": object{"nodeInfo": object{"kubeletVersion": "v1"}}}, "status")).To(Succeed(), name)
	}
	node := &corev1.Node{}
	c.Expect(c.Client.Get(t.Context(), client.ObjectKey{Name: "a"}, node)).To(Succeed())
	c.Expect(node.Labels).To(HaveKeyWithValue("by", "others"))
}
