// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/component/gardener/resourcemanager"
	"github.com/gardener/gardener/pkg/component/shared"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
)

// bootstrapInterval is how often it is looked whether gardener-resource-manager has its own access to the Shoot.
const bootstrapInterval = 500 * time.Millisecond

// deployResourceManager deploys the Shoot's gardener-resource-manager with Gardener's component: bootstrapped with a client
// certificate, then with a token of its own, its webhooks registered in the Shoot. It gives the control plane's components
// and the extension their tokens, and applies the ManagedResources.
func (c *Cluster) deployResourceManager(ctx context.Context) error {
	manager, err := shared.NewTargetGardenerResourceManager(c.seed.Client(), c.Namespace, c.secrets, resourcemanager.Values{
		ClusterIdentity:            ptrTo(gardenID),
		Image:                      c.machine.Image(constants.DeploymentNameGardenerResourceManager),
		LogLevel:                   "info",
		LogFormat:                  "text",
		PriorityClassName:          constants.PriorityClassNameShootControlPlane400,
		Replicas:                   ptrTo(c.replicas()),
		RuntimeKubernetesVersion:   kubernetesRelease,
		SecretNameServerCA:         constants.SecretNameCACluster,
		SystemComponentTolerations: gardenerutils.ExtractSystemComponentsTolerations(c.Shoot.Spec.Provider.Workers),
		TargetNamespaces:           []string{metav1.NamespaceSystem, corev1.NamespaceNodeLease},
	})
	if err != nil {
		return fmt.Errorf("gardener-resource-manager of %s: %w", c.Namespace, err)
	}

	shared.IntervalWaitForGardenerResourceManagerBootstrapping = bootstrapInterval

	if err := shared.DeployGardenerResourceManager(
		ctx, c.seed.Client(), clock.RealClock{}, c.secrets, manager, c.Namespace,
		func(context.Context) (int32, error) { return c.replicas(), nil },
		func() string { return constants.DeploymentNameKubeAPIServer },
		false,
	); err != nil {
		return fmt.Errorf("gardener-resource-manager of %s: %w; look at %s", c.Namespace, err,
			c.hint("-n "+c.Namespace+" logs deploy/"+constants.DeploymentNameGardenerResourceManager))
	}

	return c.waitForDeployment(ctx, constants.DeploymentNameGardenerResourceManager, 2*time.Minute)
}
