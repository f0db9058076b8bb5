// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/extensions"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	podsecurityadmissionapi "k8s.io/pod-security-admission/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// projectName is the project that the landscape's Shoots live in; its namespace is garden-dev.
const projectName = "dev"

// Cluster is one Shoot, as gardenlet carries it through its reconciliation.
type Cluster struct {
	*Driver

	// Shoot as it was last read from the garden.
	Shoot *gardencorev1beta1.Shoot
	// Namespace of its control plane in the seed.
	Namespace string
	// Scenario that it belongs to.
	Scenario Scenario

	secrets secretsmanager.Interface
}

// Ranges are the CIDRs that gardenlet hands to the components of a Shoot, primary family first.
type Ranges struct {
	Nodes, Pods, Services []net.IPNet
}

// adopt takes over a Shoot as gardenlet does when it sees one for the first time: it gets a UID and a technical ID.
func (d *Driver) adopt(ctx context.Context, shoot *gardencorev1beta1.Shoot) (*Cluster, error) {
	scenario, err := d.scenarioOf(shoot)
	if err != nil {
		return nil, fmt.Errorf("Shoot %s: %w", shoot.Name, err)
	}

	cluster := &Cluster{Driver: d, Shoot: shoot, Namespace: gardenerutils.ComputeTechnicalID(projectName, shoot), Scenario: scenario}

	before := shoot.DeepCopy()
	if controllerutil.AddFinalizer(shoot, gardencorev1beta1.GardenerName) {
		if err := d.garden.Patch(ctx, shoot, client.MergeFrom(before)); err != nil {
			return nil, fmt.Errorf("finalizer of Shoot %s: %w", shoot.Name, err)
		}
	}

	return cluster, cluster.patchStatus(ctx, func(status *gardencorev1beta1.ShootStatus) {
		status.TechnicalID = cluster.Namespace
		status.UID = shoot.UID
		status.SeedName = shoot.Spec.SeedName
		status.ObservedGeneration = shoot.Generation
		status.Gardener = gardencorev1beta1.Gardener{ID: gardenID, Name: "landscape-driver", Version: gardenerVersion}
	})
}

func (c *Cluster) patchStatus(ctx context.Context, change func(*gardencorev1beta1.ShootStatus)) error {
	before := c.Shoot.DeepCopy()
	change(&c.Shoot.Status)

	if err := c.garden.Status().Patch(ctx, c.Shoot, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("status of Shoot %s: %w", client.ObjectKeyFromObject(c.Shoot), err)
	}

	return nil
}

// deployNamespace makes the namespace of the control plane with the labels by which extensions' webhooks select it.
func (c *Cluster) deployNamespace(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}}
	networkType := *c.Shoot.Spec.Networking.Type

	return c.apply(ctx, namespace, func() {
		metav1.SetMetaDataAnnotation(&namespace.ObjectMeta, constants.ShootUID, string(c.Shoot.Status.UID))

		for key, value := range map[string]string{
			constants.GardenRole:                                        constants.GardenRoleShoot,
			constants.LabelSeedProvider:                                 c.Shoot.Spec.Provider.Type,
			constants.LabelShootProvider:                                c.Shoot.Spec.Provider.Type,
			constants.LabelNetworkingProvider:                           networkType,
			constants.LabelExtensionPrefix + networkType:                "true",
			constants.LabelExtensionPrefix + c.Shoot.Spec.Provider.Type: "true",
			podsecurityadmissionapi.EnforceLevelLabel:                   string(podsecurityadmissionapi.LevelPrivileged),
		} {
			metav1.SetMetaDataLabel(&namespace.ObjectMeta, key, value)
		}
	})
}

// syncCluster copies Shoot, CloudProfile and Seed to where extensions read them.
func (c *Cluster) syncCluster(ctx context.Context) error {
	profile := &gardencorev1beta1.CloudProfile{}
	if err := c.garden.Get(ctx, client.ObjectKey{Name: c.Shoot.Spec.CloudProfile.Name}, profile); err != nil {
		return fmt.Errorf("CloudProfile of Shoot %s: %w", c.Shoot.Name, err)
	}

	seed := &gardencorev1beta1.Seed{}
	if err := c.garden.Get(ctx, client.ObjectKey{Name: *c.Shoot.Spec.SeedName}, seed); err != nil {
		return fmt.Errorf("Seed of Shoot %s: %w", c.Shoot.Name, err)
	}

	if err := extensions.SyncClusterResourceToSeed(ctx, c.seed.Client(), c.Namespace, c.Shoot, profile, seed); err != nil {
		return fmt.Errorf("Cluster %s: %w", c.Namespace, err)
	}

	return nil
}

