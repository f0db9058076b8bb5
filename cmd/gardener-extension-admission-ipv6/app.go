// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	extensionscmd "github.com/gardener/gardener/extensions/pkg/controller/cmd"
	webhookcmd "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	gardencoreinstall "github.com/gardener/gardener/pkg/apis/core/install"
	gardenerhealthz "github.com/gardener/gardener/pkg/healthz"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/version/verflag"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	runtimelog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/admission"
)

// admissionName makes up the names of the Lease, the Service, the certificates' Secrets and the webhook configurations.
const admissionName = "admission-ipv6"

// Environment variables that the chart and gardener-operator set.
const (
	envGardenKubeconfig        = "GARDEN_KUBECONFIG"
	envLeaderElectionNamespace = "LEADER_ELECTION_NAMESPACE"
	envWebhookConfigNamespace  = "WEBHOOK_CONFIG_NAMESPACE"
)

const longHelp = `Mutates and validates Shoots of network type "ipv6": keywords in spec.networking.{nodes,pods,services} move to
spec.networking.providerConfig.ranges, and the IP families and node masks are set to what they imply.

It talks to two clusters. The garden is where it reads Seeds and registers its webhooks. The cluster that it runs in, if any, holds
its certificates (in --webhook-config-namespace) and its Lease.

Environment, each variable the default of a flag, or read by a library:
  GARDEN_KUBECONFIG          the garden (set by gardener-operator); wins over --kubeconfig
  KUBECONFIG                 the garden, if neither of the two is set; without any it is the cluster that it runs in
  LEADER_ELECTION_NAMESPACE  where the Lease lives (--leader-election-namespace)
  WEBHOOK_CONFIG_NAMESPACE   where the Service and the certificates of the webhooks live (--webhook-config-namespace). Empty: a
                             certificate is made at every start and kept in --webhook-config-cert-dir only, for development

The health server answers /healthz, and /readyz once the caches are filled, the webhooks' certificate is there and their
server listens.`

// options are everything that can be set from outside.
type options struct {
	rest     *extensionscmd.RESTOptions
	manager  *extensionscmd.ManagerOptions
	general  *extensionscmd.GeneralOptions
	webhooks *webhookcmd.AddToManagerOptions
	all      extensionscmd.OptionAggregator
}

func newOptions() *options {
	o := &options{
		rest: &extensionscmd.RESTOptions{},
		manager: &extensionscmd.ManagerOptions{
			LeaderElection:          true,
			LeaderElectionID:        extensionscmd.LeaderElectionNameID(admissionName),
			LeaderElectionNamespace: os.Getenv(envLeaderElectionNamespace),
			WebhookServerPort:       10250,
			WebhookCertDir:          filepath.Join(os.TempDir(), admissionName+"-cert"),
			MetricsBindAddress:      ":8080",
			HealthBindAddress:       ":8081",
		},
		general: &extensionscmd.GeneralOptions{},
	}
	o.webhooks = webhookcmd.NewAddToManagerOptions(
		admissionName,
		"", nil, // no webhooks in shoots
		o.general,
		&webhookcmd.ServerOptions{Namespace: os.Getenv(envWebhookConfigNamespace)},
		webhookcmd.NewSwitchOptions(
			webhookcmd.Switch(admission.MutatorName, admission.NewMutator),
			webhookcmd.Switch(admission.ValidatorName, admission.NewValidator),
		),
	)
	o.all = extensionscmd.NewOptionAggregator(o.rest, o.manager, o.webhooks)
	return o
}

func newCommand(ctx context.Context) *cobra.Command {
	o := newOptions()
	cmd := &cobra.Command{
		Use:           "gardener-extension-admission-ipv6",
		Short:         "Mutates and validates Shoots of network type \"ipv6\"",
		Long:          longHelp,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			verflag.PrintAndExitIfRequested()
			return o.run(ctx)
		},
	}
	verflag.AddFlags(cmd.Flags())
	o.all.AddFlags(cmd.Flags())
	return cmd
}

