// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"time"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/component/extensions/network"
)

func (c *Cluster) network() network.Interface {
	families := make([]extensionsv1alpha1.IPFamily, 0, len(c.Shoot.Spec.Networking.IPFamilies))
	for _, family := range c.Shoot.Spec.Networking.IPFamilies {
		families = append(families, extensionsv1alpha1.IPFamily(family))
	}

	return network.New(c.log, c.seed.Client(), &network.Values{
		Namespace:      c.Namespace,
		Name:           c.Shoot.Name,
		Type:           *c.Shoot.Spec.Networking.Type,
		IPFamilies:     families,
		ProviderConfig: c.providerConfig(),
	}, pollInterval, severeThreshold, 3*time.Minute)
}

// deployNetwork creates the Network and waits for this extension to reconcile it, as gardenlet does.
func (c *Cluster) deployNetwork(ctx context.Context) error {
	ranges, err := c.ranges()
	if err != nil {
		return err
	}

	component := c.network()
	component.SetPodCIDRs(ranges.Pods)
	component.SetServiceCIDRs(ranges.Services)

	if err := component.Deploy(ctx); err != nil {
		return fmt.Errorf("Network of %s: %w", c.Namespace, err)
	}

	if err := component.Wait(ctx); err != nil {
		return fmt.Errorf("Network of %s: %w; look at %s and %s", c.Namespace, err,
			c.hint("-n "+c.Namespace+" get network -o yaml"), c.hint("-n "+ExtensionNamespace+" logs deploy/"+extensionName))
	}

	return nil
}

// deleteNetwork deletes the Network and waits for this extension to clean up.
func (c *Cluster) deleteNetwork(ctx context.Context) error {
	component := c.network()
	if err := component.Destroy(ctx); err != nil {
		return fmt.Errorf("deleting the Network of %s: %w", c.Namespace, err)
	}

	if err := component.WaitCleanup(ctx); err != nil {
		return fmt.Errorf("deleting the Network of %s: %w", c.Namespace, err)
	}

	return nil
}
