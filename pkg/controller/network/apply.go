// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"

	"github.com/gardener/gardener/pkg/client/kubernetes"
	gutil "github.com/gardener/gardener/pkg/utils/gardener"
	"github.com/gardener/gardener/pkg/utils/managedresources"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/render"
)

// fieldOwner marks our fields of the objects in the seed.
const fieldOwner = client.FieldOwner("gardener-extension-networking-ipv6")

// applyShoot hands the objects to gardener-resource-manager, and does not wait for it.
func applyShoot(ctx context.Context, c client.Client, namespace string, objects []client.Object) error {
	data, err := managedresources.
		NewRegistry(kubernetes.ShootScheme, kubernetes.ShootCodec, kubernetes.ShootSerializer).
		AddAllAndSerialize(objects...)
	if err != nil {
		return fmt.Errorf("serializing the shoot's objects: %w", err)
	}
	if err := managedresources.CreateForShoot(ctx, c, namespace, ManagedResourceName, ManagedResourceName, false, data); err != nil {
		return fmt.Errorf("ManagedResource %s: %w", ManagedResourceName, err)
	}
	return nil
}

func deleteShoot(ctx context.Context, c client.Client, namespace string) error {
	if err := managedresources.DeleteForShoot(ctx, c, namespace, ManagedResourceName); err != nil {
		return fmt.Errorf("deleting the ManagedResource %s: %w", ManagedResourceName, err)
	}
	ctx, cancel := context.WithTimeout(ctx, deletionTimeout)
	defer cancel()
	if err := managedresources.WaitUntilDeleted(ctx, c, namespace, ManagedResourceName); err != nil {
		return fmt.Errorf("waiting for the ManagedResource %s to go: %w", ManagedResourceName, err)
	}
	return nil
}

// applySeed makes the seed's objects what they should be; no objects means that there should be none.
func (a *actuator) applySeed(ctx context.Context, namespace string, objects []client.Object) error {
	if len(objects) == 0 {
		return a.deleteSeed(ctx, namespace)
	}
	if err := gutil.NewShootAccessSecret(render.IPAMName, namespace).Reconcile(ctx, a.client); err != nil {
		return fmt.Errorf("access of %s to the shoot: %w", render.IPAMName, err)
	}
	for _, object := range objects {
		if err := apply(ctx, a.client, object); err != nil {
			return fmt.Errorf("applying %s %s/%s: %w", object.GetObjectKind().GroupVersionKind().Kind, object.GetNamespace(), object.GetName(), err)
		}
	}
	return nil
}

// apply owns the fields that are rendered, and leaves all others to those who set them.
func apply(ctx context.Context, c client.Client, object client.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	// The types print them even where they are empty, and an apply would claim them.
	delete(content, "status")
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(content, "spec", "template", "metadata", "creationTimestamp")
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content}), fieldOwner, client.ForceOwnership)
	if render.MayBeMissing(object) && meta.IsNoMatchError(err) {
		return nil
	}
	return err
}

// deleteSeed removes everything that applySeed made in the namespace, the Deployment last: it knows its ConfigMap.
func (a *actuator) deleteSeed(ctx context.Context, namespace string) error {
	named := metav1.ObjectMeta{Namespace: namespace, Name: render.IPAMName}
	objects := append(render.OptionalSeedObjects(namespace),
		&policyv1.PodDisruptionBudget{ObjectMeta: named},
		&corev1.Service{ObjectMeta: named},
		&corev1.ServiceAccount{ObjectMeta: named},
		gutil.NewShootAccessSecret(render.IPAMName, namespace).Secret,
	)

	// ConfigMaps are not ours to list: their names are in the Deployment. Those of earlier configurations are left to Gardener's
	// garbage collection, by their label. The live reader spares a cache of all the seed's Deployments.
	deployment := &appsv1.Deployment{ObjectMeta: named}
	switch err := a.live.Get(ctx, client.ObjectKeyFromObject(deployment), deployment); {
	case err == nil:
		for _, volume := range deployment.Spec.Template.Spec.Volumes {
			if volume.ConfigMap != nil {
				objects = append(objects, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: volume.ConfigMap.Name}})
			}
		}
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("reading Deployment %s/%s: %w", namespace, render.IPAMName, err)
	}
	objects = append(objects, &appsv1.Deployment{ObjectMeta: named})

	for _, object := range objects {
		if err := a.client.Delete(ctx, object); client.IgnoreNotFound(err) != nil && !meta.IsNoMatchError(err) {
			return fmt.Errorf("deleting %T %s/%s: %w", object, namespace, object.GetName(), err)
		}
	}
	return nil
}
