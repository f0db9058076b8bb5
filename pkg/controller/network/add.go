// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package network is the controller of Gardener's Network resources of type "ipv6". It deploys the agents into the shoot and
// ipv6-ipam-controller into the shoot's control plane, and reports what the shoot's ranges are. It never waits for nodes:
// gardenlet creates them at the same time.
package network

import (
	"context"
	"fmt"

	"github.com/gardener/gardener/extensions/pkg/controller/network"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// Options of the controller.
type Options struct {
	// AgentImage and IPAMImage are the images to deploy.
	AgentImage, IPAMImage string
	// Controller tunes the workers and the backoff.
	Controller controller.Options
	// IgnoreOperationAnnotation reconciles on every change, not only when gardenlet asks. For development.
	IgnoreOperationAnnotation bool
	// ExtensionClasses that this instance is responsible for; empty: shoots.
	ExtensionClasses []extensionsv1alpha1.ExtensionClass
}

// AddToManager adds the controller to the manager.
func AddToManager(ctx context.Context, mgr manager.Manager, options Options) error {
	if err := network.Add(mgr, network.AddArgs{
		Actuator:                  NewActuator(mgr.GetClient(), mgr.GetAPIReader(), options),
		ControllerOptions:         options.Controller,
		Predicates:                network.DefaultPredicates(ctx, mgr, options.IgnoreOperationAnnotation),
		Type:                      shootplan.NetworkType,
		IgnoreOperationAnnotation: options.IgnoreOperationAnnotation,
		ExtensionClasses:          options.ExtensionClasses,
	}); err != nil {
		return fmt.Errorf("network controller: %w", err)
	}
	return nil
}

// NewActuator returns the actuator of the controller. Clusters are read from live.
func NewActuator(c client.Client, live client.Reader, options Options) network.Actuator {
	return &actuator{client: c, live: live, agentImage: options.AgentImage, ipamImage: options.IPAMImage}
}
