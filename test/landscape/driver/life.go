// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"os"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"
	kubernetesutils "github.com/gardener/gardener/pkg/utils/kubernetes"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// controlPlane lists the workloads of a control plane in the order in which they are put to sleep.
var controlPlane = []string{
	constants.DeploymentNameKubeScheduler,
	constants.DeploymentNameKubeControllerManager,
	constants.DeploymentNameGardenerResourceManager,
	constants.DeploymentNameKubeAPIServer,
}

// Hibernate lets the owner put the Shoot to sleep and does what gardenlet does then: no nodes, no control plane, but etcd's data
// stays, and the extension is told.
func (c *Cluster) Hibernate(ctx context.Context) error {
	if err := c.setHibernation(ctx, true); err != nil {
		return err
	}

	return c.run(ctx, []step{
		{"provider: no nodes", func(ctx context.Context) error { return c.startNodes(ctx, 0) }},
		{"extension: Network of a sleeping Shoot", c.deployNetwork},
		{"gardenlet: control plane to sleep", c.scaleDown},
		{"gardenlet: Shoot hibernated", c.succeed},
	})
}

// WakeUp lets the owner wake the Shoot up.
func (c *Cluster) WakeUp(ctx context.Context, nodes int) (*Cluster, error) {
	if err := c.setHibernation(ctx, false); err != nil {
		return nil, err
	}

	return c.Reconcile(ctx, c.Shoot, nodes)
}

func (c *Cluster) setHibernation(ctx context.Context, enabled bool) error {
	before := c.Shoot.DeepCopy()
	c.Shoot.Spec.Hibernation = &gardencorev1beta1.Hibernation{Enabled: &enabled}

	if err := c.garden.Patch(ctx, c.Shoot, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("hibernation of Shoot %s: %w", c.Shoot.Name, err)
	}

	return c.syncCluster(ctx)
}

func (c *Cluster) scaleDown(ctx context.Context) error {
	for _, name := range controlPlane {
		if err := kubernetesutils.ScaleDeployment(ctx, c.seed.Client(), client.ObjectKey{Namespace: c.Namespace, Name: name}, 0); err != nil {
			return fmt.Errorf("scaling %s of %s down: %w", name, c.Namespace, err)
		}
	}

	etcd := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "etcd-main"}}

	if err := c.seed.Client().Patch(ctx, etcd, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":0}}`))); err != nil {
		return fmt.Errorf("scaling etcd of %s down: %w", c.Namespace, err)
	}

	return until(ctx, waiting{
		what:  "the control plane to be asleep",
		limit: 2 * time.Minute,
		logs:  c.hint("-n " + c.Namespace + " get pods"),
	}, func(ctx context.Context) error {
		pods := &corev1.PodList{}
		if err := c.seed.Client().List(ctx, pods, client.InNamespace(c.Namespace)); err != nil {
			return err
		}

		if len(pods.Items) > 0 {
			return fmt.Errorf("%d pods are awake, %s among them", len(pods.Items), pods.Items[0].Name)
		}

		return nil
	})
}

// DeleteShoot lets the owner delete the Shoot and does what gardenlet does then. It returns when namespace and Shoot are gone.
func (d *Driver) DeleteShoot(ctx context.Context, c *Cluster) error {
	return d.run(ctx, []step{
		{"owner: delete the Shoot", c.markDeleted},
		{"extension: Network is gone", c.deleteNetwork},
		{"gardenlet: what ran in the Shoot", c.deleteManagedResources},
		{"provider: no nodes", c.removeMachines},
		{"provider: no Infrastructure; extension: prefixes given back", c.deleteInfrastructure},
		{"gardenlet: namespace and Shoot are gone", c.deleteNamespace},
	})
}

func (c *Cluster) markDeleted(ctx context.Context) error {
	// an admission that was replaced a moment ago may not be reached yet
	if err := until(ctx, waiting{
		what:  "the Shoot's deletion to be accepted",
		limit: 30 * time.Second,
		logs:  c.hint("-n " + AdmissionNamespace + " logs deploy/" + admissionName),
	}, func(ctx context.Context) error {
		return gardenerutils.ConfirmDeletion(ctx, c.garden, c.Shoot)
	}); err != nil {
		return err
	}

	// gardener-apiserver looks for the confirmation in a cache
	if err := until(ctx, waiting{what: "the Shoot's deletion to be accepted", limit: 30 * time.Second}, func(ctx context.Context) error {
		return client.IgnoreNotFound(c.garden.Delete(ctx, c.Shoot))
	}); err != nil {
		return fmt.Errorf("deleting Shoot %s: %w", c.Shoot.Name, err)
	}

	shoot, err := c.getShoot(ctx, client.ObjectKeyFromObject(c.Shoot))
	if err != nil {
		return err
	}

	c.Shoot = shoot

	return c.syncCluster(ctx)
}

