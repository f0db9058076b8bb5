// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/component/extensions/infrastructure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

const (
	pollInterval    = 300 * time.Millisecond
	severeThreshold = 30 * time.Second

	// providerFinalizer is what infrastructure providers put on their Infrastructures.
	providerFinalizer = "extensions.gardener.cloud/landscape"
)

func (c *Cluster) infrastructure() infrastructure.Interface {
	return infrastructure.New(c.log, c.seed.Client(), &infrastructure.Values{
		Namespace:         c.Namespace,
		Name:              c.Shoot.Name,
		Type:              c.Shoot.Spec.Provider.Type,
		Region:            c.Shoot.Spec.Region,
		AnnotateOperation: true,
	}, pollInterval, severeThreshold, 2*time.Minute)
}

// deployInfrastructure creates the Infrastructure, plays its provider, waits as gardenlet waits, and copies what became known
// of the ranges to the Shoot.
func (c *Cluster) deployInfrastructure(ctx context.Context) error {
	component := c.infrastructure()
	if err := component.Deploy(ctx); err != nil {
		return fmt.Errorf("Infrastructure of %s: %w", c.Namespace, err)
	}

	if err := c.reconcileInfrastructure(ctx); err != nil {
		return err
	}

	if err := component.Wait(ctx); err != nil {
		return fmt.Errorf("Infrastructure of %s: %w; look at %s", c.Namespace, err, c.hint("-n "+c.Namespace+" get infrastructures,pfxres -o wide"))
	}

	return c.copyRanges(ctx, component)
}

// reconcileInfrastructure is the provider: nothing has to be made for the nodes' link, so it reports success at once and
// knows of no range, unless the scenario has one to report. The extension's webhook holds the success back until the ranges are reserved.
func (c *Cluster) reconcileInfrastructure(ctx context.Context) error {
	infra := &extensionsv1alpha1.Infrastructure{}
	if err := c.seed.Client().Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: c.Shoot.Name}, infra); err != nil {
		return fmt.Errorf("Infrastructure of %s: %w", c.Namespace, err)
	}

	before := infra.DeepCopy()
	controllerutil.AddFinalizer(infra, providerFinalizer)
	delete(infra.Annotations, constants.GardenerOperation)

	if err := c.seed.Client().Patch(ctx, infra, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("Infrastructure of %s: %w", c.Namespace, err)
	}

	before = infra.DeepCopy()
	infra.Status.ObservedGeneration = infra.Generation
	infra.Status.LastError = nil
	infra.Status.LastOperation = &gardencorev1beta1.LastOperation{
		Type:           gardencorev1beta1.LastOperationTypeReconcile,
		State:          gardencorev1beta1.LastOperationStateSucceeded,
		Progress:       100,
		Description:    "The nodes' link is there",
		LastUpdateTime: metav1.Now(),
	}

	if c.Scenario.Infrastructure != nil {
		c.Scenario.Infrastructure(&infra.Status)
	}

	if err := c.seed.Client().Status().Patch(ctx, infra, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("status of the Infrastructure of %s: %w", c.Namespace, err)
	}

	return nil
}

// copyRanges does what gardenlet does with Infrastructure.status.networking: the Shoot's status is replaced whole, and the first
// nodes range is pinned in the Shoot's spec if none is written there.
func (c *Cluster) copyRanges(ctx context.Context, infra infrastructure.Interface) error {
	nodes := infra.NodesCIDRs()

	if len(nodes) > 0 && c.Shoot.Spec.Networking.Nodes == nil {
		before := c.Shoot.DeepCopy()
		c.Shoot.Spec.Networking.Nodes = &nodes[0]

		if err := c.garden.Patch(ctx, c.Shoot, client.StrategicMergeFrom(before)); err != nil {
			return fmt.Errorf("pinning the nodes range of Shoot %s: %w", c.Shoot.Name, err)
		}
	}

	if err := c.patchStatus(ctx, func(status *gardencorev1beta1.ShootStatus) {
		status.Networking = &gardencorev1beta1.NetworkingStatus{
			Nodes:       nodes,
			Pods:        infra.PodsCIDRs(),
			Services:    infra.ServicesCIDRs(),
			EgressCIDRs: infra.EgressCIDRs(),
		}
	}); err != nil {
		return err
	}

	return c.syncCluster(ctx)
}

// deleteInfrastructure deletes the Infrastructure and lets it go as a provider does.
func (c *Cluster) deleteInfrastructure(ctx context.Context) error {
	component := c.infrastructure()
	if err := component.Destroy(ctx); err != nil {
		return fmt.Errorf("deleting the Infrastructure of %s: %w", c.Namespace, err)
	}

	infra := &extensionsv1alpha1.Infrastructure{}
	if err := c.seed.Client().Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: c.Shoot.Name}, infra); err != nil {
		return client.IgnoreNotFound(err)
	}

	before := infra.DeepCopy()
	if controllerutil.RemoveFinalizer(infra, providerFinalizer) {
		if err := c.seed.Client().Patch(ctx, infra, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("releasing the Infrastructure of %s: %w", c.Namespace, err)
		}
	}

	if err := component.WaitCleanup(ctx); err != nil {
		return fmt.Errorf("deleting the Infrastructure of %s: %w", c.Namespace, err)
	}

	return nil
}

// addressOf gives an address in the first part of a range, where no node's prefix is.
func addressOf(nodes netip.Prefix, host uint8) netip.Prefix {
	address := nodes.Addr().AsSlice()
	address[len(address)-1] = host
	first, _ := netip.AddrFromSlice(address)

	return netip.PrefixFrom(first, nodes.Bits())
}
