// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Owner says for whom a prefix is held. A shoot that is created again under the same name has another UID and so is another
// owner.
type Owner struct {
	// GardenID is the identity of the Gardener installation.
	GardenID string
	// ShootUID of the shoot.
	ShootUID string
	// Range is the name of the reservation: range and family, "nodes-ipv6".
	Range string
	// Attempt counts the allocations started for the same shoot and range. It changes when an earlier one was given up, so
	// that backends that remember keys of idempotency do not answer with the earlier one.
	Attempt int
}

const ownerVersion = "v1"

// Key is the owner as text: v1/<gardenID>/<shootUID>/<range>/<attempt>. Slashes and percent signs within a part are escaped.
func (o Owner) Key() string {
	return strings.Join([]string{ownerVersion, escape(o.GardenID), escape(o.ShootUID), escape(o.Range), strconv.Itoa(o.Attempt)}, "/")
}

// Hash is a short form of Key of 32 hexadecimal digits, for fields of limited length: names, tags, client tokens.
func (o Owner) Hash() string {
	sum := sha256.Sum256([]byte(o.Key()))
	return hex.EncodeToString(sum[:16])
}

// Shoot is the key without range and attempt: what all owners of one shoot have in common.
func (o Owner) Shoot() string {
	return strings.Join([]string{ownerVersion, escape(o.GardenID), escape(o.ShootUID)}, "/")
}

// ParseOwner reads a Key back.
func ParseOwner(key string) (Owner, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 || parts[0] != ownerVersion {
		return Owner{}, fmt.Errorf("owner key %q: want %s/<gardenID>/<shootUID>/<range>/<attempt>", key, ownerVersion)
	}
	attempt, err := strconv.Atoi(parts[4])
	if err != nil {
		return Owner{}, fmt.Errorf("owner key %q: attempt: %w", key, err)
	}
	return Owner{GardenID: unescape(parts[1]), ShootUID: unescape(parts[2]), Range: unescape(parts[3]), Attempt: attempt}, nil
}

var (
	escaper   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescaper = strings.NewReplacer("%25", "%", "%2F", "/")
)

func escape(s string) string   { return escaper.Replace(s) }
func unescape(s string) string { return unescaper.Replace(s) }