// deleteManagedResources lets gardener-resource-manager go of the Shoot: its objects end with its etcd.
func (c *Cluster) deleteManagedResources(ctx context.Context) error {
	resources := &resourcesv1alpha1.ManagedResourceList{}
	if err := c.seed.Client().List(ctx, resources, client.InNamespace(c.Namespace)); err != nil {
		return fmt.Errorf("ManagedResources of %s: %w", c.Namespace, err)
	}

	for i := range resources.Items {
		resource := &resources.Items[i]
		before := resource.DeepCopy()
		resource.Spec.KeepObjects = ptrTo(true)

		if err := c.seed.Client().Patch(ctx, resource, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("ManagedResource %s of %s: %w", resource.Name, c.Namespace, err)
		}

		if err := c.seed.Client().Delete(ctx, resource); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("ManagedResource %s of %s: %w", resource.Name, c.Namespace, err)
		}
	}

	return until(ctx, waiting{
		what:  "the ManagedResources to be gone",
		limit: time.Minute,
		logs:  c.hint("-n " + c.Namespace + " logs deploy/gardener-resource-manager"),
	}, func(ctx context.Context) error {
		if err := c.seed.Client().List(ctx, resources, client.InNamespace(c.Namespace)); err != nil {
			return err
		}

		if len(resources.Items) > 0 {
			return fmt.Errorf("%s is still there", resources.Items[0].Name)
		}

		return nil
	})
}

// removeMachines ends the nodes; their Node objects end with the Shoot's etcd.
func (c *Cluster) removeMachines(ctx context.Context) error {
	for number := 1; number <= maxNodes; number++ {
		if err := c.machine.RemoveShootNode(ctx, NodeName(number)); err != nil {
			return err
		}
	}

	if err := c.machine.SetShootRoutes(ctx, nil); err != nil || c.Scenario.AfterDeletion == nil {
		return err
	}

	return c.Scenario.AfterDeletion(ctx, c)
}

func (c *Cluster) deleteNamespace(ctx context.Context) error {
	if err := c.endControlPlane(ctx); err != nil {
		return err
	}

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}}
	if err := c.seed.Client().Delete(ctx, namespace); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting namespace %s: %w", c.Namespace, err)
	}

	if err := until(ctx, waiting{
		what:  "namespace " + c.Namespace + " to be gone",
		limit: 2 * time.Minute,
		logs:  c.hint("get namespace " + c.Namespace + " -o yaml"),
	}, func(ctx context.Context) error {
		err := c.seed.Client().Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		if apierrors.IsNotFound(err) {
			return nil
		}

		if err == nil {
			for _, condition := range namespace.Status.Conditions {
				if condition.Type == corev1.NamespaceFinalizersRemaining && condition.Status == corev1.ConditionTrue {
					return fmt.Errorf("%s", condition.Message)
				}
			}

			err = fmt.Errorf("it is %s", namespace.Status.Phase)
		}

		return err
	}); err != nil {
		return err
	}

	if err := os.RemoveAll(c.machine.EtcdData(string(c.Shoot.Status.UID))); err != nil {
		return fmt.Errorf("data of the etcd of %s: %w", c.Namespace, err)
	}

	return c.letGo(ctx)
}

// endControlPlane ends its pods before the namespace: nobody is left that they would end gracefully for, and a namespace with pods is
// looked at again only after their usual time.
func (c *Cluster) endControlPlane(ctx context.Context) error {
	for _, kind := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}} {
		if err := c.seed.Client().DeleteAllOf(ctx, kind, client.InNamespace(c.Namespace), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			return fmt.Errorf("ending the control plane of %s: %w", c.Namespace, err)
		}
	}

	return until(ctx, waiting{
		what:  "the pods of " + c.Namespace + " to end",
		limit: time.Minute,
		logs:  c.hint("-n " + c.Namespace + " get pods"),
	}, func(ctx context.Context) error {
		pods := &corev1.PodList{}
		if err := c.seed.Client().List(ctx, pods, client.InNamespace(c.Namespace)); err != nil {
			return err
		}

		if len(pods.Items) == 0 {
			return nil
		}

		if err := c.seed.Client().DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(c.Namespace), client.GracePeriodSeconds(1)); err != nil {
			return err
		}

		return fmt.Errorf("%d are still there", len(pods.Items))
	})
}

// letGo removes what gardenlet keeps beyond the namespace.
func (c *Cluster) letGo(ctx context.Context) error {
	cluster := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}}

	if err := gardenerutils.ConfirmDeletion(ctx, c.seed.Client(), cluster); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Cluster %s: %w", c.Namespace, err)
	}

	if err := c.seed.Client().Delete(ctx, cluster); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Cluster %s: %w", c.Namespace, err)
	}

	// gardener-apiserver lets the finalizer go only after a deletion that succeeded.
	if err := c.patchStatus(ctx, func(status *gardencorev1beta1.ShootStatus) {
		status.LastOperation = &gardencorev1beta1.LastOperation{
			Type:           gardencorev1beta1.LastOperationTypeDelete,
			State:          gardencorev1beta1.LastOperationStateSucceeded,
			Progress:       100,
			Description:    "Shoot cluster has been successfully deleted.",
			LastUpdateTime: metav1.Now(),
		}
	}); err != nil {
		return err
	}

	before := c.Shoot.DeepCopy()
	controllerutil.RemoveFinalizer(c.Shoot, gardencorev1beta1.GardenerName)

	if err := c.garden.Patch(ctx, c.Shoot, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("releasing Shoot %s: %w", c.Shoot.Name, err)
	}

	return nil
}
