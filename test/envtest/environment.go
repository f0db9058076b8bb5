// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package envtest starts a real etcd and a real kube-apiserver for integration tests, from the binaries that
// "make binaries" built. It listens on loopback only and stops what it started when the test ends.
package envtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// startTimeout is generous because machines that test are often busy machines.
const startTimeout = 2 * time.Minute

// Environment is a running kube-apiserver with its etcd.
type Environment struct {
	// Config is that of a cluster administrator.
	Config *rest.Config
	// Client reads and writes without a cache, as that administrator.
	Client client.Client
	// Kubeconfig is Config as a file's content.
	Kubeconfig []byte
	// Controlled is the environment beneath, for what this package has no word for.
	Controlled *envtest.Environment
}

// Start starts an Environment, which stops when the test ends. It fails the test if the binaries are missing: a
// test that is skipped for want of them would look like one that passed.
func Start(t testing.TB, opts ...Option) *Environment {
	t.Helper()
	env, err := New(opts...)
	if err != nil {
		t.Fatalf("start a kube-apiserver: %v", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stop the kube-apiserver: %v", err)
		}
	})
	return env
}

// New is Start for a TestMain, which has no testing.TB. The caller calls Stop.
func New(opts ...Option) (*Environment, error) {
	controlled, err := Configure(opts...)
	if err != nil {
		return nil, err
	}
	config, err := controlled.Start()
	if err != nil {
		return nil, errors.Join(err, controlled.Stop())
	}
	c, err := client.New(config, client.Options{Scheme: controlled.Scheme})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a client: %w", err), controlled.Stop())
	}
	return &Environment{Config: config, Client: c, Kubeconfig: controlled.KubeConfig, Controlled: controlled}, nil
}

// Configure returns the environment as New would start it, not started: for tests that put another API server beside it.
func Configure(opts ...Option) (*envtest.Environment, error) {
	binaries, err := BinariesDir()
	if err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    binaries,
		ControlPlaneStartTimeout: startTimeout,
		ErrorIfCRDPathMissing:    true,
		Scheme:                   scheme.Scheme,
	}
	// Without these two paths the library would let the environment of the caller choose other binaries.
	env.ControlPlane.GetAPIServer().Path = filepath.Join(binaries, "kube-apiserver")
	env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(binaries, "etcd")}
	// Nobody asks for the endpoints of the Service "kubernetes", and reconciling them ties the family of the services to that
	// of the loopback address.
	env.ControlPlane.GetAPIServer().Configure().Set("endpoint-reconciler-type", "none")
	for _, opt := range opts {
		if err := opt(env); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// Stop ends the processes and removes their data.
func (e *Environment) Stop() error {
	return e.Controlled.Stop()
}

// KubeconfigFile writes Kubeconfig to a file that lives as long as the test, for programs under test.
func (e *Environment) KubeconfigFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, e.Kubeconfig, 0o600); err != nil {
		t.Fatalf("write the kubeconfig: %v", err)
	}
	return path
}

// AddUser returns the configuration of a user who may nothing but what the test binds to the name or the groups:
// the way to test RBAC rules.
func (e *Environment) AddUser(t testing.TB, name string, groups ...string) (*rest.Config, []byte) {
	t.Helper()
	user, err := e.Controlled.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: 1000, Burst: 2000})
	if err != nil {
		t.Fatalf("add user %s: %v", name, err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatalf("kubeconfig of user %s: %v", name, err)
	}
	return user.Config(), kubeconfig
}

// Namespace creates a namespace with a name of its own and these labels; nobody finalises namespaces here, so it stays.
func (e *Environment) Namespace(t testing.TB, labels map[string]string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	if err := e.Client.Create(context.Background(), ns); err != nil {
		t.Fatalf("create a namespace: %v", err)
	}
	return ns.Name
}

// BinariesDir is where "make binaries" puts the programs of Kubernetes: $LANDSCAPE_BIN, or bin in the build cache. The error
// names what is missing.
func BinariesDir() (string, error) {
	dir := os.Getenv("LANDSCAPE_BIN")
	if dir == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("find the build cache: %w", err)
			}
			cache = filepath.Join(home, ".cache")
		}
		dir = filepath.Join(cache, "gardener-extension-networking-ipv6", "bin")
	}
	var missing []string
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("no %s in %s: \"make binaries\" builds them (LANDSCAPE_BIN names another place)",
			strings.Join(missing, " and no "), dir)
	}
	return dir, nil
}

// NewScheme is a scheme with the Kubernetes types and those that the functions add.
func NewScheme(add ...func(*runtime.Scheme) error) (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, f := range append([]func(*runtime.Scheme) error{scheme.AddToScheme}, add...) {
		if err := f(s); err != nil {
			return nil, fmt.Errorf("fill the scheme: %w", err)
		}
	}
	return s, nil
}
