// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"

	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/component"
	"github.com/gardener/gardener/pkg/component/autoscaling/vpa"
	"github.com/gardener/gardener/pkg/component/crddeployer"
	"github.com/gardener/gardener/pkg/component/extensions/crds"
	"github.com/gardener/gardener/pkg/component/gardener/resourcemanager"
	"github.com/gardener/gardener/pkg/component/observability/monitoring/prometheusoperator"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// prepareSeed gives the cluster what gardenlet gives a seed before any shoot is there, as far as anything here needs it: the
// CRDs of extensions, managed resources, autoscaling and monitoring (Gardener's components create such objects), the
// namespace garden and the priority classes.
func (d *Driver) prepareSeed(ctx context.Context) error {
	deployers, err := d.seedCRDs()
	if err != nil {
		return err
	}

	group, groupCtx := errgroup.WithContext(ctx)

	for _, deployer := range deployers {
		group.Go(func() error { return component.OpWait(deployer).Deploy(groupCtx) })
	}

	if err := group.Wait(); err != nil {
		return fmt.Errorf("CRDs of the seed: %w", err)
	}

	if err := d.namespace(ctx, constants.GardenNamespace, map[string]string{constants.GardenRole: constants.GardenNamespace}); err != nil {
		return err
	}

	return d.priorityClasses(ctx)
}

func (d *Driver) seedCRDs() ([]component.DeployWaiter, error) {
	c := d.seed.Client()

	extensions, err := crds.NewCRD(c, true, true)
	if err != nil {
		return nil, fmt.Errorf("CRDs of extensions: %w", err)
	}

	managed, err := crddeployer.New(c, []string{resourcemanager.CRD}, false)
	if err != nil {
		return nil, fmt.Errorf("CRD of managed resources: %w", err)
	}

	autoscaling, err := vpa.NewCRD(c, nil)
	if err != nil {
		return nil, fmt.Errorf("CRDs of autoscaling: %w", err)
	}

	monitoring, err := prometheusoperator.NewCRDs(c)
	if err != nil {
		return nil, fmt.Errorf("CRDs of monitoring: %w", err)
	}

	return []component.DeployWaiter{extensions, managed, autoscaling, monitoring}, nil
}

// priorityClasses are those that gardenlet makes on every seed (gardener, docs/development/priority-classes.md).
func (d *Driver) priorityClasses(ctx context.Context) error {
	values := map[string]int32{
		constants.PriorityClassNameSeedSystemCritical:   999998950,
		constants.PriorityClassNameSeedSystem900:        999998900,
		constants.PriorityClassNameSeedSystem800:        999998800,
		constants.PriorityClassNameSeedSystem700:        999998700,
		constants.PriorityClassNameSeedSystem600:        999998600,
		constants.PriorityClassNameShootControlPlane500: 999998500,
		constants.PriorityClassNameShootControlPlane400: 999998400,
		constants.PriorityClassNameShootControlPlane300: 999998300,
		constants.PriorityClassNameShootControlPlane200: 999998200,
		constants.PriorityClassNameShootControlPlane100: 999998100,
	}

	for name, value := range values {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := d.apply(ctx, class, func() { class.Value = value }); err != nil {
			return err
		}
	}

	return nil
}

// namespace creates a namespace or adds labels to it.
func (d *Driver) namespace(ctx context.Context, name string, labels map[string]string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}

	return d.apply(ctx, namespace, func() {
		for key, value := range labels {
			metav1.SetMetaDataLabel(&namespace.ObjectMeta, key, value)
		}
	})
}

// apply creates the object or patches it to what mutate makes of it.
func (d *Driver) apply(ctx context.Context, object client.Object, mutate func()) error {
	return applyWith(ctx, d.seed.Client(), object, mutate)
}

func applyWith(ctx context.Context, c client.Client, object client.Object, mutate func()) error {
	if _, err := controllerutil.CreateOrPatch(ctx, c, object, func() error {
		mutate()

		return nil
	}); err != nil {
		return fmt.Errorf("%T %s: %w", object, client.ObjectKeyFromObject(object), err)
	}

	return nil
}
