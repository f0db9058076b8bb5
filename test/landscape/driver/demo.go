// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"path/filepath"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// demoShoot is the Shoot of the demo.
var demoShoot = client.ObjectKey{Namespace: "garden-" + projectName, Name: "demo"}

// Install makes garden and seed and installs extension and admission there, as operators do.
func (d *Driver) Install(ctx context.Context) error {
	return d.run(ctx, []step{
		{"seed: CRDs, priority classes", d.prepareSeed},
		{"operator: extension from its chart", d.installExtension},
		{"garden: gardener-apiserver with all its admission plugins", d.deployGarden},
		{"garden: cloud profile, project, seed, registrations", d.prepareGarden},
		{"operator: admission from its charts", d.installAdmission},
		{"operator: webhooks are registered", d.waitForWebhooks},
	})
}

// DeployDemo creates the demo's Shoot and does for it what gardenlet does.
func (d *Driver) DeployDemo(ctx context.Context) (*Cluster, error) {
	return d.DeployScenario(ctx, DemoScenario)
}

// Deploy applies the manifest of a Shoot and reconciles it. A deletion that was interrupted is completed first, and a Shoot
// that sleeps is woken up.
func (d *Driver) Deploy(ctx context.Context, manifest []byte, nodes int) (*Cluster, error) {
	if err := d.completeDeletion(ctx, manifest); err != nil {
		return nil, err
	}

	var shoot *gardencorev1beta1.Shoot

	if err := d.progress.Step(ctx, "owner: apply the Shoot; admission: read its keywords", func(ctx context.Context) (err error) {
		shoot, err = d.ApplyShoot(ctx, manifest)

		return err
	}); err != nil {
		return nil, err
	}

	if cluster := (&Cluster{Shoot: shoot}); cluster.hibernated() {
		cluster, err := d.adopt(ctx, shoot)
		if err != nil {
			return nil, err
		}

		return cluster.WakeUp(ctx, nodes)
	}

	return d.Reconcile(ctx, shoot, nodes)
}

func (d *Driver) completeDeletion(ctx context.Context, manifest []byte) error {
	wanted, err := shootFrom(manifest)
	if err != nil {
		return err
	}

	shoot := &gardencorev1beta1.Shoot{}
	if err := d.garden.Get(ctx, client.ObjectKeyFromObject(wanted), shoot); err != nil {
		return client.IgnoreNotFound(err)
	}

	if shoot.DeletionTimestamp == nil {
		return nil
	}

	cluster, err := d.Open(ctx, client.ObjectKeyFromObject(shoot))
	if err != nil {
		return err
	}

	return d.DeleteShoot(ctx, cluster)
}

// OpenDemo finds the demo's Shoot.
func (d *Driver) OpenDemo(ctx context.Context) (*Cluster, error) { return d.Open(ctx, demoShoot) }

// DeleteDemo deletes the demo's Shoot, whatever its scenario, if it is there.
func (d *Driver) DeleteDemo(ctx context.Context) error { return d.deleteOther(ctx, "") }

// SeedKubeconfigPath is where the kubeconfig of garden and seed for a person lies.
func SeedKubeconfigPath(dir string) string {
	return filepath.Join(dir, machine.GardenHost, "admin-host.kubeconfig")
}
