// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	webhookcmd "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	"github.com/gardener/gardener/pkg/utils/imagevector"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	networkcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/network"
	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/controlplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/kubeproxy"
)

// Names of the controllers, for --controllers and --disable-controllers.
const (
	networkControllerName     = "network"
	reservationControllerName = "reservation"
)

// runtimeArgs is what the controllers and webhooks are made from, once the flags are read.
type runtimeArgs struct {
	options *options
	images  map[string]string
}

// prepare makes what several controllers and webhooks need.
func (r *runtimeArgs) prepare() error {
	images, err := findImages()
	if err != nil {
		return err
	}
	r.images = images
	return nil
}

// namespace is the extension's own.
func (r *runtimeArgs) namespace() string {
	if ns := r.options.webhooks.Server.Namespace; ns != "" {
		return ns
	}
	return r.options.manager.LeaderElectionNamespace
}

func (r *runtimeArgs) addNetwork(ctx context.Context, mgr manager.Manager) error {
	return networkcontroller.AddToManager(ctx, mgr, networkcontroller.Options{
		AgentImage:                r.images[charts.ImageAgent],
		IPAMImage:                 r.images[charts.ImageIPAMController],
		Controller:                r.options.network.Completed().Options(),
		IgnoreOperationAnnotation: r.options.reconcile.Completed().IgnoreOperationAnnotation,
		ExtensionClasses:          r.options.general.Completed().ExtensionClasses,
	})
}

func (r *runtimeArgs) addReservation(ctx context.Context, mgr manager.Manager) error {
	if r.namespace() == "" {
		return errors.New("the reservation controller keeps its ledgers in the extension's own namespace: set --webhook-config-namespace or --leader-election-namespace")
	}
	backends, err := backendsOf(r.options.config.loaded, seed{client: mgr.GetClient(), live: mgr.GetAPIReader(), namespace: r.namespace()})
	if err != nil {
		return err
	}
	return reservationcontroller.AddToManager(ctx, mgr, reservationcontroller.Options{
		Config:     r.options.config.loaded,
		Namespace:  r.namespace(),
		Backends:   backends,
		Garbage:    r.options.garbage.mode,
		Controller: r.options.reservation.Completed().Options(),
	})
}

func (r *runtimeArgs) webhooks() []webhookcmd.NameToFactory {
	return []webhookcmd.NameToFactory{
		webhookcmd.Switch(infrastructure.WebhookName, infrastructure.New),
		webhookcmd.Switch(controlplane.WebhookName, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return controlplane.New(mgr, shootplan.NetworkType)
		}),
		webhookcmd.Switch(kubeproxy.WebhookName, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return kubeproxy.New(mgr, shootplan.NetworkType, agentconfig.HostInterfacePrefix)
		}),
	}
}

// findImages reads the image vector, and the file that replaces entries of it.
func findImages() (map[string]string, error) {
	vector, bundle, err := imagevector.Read([]byte(charts.ImagesYAML))
	if err != nil {
		return nil, fmt.Errorf("image vector: %w", err)
	}
	if vector, _, err = imagevector.WithEnvOverride(vector, bundle, imagevector.OverrideEnv); err != nil {
		return nil, fmt.Errorf("image vector of %s: %w", imagevector.OverrideEnv, err)
	}
	images := map[string]string{}
	for _, name := range []string{charts.ImageAgent, charts.ImageIPAMController} {
		image, err := vector.FindImage(name)
		if err != nil {
			return nil, fmt.Errorf("image vector: %w", err)
		}
		images[name] = image.String()
	}
	return images, nil
}