// ranges merges what the owner wrote with what the infrastructure's status gave, as gardenlet does.
func (c *Cluster) ranges() (Ranges, error) {
	spec, status := c.Shoot.Spec.Networking, c.Shoot.Status.Networking
	if status == nil {
		status = &gardencorev1beta1.NetworkingStatus{}
	}

	var (
		ranges Ranges
		err    error
	)

	for _, item := range []struct {
		name  string
		spec  *string
		extra []string
		into  *[]net.IPNet
	}{
		{"nodes", spec.Nodes, status.Nodes, &ranges.Nodes},
		{"pods", spec.Pods, status.Pods, &ranges.Pods},
		{"services", spec.Services, status.Services, &ranges.Services},
	} {
		if *item.into, err = mergeCIDRs(item.spec, item.extra); err != nil {
			return Ranges{}, fmt.Errorf("range %s of Shoot %s: %w", item.name, c.Shoot.Name, err)
		}

		// nodes that somebody else addresses have no range
		if len(*item.into) == 0 && item.name != "nodes" {
			return Ranges{}, fmt.Errorf("range %s of Shoot %s is not known", item.name, c.Shoot.Name)
		}
	}

	return ranges, nil
}

func mergeCIDRs(fromSpec *string, fromStatus []string) ([]net.IPNet, error) {
	texts := slices.Clone(fromStatus)
	if fromSpec != nil && !slices.Contains(texts, *fromSpec) {
		texts = append(texts, *fromSpec)
	}

	var merged []net.IPNet

	for _, text := range texts {
		_, parsed, err := net.ParseCIDR(text)
		if err != nil {
			return nil, err
		}

		merged = append(merged, *parsed)
	}

	return merged, nil
}

// apiAddress is where nodes and pods of the Shoot find its API server: in the primary family of their Services, of which the Service
// "kubernetes" and so its endpoint are.
func (c *Cluster) apiAddress() netip.Addr {
	if families := c.Shoot.Spec.Networking.IPFamilies; len(families) > 0 && families[0] == gardencorev1beta1.IPFamilyIPv4 {
		return c.machine.ShootAPIAddressIPv4()
	}

	return c.machine.ShootAPIAddress()
}

// NodesRange is the first range of the nodes.
func (c *Cluster) NodesRange() (netip.Prefix, error) {
	ranges, err := c.ranges()
	if err != nil {
		return netip.Prefix{}, err
	}

	if len(ranges.Nodes) == 0 {
		return netip.Prefix{}, fmt.Errorf("range nodes of Shoot %s is not known", c.Shoot.Name)
	}

	return netip.ParsePrefix(ranges.Nodes[0].String())
}

// providerConfig is the Shoot's networking.providerConfig as admission left it.
func (c *Cluster) providerConfig() *runtime.RawExtension {
	if c.Shoot.Spec.Networking.ProviderConfig == nil {
		return nil
	}

	return c.Shoot.Spec.Networking.ProviderConfig.DeepCopy()
}

// shootFrom decodes a manifest of a Shoot.
func shootFrom(manifest []byte) (*gardencorev1beta1.Shoot, error) {
	objects, err := decode(manifest)
	if err != nil {
		return nil, err
	}

	if len(objects) != 1 || objects[0].GetKind() != "Shoot" {
		return nil, fmt.Errorf("the manifest holds %d objects, not one Shoot", len(objects))
	}

	raw, err := json.Marshal(objects[0].Object)
	if err != nil {
		return nil, fmt.Errorf("manifest of a Shoot: %w", err)
	}

	shoot := &gardencorev1beta1.Shoot{}
	if err := json.Unmarshal(raw, shoot); err != nil {
		return nil, fmt.Errorf("manifest of a Shoot: %w", err)
	}

	return shoot, nil
}
