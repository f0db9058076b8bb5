// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/gardener/gardener/pkg/apis/core"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	gardenerkubeproxy "github.com/gardener/gardener/pkg/component/kubernetes/proxy"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

func toObjects(list client.ObjectList) ([]runtime.Object, error) { return meta.ExtractList(list) }

func controllerManager(namespace string) *appsv1.Deployment {
	labels := map[string]string{"app": "kubernetes", "role": "controller-manager"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kube-controller-manager", Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "kube-controller-manager", Image: "kube-controller-manager:1",
					Command: []string{"/usr/local/bin/kube-controller-manager", "--allocate-node-cidrs=true", "--cluster-cidr=2001:db8:1::/64", "--v=2"},
				}}},
			},
		},
	}
}

func TestControllerManagerAllocatesNothing(t *testing.T) {
	g := NewWithT(t)
	s := newShoot(t, demoConfig, demoRanges)
	deployment := controllerManager(s.namespace)
	g.Expect(env.Client.Create(t.Context(), deployment)).To(Succeed())
	want := []string{"/usr/local/bin/kube-controller-manager", "--allocate-node-cidrs=false", "--cluster-cidr=2001:db8:1::/64", "--v=2"}
	g.Expect(deployment.Spec.Template.Spec.Containers[0].Command).To(Equal(want))

	deployment.Spec.Template.Spec.Containers[0].Command = controllerManager("").Spec.Template.Spec.Containers[0].Command
	generation := deployment.Generation
	g.Expect(env.Client.Update(t.Context(), deployment)).To(Succeed(), "gardenlet's next reconciliation")
	g.Expect(deployment.Spec.Template.Spec.Containers[0].Command).To(Equal(want))
	g.Expect(deployment.Generation).To(Equal(generation), "nothing rolls")

	other := controllerManager(env.Namespace(t, map[string]string{"gardener.cloud/role": "shoot", "networking.shoot.gardener.cloud/provider": "calico"}))
	g.Expect(env.Client.Create(t.Context(), other)).To(Succeed())
	g.Expect(other.Spec.Template.Spec.Containers[0].Command).To(ContainElement("--allocate-node-cidrs=true"), "other network types' shoots are not ours")
}

func TestKubeProxyDetectsPodsByInterface(t *testing.T) {
	g := NewWithT(t)
	s := newShoot(t, demoConfig, demoRanges)
	written := kubeProxySecret(t, s.namespace)

	// As Gardener's library writes it, at creation and at every reconciliation.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: written.Name}}
	reconcile := func() error {
		_, err := controllerutil.CreateOrUpdate(t.Context(), env.Client, secret, func() error {
			secret.Labels, secret.Type = written.Labels, written.Type
			secret.Data, secret.Immutable = written.Data, written.Immutable
			return nil
		})
		return err
	}
	g.Expect(reconcile()).To(Succeed())
	g.Expect(manifests(t, secret)).To(And(
		ContainSubstring("detectLocalMode: InterfaceNamePrefix"), ContainSubstring("interfaceNamePrefix: v6p"), Not(ContainSubstring("2001:db8:1::/64")),
	))

	expectKubeProxyAccepts(t, secret)

	stored := secret.ResourceVersion
	g.Expect(reconcile()).To(Succeed(), "the Secret is immutable")
	g.Expect(secret.ResourceVersion).To(Equal(stored))
	g.Expect(manifests(t, secret)).To(ContainSubstring("detectLocalMode: InterfaceNamePrefix"))

	unlabelled := written.DeepCopy()
	unlabelled.Name, unlabelled.Labels, unlabelled.ResourceVersion = "other", nil, ""
	g.Expect(env.Client.Create(t.Context(), unlabelled)).To(Succeed())
	g.Expect(unlabelled.Data).To(Equal(written.Data), "no other Secret is looked at")
}

// kubeProxySecret is the Secret behind the ManagedResource of gardenlet's own component.
func kubeProxySecret(t *testing.T, namespace string) *corev1.Secret {
	t.Helper()
	g := NewWithT(t)
	c := fakeclient.NewClientBuilder().WithScheme(kubernetes.SeedScheme).Build()
	component := gardenerkubeproxy.New(c, namespace, gardenerkubeproxy.Values{
		ProxyMode: core.ProxyModeNFTables, PodNetworkCIDRs: []net.IPNet{cidr(t, "2001:db8:1::/64")},
	})
	g.Expect(component.Deploy(t.Context())).To(Succeed())
	secrets := &corev1.SecretList{}
	g.Expect(c.List(t.Context(), secrets, client.InNamespace(namespace))).To(Succeed())
	g.Expect(secrets.Items).To(HaveLen(1))
	return &secrets.Items[0]
}

func manifests(t *testing.T, secret *corev1.Secret) string {
	t.Helper()
	plain, err := io.ReadAll(brotli.NewReader(bytes.NewReader(secret.Data["data.yaml.br"])))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(plain)
}

// expectKubeProxyAccepts lets the real kube-proxy read and validate the configuration, as it does before it starts.
func expectKubeProxyAccepts(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	g := NewWithT(t)
	binaries, err := envtest.BinariesDir()
	g.Expect(err).NotTo(HaveOccurred())
	in, out := filepath.Join(t.TempDir(), "in.yaml"), filepath.Join(t.TempDir(), "out.yaml")
	for document := range strings.SplitSeq(manifests(t, secret), "\n---\n") {
		configMap := &corev1.ConfigMap{}
		if yaml.UnmarshalStrict([]byte(document), configMap) == nil && strings.HasPrefix(configMap.Name, "kube-proxy-config-") {
			g.Expect(os.WriteFile(in, []byte(configMap.Data["config.yaml"]), 0o600)).To(Succeed())
		}
	}
	printed, err := exec.CommandContext(t.Context(), filepath.Join(binaries, "kube-proxy"), "--config="+in, "--write-config-to="+out).CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(printed))
	g.Expect(os.ReadFile(out)).To(And(ContainSubstring("detectLocalMode: InterfaceNamePrefix"), ContainSubstring("interfaceNamePrefix: v6p\n")))
}
