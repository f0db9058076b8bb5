// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/gardener/gardener/pkg/apis/core"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	gardenerkubeproxy "github.com/gardener/gardener/pkg/component/kubernetes/proxy"
	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeproxyconfigv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"
)

const podInterfaces = "pod6-"

// Gardener's own component, with the ranges of a Shoot whose pods live in the nodes' range.
func gardenersSecret(t *testing.T, podCIDRs ...string) *corev1.Secret {
	t.Helper()
	g := NewWithT(t)
	var pods []net.IPNet
	for _, text := range podCIDRs {
		_, cidr, err := net.ParseCIDR(text)
		g.Expect(err).NotTo(HaveOccurred())
		pods = append(pods, *cidr)
	}
	c := fakeclient.NewClientBuilder().WithScheme(kubernetes.SeedScheme).Build()
	component := gardenerkubeproxy.New(c, "shoot--a--b", gardenerkubeproxy.Values{
		ProxyMode: core.ProxyModeNFTables, PodNetworkCIDRs: pods, Kubeconfig: []byte("a kubeconfig"), FeatureGates: map[string]bool{"Foo": true},
	})
	g.Expect(component.Deploy(t.Context())).To(Succeed())

	secrets := &corev1.SecretList{}
	g.Expect(c.List(t.Context(), secrets, client.InNamespace("shoot--a--b"), client.MatchingLabels{labelComponent: labelComponentValue})).To(Succeed())
	g.Expect(secrets.Items).To(HaveLen(1), "the webhook's object selector finds the Secret of Gardener's component")
	return &secrets.Items[0]
}

func manifests(t *testing.T, secret *corev1.Secret) []string {
	t.Helper()
	g := NewWithT(t)
	g.Expect(secret.Data).To(HaveLen(1))
	plain, err := io.ReadAll(brotli.NewReader(bytes.NewReader(secret.Data["data.yaml.br"])))
	g.Expect(err).NotTo(HaveOccurred())
	return strings.Split(string(plain), "\n---\n")
}

func kubeProxyConfig(t *testing.T, documents []string) (name string, config *kubeproxyconfigv1alpha1.KubeProxyConfiguration) {
	t.Helper()
	g := NewWithT(t)
	for _, document := range documents {
		configMap := &corev1.ConfigMap{}
		if !strings.Contains(document, "kind: ConfigMap") {
			continue
		}
		g.Expect(yaml.UnmarshalStrict([]byte(document), configMap)).To(Succeed())
		if text, ok := configMap.Data["config.yaml"]; ok {
			config = &kubeproxyconfigv1alpha1.KubeProxyConfiguration{}
			g.Expect(yaml.UnmarshalStrict([]byte(text), config)).To(Succeed(), "kube-proxy decodes strictly")
			name = configMap.Name
		}
	}
	g.Expect(config).NotTo(BeNil())
	return name, config
}

func TestMutateGardenersSecret(t *testing.T) {
	for _, podCIDRs := range [][]string{{"2001:db8:1::/64"}, {"2001:db8:1::/64", "100.96.0.0/11"}} {
		g := NewWithT(t)
		secret := gardenersSecret(t, podCIDRs...)
		before := manifests(t, secret)
		nameBefore, want := kubeProxyConfig(t, before)
		g.Expect(want.ClusterCIDR).To(Equal(strings.Join(podCIDRs, ",")), "what Gardener configures")

		m := &mutator{interfaceNamePrefix: podInterfaces}
		g.Expect(m.Mutate(t.Context(), secret, nil)).To(Succeed())

		after := manifests(t, secret)
		name, got := kubeProxyConfig(t, after)
		want.ClusterCIDR = ""
		want.DetectLocalMode = kubeproxyconfigv1alpha1.LocalMode("InterfaceNamePrefix")
		want.DetectLocal.InterfaceNamePrefix = "pod6-"
		g.Expect(cmp.Diff(want, got)).To(BeEmpty(), "everything but the detection stays")
		g.Expect(name).To(Equal(nameBefore), "the DaemonSet refers to the ConfigMap by this name")

		g.Expect(after).To(HaveLen(len(before)))
		changed := 0
		for i := range before {
			if before[i] != after[i] {
				changed++
			}
		}
		g.Expect(changed).To(Equal(1), "every other document keeps every byte")

		once := secret.DeepCopy()
		g.Expect(m.Mutate(t.Context(), secret, nil)).To(Succeed())
		g.Expect(manifests(t, secret)).To(Equal(manifests(t, once)), "a second time changes nothing")
	}
}

func TestMutateOfAnImmutableSecretKeepsWhatIsStored(t *testing.T) {
	g := NewWithT(t)
	stored := gardenersSecret(t, "2001:db8:1::/64")
	g.Expect(*stored.Immutable).To(BeTrue())
	g.Expect((&mutator{interfaceNamePrefix: "old-"}).Mutate(t.Context(), stored, nil)).To(Succeed())

	// gardenlet's next reconciliation writes its own data again, and the API server refuses to change the data.
	rewritten := gardenersSecret(t, "2001:db8:1::/64")
	g.Expect((&mutator{interfaceNamePrefix: podInterfaces}).Mutate(t.Context(), rewritten, stored)).To(Succeed())
	g.Expect(rewritten.Data).To(Equal(stored.Data))
}

func TestMutateSecretWithoutTheConfiguration(t *testing.T) {
	g := NewWithT(t)
	secret := &corev1.Secret{Data: map[string][]byte{
		"data.yaml": []byte("apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: kube-proxy-config\n  namespace: kube-system\n"),
	}}
	want := secret.DeepCopy()
	g.Expect((&mutator{interfaceNamePrefix: podInterfaces}).Mutate(t.Context(), secret, nil)).To(Succeed())
	g.Expect(secret).To(Equal(want))
}

func TestMutateConfig(t *testing.T) {
	g := NewWithT(t)

	text := "kind: KubeProxyConfiguration\ndetectLocalMode: NodeCIDR\nclusterCIDR: 2001:db8::/64\n"
	g.Expect(MutateConfig(text, podInterfaces)).To(Equal(text), "another mode was chosen on purpose")

	got, err := MutateConfig("kind: KubeProxyConfiguration\nfieldOfTomorrow: 7\ndetectLocal:\n  alsoNew: true\n", podInterfaces)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(MatchYAML(`
kind: KubeProxyConfiguration
clusterCIDR: ""
detectLocalMode: InterfaceNamePrefix
detectLocal:
  alsoNew: true
  interfaceNamePrefix: pod6-
fieldOfTomorrow: 7
`))

	_, err = MutateConfig("kind: KubeletConfiguration\n", podInterfaces)
	g.Expect(err).To(MatchError("kube-proxy's configuration has kind KubeletConfiguration, want KubeProxyConfiguration"))
	_, err = MutateConfig("{", podInterfaces)
	g.Expect(err).To(MatchError(ContainSubstring("no YAML")))
}

func TestMutateConfigMap(t *testing.T) {
	g := NewWithT(t)
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy-config-1234"},
		Data:       map[string]string{"config.yaml": "kind: KubeProxyConfiguration\nmode: nftables\n"},
	}
	g.Expect(MutateConfigMap(configMap, podInterfaces)).To(Succeed())
	g.Expect(configMap.Data["config.yaml"]).To(ContainSubstring("detectLocalMode: InterfaceNamePrefix"))

	g.Expect(MutateConfigMap(&corev1.ConfigMap{ObjectMeta: configMap.ObjectMeta}, podInterfaces)).To(
		MatchError(`configmap kube-system/kube-proxy-config-1234 has no key "config.yaml"`))
}
