// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"github.com/gardener/gardener/extensions/pkg/webhook/certificates"
	webhookcmd "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// registrationTimeout bounds how long the API server may take to accept the webhook configurations.
const registrationTimeout = 10 * time.Second

// addWebhooks serves the webhooks, registers them in the garden and manages their certificates.
//
// It does what the library's AddToManager does, but for one thing that the library has no option for: the mutator asks to be called
// again. When a webhook changed an object, the API server runs its built-in plugins once more, and ShootMutator then fills the Seed's
// shootDefaults into the ranges that the mutator has just emptied.
func addWebhooks(ctx context.Context, mgr manager.Manager, runtimeCluster cluster.Cluster, config *webhookcmd.AddToManagerConfig) error {
	webhooks, err := config.Switch.WebhooksFactory(mgr)
	if err != nil {
		return fmt.Errorf("making the webhooks: %w", err)
	}
	server, ok := mgr.GetWebhookServer().(*webhook.DefaultServer)
	if !ok {
		return fmt.Errorf("expected the default webhook server, got %T", mgr.GetWebhookServer())
	}
	for _, w := range webhooks {
		server.Register(w.Path, w.Webhook)
	}
	port := server.Options.Port
	if config.Server.ServicePort > 0 && config.Server.Mode != extensionswebhook.ModeURL {
		port = config.Server.ServicePort
	}
	configs, _, err := extensionswebhook.BuildWebhookConfigs(webhooks, mgr.GetClient(), config.Server.Namespace, admissionName, false, port,
		config.Server.Mode, config.Server.URL, nil, false)
	if err != nil {
		return fmt.Errorf("building the webhook configurations: %w", err)
	}
	reinvoke(configs)

	if config.Server.Namespace != "" {
		if err := mgr.Add(register(mgr, configs, config.Server.OwnerNamespace, nil)); err != nil {
			return fmt.Errorf("adding the registration of the webhooks: %w", err)
		}
		return certificates.AddCertificateManagementToManager(ctx, mgr, runtimeCluster, clock.RealClock{}, configs, nil, &atomic.Value{}, nil, "",
			admissionName, false, config.Server.Namespace, config.Server.Mode, config.Server.URL)
	}
	mgr.GetLogger().Info("Serving webhooks with a certificate that is never renewed, for development; set --webhook-config-namespace to have it managed")
	ca, err := certificates.GenerateUnmanagedCertificates(admissionName, false, server.Options.CertDir, config.Server.Mode, config.Server.URL)
	if err != nil {
		return fmt.Errorf("making a certificate for the webhook server: %w", err)
	}
	if err := mgr.Add(register(mgr, configs, config.Server.OwnerNamespace, ca)); err != nil {
		return fmt.Errorf("adding the registration of the webhooks: %w", err)
	}
	return nil
}

func reinvoke(configs extensionswebhook.Configs) {
	if configs.MutatingWebhookConfig == nil {
		return
	}
	for i := range configs.MutatingWebhookConfig.Webhooks {
		configs.MutatingWebhookConfig.Webhooks[i].ReinvocationPolicy = ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy)
	}
}

// register writes the webhook configurations to the garden, once, as the leader. Without a CA the one that is there already stays:
// the management of the certificates puts it there.
func register(mgr manager.Manager, configs extensionswebhook.Configs, ownerNamespace string, ca []byte) manager.Runnable {
	return manager.RunnableFunc(func(ctx context.Context) error {
		for _, config := range configs.GetWebhookConfigs() {
			var last error
			err := wait.PollUntilContextTimeout(ctx, time.Second, registrationTimeout, true, func(ctx context.Context) (bool, error) {
				last = extensionswebhook.ReconcileSeedWebhookConfig(ctx, mgr.GetClient(), config, ownerNamespace, ca)
				return last == nil, nil
			})
			if err != nil {
				return fmt.Errorf("registering the webhooks of %s: %w (%w)", config.GetName(), err, last)
			}
		}
		return nil
	})
}
