// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	gardenerhealthz "github.com/gardener/gardener/pkg/healthz"
	"github.com/spf13/cobra"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/component-base/version"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	runtimelog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/install"
)

const longHelp = `Runs in a seed, once, for all its shoots of network type "ipv6": reserves their ranges and publishes them through the
Infrastructure, deploys their network, and adjusts their control planes.

Environment, each variable the default of a flag, or read by a library:
  KUBECONFIG                 the seed, if not run in it (--kubeconfig)
  LEADER_ELECTION_NAMESPACE  where the Lease and the heartbeat live (--leader-election-namespace, --heartbeat-namespace)
  WEBHOOK_CONFIG_NAMESPACE   where the Service and the certificates of the webhooks live (--webhook-config-namespace)
  IMAGEVECTOR_OVERWRITE      a file with images that replace the built-in ones

Webhooks, for --disable-webhooks: infrastructure-status, control-plane, kube-proxy.

The health server answers /healthz, and /readyz once the caches are filled, the webhooks' certificate is there, their server
listens and they are registered.`

func newCommand(ctx context.Context) *cobra.Command {
	run := &runtimeArgs{}
	opts := newOptions(run)
	run.options = opts

	cmd := &cobra.Command{
		Use:           "gardener-extension-networking-ipv6",
		Short:         "Reserves and publishes the ranges of shoots, and deploys their IPv6 network",
		Long:          longHelp,
		Version:       version.Get().GitVersion,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			if err := opts.complete(); err != nil {
				return err
			}
			return run.start(ctx)
		},
	}
	opts.all.AddFlags(cmd.Flags())
	return cmd
}

func (r *runtimeArgs) start(ctx context.Context) error {
	mgr, err := r.newManager()
	if err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	if _, err := r.options.webhooks.Completed().AddToManager(ctx, mgr, nil); err != nil {
		return fmt.Errorf("adding the webhooks: %w", err)
	}
	if err := r.options.controllers.Completed().AddToManager(ctx, mgr); err != nil {
		return fmt.Errorf("adding the controllers: %w", err)
	}
	if err := r.addHealthChecks(mgr); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

func (r *runtimeArgs) newManager() (manager.Manager, error) {
	managerOptions := r.options.manager.Completed().Options()
	// Secrets and ConfigMaps of all shoots would fill the memory, and permission to list them all is more than is needed.
	managerOptions.Client = client.Options{Cache: &client.CacheOptions{
		DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &coordinationv1.Lease{}},
	}}
	// Give the lease back at once: the next replica need not wait for it to expire.
	managerOptions.LeaderElectionReleaseOnCancel = true
	runtimelog.SetLogger(managerOptions.Logger)

	mgr, err := manager.New(r.options.rest.Completed().Config, managerOptions)
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	for name, addToScheme := range map[string]func() error{
		"gardener's extensions":   func() error { return extensionscontroller.AddToScheme(mgr.GetScheme()) },
		"vertical pod autoscaler": func() error { return vpaautoscalingv1.AddToScheme(mgr.GetScheme()) },
		"ipv6":                    func() error { return install.AddToScheme(mgr.GetScheme()) },
	} {
		if err := addToScheme(); err != nil {
			return nil, fmt.Errorf("adding the types of %s to the scheme: %w", name, err)
		}
	}
	return mgr, nil
}

// addHealthChecks makes the program ready only when a webhook call would succeed, and would come at all: gardenlet takes a ready
// extension for one that sees everything it writes.
func (r *runtimeArgs) addHealthChecks(mgr manager.Manager) error {
	ready := map[string]healthz.Checker{"informer-sync": gardenerhealthz.NewCacheSyncHealthz(mgr.GetCache())}
	if !r.options.webhooks.Switch.Completed().Disabled {
		ready["webhook-certificate"] = r.certificateThere
		ready["webhook-server"] = mgr.GetWebhookServer().StartedChecker()
		ready["webhook-registered"] = registeredCheck(mgr.GetAPIReader())
	}
	for name, check := range ready {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding readiness check %s: %w", name, err)
		}
	}
	for name, check := range map[string]healthz.Checker{
		"ping":          healthz.Ping,
		"informer-sync": gardenerhealthz.NewCacheSyncHealthzWithDeadline(mgr.GetLogger(), clock.RealClock{}, mgr.GetCache(), gardenerhealthz.DefaultCacheSyncDeadline),
	} {
		if err := mgr.AddHealthzCheck(name, check); err != nil {
			return fmt.Errorf("adding liveness check %s: %w", name, err)
		}
	}
	return nil
}

func (r *runtimeArgs) certificateThere(*http.Request) error {
	if _, err := os.Stat(filepath.Join(r.options.manager.Completed().WebhookCertDir, "tls.crt")); err != nil {
		return fmt.Errorf("the webhooks have no certificate yet: %w", err)
	}
	return nil
}

// registeredCheck passes once the webhooks were seen registered, with the authority of their certificate.
func registeredCheck(reader client.Reader) healthz.Checker {
	var seen atomic.Bool
	return func(request *http.Request) error {
		if seen.Load() {
			return nil
		}
		configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
		name := extensionswebhook.PrefixedName(extensionName, false)
		if err := reader.Get(request.Context(), client.ObjectKey{Name: name}, configuration); err != nil {
			return fmt.Errorf("the webhooks are not registered yet: %w", err)
		}
		for i := range configuration.Webhooks {
			if len(configuration.Webhooks[i].ClientConfig.CABundle) == 0 {
				return fmt.Errorf("webhook %s is registered without the authority of its certificate", configuration.Webhooks[i].Name)
			}
		}
		seen.Store(true)
		return nil
	}
}
