// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
)

// ipamGroups are the API groups of the IPAMs that keep objects.
var ipamGroups = []string{"ipam.cluster.x-k8s.io", "ipam.ironcore.dev"}

// with renders the extension's chart with one backend, nil for none.
func with(t *testing.T, backend map[string]any) []client.Object {
	t.Helper()
	values := map[string]any{}
	if backend != nil {
		values["config"] = map[string]any{"backends": []any{backend}}
	}
	return decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, values))
}

// An IPAM's objects are only touched where such a backend works in the seed itself, and only in its namespace.
func TestPermissionsFollowTheBackends(t *testing.T) {
	for name, test := range map[string]struct {
		backend map[string]any
		// want are the kinds and namespaces of the roles with rules for an IPAM.
		want []string
	}{
		"none":      {nil, nil},
		"openstack": {map[string]any{"name": "a", "type": "openstack"}, nil},
		"clusterapi": {
			map[string]any{"name": "a", "type": "clusterapi", "namespace": "ipam", "pools": []any{map[string]any{"id": "InClusterPrefixPool/x"}}}, []string{"Role ipam"},
		},
		"clusterapi with a global pool": {
			map[string]any{"name": "a", "type": "clusterapi", "namespace": "ipam", "pools": []any{map[string]any{"id": "GlobalInClusterPrefixPool/x"}}}, []string{"ClusterRole ", "Role ipam"},
		},
		"ironcore":                    {map[string]any{"name": "a", "type": "ironcore", "namespace": "ipam", "pools": []any{map[string]any{"id": "x"}}}, []string{"Role ipam"}},
		"ironcore in another cluster": {map[string]any{"name": "a", "type": "ironcore", "namespace": "ipam", "secretName": "other", "pools": []any{map[string]any{"id": "x"}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, object := range with(t, test.backend) {
				var rules []rbacv1.PolicyRule
				kind := ""
				switch role := object.(type) {
				case *rbacv1.ClusterRole:
					kind, rules = "ClusterRole", role.Rules
				case *rbacv1.Role:
					kind, rules = "Role", role.Rules
				}
				if slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(ipamGroups, r.APIGroups[0]) }) {
					got = append(got, kind+" "+object.GetNamespace())
				}
			}
			NewWithT(t).Expect(got).To(ConsistOf(test.want))
		})
	}
}

// What the chart allows in the seed is what the documentation of the backend wants, but for the names of the pools.
func TestPermissionsAreThoseOfTheDocumentation(t *testing.T) {
	for name, test := range map[string]struct{ kind, pool, role string }{
		"clusterapi":                    {"clusterapi", "InClusterPrefixPool/x", "Role"},
		"clusterapi with a global pool": {"clusterapi", "GlobalInClusterPrefixPool/x", "ClusterRole"},
		"ironcore":                      {"ironcore", "x", "Role"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			text, err := os.ReadFile(filepath.Join("..", "docs", "ipam", test.kind+".md"))
			g.Expect(err).NotTo(HaveOccurred())
			_, block, found := strings.Cut(string(text), "\nkind: "+test.role+"\n")
			g.Expect(found).To(BeTrue(), "no %s in the documentation", test.role)
			block, _, _ = strings.Cut(block, "```")
			documented := &rbacv1.ClusterRole{}
			g.Expect(yaml.Unmarshal([]byte(block), documented)).To(Succeed())

			var rules []rbacv1.PolicyRule
			for _, object := range with(t, map[string]any{"name": "a", "type": test.kind, "namespace": "ipam", "pools": []any{map[string]any{"id": test.pool}}}) {
				switch role := object.(type) {
				case *rbacv1.Role:
					if test.role == "Role" && role.Namespace == "ipam" {
						rules = role.Rules
					}
				case *rbacv1.ClusterRole:
					if test.role == "ClusterRole" && strings.HasSuffix(role.Name, "-ipam-a") {
						rules = role.Rules
					}
				}
			}
			for i := range rules {
				rules[i].ResourceNames = nil
			}
			g.Expect(rules).To(ConsistOf(documented.Rules))
		})
	}
}

// Without a backend the extension talks to nobody but API servers of the landscape.
func TestWaysOutFollowTheBackends(t *testing.T) {
	g := NewWithT(t)
	labels := func(backend map[string]any) map[string]string {
		return find[*appsv1.Deployment](t, with(t, backend)).Spec.Template.Labels
	}
	for _, label := range []string{"networking.gardener.cloud/to-public-networks", "networking.gardener.cloud/to-private-networks"} {
		g.Expect(labels(nil)).NotTo(HaveKey(label))
		g.Expect(labels(map[string]any{"name": "a", "type": "aws"})).To(HaveKeyWithValue(label, "allowed"))
	}
}

func TestSecretsOfTheOperator(t *testing.T) {
	g := NewWithT(t)
	const text = "two: lines\n\"quoted\": é\n"
	secret := find[*corev1.Secret](t, decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, map[string]any{
		"secrets": map[string]any{"ipam": map[string]any{"kubeconfig": text, "number": 7}},
	})))
	g.Expect(secret.Name).To(Equal("ipam"))
	g.Expect(secret.Namespace).To(Equal(namespace))
	g.Expect(secret.Data).To(Equal(map[string][]byte{"kubeconfig": []byte(text), "number": []byte("7")}))
}

// YAML takes on and off without quotes for truth values.
func TestGarbageCollection(t *testing.T) {
	for value, want := range map[any]string{"on": "on", "off": "off", "dry-run": "dry-run", true: "on", false: "off"} {
		objects := decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, map[string]any{
			"controllers": map[string]any{"reservation": map[string]any{"garbageCollection": value}},
		}))
		NewWithT(t).Expect(find[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Args).To(ContainElement("--garbage-collection=" + want))
	}
}
