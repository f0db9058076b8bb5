// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package reservation turns what a shoot's plan requests into PrefixReservations, drives each to a prefix that is held, writes
// the ranges into the Infrastructure's status and gives everything back when the shoot is gone.
package reservation

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Options of the controller.
type Options struct {
	// Config is the component's configuration, of which the garden's identity and the quarantine are used here.
	Config *configv1alpha1.ControllerConfiguration
	// Namespace is the extension's own namespace. Released prefixes wait there for the end of their quarantine.
	Namespace string
	// Reservers are the backends, in the order in which they are asked.
	Reservers []reservation.Reserver
	// Controller tunes the workers and the backoff.
	Controller controller.Options
	// Failpoint, if set, is called at the named points of the protocol. Tests kill the process there.
	Failpoint func(point string)
}

// AddToManager adds the controllers to the manager.
func AddToManager(_ context.Context, _ manager.Manager, _ Options) error { panic("not written yet") }
