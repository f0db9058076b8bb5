// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package infrastructure

import (
	"context"
	"fmt"
	"net/netip"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// BackendAdopted is the backend of a range that the infrastructure provider brought: recorded, never released.
const BackendAdopted = "adopted"

// Shoot is what a decision about its Infrastructure rests on.
type Shoot struct {
	Plan plan.Plan
	// PlanErr says why there is no plan.
	PlanErr error
	// Reservations of this very shoot, not of a former one of its name.
	Reservations []v1alpha1.PrefixReservation
	// Published are the pods and services that the Shoot has already, by its status, or else its spec. They never change.
	Published map[plan.Key]netip.Prefix
}

// Gather reads the shoot of a namespace: its Cluster and its reservations.
func Gather(ctx context.Context, reader client.Reader, namespace string) (Shoot, error) {
	cluster, err := extensionscontroller.GetCluster(ctx, reader, namespace)
	if err != nil {
		return Shoot{}, fmt.Errorf("reading Cluster %s: %w", namespace, err)
	}
	if cluster.Shoot == nil {
		return Shoot{}, fmt.Errorf("reading Cluster %s: it holds no Shoot", namespace)
	}
	list := &v1alpha1.PrefixReservationList{}
	if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return Shoot{}, fmt.Errorf("listing the PrefixReservations of %s: %w", namespace, err)
	}
	return Of(cluster.Shoot, cluster.Seed, list.Items), nil
}

// Of plans for a shoot and picks its own of the reservations.
func Of(shoot *gardencorev1beta1.Shoot, seed *gardencorev1beta1.Seed, reservations []v1alpha1.PrefixReservation) Shoot {
	s := Shoot{Published: immutable(shoot)}
	s.Plan, s.PlanErr = shootplan.Build(shoot, seed, nil)
	for _, r := range reservations {
		if r.Spec.Owner.ShootUID == UID(shoot) {
			s.Reservations = append(s.Reservations, r)
		}
	}
	return s
}

// UID of a shoot that survives its migration and the restoration of the garden's etcd from a backup.
func UID(shoot *gardencorev1beta1.Shoot) string {
	if shoot.Status.UID != "" {
		return string(shoot.Status.UID)
	}
	return string(shoot.UID)
}

// KeyOf the range that a reservation is for.
func KeyOf(r *v1alpha1.PrefixReservation) plan.Key {
	key := plan.Key{Range: keyword.Name(r.Spec.Range), Family: prefix.IPv6}
	if r.Spec.Family == v1alpha1.IPv4 {
		key.Family = prefix.IPv4
	}
	return key
}

// Publish says what the shoot's ranges are, as far as they are known: the fixed ones, those that are bound, and what the
// provider reports where it is asked for nothing else.
func (s Shoot) Publish(reported *extensionsv1alpha1.InfrastructureStatus) (plan.Published, error) {
	reserved, adopted := map[plan.Key]netip.Prefix{}, map[plan.Key]netip.Prefix{}
	for i := range s.Reservations {
		r := &s.Reservations[i]
		if r.Status.Phase != v1alpha1.PhaseBound {
			continue
		}
		allocated, err := netip.ParsePrefix(r.Status.Allocated)
		if err != nil {
			return plan.Published{}, fmt.Errorf("PrefixReservation %s: status.allocated: %w", r.Name, err)
		}
		if r.Status.Backend == BackendAdopted {
			adopted[KeyOf(r)] = allocated
		} else {
			reserved[KeyOf(r)] = allocated
		}
	}
	for key, cidr := range s.Custom(reported) {
		reserved[key] = cidr
	}
	published, err := s.asBound().PublishAdopted(reserved, adopted)
	if err != nil {
		return plan.Published{}, err
	}
	return s.keep(published)
}

// Custom are the ranges that somebody else brings, as far as the provider reports them.
func (s Shoot) Custom(reported *extensionsv1alpha1.InfrastructureStatus) map[plan.Key]netip.Prefix {
	found := map[plan.Key]netip.Prefix{}
	for _, name := range keyword.Names() {
		for _, family := range []prefix.Family{prefix.IPv4, prefix.IPv6} {
			if asked := s.Plan.Ranges.Get(name); asked != nil {
				if v, ok := asked.Value(family); !ok || v.Word != keyword.Custom {
					continue
				}
			}
			key := plan.Key{Range: name, Family: family}
			if cidr, ok := Reported(reported, key); ok {
				found[key] = cidr
			}
		}
	}
	return found
}

// PublishedBefore is the range that Kubernetes already has, as the Shoot's status says.
func PublishedBefore(shoot *gardencorev1beta1.Shoot, key plan.Key) (netip.Prefix, bool) {
	networking := shoot.Status.Networking
	if networking == nil {
		return netip.Prefix{}, false
	}
	switch key.Range {
	case keyword.Nodes:
		return ofFamily(networking.Nodes, key.Family)
	case keyword.Pods:
		return ofFamily(networking.Pods, key.Family)
	case keyword.Services:
		return ofFamily(networking.Services, key.Family)
	}
	return netip.Prefix{}, false
}

// Reported is the CIDR in an Infrastructure's status for a range and family.
func Reported(status *extensionsv1alpha1.InfrastructureStatus, key plan.Key) (netip.Prefix, bool) {
	return ofFamily(cidrsOf(status, key.Range), key.Family)
}

func ofFamily(cidrs []string, family prefix.Family) (netip.Prefix, bool) {
	for _, text := range cidrs {
		if cidr, err := netip.ParsePrefix(text); err == nil && prefix.FamilyOf(cidr.Addr()) == family {
			return cidr.Masked(), true
		}
	}
	return netip.Prefix{}, false
}

// cidrsOf are a range's CIDRs as gardenlet reads them: of the nodes, the one in the older field nodesCIDR comes first.
func cidrsOf(status *extensionsv1alpha1.InfrastructureStatus, name keyword.Name) []string {
	var cidrs []string
	if name == keyword.Nodes && status.NodesCIDR != nil {
		cidrs = append(cidrs, *status.NodesCIDR)
	}
	if status.Networking == nil {
		return cidrs
	}
	switch name {
	case keyword.Nodes:
		return append(cidrs, status.Networking.Nodes...)
	case keyword.Pods:
		return status.Networking.Pods
	case keyword.Services:
		return status.Networking.Services
	}
	return nil
}

// setCIDRs writes a range's CIDRs where gardenlet reads them. Where a provider uses the field nodesCIDR, that has to be the first
// one of networking.nodes, or gardenlet would see two of a family.
func setCIDRs(status *extensionsv1alpha1.InfrastructureStatus, name keyword.Name, cidrs []string) {
	if status.Networking == nil {
		status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{}
	}
	switch name {
	case keyword.Nodes:
		status.Networking.Nodes = cidrs
		switch {
		case status.NodesCIDR == nil:
		case len(cidrs) == 0:
			status.NodesCIDR = nil
		default:
			status.NodesCIDR = &cidrs[0]
		}
	case keyword.Pods:
		status.Networking.Pods = cidrs
	case keyword.Services:
		status.Networking.Services = cidrs
	}
}
