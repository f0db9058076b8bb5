// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objectipam

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// What marks an object as ours. The label only finds it, for labels are short; whose it is the annotations say.
const (
	// LabelGarden has the hash of the garden's identity.
	LabelGarden = "ipv6.networking.extensions.gardener.cloud/garden"
	// AnnotationOwner has the owner's key.
	AnnotationOwner = "ipv6.networking.extensions.gardener.cloud/owner"
	// AnnotationSeed has the name of the Seed that holds it.
	AnnotationSeed = "ipv6.networking.extensions.gardener.cloud/seed"
)

const namePrefix = "ipv6-"

// Name of the object of an owner.
func Name(owner reservation.Owner) string { return namePrefix + owner.Hash() }

// GardenValue is the value of LabelGarden.
func GardenValue(gardenID string) string {
	sum := sha256.Sum256([]byte(gardenID))
	return hex.EncodeToString(sum[:16])
}

// owner that an object is marked with.
func (o Object) owner() (reservation.Owner, bool) {
	owner, err := reservation.ParseOwner(o.Annotations[AnnotationOwner])
	return owner, err == nil
}

func (o Object) allocation(owner reservation.Owner) reservation.Allocation {
	return reservation.Allocation{Owner: owner, Seed: o.Annotations[AnnotationSeed], ID: o.Name, Prefix: o.Prefix, Since: o.Since}
}
