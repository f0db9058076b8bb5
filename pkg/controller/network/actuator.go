// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"time"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/utils/managedresources"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/render"
)

// ManagedResourceName is the ManagedResource with the objects of the shoot.
const ManagedResourceName = "extension-networking-ipv6"

// deletionTimeout is how long one attempt waits for the shoot's objects to go away.
const deletionTimeout = 2 * time.Minute

type actuator struct {
	client                client.Client
	live                  client.Reader
	agentImage, ipamImage string
}

// Reconcile gathers what is known of the shoot, decides, and applies the decision.
func (a *actuator) Reconcile(ctx context.Context, log logr.Logger, network *extensionsv1alpha1.Network, _ *extensionscontroller.Cluster) error {
	// The Cluster that the library passes comes from a cache that may not have seen what gardenlet wrote just before it asked
	// for this reconciliation, and nothing would ask for another one.
	cluster, err := extensionscontroller.GetCluster(ctx, a.live, network.Namespace)
	if err != nil {
		return fmt.Errorf("reading the Cluster %s: %w", network.Namespace, err)
	}
	f, err := gather(ctx, a.client, network.Namespace, cluster)
	if err != nil {
		return err
	}
	for _, warning := range f.plan.Warnings {
		log.Info("The plan warns", "range", warning.Range, "warning", warning.Message)
	}
	d, err := decide(f, a.agentImage, a.ipamImage)
	if err != nil {
		return err
	}
	out, err := render.Objects(d.input)
	if err != nil {
		return fmt.Errorf("rendering: %w", err)
	}

	if err := a.applySeed(ctx, network.Namespace, out.Seed); err != nil {
		return err
	}
	if err := applyShoot(ctx, a.client, network.Namespace, out.Shoot); err != nil {
		return err
	}
	return a.report(ctx, network, &d.status, f.reservations)
}

// Restore takes over what the other seed held, then reconciles. With the Infrastructure, which is restored before, came back what
// the Shoot's status says is published; the state knows of the rest.
func (a *actuator) Restore(ctx context.Context, log logr.Logger, network *extensionsv1alpha1.Network, cluster *extensionscontroller.Cluster) error {
	if network.Status.State != nil {
		state, err := helper.DecodeNetworkState(network.Status.State)
		if err != nil {
			return fmt.Errorf("the state that the Network came with: %w", err)
		}
		if err := reservation.Import(ctx, a.client, network.Namespace, state); err != nil {
			return err
		}
	}
	return a.Reconcile(ctx, log, network, cluster)
}

// Delete takes everything back, in the order opposite to Reconcile.
func (a *actuator) Delete(ctx context.Context, _ logr.Logger, network *extensionsv1alpha1.Network, _ *extensionscontroller.Cluster) error {
	if err := deleteShoot(ctx, a.client, network.Namespace); err != nil {
		return err
	}
	return a.deleteSeed(ctx, network.Namespace)
}

// ForceDelete is Delete for a shoot whose API server may not answer any more: what is in it is left behind, and nothing is
// waited for.
func (a *actuator) ForceDelete(ctx context.Context, log logr.Logger, network *extensionsv1alpha1.Network, _ *extensionscontroller.Cluster) error {
	log.Info("Leaving the objects in the shoot behind")
	if err := managedresources.SetKeepObjects(ctx, a.client, network.Namespace, ManagedResourceName, true); err != nil {
		return fmt.Errorf("keeping the shoot's objects: %w", err)
	}
	if err := managedresources.DeleteForShoot(ctx, a.client, network.Namespace, ManagedResourceName); err != nil {
		return fmt.Errorf("deleting the ManagedResource: %w", err)
	}
	return a.deleteSeed(ctx, network.Namespace)
}

// Migrate leaves the shoot as it is, for the other seed to take over, and takes back what is in this seed: no second
// ipv6-ipam-controller may give out prefixes.
func (a *actuator) Migrate(ctx context.Context, _ logr.Logger, network *extensionsv1alpha1.Network, _ *extensionscontroller.Cluster) error {
	reservations, err := listReservations(ctx, a.client, network.Namespace)
	if err != nil {
		return err
	}
	if err := a.report(ctx, network, nil, reservations); err != nil {
		return err
	}
	if err := managedresources.SetKeepObjects(ctx, a.client, network.Namespace, ManagedResourceName, true); err != nil {
		return fmt.Errorf("keeping the shoot's objects: %w", err)
	}
	if err := deleteShoot(ctx, a.client, network.Namespace); err != nil {
		return err
	}
	return a.deleteSeed(ctx, network.Namespace)
}

// report writes the status of the Network that is ours; lastOperation and its kind are the library's. A nil status is left as
// it is.
func (a *actuator) report(ctx context.Context, network *extensionsv1alpha1.Network, status *v1alpha1.NetworkStatus, reservations []v1alpha1.PrefixReservation) error {
	before := network.DeepCopy()
	state, err := reservation.State(reservations)
	if err != nil {
		return err
	}
	// A seed without reservations must not wipe the state that a restored Network came with.
	if len(reservations) > 0 || network.Status.State == nil {
		network.Status.State = &runtime.RawExtension{Raw: state}
	}
	if status != nil {
		if network.Status.ProviderStatus, err = helper.EncodeNetworkStatus(status); err != nil {
			return err
		}
		network.Status.IPFamilies = network.Spec.IPFamilies
	}
	if err := a.client.Status().Patch(ctx, network, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("writing the Network's status: %w", err)
	}
	return nil
}
