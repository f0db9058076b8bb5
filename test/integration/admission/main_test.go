// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package admission_test sends Shoots through a real gardener-apiserver, with the built-in admission plugins that matter to
// networking turned on, to the real gardener-extension-admission-ipv6.
package admission_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	securityv1alpha1 "github.com/gardener/gardener/pkg/apis/security/v1alpha1"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	gardenerenvtest "github.com/gardener/gardener/test/envtest"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	projectName = "test"
	namespace   = "garden-" + projectName
	// seedPlain has nothing special, seedDefaults has shootDefaults of both families.
	seedPlain    = "plain"
	seedDefaults = "defaults"
)

var (
	// garden is a client of the garden as its administrator.
	garden client.Client
	// kubeconfig is the same for kubectl.
	kubeconfig string
	binaries   string
)

func TestMain(m *testing.M) {
	log.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if binaries, err = envtest.BinariesDir(); err != nil {
		return 1, err
	}
	env, err := envtest.Configure()
	if err != nil {
		return 1, err
	}
	gardener := &gardenerenvtest.GardenerTestEnvironment{
		Environment: env,
		GardenerAPIServer: &gardenerenvtest.GardenerAPIServer{
			Path:         filepath.Join(binaries, "gardener-apiserver"),
			StartTimeout: 2 * time.Minute,
			StopTimeout:  30 * time.Second,
			// ShootMutator, ShootValidator and ExtensionLabels stay on, as does whatever else is on by default; those named here
			// want things of the garden that have nothing to do with networking.
			Args: []string{"--disable-admission-plugins=ResourceReferenceManager,ExtensionValidator,DeletionConfirmation,ShootQuotaValidator,SeedValidator,ShootDNS"},
		},
	}
	config, err := gardener.Start()
	if err != nil {
		return 1, fmt.Errorf("start gardener-apiserver: %w", err)
	}
	defer func() { err = errors.Join(err, gardener.Stop()) }()

	dir, err := os.MkdirTemp("", "admission-ipv6-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		return 1, err
	}
	if garden, err = client.New(config, client.Options{Scheme: kubernetes.GardenScheme}); err != nil {
		return 1, err
	}
	ctx := context.Background()
	if err := createGarden(ctx); err != nil {
		return 1, err
	}
	stop, err := startAdmission(ctx, dir, config)
	if err != nil {
		return 1, err
	}
	defer stop()
	return m.Run(), nil
}

// startAdmission builds and starts the program and waits until it is ready and its webhooks are registered.
func startAdmission(ctx context.Context, dir string, _ *rest.Config) (func(), error) {
	program := filepath.Join(dir, "gardener-extension-admission-ipv6")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/gardener/gardener-extension-networking-ipv6/cmd/gardener-extension-admission-ipv6")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the admission: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	output, err := os.Create(filepath.Join(dir, "admission.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program,
		"--kubeconfig="+kubeconfig,
		"--webhook-config-mode=url",
		"--webhook-config-url=127.0.0.1:"+strconv.Itoa(port),
		"--webhook-config-server-host=127.0.0.1",
		"--webhook-config-server-port="+strconv.Itoa(port),
		"--webhook-config-cert-dir="+filepath.Join(dir, "cert"),
		"--webhook-config-namespace=kube-system",
		"--leader-election=false",
		"--metrics-bind-address=0",
		"--health-bind-address=0",
		"--log-format=text",
	)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the admission: %w", err)
	}
	stop := func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		_ = output.Close()
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		_ = conn.Close()
		mutating := &admissionregistrationv1.MutatingWebhookConfigurationList{}
		validating := &admissionregistrationv1.ValidatingWebhookConfigurationList{}
		if err := errors.Join(garden.List(ctx, mutating), garden.List(ctx, validating)); err != nil {
			return false, err
		}
		if len(mutating.Items) != 1 || len(validating.Items) != 1 {
			return false, nil
		}
		return mutates(ctx), nil
	})
	if err != nil {
		stop()
		text, _ := os.ReadFile(output.Name())
		return nil, fmt.Errorf("wait for the admission: %w\n%s", err, text)
	}
	return stop, nil
}

