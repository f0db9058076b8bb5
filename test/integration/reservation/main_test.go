// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package reservation_test runs the reservation controllers and the webhook on infrastructures/status against a real
// kube-apiserver. The controllers also run in processes of their own, so that they can be killed at any point of the protocol:
// the test's binary starts itself again.
package reservation_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	logzap "sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// env is the API server that all tests share, with the webhook registered.
var env *envtest.Environment

// logged is all that was logged in this process.
var logged = &lockedBuffer{}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestMain(m *testing.M) {
	if os.Getenv(envController) != "" {
		os.Exit(controllerMain())
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctrl.SetLogger(logzap.New(logzap.WriteTo(io.MultiWriter(os.Stderr, logged))))

	var err error
	env, err = envtest.New(seed()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start a kube-apiserver:", err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the kube-apiserver:", err)
		}
	}()
	env.Config.QPS, env.Config.Burst = 1000, 2000
	if err := serveWebhook(ctx, env); err != nil {
		fmt.Fprintln(os.Stderr, "serve the webhook:", err)
		return 1
	}
	return m.Run()
}

// seed is what an API server must have to be one.
func seed(more ...envtest.Option) []envtest.Option {
	return append([]envtest.Option{
		envtest.WithScheme(addToScheme),
		envtest.WithGardenerCRDs(),
		envtest.WithCRDs("charts/gardener-extension-networking-ipv6/templates/crds"),
	}, more...)
}

func addToScheme(s *runtime.Scheme) error {
	if err := extensionsv1alpha1.AddToScheme(s); err != nil {
		return err
	}
	return v1alpha1.AddToScheme(s)
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, addToScheme(s)
}

// serveWebhook runs the webhook in this process, so that it outlives the controllers that the tests kill, and registers it
// with the configuration that Gardener's library makes of it.
func serveWebhook(ctx context.Context, env *envtest.Environment) error {
	options := &env.Controlled.WebhookInstallOptions
	if err := options.PrepWithoutInstalling(); err != nil {
		return err
	}
	s, err := newScheme()
	if err != nil {
		return err
	}
	server := webhook.NewServer(webhook.Options{
		Host: options.LocalServingHost, Port: options.LocalServingPort, CertDir: options.LocalServingCertDir,
	})
	mgr, err := ctrl.NewManager(env.Config, ctrl.Options{
		Scheme: s, Metrics: metricsserver.Options{BindAddress: "0"}, WebhookServer: server, MapperProvider: apiutil.NewDynamicRESTMapper,
	})
	if err != nil {
		return err
	}
	hook, err := infrastructure.New(mgr)
	if err != nil {
		return err
	}
	mgr.GetWebhookServer().Register(hook.Path, hook.Webhook) // only who asks for the server makes the manager run it
	started := make(chan error, 1)
	go func() { started <- mgr.Start(ctx) }()
	for server.StartedChecker()(nil) != nil {
		select {
		case err := <-started:
			return fmt.Errorf("the manager ended: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	configs, _, err := extensionswebhook.BuildWebhookConfigs([]*extensionswebhook.Webhook{hook}, env.Client, "extension", "networking-ipv6", false, 443,
		extensionswebhook.ModeURL, fmt.Sprintf("%s:%d", options.LocalServingHost, options.LocalServingPort), options.LocalServingCAData, false)
	if err != nil {
		return err
	}
	return env.Client.Create(ctx, configs.MutatingWebhookConfig, &client.CreateOptions{})
}
