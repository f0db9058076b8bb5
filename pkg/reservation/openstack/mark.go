// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	// longest description that Neutron takes.
	longestDescription = 255
	// tag is for people and their tools that look at the cloud; nothing here depends on it, for it comes after the creation.
	tag = "gardener-ipv6-reservation"
	// reservedFor is the type of service of a subnet that no port has: Neutron gives no address of the subnet to a port of any other.
	reservedFor = "network:ipv6-reservation"

	seedPrefix = " seed="
	poolPrefix = " pool="
)

// mark says in the description of a subnet for whom and by which seed it is held.
type mark struct {
	owner reservation.Owner
	seed  string
}

func (m mark) String() string { return m.owner.Key() + seedPrefix + m.seed }

// parseMark reads a mark; false if it is none, and so the subnet is somebody else's.
func parseMark(description string) (mark, bool) {
	key, seed, found := strings.Cut(description, seedPrefix)
	if !found {
		return mark{}, false
	}
	owner, err := reservation.ParseOwner(key)
	return mark{owner: owner, seed: seed}, err == nil
}

// networkMark is the description of the network of a shoot's reservations from a pool.
func networkMark(owner reservation.Owner, poolID string) string {
	return owner.Shoot() + poolPrefix + poolID
}

// networkName follows from the shoot and the pool, so that a network whose creation nobody heard the end of is found again.
func networkName(owner reservation.Owner, poolID string) string {
	sum := sha256.Sum256([]byte(networkMark(owner, poolID)))
	return "ipv6-reservation-" + hex.EncodeToString(sum[:12])
}

// ours tells whether a network was made for reservations of the owner's shoot.
func ours(n networks.Network, owner reservation.Owner) bool {
	shoot, poolID, found := strings.Cut(n.Description, poolPrefix)
	return found && shoot == owner.Shoot() && n.Name == networkName(owner, poolID)
}
