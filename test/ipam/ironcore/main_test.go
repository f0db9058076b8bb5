// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ironcore_test runs the backend ironcore against IronCore itself: its API server, aggregated into a real
// kube-apiserver, and its controllers for prefixes. What belongs to a deleted Prefix goes by Kubernetes' own garbage collector,
// so that runs, too. The backend has no more rights than docs/ipam/ironcore.md gives it.
package ironcore_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	gardenerenvtest "github.com/gardener/gardener/test/envtest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlenvtest "sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/program"
)

var (
	env         *envtest.Environment
	controllers *program.Program
)

func TestMain(m *testing.M) {
	log.SetLogger(log.Log.WithSink(nil))
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "ironcore-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	env, err = envtest.New(envtest.WithScheme(apiregistrationv1.AddToScheme), func(e *ctrlenvtest.Environment) error {
		server := e.ControlPlane.GetAPIServer()
		server.CertDir = filepath.Join(dir, "kube-apiserver")
		if err := os.Mkdir(server.CertDir, 0o700); err != nil {
			return err
		}
		return gardenerenvtest.AggregatorConfig{}.ConfigureAPIServerArgs(server.CertDir, server.Configure())
	})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.Kubeconfig, 0o600); err != nil {
		return 1, err
	}
	server, port, err := newServer(dir, kubeconfig)
	if err != nil {
		return 1, err
	}
	if controllers, err = newControllers(dir, kubeconfig); err != nil {
		return 1, err
	}
	collector, err := newCollector(dir, kubeconfig)
	if err != nil {
		return 1, err
	}
	if err := server.Start(); err != nil {
		return 1, err
	}
	defer server.Stop()
	if err := register(context.Background(), port); err != nil {
		return 1, err
	}
	for _, p := range []*program.Program{controllers, collector} {
		if err := p.Start(); err != nil {
			return 1, err
		}
		defer p.Stop()
	}
	return m.Run(), nil
}

// insecure is for asking servers with certificates of their own making whether they are there.
var insecure = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func newServer(dir, kubeconfig string) (*program.Program, int, error) {
	port, err := program.FreePort()
	if err != nil {
		return nil, 0, err
	}
	return &program.Program{
		Name: "ironcore-apiserver",
		Args: []string{
			"--etcd-servers=" + env.Controlled.ControlPlane.Etcd.URL.String(),
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port), "--cert-dir=" + filepath.Join(dir, "ironcore"),
			"--enable-priority-and-fairness=false", "--authorization-always-allow-paths=/readyz",
		},
		Log:   filepath.Join(dir, "ironcore-apiserver.log"),
		Ready: program.Answers(insecure, fmt.Sprintf("https://127.0.0.1:%d/readyz", port)),
	}, port, nil
}

func newControllers(dir, kubeconfig string) (*program.Program, error) {
	port, err := program.FreePort()
	if err != nil {
		return nil, err
	}
	return &program.Program{
		Name: "ironcore-controller-manager",
		Args: []string{
			"--kubeconfig=" + kubeconfig, "--controllers=prefix,prefixallocationscheduler",
			fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", port),
		},
		Log:   filepath.Join(dir, "ironcore-controller-manager.log"),
		Ready: program.Answers(http.DefaultClient, fmt.Sprintf("http://127.0.0.1:%d/readyz", port)),
	}, nil
}

func newCollector(dir, kubeconfig string) (*program.Program, error) {
	port, err := program.FreePort()
	if err != nil {
		return nil, err
	}
	return &program.Program{
		Name: "kube-controller-manager",
		Args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--controllers=garbage-collector-controller", "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
		},
		Log:   filepath.Join(dir, "kube-controller-manager.log"),
		Ready: program.Answers(insecure, fmt.Sprintf("https://127.0.0.1:%d/healthz", port)),
	}, nil
}

// register makes the kube-apiserver pass IronCore's groups on, and waits until it does.
func register(ctx context.Context, port int) error {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "ironcore-apiserver"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}
	if err := env.Client.Create(ctx, service); err != nil {
		return err
	}
	api := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1alpha1.ipam.ironcore.dev"},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: "ipam.ironcore.dev", Version: "v1alpha1", GroupPriorityMinimum: 2000, VersionPriority: 100,
			InsecureSkipTLSVerify: true,
			Service:               &apiregistrationv1.ServiceReference{Namespace: service.Namespace, Name: service.Name, Port: new(int32(port))},
		},
	}
	if err := env.Client.Create(ctx, api); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1alpha1.WithKind("PrefixList"))
		err := env.Client.List(ctx, list, client.Limit(1))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("IronCore's API is not served: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
