// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	ipv6v1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// DefaultNodes is how many nodes the demo's Shoot has.
const DefaultNodes = 3

// ShootManifest is the manifest of the demo's Shoot, as its owner wrote it.
func ShootManifest() ([]byte, error) { return Demo().Manifest() }

// ApplyShoot applies the manifest of a Shoot, as its owner does with `kubectl apply --server-side`, and reads back what
// gardener-apiserver made of it.
func (d *Driver) ApplyShoot(ctx context.Context, manifest []byte) (*gardencorev1beta1.Shoot, error) {
	wanted, err := shootFrom(manifest)
	if err != nil {
		return nil, err
	}

	if err := until(ctx, waiting{
		what:  "the Shoot to be accepted",
		limit: 30 * time.Second,
		logs:  d.hint("-n garden logs deploy/"+gardenerAPIServer) + " and " + d.hint("-n "+AdmissionNamespace+" logs deploy/"+admissionName),
	}, func(ctx context.Context) error { return applyManifest(ctx, d.garden, manifest) }); err != nil {
		return nil, err
	}

	return d.getShoot(ctx, client.ObjectKeyFromObject(wanted))
}

func (d *Driver) getShoot(ctx context.Context, key client.ObjectKey) (*gardencorev1beta1.Shoot, error) {
	shoot := &gardencorev1beta1.Shoot{}
	if err := d.garden.Get(ctx, key, shoot); err != nil {
		return nil, fmt.Errorf("Shoot %s: %w", key, err)
	}

	return shoot, nil
}

// Open reads a Shoot that was reconciled before.
func (d *Driver) Open(ctx context.Context, key client.ObjectKey) (*Cluster, error) {
	shoot, err := d.getShoot(ctx, key)
	if err != nil {
		return nil, err
	}

	cluster, err := d.adopt(ctx, shoot)
	if err != nil {
		return nil, err
	}

	// A Shoot whose deletion was interrupted has no namespace any more.
	namespace := &corev1.Namespace{}
	if err := d.seed.Client().Get(ctx, client.ObjectKey{Name: cluster.Namespace}, namespace); apierrors.IsNotFound(err) {
		return cluster, nil
	} else if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", cluster.Namespace, err)
	}

	return cluster, cluster.deploySecrets(ctx)
}

// Reconcile does for a Shoot what gardenlet does, with the given number of nodes.
func (d *Driver) Reconcile(ctx context.Context, shoot *gardencorev1beta1.Shoot, nodes int) (*Cluster, error) {
	var cluster *Cluster

	steps := []step{
		{"gardenlet: namespace, Cluster, certificates", func(ctx context.Context) (err error) {
			if cluster, err = d.adopt(ctx, shoot); err != nil {
				return err
			}

			return inOrder(ctx, cluster.deployNamespace, cluster.syncCluster, cluster.deploySecrets)
		}},
		{"provider: Infrastructure; extension: prefixes reserved", func(ctx context.Context) error {
			return cluster.deployInfrastructure(ctx)
		}},
		{"gardenlet: etcd, kube-apiserver", func(ctx context.Context) error {
			return inOrder(ctx, cluster.deployEtcd, cluster.expose, cluster.deployKubeAPIServer, cluster.waitForAPI, cluster.WriteKubeconfig)
		}},
		{"gardenlet: gardener-resource-manager, controllers, scheduler", func(ctx context.Context) error {
			return inOrder(ctx, cluster.deployControllers, cluster.deployResourceManager, cluster.waitForControllers)
		}},
		{"extension: Network", func(ctx context.Context) error { return cluster.deployNetwork(ctx) }},
		{fmt.Sprintf("provider: %d nodes; gardenlet: kube-proxy, CoreDNS", nodes), func(ctx context.Context) error {
			return cluster.ScaleNodes(ctx, nodes)
		}},
		{"nodes ready, each with its prefix", func(ctx context.Context) error { return cluster.waitForNodes(ctx, nodes) }},
		{"gardenlet: CoreDNS ready, Shoot succeeded", func(ctx context.Context) error {
			return inOrder(ctx, cluster.waitForCoreDNS, cluster.succeed)
		}},
	}

	return cluster, d.run(ctx, steps)
}

