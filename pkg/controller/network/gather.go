// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// facts are everything that the decision for one shoot rests on.
type facts struct {
	namespace string
	// providerType of the Shoot.
	providerType string
	config       *v1alpha1.NetworkConfig
	plan         plan.Plan
	// ranges are the shoot's ranges as kube-apiserver and the nodes have them. They were published from the reservations
	// before, but it is these that the shoot lives by.
	ranges       map[plan.Key]netip.Prefix
	reservations []v1alpha1.PrefixReservation

	hibernated             bool
	genericTokenKubeconfig string
	shootVPA, seedVPA      bool
}

// gather reads the facts. A mistake of the Shoot's owner is a configuration problem, for which Gardener does not retry.
func gather(ctx context.Context, c client.Client, namespace string, cluster *extensionscontroller.Cluster) (facts, error) {
	if cluster == nil || cluster.Shoot == nil {
		return facts{}, fmt.Errorf("the Cluster resource %q holds no Shoot", namespace)
	}
	shoot, seed := cluster.Shoot, cluster.Seed

	reservations, err := listReservations(ctx, c, namespace)
	if err != nil {
		return facts{}, err
	}
	built, err := shootplan.Build(shoot, seed, held(reservations))
	if err != nil {
		return facts{}, configurationProblem(fmt.Errorf("the Shoot's ranges: %w", err))
	}
	f := facts{
		namespace:              namespace,
		providerType:           shoot.Spec.Provider.Type,
		plan:                   built,
		reservations:           reservations,
		hibernated:             extensionscontroller.IsHibernationEnabled(cluster),
		genericTokenKubeconfig: extensionscontroller.GenericTokenKubeconfigSecretNameFromCluster(cluster),
		shootVPA:               v1beta1helper.ShootWantsVerticalPodAutoscaler(shoot),
		seedVPA:                seed != nil && v1beta1helper.SeedSettingVerticalPodAutoscalerEnabled(seed.Spec.Settings),
	}
	if networking := shoot.Spec.Networking; networking != nil {
		if f.config, err = helper.DecodeNetworkConfig(networking.ProviderConfig); err != nil {
			return facts{}, configurationProblem(fmt.Errorf("the Shoot's spec.networking.providerConfig: %w", err))
		}
	} else {
		return facts{}, configurationProblem(fmt.Errorf("the Shoot has no spec.networking"))
	}
	if err := validation.ValidateNetworkConfig(f.config, providerConfigPath).ToAggregate(); err != nil {
		return facts{}, configurationProblem(err)
	}
	if f.ranges, err = shootRanges(cluster); err != nil {
		return facts{}, err
	}
	return f, nil
}

func configurationProblem(err error) error {
	return v1beta1helper.NewErrorWithCodes(err, gardencorev1beta1.ErrorConfigurationProblem)
}

// listReservations returns the shoot's reservations in the order of their names.
func listReservations(ctx context.Context, c client.Client, namespace string) ([]v1alpha1.PrefixReservation, error) {
	list := &v1alpha1.PrefixReservationList{}
	if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing the PrefixReservations in %s: %w", namespace, err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.PrefixReservation) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// held are the prefixes of the reservations that are bound.
func held(reservations []v1alpha1.PrefixReservation) map[plan.Key]netip.Prefix {
	prefixes := map[plan.Key]netip.Prefix{}
	for i := range reservations {
		r := &reservations[i]
		allocated, err := netip.ParsePrefix(r.Status.Allocated)
		if err != nil || r.Status.Phase != v1alpha1.PhaseBound {
			continue
		}
		prefixes[plan.Key{Range: keyword.Name(r.Spec.Range), Family: familyOf(allocated)}] = allocated
	}
	return prefixes
}

func familyOf(p netip.Prefix) prefix.Family { return prefix.FamilyOf(p.Addr()) }

// shootRanges reads the ranges that gardenlet works with: the status, which holds what the Infrastructure reported, and the
// spec, which holds what its owner fixed.
func shootRanges(cluster *extensionscontroller.Cluster) (map[plan.Key]netip.Prefix, error) {
	texts := map[keyword.Name][]string{
		keyword.Pods:     extensionscontroller.GetPodNetwork(cluster),
		keyword.Services: extensionscontroller.GetServiceNetwork(cluster),
		keyword.Nodes:    nodeNetwork(cluster.Shoot),
	}
	ranges := map[plan.Key]netip.Prefix{}
	for name, cidrs := range texts {
		for _, text := range cidrs {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				// A keyword that no admission rewrote: its range is in the status.
				continue
			}
			key := plan.Key{Range: name, Family: familyOf(p)}
			if other, ok := ranges[key]; ok && other != p.Masked() {
				return nil, fmt.Errorf("the Shoot has two %s ranges for %s, %s and %s; Kubernetes takes one", key.Family, name, other, p)
			}
			ranges[key] = p.Masked()
		}
	}
	return ranges, nil
}

// nodeNetwork does for nodes what Gardener's library does for pods and services. The status is first: nodes may be widened, and
// the spec then still holds the narrow range for a while.
func nodeNetwork(shoot *gardencorev1beta1.Shoot) []string {
	if shoot.Status.Networking != nil && len(shoot.Status.Networking.Nodes) > 0 {
		return shoot.Status.Networking.Nodes
	}
	if shoot.Spec.Networking != nil && shoot.Spec.Networking.Nodes != nil {
		return []string{*shoot.Spec.Networking.Nodes}
	}
	return nil
}
