// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// gathered is all that is known of a shoot's namespace.
type gathered struct {
	namespace *corev1.Namespace
	// infra is nil if there is none.
	infra *extensionsv1alpha1.Infrastructure
	// cluster is nil if there is none.
	cluster *extensionscontroller.Cluster
	// reservations are all of the namespace, those of a former shoot of this name included.
	reservations []v1alpha1.PrefixReservation
	// recheck is after how long to come back although nothing has changed; zero: not.
	recheck time.Duration
}

// again asks to come back after a while, if nobody asks for it earlier.
func (g *gathered) again(after time.Duration) {
	if g.recheck == 0 || after < g.recheck {
		g.recheck = after
	}
}

// gather reads the namespace live: a reservation is never made, and never given up, on the word of a cache. It returns
// nil for a namespace that is not a shoot's of our network type.
func (k *kit) gather(ctx context.Context, name string) (*gathered, error) {
	g := &gathered{namespace: &corev1.Namespace{}}
	if err := k.client.Get(ctx, client.ObjectKey{Name: name}, g.namespace); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if g.namespace.Labels[v1beta1constants.LabelNetworkingProvider] != shootplan.NetworkType {
		return nil, nil
	}

	// The reservations first: a worker that hangs after it has read that the shoot is gone must not see, and release, those of the
	// next shoot of the name.
	list := &v1alpha1.PrefixReservationList{}
	if err := k.live.List(ctx, list, client.InNamespace(name)); err != nil {
		return nil, fmt.Errorf("listing the PrefixReservations of %s: %w", name, err)
	}
	g.reservations = list.Items

	infras := &extensionsv1alpha1.InfrastructureList{}
	if err := k.live.List(ctx, infras, client.InNamespace(name)); err != nil {
		return nil, fmt.Errorf("listing the Infrastructures of %s: %w", name, err)
	}
	if len(infras.Items) > 0 {
		g.infra = &infras.Items[0] // a shoot has one
	}

	cluster, err := extensionscontroller.GetCluster(ctx, k.live, name)
	switch {
	case err == nil && cluster.Shoot == nil:
		return nil, fmt.Errorf("reading Cluster %s: it holds no Shoot", name)
	case err == nil:
		g.cluster = cluster
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("reading Cluster %s: %w", name, err)
	}
	return g, nil
}

// own are the reservations of the shoot that lives in the namespace now.
func (g *gathered) own() []*v1alpha1.PrefixReservation {
	return g.filter(func(r *v1alpha1.PrefixReservation) bool {
		return g.cluster != nil && r.Spec.Owner.ShootUID == infrastructure.UID(g.cluster.Shoot)
	})
}

// former are the reservations of shoots that had the name before.
func (g *gathered) former() []*v1alpha1.PrefixReservation {
	return g.filter(func(r *v1alpha1.PrefixReservation) bool {
		return g.cluster != nil && r.Spec.Owner.ShootUID != infrastructure.UID(g.cluster.Shoot)
	})
}

func (g *gathered) filter(want func(*v1alpha1.PrefixReservation) bool) []*v1alpha1.PrefixReservation {
	var found []*v1alpha1.PrefixReservation
	for i := range g.reservations {
		if want(&g.reservations[i]) {
			found = append(found, &g.reservations[i])
		}
	}
	return found
}

// Gardener keeps these in every shoot: the VPN and the node-local DNS.
var reservedByGardener = []netip.Prefix{
	netip.MustParsePrefix("fd8f:6d53:b97a:1::/96"),
	netip.MustParsePrefix("fd30:1319:f1e:230b::1/128"),
}

// avoid is what a new prefix for the reservation must not overlap: what belongs to the seed, to Gardener, to the shoot itself
// and to any other reservation of the seed. The backends know what they gave; this is the second line of defence, and the
// first against ranges that no backend knows.
func (k *kit) avoid(g *gathered, p plan.Plan, self *v1alpha1.PrefixReservation) (reservation.Avoid, error) {
	if !k.inventory.synced() {
		return nil, reservation.Errorf(reservation.Retry, "the reservations of the seed are not all known yet")
	}
	avoid := append([]netip.Prefix{}, reservedByGardener...)
	avoid = append(avoid, p.SeedNetworks...)
	for _, fixed := range p.Fixed {
		avoid = append(avoid, fixed)
	}
	avoid = append(avoid, g.foreign(p, infrastructure.KeyOf(self))...)
	holder := holderOf(self)
	for i := range g.reservations { // the shoot's own are known better than the watch has them
		r := &g.reservations[i]
		if allocated, err := netip.ParsePrefix(r.Status.Allocated); err == nil && holderOf(r) != holder {
			avoid = append(avoid, allocated)
		}
	}
	return func(p netip.Prefix) (netip.Prefix, bool) {
		if other, overlaps := prefix.OverlapsAny(p, avoid...); overlaps {
			return other, true
		}
		return k.inventory.overlapping(p, holder)
	}, nil
}

// foreign are the shoot's other ranges that are no reservations: those that the provider brings, what is published already, and
// the supernet of the pods. Pods that are a part of the nodes lie in them.
func (g *gathered) foreign(p plan.Plan, self plan.Key) []netip.Prefix {
	nested := func(other plan.Key) bool {
		return self.Range != keyword.Services && other.Range != keyword.Services && self.Family == other.Family &&
			slices.ContainsFunc(p.NodeRanges, func(r plan.NodeRange) bool { return r.Family == self.Family && r.From == keyword.Nodes })
	}
	var found []netip.Prefix
	add := func(key plan.Key, cidr netip.Prefix) {
		if key != self && !nested(key) {
			found = append(found, cidr)
		}
	}
	if s := p.PodSupernet; s.IsValid() {
		add(plan.Key{Range: keyword.Pods, Family: prefix.FamilyOf(s.Addr())}, s)
	}
	if g.infra != nil {
		for key, cidr := range (infrastructure.Shoot{Plan: p}).Custom(&g.infra.Status) {
			add(key, cidr)
		}
	}
	for _, name := range keyword.Names() {
		for _, family := range []prefix.Family{prefix.IPv6, prefix.IPv4} {
			key := plan.Key{Range: name, Family: family}
			if cidr, ok := infrastructure.PublishedBefore(g.cluster.Shoot, key); ok {
				add(key, cidr)
			}
		}
	}
	return found
}
