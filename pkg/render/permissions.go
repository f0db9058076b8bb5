// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// agentPermissions are what the agent needs for what it is configured to do, and no more: whoever takes over a node has them all.
func agentPermissions(config agentconfig.Config) []client.Object {
	nodes := []string{"get", "list", "watch"}
	var objects []client.Object
	if slices.ContainsFunc(config.NodePrefixSources, func(s agentconfig.NodePrefixSource) bool { return s.Source.Reported() }) {
		// To report its prefix on its own Node. RBAC cannot tell which one that is.
		nodes = append(nodes, "patch")
		objects = NodePolicyObjects()
	}
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: nodes},
		{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch", "update"}},
	}
	if config.BGP != nil {
		rules = append(rules,
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"get", "list", "watch"}},
			rbacv1.PolicyRule{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
		)
	}
	objects = append(objects, permissions(AgentName, agentLabels(), rules)...)
	if secrets := passwordSecrets(config.BGP); len(secrets) > 0 {
		objects = append(objects, systemPermissions(AgentName, agentLabels(), []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: secrets, Verbs: []string{"get", "list", "watch"}},
		})...)
	}
	return objects
}

// passwordSecrets are the Secrets that peers name, sorted.
func passwordSecrets(config *agentconfig.BGPConfig) []string {
	if config == nil {
		return nil
	}
	var names []string
	for _, p := range config.Peers {
		if p.PasswordSecret != "" {
			names = append(names, p.PasswordSecret)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ipamPermissions are what ipv6-ipam-controller needs in the shoot.
func ipamPermissions(config nodeprefix.Config, labels map[string]string) []client.Object {
	var rules []rbacv1.PolicyRule
	var journals []string
	if len(config.Ranges) > 0 {
		journals = append(journals, ipamJournal)
		rules = append(rules,
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch", "patch"}},
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes/status"}, Verbs: []string{"patch"}},
		)
	}
	rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}})
	if len(config.LoadBalancerPools) > 0 {
		journals = append(journals, loadBalancerJournal)
		rules = append(rules,
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"get", "list", "watch"}},
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services/status"}, Verbs: []string{"patch"}},
		)
	}
	return append(permissions(IPAMName, labels, rules), systemPermissions(IPAMName, labels, []rbacv1.PolicyRule{
		// A rule for create cannot name its object.
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: journals, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{IPAMName}, Verbs: []string{"get", "update"}},
	})...)
}

// permissions are a ClusterRole and the binding of it to the ServiceAccount of the same name in kube-system.
func permissions(name string, labels map[string]string, rules []rbacv1.PolicyRule) []client.Object {
	return []client.Object{
		&rbacv1.ClusterRole{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			Rules:      rules,
		},
		&rbacv1.ClusterRoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: metav1.NamespaceSystem}},
		},
	}
}

// systemPermissions are a Role in kube-system and the binding of it to the ServiceAccount of the same name.
func systemPermissions(name string, labels map[string]string, rules []rbacv1.PolicyRule) []client.Object {
	named := metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceSystem, Labels: labels}
	return []client.Object{
		&rbacv1.Role{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
			ObjectMeta: named,
			Rules:      rules,
		},
		&rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
			ObjectMeta: named,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: metav1.NamespaceSystem}},
		},
	}
}
