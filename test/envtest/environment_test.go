// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package envtest_test

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

func TestStart(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	env := envtest.Start(t, envtest.WithServiceRange("2001:db8:5::/112"), envtest.WithGardenerCRDs())
	g.Expect(env.Config.Host).To(ContainSubstring("127.0.0.1"), "loopback only")

	t.Run("services are IPv6", func(t *testing.T) {
		g := NewWithT(t)
		svc := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "svc"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		g.Expect(env.Client.Create(ctx, svc)).To(Succeed())
		g.Expect(svc.Spec.IPFamilies).To(Equal([]corev1.IPFamily{corev1.IPv6Protocol}))
		g.Expect(strings.HasPrefix(svc.Spec.ClusterIP, "2001:db8:5::")).To(BeTrue(), svc.Spec.ClusterIP)
	})
	t.Run("Gardener's resources can be used", func(t *testing.T) {
		g := NewWithT(t)
		for _, gvk := range []schema.GroupVersionKind{
			{Group: "extensions.gardener.cloud", Version: "v1alpha1", Kind: "NetworkList"},
			{Group: "resources.gardener.cloud", Version: "v1alpha1", Kind: "ManagedResourceList"},
		} {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(gvk)
			g.Expect(env.Client.List(ctx, list)).To(Succeed())
		}
	})
	t.Run("a user may nothing at first", func(t *testing.T) {
		g := NewWithT(t)
		config, kubeconfig := env.AddUser(t, "nobody")
		g.Expect(kubeconfig).NotTo(BeEmpty())
		c, err := client.New(config, client.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(apierrors.IsForbidden(c.List(ctx, &corev1.NodeList{}))).To(BeTrue())
	})
}

func TestBinariesDirNamesWhatIsMissing(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	t.Setenv("LANDSCAPE_BIN", dir)
	_, err := envtest.BinariesDir()
	g.Expect(err).To(MatchError(`no etcd and no kube-apiserver in ` + dir + `: "make binaries" builds them (LANDSCAPE_BIN names another place)`))
}
