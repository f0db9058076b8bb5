// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/render"
)

// restricted is the kubeconfig of the program's ServiceAccount, with the permissions that the extension renders for the configuration.
func (c *cluster) restricted(t *testing.T, config nodeprefix.Config) string {
	t.Helper()
	out, err := render.Objects(render.Input{
		Namespace: "shoot--garden--demo", AgentImage: "agent:v1", IPAMImage: "ipam:v1",
		Agent:        agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 66},
		NodePrefixes: config, Replicas: 1, GenericTokenKubeconfig: "generic", AccessSecret: "shoot-access-ipv6-ipam-controller",
	})
	c.Expect(err).NotTo(HaveOccurred())
	rendered := 0
	for _, obj := range out.Shoot {
		switch obj.(type) {
		case *rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding, *rbacv1.Role, *rbacv1.RoleBinding:
			c.Expect(c.Client.Create(context.Background(), obj)).To(Succeed())
			t.Cleanup(func() { _ = c.Client.Delete(context.Background(), obj) })
			rendered++
		}
	}
	c.Expect(rendered).To(BeNumerically(">=", 4))
	_, kubeconfig := c.AddUser(t, "system:serviceaccount:kube-system:ipv6-ipam-controller", "system:serviceaccounts", "system:authenticated")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	c.Expect(os.WriteFile(file, kubeconfig, 0o600)).To(Succeed())
	return file
}

// TestLeastPrivilege runs the program as the ServiceAccount that it has in a shoot, with the permissions that the extension renders, through
// everything that it does.
func TestLeastPrivilege(t *testing.T) {
	c := start(t)
	r := v6(66, 70)
	file := c.restricted(t, config(r))

	p := c.runAs(file, config(r), "--quarantine", "2s")
	for _, name := range []string{"node-a", "node-b", "node-c"} {
		c.Expect(c.create(name, "2001:db8:1:2::a")).To(Succeed())
		c.Eventually(c.podCIDRs(name)).Should(HaveLen(1))
	}
	c.Expect(c.create("node-d", "2001:db8:1:2::d")).To(Succeed())
	c.Eventually(c.conditionOf("node-d")).Should(HavePrefix("False CIDRNotAvailable"))
	c.Eventually(c.events("node-d")).Should(HaveLen(1))
	c.remove("node-a")
	c.Eventually(c.conditionOf("node-d")).Should(Equal("True Assigned: "))
	p.stop(c)
	c.Expect(p.text()).NotTo(ContainSubstring("forbidden"))

	again := c.run(nodeprefix.Config{Ranges: []nodeprefix.Range{r}})
	c.Eventually(again.text).Should(ContainSubstring("Restored"), "the Lease was given back")
	again.stop(c)
	var lease metav1.PartialObjectMetadata
	lease.SetGroupVersionKind(coordinationv1.SchemeGroupVersion.WithKind("Lease"))
	c.Expect(c.Client.Get(context.Background(), client.ObjectKey{Namespace: "kube-system", Name: "ipv6-ipam-controller"}, &lease)).To(Succeed())
}

// TestLeastPrivilegeForServices is TestLeastPrivilege for Services, of which the program may read nothing if there are no pools.
func TestLeastPrivilegeForServices(t *testing.T) {
	c := startServices(t)
	conf := pools("public 2001:db8:5::/127")
	p := c.runAs(c.restricted(t, conf), conf)
	for _, name := range []string{"a", "b"} {
		c.Expect(c.service(name)).To(Succeed())
		c.Eventually(c.addresses(name)).Should(HaveLen(1))
	}
	c.Expect(c.service("late")).To(Succeed())
	c.Eventually(c.told("late")).Should(HavePrefix("False PoolExhausted"))
	c.Eventually(c.serviceEvents("late")).Should(HaveLen(1))
	c.removeService("a")
	c.Eventually(c.told("late")).Should(Equal("True Allocated: "))
	p.stop(c)
	c.Expect(p.text()).NotTo(ContainSubstring("forbidden"))
}
