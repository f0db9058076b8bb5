// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package infrastructure

import (
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// NameOf the reservation of a range and family, and the name of the range in the owner's key.
func NameOf(spec *v1alpha1.PrefixReservationSpec) string {
	return string(spec.Range) + "-" + strings.ToLower(string(spec.Family))
}

// OwnerOf a reservation, as the backends record it, with the attempt that was last made.
func OwnerOf(r *v1alpha1.PrefixReservation) reservation.Owner {
	return reservation.Owner{
		GardenID: r.Spec.Owner.GardenID, ShootUID: r.Spec.Owner.ShootUID, Range: NameOf(&r.Spec), Attempt: max(int(r.Status.Attempt), 1),
	}
}