// mutates tells whether gardener-apiserver has noticed the webhook: it hears of it through a watch.
func mutates(ctx context.Context) bool {
	shoot := newShoot("probe")
	shoot.Spec.Networking.Services = new("v6globel")
	err := garden.Create(ctx, shoot, client.DryRunAll)
	return err != nil && strings.Contains(err.Error(), "did you mean")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// createGarden creates what a Shoot needs around it.
func createGarden(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"project.gardener.cloud/name": projectName}}}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "garden"}},
		ns,
		&gardencorev1beta1.Project{
			ObjectMeta: metav1.ObjectMeta{Name: projectName},
			Spec:       gardencorev1beta1.ProjectSpec{Namespace: new(namespace)},
		},
		&gardencorev1beta1.CloudProfile{
			ObjectMeta: metav1.ObjectMeta{Name: "local"},
			Spec: gardencorev1beta1.CloudProfileSpec{
				Type:          "local",
				Kubernetes:    gardencorev1beta1.KubernetesSettings{Versions: []gardencorev1beta1.ExpirableVersion{{Version: "1.35.4"}}},
				MachineImages: []gardencorev1beta1.MachineImage{{Name: "image", UpdateStrategy: new(gardencorev1beta1.UpdateStrategyMajor), Versions: []gardencorev1beta1.MachineImageVersion{{ExpirableVersion: gardencorev1beta1.ExpirableVersion{Version: "1.0.0"}, CRI: []gardencorev1beta1.CRI{{Name: "containerd"}}, Architectures: []string{"amd64"}}}}},
				MachineTypes:  []gardencorev1beta1.MachineType{{Name: "small", CPU: resource.MustParse("2"), GPU: resource.MustParse("0"), Memory: resource.MustParse("4Gi"), Architecture: new("amd64")}},
				Regions:       []gardencorev1beta1.Region{{Name: "here"}},
			},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "account"}},
		&securityv1alpha1.CredentialsBinding{
			ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: "account"},
			Provider:       securityv1alpha1.CredentialsBindingProvider{Type: "local"},
			CredentialsRef: corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: "account"},
		},
		newSeed(seedPlain, nil),
		newSeed(seedDefaults, &gardencorev1beta1.ShootNetworks{Pods: new("2001:db8:dd::/56"), Services: new("2001:db8:de::/112")}),
	}
	for _, obj := range objects {
		if err := garden.Create(ctx, obj); err != nil {
			return fmt.Errorf("create %T %s: %w", obj, obj.GetName(), err)
		}
	}
	return nil
}

func newSeed(name string, defaults *gardencorev1beta1.ShootNetworks) *gardencorev1beta1.Seed {
	account := &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: "account"}
	return &gardencorev1beta1.Seed{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: gardencorev1beta1.SeedSpec{
			Provider: gardencorev1beta1.SeedProvider{Type: "local", Region: "here"},
			Networks: gardencorev1beta1.SeedNetworks{
				Nodes: new("2001:db8:aa::/64"), Pods: "2001:db8:bb::/56", Services: "2001:db8:cc::/112",
				IPFamilies: []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6}, ShootDefaults: defaults,
			},
			Ingress: &gardencorev1beta1.Ingress{Domain: "seed.example.org", Controller: gardencorev1beta1.IngressController{Kind: "nginx"}},
			DNS: gardencorev1beta1.SeedDNS{
				Provider: &gardencorev1beta1.SeedDNSProvider{Type: "local", CredentialsRef: account},
				Internal: &gardencorev1beta1.SeedDNSProviderConfig{Type: "local", Domain: "internal.example.org", CredentialsRef: *account},
			},
		},
	}
}

// newShoot is a valid Shoot of network type ipv6 that says nothing of its ranges.
func newShoot(name string) *gardencorev1beta1.Shoot {
	return &gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: gardencorev1beta1.ShootSpec{
			CloudProfile:           &gardencorev1beta1.CloudProfileReference{Kind: "CloudProfile", Name: "local"},
			CredentialsBindingName: new("account"),
			Region:                 "here",
			Kubernetes:             gardencorev1beta1.Kubernetes{Version: "1.35.4"},
			Networking:             &gardencorev1beta1.Networking{Type: new("ipv6")},
			Provider: gardencorev1beta1.Provider{
				Type: "local",
				Workers: []gardencorev1beta1.Worker{{
					Name: "pool", Minimum: 1, Maximum: 3,
					Machine: gardencorev1beta1.Machine{Type: "small", Image: &gardencorev1beta1.ShootMachineImage{Name: "image", Version: new("1.0.0")}},
				}},
			},
		},
	}
}
