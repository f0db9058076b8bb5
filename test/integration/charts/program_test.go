// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	gardenerkubernetes "github.com/gardener/gardener/pkg/client/kubernetes"
	"github.com/gardener/gardener/pkg/utils/kubernetes/health"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	patience       = time.Minute
	providerConfig = `{"apiVersion":"ipv6.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkConfig",
"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}}`
)

// The program, run as the account that the chart makes, with the configuration that the chart writes, takes a shoot through
// its life. Nothing that it tries may be forbidden, also not what it would bear silently.
func TestExtensionLivesOnTheChartsPermissions(t *testing.T) {
	env := envtest.Start(t, envtest.WithScheme(gardenerkubernetes.AddSeedSchemeToScheme, v1alpha1.AddToScheme), envtest.WithGardenerCRDs())
	c := env.Client
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(patience)
	ctx := t.Context()

	g.Expect(c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: extensionNamespace}})).To(Succeed())
	install(t, c, render(t, charts.ExtensionPath, extensionNamespace, map[string]any{
		"vpa":     map[string]any{"enabled": false},
		"metrics": map[string]any{"enableScraping": false}, // nobody is there to scrape
		"config": map[string]any{
			"gardenID": "test", "quarantine": "1s",
			"pools": []any{map[string]any{"name": "test", "prefixes": []any{"2001:db8::/48"}}},
		},
	}))
	configMap := &corev1.ConfigMap{}
	g.Expect(c.Get(ctx, client.ObjectKey{Namespace: extensionNamespace, Name: "gardener-extension-networking-ipv6-config"}, configMap)).To(Succeed())
	_, kubeconfig := env.AddUser(t, extensionUser)
	log := startExtension(t, kubeconfig, configMap.Data["config.yaml"])

	s := newShoot(t, c)
	g.Eventually(func() error { return s.infrastructureReady(ctx) }).Should(Succeed())
	g.Expect(s.infra.Status.Networking).To(Equal(&extensionsv1alpha1.InfrastructureStatusNetworking{
		Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:0:1::/112"},
	}))

	network := s.createNetwork(t)
	g.Eventually(func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(network), network); err != nil {
			return err
		}
		return health.CheckExtensionObject(network)
	}).Should(Succeed())

	g.Expect(c.Delete(ctx, network)).To(Succeed())
	g.Eventually(func() bool {
		return apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(network), network))
	}).Should(BeTrue())

	s.markDeleted(t)
	g.Expect(c.Delete(ctx, s.infra)).To(Succeed())
	g.Eventually(func() ([]v1alpha1.PrefixReservation, error) {
		list := &v1alpha1.PrefixReservationList{}
		err := c.List(ctx, list)
		return list.Items, err
	}).Should(BeEmpty(), "released, and out of quarantine")

	text, err := os.ReadFile(log)
	g.Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(text)) {
		g.Expect(line).NotTo(MatchRegexp("(?i)forbidden|cannot (get|list|watch|create|update|patch|delete)"))
	}
}

// startExtension starts the program with the chart's configuration as the user of the kubeconfig, outside of the cluster, and
// waits until it is ready. It returns the path of its log.
func startExtension(t *testing.T, kubeconfig []byte, config string) string {
	t.Helper()
	g := NewWithT(t)
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		return path
	}
	root, err := envtest.RepositoryRoot()
	g.Expect(err).NotTo(HaveOccurred())
	binary := filepath.Join(dir, "gardener-extension-networking-ipv6")
	build := exec.Command("go", "build", "-o", binary, "./cmd/gardener-extension-networking-ipv6")
	build.Dir = root
	output, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))

	log, err := os.Create(filepath.Join(dir, "log"))
	g.Expect(err).NotTo(HaveOccurred())
	healthPort, webhookPort := freePort(t), freePort(t)
	program := exec.Command(binary, //nolint:gosec // just built
		"--kubeconfig="+write("kubeconfig", string(kubeconfig)), "--config="+write("config.yaml", config),
		"--leader-election-id=gardener-extension-networking-ipv6-leader-election",
		"--leader-election-namespace="+extensionNamespace, "--heartbeat-namespace="+extensionNamespace,
		"--webhook-config-namespace="+extensionNamespace, "--webhook-config-mode=url",
		fmt.Sprintf("--webhook-config-url=127.0.0.1:%d", webhookPort), fmt.Sprintf("--webhook-config-server-port=%d", webhookPort),
		"--webhook-config-server-host=127.0.0.1", "--webhook-config-cert-dir="+filepath.Join(dir, "cert"),
		fmt.Sprintf("--health-bind-address=127.0.0.1:%d", healthPort), "--metrics-bind-address=0", "--log-format=text",
	)
	program.Stdout, program.Stderr = log, log
	g.Expect(program.Start()).To(Succeed())
	t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt)
		_ = program.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the program printed:\n%s", text)
		}
	})
	g.Eventually(func() error {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", healthPort))
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", response.Status)
		}
		return nil
	}).WithTimeout(patience).Should(Succeed())
	return log.Name()
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// testShoot is a shoot as gardenlet brings it into the seed.
type testShoot struct {
	client client.Client
	shoot  *gardencorev1beta1.Shoot
	infra  *extensionsv1alpha1.Infrastructure
}

