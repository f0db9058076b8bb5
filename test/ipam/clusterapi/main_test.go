// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package clusterapi_test runs the backend clusterapi against Cluster API's in-cluster IPAM provider itself: the program of its
// module, with its CRDs and its webhooks, on a real kube-apiserver. The backend has no more rights than docs/ipam/clusterapi.md
// gives it.
package clusterapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlenvtest "sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/program"
)

var (
	env      *envtest.Environment
	provider *program.Program
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
	module, err := program.ModuleDir("capiipam", "sigs.k8s.io/cluster-api-ipam-provider-in-cluster")
	if err != nil {
		return 1, err
	}
	env, err = envtest.New(
		envtest.WithCRDs(filepath.Join(module, "config/crd/bases"), filepath.Join(module, "config/crd/test")),
		func(e *ctrlenvtest.Environment) error {
			e.WebhookInstallOptions.Paths = []string{filepath.Join(module, "config/webhook/manifests.yaml")}
			return nil
		})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	dir, err := os.MkdirTemp("", "clusterapi-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if provider, err = newProvider(dir); err != nil {
		return 1, err
	}
	if err := provider.Start(); err != nil {
		return 1, err
	}
	defer provider.Stop()
	return m.Run(), nil
}

func newProvider(dir string) (*program.Program, error) {
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.Kubeconfig, 0o600); err != nil {
		return nil, err
	}
	health, err := program.FreePort()
	if err != nil {
		return nil, err
	}
	webhooks := env.Controlled.WebhookInstallOptions
	healthy := program.Answers(http.DefaultClient, fmt.Sprintf("http://127.0.0.1:%d/readyz", health))
	return &program.Program{
		Name: "capi-ipam-in-cluster",
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--webhook-port=" + strconv.Itoa(webhooks.LocalServingPort), "--webhook-cert-dir=" + webhooks.LocalServingCertDir,
			fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", health),
			"--diagnostics-address=127.0.0.1:0", "--insecure-diagnostics=true",
		},
		Log: filepath.Join(dir, "provider.log"),
		Ready: func(ctx context.Context) error {
			if err := healthy(ctx); err != nil {
				return err
			}
			return refusesWrongPools(ctx)
		},
	}, nil
}

// refusesWrongPools tells whether the API server asks the provider's webhooks.
func refusesWrongPools(ctx context.Context) error {
	wrong := newPool("GlobalInClusterPrefixPool", "", "probe", "10.0.0.0/8", 16)
	err := env.Client.Create(ctx, wrong, client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), "only IPv6 prefixes are supported") {
		return fmt.Errorf("the webhooks are not asked: %w", err)
	}
	return nil
}

// newPool is a pool object.
func newPool(kind, namespace, name, cidr string, bits int) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "ipam.cluster.x-k8s.io/v1alpha2", "kind": kind,
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec":     map[string]any{"prefixes": []any{cidr}, "allocationPrefixLength": int64(bits)},
	}}
}