func (o *options) run(ctx context.Context) error {
	if kubeconfig := os.Getenv(envGardenKubeconfig); kubeconfig != "" {
		o.rest.Kubeconfig = kubeconfig
	}
	if err := o.all.Complete(); err != nil {
		return err
	}
	own, err := rest.InClusterConfig()
	if err != nil && !errors.Is(err, rest.ErrNotInCluster) {
		return fmt.Errorf("reading the configuration of the cluster that this runs in: %w", err)
	}
	mgr, err := o.newManager(own)
	if err != nil {
		return err
	}
	runtimeCluster, err := o.addRuntimeCluster(mgr, own)
	if err != nil {
		return err
	}
	if err := addWebhooks(ctx, mgr, runtimeCluster, o.webhooks.Completed()); err != nil {
		return fmt.Errorf("adding the webhooks: %w", err)
	}
	if err := o.addHealthChecks(mgr, runtimeCluster); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

// newManager makes a manager of the garden that elects its leader in the cluster that it runs in.
func (o *options) newManager(own *rest.Config) (manager.Manager, error) {
	managerOptions := o.manager.Completed().Options()
	managerOptions.LeaderElectionConfig = own
	managerOptions.LeaderElectionReleaseOnCancel = true
	runtimelog.SetLogger(managerOptions.Logger)

	mgr, err := manager.New(o.rest.Completed().Config, managerOptions)
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	gardencoreinstall.Install(mgr.GetScheme())
	return mgr, nil
}

// addRuntimeCluster makes the cluster that holds the certificates; nil if that is the garden itself.
func (o *options) addRuntimeCluster(mgr manager.Manager, own *rest.Config) (cluster.Cluster, error) {
	namespace := o.webhooks.Server.Namespace
	if own == nil || namespace == "" {
		return nil, nil
	}
	runtimeCluster, err := cluster.New(own, func(opts *cluster.Options) {
		opts.Logger = mgr.GetLogger()
		opts.Cache.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster that this runs in: %w", err)
	}
	if err := mgr.Add(runtimeCluster); err != nil {
		return nil, fmt.Errorf("adding the cluster that this runs in to the manager: %w", err)
	}
	return runtimeCluster, nil
}

// addHealthChecks makes the program ready only when a webhook call would succeed: otherwise the API server's calls reach a
// server that cannot answer, and fail what they are asked about.
func (o *options) addHealthChecks(mgr manager.Manager, runtimeCluster cluster.Cluster) error {
	certificate := func(*http.Request) error {
		if _, err := os.Stat(filepath.Join(o.manager.Completed().WebhookCertDir, "tls.crt")); err != nil {
			return fmt.Errorf("the webhooks have no certificate yet: %w", err)
		}
		return nil
	}
	ready := map[string]healthz.Checker{
		"informer-sync":       gardenerhealthz.NewCacheSyncHealthz(mgr.GetCache()),
		"webhook-certificate": certificate,
		"webhook-server":      mgr.GetWebhookServer().StartedChecker(),
	}
	alive := map[string]healthz.Checker{
		"ping":          healthz.Ping,
		"informer-sync": gardenerhealthz.NewCacheSyncHealthzWithDeadline(mgr.GetLogger(), clock.RealClock{}, mgr.GetCache(), gardenerhealthz.DefaultCacheSyncDeadline),
	}
	if runtimeCluster != nil {
		ready["runtime-informer-sync"] = gardenerhealthz.NewCacheSyncHealthz(runtimeCluster.GetCache())
	}
	for name, check := range ready {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding readiness check %s: %w", name, err)
		}
	}
	for name, check := range alive {
		if err := mgr.AddHealthzCheck(name, check); err != nil {
			return fmt.Errorf("adding liveness check %s: %w", name, err)
		}
	}
	return nil
}
