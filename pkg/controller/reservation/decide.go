// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// action is what to do with the reservations of a shoot.
type action string

const (
	ensure  action = "Ensure"  // reserve what is missing
	keep    action = "Keep"    // touch nothing
	release action = "Release" // give everything back
	migrate action = "Migrate" // let go without giving back: another seed takes over
)

// decide from what was gathered. Whenever it is not certain that nobody uses the prefixes any more, they are kept.
func decide(g *gathered) (action, string) {
	switch {
	case g.infra != nil && infrastructure.Migrating(g.infra):
		return migrate, "the Infrastructure is being migrated"
	case g.infra != nil && g.infra.DeletionTimestamp != nil:
		return keep, "the Infrastructure is being deleted and may still use the prefixes"
	case g.infra != nil && g.cluster == nil:
		return keep, "there is no Cluster yet"
	case g.infra != nil && g.namespace.DeletionTimestamp != nil:
		return keep, "the namespace is being deleted, but the Infrastructure is still there"
	case g.infra != nil:
		return ensure, "there is an Infrastructure"
	case g.namespace.DeletionTimestamp != nil && !shootMigrates(g):
		return release, "the namespace is being deleted and the Infrastructure is gone"
	case g.cluster == nil:
		return release, "Infrastructure and Cluster are gone"
	case shootMigrates(g):
		return migrate, "the Shoot is being migrated"
	case g.cluster.Shoot.DeletionTimestamp != nil:
		return release, "the Shoot is being deleted and the Infrastructure is gone"
	default:
		return keep, "there is no Infrastructure, but the Shoot lives"
	}
}

func shootMigrates(g *gathered) bool {
	if g.cluster == nil {
		return false
	}
	last := g.cluster.Shoot.Status.LastOperation
	return last != nil && last.Type == gardencorev1beta1.LastOperationTypeMigrate
}
