// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// facts are what the decision rests on.
func (g *gathered) facts() reservation.Facts {
	f := reservation.Facts{NamespaceDeleted: g.namespace.DeletionTimestamp != nil}
	if g.infra != nil {
		f.Infrastructure = true
		f.InfrastructureMigrates = infrastructure.Migrating(g.infra)
		f.InfrastructureDeleted = g.infra.DeletionTimestamp != nil
	}
	if g.cluster != nil {
		f.Cluster = true
		f.ShootDeleted = g.cluster.Shoot.DeletionTimestamp != nil
		last := g.cluster.Shoot.Status.LastOperation
		f.ShootMigrates = last != nil && last.Type == gardencorev1beta1.LastOperationTypeMigrate
	}
	return f
}
