// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package network_test runs the extension's program against a real kube-apiserver with Gardener's CRDs, and plays gardenlet
// with gardenlet's own components. The reservation controller stays off: the tests write the reservations themselves.
package network_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/pkg/chartrenderer"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controlled "sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/install"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const extensionNamespace = "extension-networking-ipv6-test"

// extensionLog is the file that the extension's program prints to.
var extensionLog string

// env is the seed, shared by all tests: each has a shoot's namespace of its own.
var env *envtest.Environment

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "network-test-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	env, err = envtest.New(
		envtest.WithScheme(extensionscontroller.AddToScheme, install.AddToScheme),
		envtest.WithGardenerCRDs(),
		envtest.WithCRDs("charts/gardener-extension-networking-ipv6/templates/crds"),
		withSeedCRDs("autoscaling.k8s.io_verticalpodautoscalers", "monitoring.coreos.com_servicemonitors", "monitoring.coreos.com_prometheusrules"),
	)
	if err != nil {
		return 1, err
	}
	defer func() { _ = env.Stop() }()

	stop, err := startExtension(dir)
	if err != nil {
		return 1, err
	}
	defer stop()
	if err := waitWebhooks(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// withSeedCRDs installs further CustomResourceDefinitions that Gardener puts into its seeds.
func withSeedCRDs(names ...string) envtest.Option {
	return func(e *controlled.Environment) error {
		dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gardener/gardener").Output()
		if err != nil {
			return fmt.Errorf("find Gardener's module: %w", err)
		}
		for _, name := range names {
			file := filepath.Join(strings.TrimSpace(string(dir)), "example/seed-crds", "10-crd-"+name+".yaml")
			if err := envtest.WithCRDs(file)(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// waitWebhooks waits until kube-apiserver has noticed the registration of the webhooks.
func waitWebhooks() error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{"networking.shoot.gardener.cloud/provider": "ipv6"}}}
	if err := env.Client.Create(context.Background(), ns); err != nil {
		return fmt.Errorf("create a namespace: %w", err)
	}
	return poll(func(ctx context.Context) error {
		deployment := controllerManager(ns.Name)
		if err := env.Client.Create(ctx, deployment, client.DryRunAll); err != nil {
			return err
		}
		if !slices.Contains(deployment.Spec.Template.Spec.Containers[0].Command, "--allocate-node-cidrs=false") {
			return errors.New("kube-apiserver does not call the webhooks")
		}
		return nil
	})
}

// startExtension builds the program, starts it outside of the cluster that it serves, and waits until it is ready.
func startExtension(dir string) (stop func(), err error) {
	root, err := envtest.RepositoryRoot()
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "gardener-extension-networking-ipv6")
	build := exec.Command("go", "build", "-o", binary, "./cmd/gardener-extension-networking-ipv6")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the program: %w", err)
	}

	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: extensionNamespace}}
	if err := env.Client.Create(context.Background(), ns); err != nil {
		return nil, fmt.Errorf("create the extension's namespace: %w", err)
	}
	kubeconfig, config := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "config.yaml")
	if err := leastPrivilege(kubeconfig); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, []byte(componentConfig), 0o600); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	health := fmt.Sprintf("127.0.0.1:%d", ports[0])

	program := exec.Command(binary,
		"--kubeconfig="+kubeconfig, "--config="+config,
		"--disable-controllers=reservation", "--disable-webhooks=infrastructure-status",
		"--leader-election-id=gardener-extension-networking-ipv6-leader-election", "--leader-election-namespace="+extensionNamespace, "--heartbeat-namespace="+extensionNamespace,
		"--webhook-config-namespace="+extensionNamespace, "--webhook-config-mode=url",
		fmt.Sprintf("--webhook-config-url=127.0.0.1:%d", ports[1]), fmt.Sprintf("--webhook-config-server-port=%d", ports[1]),
		"--webhook-config-server-host=127.0.0.1", "--webhook-config-cert-dir="+filepath.Join(dir, "cert"),
		"--health-bind-address="+health, "--metrics-bind-address=0", "--log-format=text",
	)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	extensionLog = log.Name()
	program.Stdout, program.Stderr = log, log
	if err := program.Start(); err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	stop = func() {
		_ = program.Process.Signal(os.Interrupt)
		_ = program.Wait()
		if os.Getenv("EXTENSION_LOG") != "" {
			text, _ := os.ReadFile(log.Name())
			fmt.Fprintf(os.Stderr, "%s\n", text)
		}
	}
	if err := waitReady("http://" + health + "/readyz"); err != nil {
		text, _ := os.ReadFile(log.Name())
		stop()
		return nil, fmt.Errorf("%w; the program printed:\n%s", err, text)
	}
	return stop, nil
}

// leastPrivilege writes the kubeconfig of the program's ServiceAccount, which may do what the chart says and no more.
func leastPrivilege(file string) error {
	rendered, err := chartrenderer.NewWithServerVersion(&version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}).
		RenderEmbeddedFS(charts.FS, charts.ExtensionPath, "networking-ipv6", extensionNamespace, nil)
	if err != nil {
		return fmt.Errorf("render the chart: %w", err)
	}
	bindings := 0
	for _, manifest := range rendered.Manifests {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(manifest.Content), object); err != nil {
			return fmt.Errorf("%s: %w", manifest.Name, err)
		}
		if object.GroupVersionKind().Group != "rbac.authorization.k8s.io" {
			continue
		}
		bindings++
		if err := env.Client.Create(context.Background(), object); err != nil {
			return fmt.Errorf("create %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	if bindings != 4 {
		return fmt.Errorf("the chart renders %d objects for the program's permissions, want 4", bindings)
	}
	user, err := env.Controlled.AddUser(controlled.User{
		Name:   "system:serviceaccount:" + extensionNamespace + ":gardener-extension-networking-ipv6",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + extensionNamespace},
	}, nil)
	if err != nil {
		return fmt.Errorf("add the program's user: %w", err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return fmt.Errorf("kubeconfig of the program's user: %w", err)
	}
	return os.WriteFile(file, kubeconfig, 0o600)
}

const componentConfig = `apiVersion: ipv6.networking.extensions.config.gardener.cloud/v1alpha1
kind: ControllerConfiguration
gardenID: test
pools:
- name: test
  prefixes: ["2001:db8::/32"]
`

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func waitReady(url string) error {
	return poll(func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the extension is not ready: %s", response.Status)
		}
		return nil
	})
}

// poll tries until it succeeds or a minute is over, and returns the last error then.
func poll(try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