type step struct {
	title string
	do    func(context.Context) error
}

func (d *Driver) run(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := d.progress.Step(ctx, s.title, s.do); err != nil {
			return err
		}
	}

	return nil
}

func inOrder(ctx context.Context, tasks ...func(context.Context) error) error {
	for _, task := range tasks {
		if err := task(ctx); err != nil {
			return err
		}
	}

	return nil
}

// ScaleNodes brings the Shoot to the given number of nodes. It does not wait for them.
func (c *Cluster) ScaleNodes(ctx context.Context, count int) error {
	return inOrder(ctx,
		c.deployKubeProxy,
		func(ctx context.Context) error { return c.startNodes(ctx, count) },
		c.deployCoreDNS,
		func(ctx context.Context) error { return c.startKubeProxies(ctx, count) },
	)
}

// WaitForNodes waits until the Shoot's nodes are ready.
func (c *Cluster) WaitForNodes(ctx context.Context, count int) error {
	return c.waitForNodes(ctx, count)
}

// waitForAPI waits until the Shoot's API server answers at its address.
func (c *Cluster) waitForAPI(ctx context.Context) error {
	return until(ctx, waiting{
		what:  "the Shoot's API server to be ready",
		limit: 3 * time.Minute,
		logs:  c.hint("-n "+c.Namespace+" describe pods") + " and " + c.hint("-n "+c.Namespace+" logs deploy/kube-apiserver"),
	}, func(ctx context.Context) error {
		config, err := c.ShootConfig(ctx)
		if err != nil {
			return err
		}

		config.Timeout = 5 * time.Second

		return ready(ctx, config)
	})
}

func (c *Cluster) waitForControllers(ctx context.Context) error {
	for _, name := range []string{constants.DeploymentNameKubeControllerManager, constants.DeploymentNameKubeScheduler} {
		if err := c.waitForDeployment(ctx, name, 2*time.Minute); err != nil {
			return err
		}
	}

	return nil
}

func (c *Cluster) succeed(ctx context.Context) error {
	return c.patchStatus(ctx, func(status *gardencorev1beta1.ShootStatus) {
		status.ObservedGeneration = c.Shoot.Generation
		status.IsHibernated = c.hibernated()
		status.LastOperation = &gardencorev1beta1.LastOperation{
			Type:           gardencorev1beta1.LastOperationTypeReconcile,
			State:          gardencorev1beta1.LastOperationStateSucceeded,
			Progress:       100,
			Description:    "Shoot cluster has been successfully reconciled.",
			LastUpdateTime: metav1.Now(),
		}
	})
}

// ShootConfig is an administrator's access to the Shoot from the machine itself.
func (c *Cluster) ShootConfig(ctx context.Context) (*rest.Config, error) {
	kubeconfig, err := c.AdminKubeconfig(ctx)
	if err != nil {
		return nil, err
	}

	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig of %s: %w", c.Namespace, err)
	}

	config.QPS, config.Burst = 100, 200

	return c.machine.fromOutside(ctx, config)
}

// networkStatus is what the extension reports of the Network.
func (c *Cluster) networkStatus(ctx context.Context) (*ipv6v1alpha1.NetworkStatus, error) {
	network := &extensionsv1alpha1.Network{}
	if err := c.seed.Client().Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: c.Shoot.Name}, network); err != nil {
		return nil, fmt.Errorf("Network of %s: %w", c.Namespace, err)
	}

	status := &ipv6v1alpha1.NetworkStatus{}
	if network.Status.ProviderStatus == nil {
		return status, nil
	}

	if err := json.Unmarshal(network.Status.ProviderStatus.Raw, status); err != nil {
		return nil, fmt.Errorf("provider status of the Network of %s: %w", c.Namespace, err)
	}

	return status, nil
}

func (c *Cluster) nodePrefixLength(ctx context.Context) (int, error) {
	status, err := c.networkStatus(ctx)
	if err != nil {
		return 0, err
	}

	return int(status.NodePrefixLength), nil
}