func newShoot(t *testing.T, c client.Client) *testShoot {
	t.Helper()
	g := NewWithT(t)
	g.Expect(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shootNamespace, Labels: map[string]string{
		"gardener.cloud/role": "shoot", "networking.shoot.gardener.cloud/provider": "ipv6",
	}}})).To(Succeed())
	s := &testShoot{client: c, shoot: &gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "garden-dev", Name: "one", UID: "one"},
		Spec: gardencorev1beta1.ShootSpec{
			Kubernetes: gardencorev1beta1.Kubernetes{Version: "1.36.3"},
			Networking: &gardencorev1beta1.Networking{
				Type: new("ipv6"), IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}, ProviderConfig: &runtime.RawExtension{Raw: []byte(providerConfig)},
			},
		},
		Status: gardencorev1beta1.ShootStatus{TechnicalID: shootNamespace, UID: "one"},
	}}
	cluster := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: shootNamespace}, Spec: s.clusterSpec(t)}
	g.Expect(c.Create(t.Context(), cluster)).To(Succeed())
	s.infra = &extensionsv1alpha1.Infrastructure{
		ObjectMeta: metav1.ObjectMeta{Namespace: shootNamespace, Name: "one"},
		Spec: extensionsv1alpha1.InfrastructureSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "test"}, Region: "test",
			SecretRef: corev1.SecretReference{Namespace: shootNamespace, Name: "cloudprovider"},
		},
	}
	g.Expect(c.Create(t.Context(), s.infra)).To(Succeed())
	return s
}

func (s *testShoot) clusterSpec(t *testing.T) extensionsv1alpha1.ClusterSpec {
	t.Helper()
	shoot, err := json.Marshal(s.shoot)
	if err != nil {
		t.Fatal(err)
	}
	return extensionsv1alpha1.ClusterSpec{
		CloudProfile: runtime.RawExtension{Raw: []byte(`{"apiVersion":"core.gardener.cloud/v1beta1","kind":"CloudProfile"}`)},
		Seed: &runtime.RawExtension{Raw: []byte(
			`{"apiVersion":"core.gardener.cloud/v1beta1","kind":"Seed","metadata":{"name":"seed"},"spec":{"networks":{"pods":"fd00:aa::/64","services":"fd00:bb::/112"}}}`)},
		Shoot: runtime.RawExtension{Raw: shoot},
	}
}

func (s *testShoot) syncCluster(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	cluster := &extensionsv1alpha1.Cluster{}
	g.Expect(s.client.Get(t.Context(), client.ObjectKey{Name: shootNamespace}, cluster)).To(Succeed())
	cluster.Spec = s.clusterSpec(t)
	g.Expect(s.client.Update(t.Context(), cluster)).To(Succeed())
}

// markDeleted is what gardenlet tells the extensions of a Shoot that is being deleted.
func (s *testShoot) markDeleted(t *testing.T) {
	t.Helper()
	s.shoot.DeletionTimestamp = new(metav1.Now())
	s.syncCluster(t)
}

// infrastructureReady plays the infrastructure's provider, which knows of no ranges, until the Infrastructure is as gardenlet
// waits for it, with all ranges.
func (s *testShoot) infrastructureReady(ctx context.Context) error {
	if err := s.client.Get(ctx, client.ObjectKeyFromObject(s.infra), s.infra); err != nil {
		return err
	}
	if s.infra.Status.LastOperation == nil {
		s.infra.Status.ObservedGeneration = s.infra.Generation
		s.infra.Status.LastOperation = &gardencorev1beta1.LastOperation{
			Type: gardencorev1beta1.LastOperationTypeReconcile, State: gardencorev1beta1.LastOperationStateSucceeded, Progress: 100, LastUpdateTime: metav1.Now(),
		}
		if err := s.client.Status().Update(ctx, s.infra); err != nil {
			return err
		}
	}
	if err := health.CheckExtensionObject(s.infra); err != nil {
		return err
	}
	if s.infra.Status.Networking == nil {
		return fmt.Errorf("Infrastructure is ready without ranges")
	}
	return nil
}

// createNetwork does what gardenlet does once kube-apiserver runs: the ranges are in the Shoot's status.
func (s *testShoot) createNetwork(t *testing.T) *extensionsv1alpha1.Network {
	t.Helper()
	g := NewWithT(t)
	published := s.infra.Status.Networking
	s.shoot.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: published.Nodes, Pods: published.Pods, Services: published.Services}
	s.syncCluster(t)
	network := &extensionsv1alpha1.Network{
		ObjectMeta: metav1.ObjectMeta{Namespace: shootNamespace, Name: "one", Annotations: map[string]string{
			"gardener.cloud/operation": "reconcile", "gardener.cloud/timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		}},
		Spec: extensionsv1alpha1.NetworkSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "ipv6", ProviderConfig: &runtime.RawExtension{Raw: []byte(providerConfig)}},
			PodCIDR:     published.Pods[0], ServiceCIDR: published.Services[0], IPFamilies: []extensionsv1alpha1.IPFamily{"IPv6"},
		},
	}
	g.Expect(s.client.Create(t.Context(), network)).To(Succeed())
	return network
}
