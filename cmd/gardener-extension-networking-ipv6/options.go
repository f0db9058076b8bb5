// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	extensionscmd "github.com/gardener/gardener/extensions/pkg/controller/cmd"
	"github.com/gardener/gardener/extensions/pkg/controller/heartbeat"
	heartbeatcmd "github.com/gardener/gardener/extensions/pkg/controller/heartbeat/cmd"
	webhookcmd "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	"github.com/spf13/pflag"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/validation"
	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
)

// extensionName makes up the names of the Lease, the heartbeat, the Service and the MutatingWebhookConfiguration.
const extensionName = "networking-ipv6"

// Environment variables that the chart sets; each is the default of a flag.
const (
	envLeaderElectionNamespace = "LEADER_ELECTION_NAMESPACE"
	envWebhookConfigNamespace  = "WEBHOOK_CONFIG_NAMESPACE"
)

// options are everything that can be set from outside.
type options struct {
	rest        *extensionscmd.RESTOptions
	manager     *extensionscmd.ManagerOptions
	general     *extensionscmd.GeneralOptions
	config      *configOptions
	network     *extensionscmd.ControllerOptions
	reservation *extensionscmd.ControllerOptions
	garbage     *garbageOptions
	reconcile   *extensionscmd.ReconcilerOptions
	heartbeat   *heartbeatcmd.Options
	controllers *extensionscmd.SwitchOptions
	webhooks    *webhookcmd.AddToManagerOptions

	all extensionscmd.OptionAggregator
}

func newOptions(run *runtimeArgs) *options {
	o := &options{
		rest: &extensionscmd.RESTOptions{},
		manager: &extensionscmd.ManagerOptions{
			LeaderElection:          true,
			LeaderElectionID:        extensionscmd.LeaderElectionNameID(extensionName),
			LeaderElectionNamespace: os.Getenv(envLeaderElectionNamespace),
			WebhookServerPort:       10250,
			WebhookCertDir:          "/tmp/gardener-extensions-cert",
		},
		general:     &extensionscmd.GeneralOptions{},
		config:      &configOptions{},
		network:     &extensionscmd.ControllerOptions{MaxConcurrentReconciles: 5},
		reservation: &extensionscmd.ControllerOptions{MaxConcurrentReconciles: 25},
		garbage:     &garbageOptions{mode: reservationcontroller.GarbageOn},
		reconcile:   &extensionscmd.ReconcilerOptions{},
		heartbeat: &heartbeatcmd.Options{
			ExtensionName:        extensionName,
			RenewIntervalSeconds: 30,
			Namespace:            os.Getenv(envLeaderElectionNamespace),
		},
		controllers: extensionscmd.NewSwitchOptions(
			extensionscmd.Switch(networkControllerName, run.addNetwork),
			extensionscmd.Switch(reservationControllerName, run.addReservation),
			extensionscmd.Switch(heartbeat.ControllerName, heartbeat.AddToManager),
		),
	}
	o.webhooks = webhookcmd.NewAddToManagerOptions(
		extensionName,
		"", nil, // no webhooks in shoots
		o.general,
		&webhookcmd.ServerOptions{Namespace: os.Getenv(envWebhookConfigNamespace)},
		webhookcmd.NewSwitchOptions(run.webhooks()...),
	)
	o.all = extensionscmd.NewOptionAggregator(
		o.rest, o.manager, o.general, o.config, o.garbage, o.reconcile, o.controllers, o.webhooks,
		extensionscmd.PrefixOption("network-", o.network),
		extensionscmd.PrefixOption("reservation-", o.reservation),
		extensionscmd.PrefixOption("heartbeat-", o.heartbeat),
	)
	return o
}

// complete reads and checks everything, and tells the manager's connection what the configuration file says of it.
func (o *options) complete() error {
	if err := o.all.Complete(); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	if err := o.heartbeat.Validate(); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	o.heartbeat.Completed().Apply(&heartbeat.DefaultAddOptions)

	if connection := o.config.loaded.ClientConnection; connection != nil {
		rest := o.rest.Completed().Config
		rest.QPS, rest.Burst = connection.QPS, int(connection.Burst)
		rest.ContentType, rest.AcceptContentTypes = connection.ContentType, connection.AcceptContentTypes
	}
	return nil
}

// configOptions is the flag that names the component configuration.
type configOptions struct {
	path   string
	loaded *configv1alpha1.ControllerConfiguration
}

// AddFlags implements Flagger.
func (o *configOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.path, "config", o.path, "The file with the ControllerConfiguration (group ipv6.networking.extensions.config.gardener.cloud).")
}

// Complete implements Completer.
func (o *configOptions) Complete() error {
	if o.path == "" {
		return fmt.Errorf("--config is required: the file with the ControllerConfiguration")
	}
	loaded, err := helper.Load(o.path)
	if err != nil {
		return err
	}
	if errs := validation.ValidateControllerConfiguration(loaded); len(errs) > 0 {
		return fmt.Errorf("component configuration %s: %w", o.path, errs.ToAggregate())
	}
	o.loaded = loaded
	return nil
}

// garbageOptions is the flag that says what becomes of prefixes that nobody wants.
type garbageOptions struct {
	mode reservationcontroller.GarbageMode
}

// AddFlags implements Flagger.
func (o *garbageOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar((*string)(&o.mode), "garbage-collection", string(o.mode),
		"What to do about prefixes that a backend holds for nobody: free them (on), only tell of them in log and metrics (dry-run), or not look (off).")
}

// Complete implements Completer.
func (o *garbageOptions) Complete() error {
	switch o.mode {
	case reservationcontroller.GarbageOn, reservationcontroller.GarbageDryRun, reservationcontroller.GarbageOff:
		return nil
	}
	return fmt.Errorf("--garbage-collection=%s: want on, dry-run or off", o.mode)
}
