// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"fmt"
	"testing"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/program"
)

// User makes a user with the rights of the Role, and the ClusterRole if there is one, that a document's yaml blocks of these
// titles grant.
func User(t *testing.T, env *envtest.Environment, namespace, document, role, clusterRole string) *rest.Config {
	t.Helper()
	g := gomega.NewWithT(t)
	name := "user-of-" + namespace
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}
	objects := []client.Object{}
	g.Expect(func() error {
		text, err := program.Manifest(document, role)
		if err != nil {
			return err
		}
		r := &rbacv1.Role{}
		if err := yaml.UnmarshalStrict([]byte(text), r); err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
		r.Namespace = namespace
		binding := &rbacv1.RoleBinding{Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: r.Name}}
		binding.Namespace, binding.Name = namespace, name
		objects = append(objects, r, binding)
		return nil
	}()).To(gomega.Succeed())
	if clusterRole != "" {
		g.Expect(func() error {
			text, err := program.Manifest(document, clusterRole)
			if err != nil {
				return err
			}
			r := &rbacv1.ClusterRole{}
			if err := yaml.UnmarshalStrict([]byte(text), r); err != nil {
				return fmt.Errorf("%s: %w", clusterRole, err)
			}
			r.Name = name
			binding := &rbacv1.ClusterRoleBinding{Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: r.Name}}
			binding.Name = name
			objects = append(objects, r, binding)
			return nil
		}()).To(gomega.Succeed())
	}
	for _, o := range objects {
		g.Expect(env.Client.Create(t.Context(), o)).To(gomega.Succeed())
	}
	config, _ := env.AddUser(t, name)
	return config
}
