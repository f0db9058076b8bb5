// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	namePrefix = "ipv6-"
	seedMark   = " seed="
	// seedLabel names the seed that holds an address if it is not the one of the description any more.
	seedLabel = "ipv6-gardener-cloud-seed"
	// reserving is the status of an address that is still being made.
	reserving = "RESERVING"
)

var addressID = regexp.MustCompile(`^projects/([^/]+)/regions/([^/]+)/addresses/(` + namePrefix + `[0-9a-f]{32})$`)

// nameOf is what an owner's address is called, in every project and region.
func nameOf(owner reservation.Owner) string { return namePrefix + owner.Hash() }

// describe is the mark of ours. Neither an owner's key nor a seed's name has a blank that could be mistaken for the separator:
// a key ends with the number of the attempt.
func describe(owner reservation.Owner, seed string) string { return owner.Key() + seedMark + seed }

// undescribe reads a mark back; false for what is not ours.
func undescribe(description string) (owner reservation.Owner, seed string, ours bool) {
	at := strings.LastIndex(description, seedMark)
	if at < 0 {
		return owner, "", false
	}
	owner, err := reservation.ParseOwner(description[:at])
	return owner, description[at+len(seedMark):], err == nil
}

// A label's value has at most 63 of: lower case letters, digits, - and _. Names of seeds have dots besides, but no underscores.
const labelLength = 63

func labelOf(seed string) string {
	if value := strings.ReplaceAll(seed, ".", "_"); len(value) <= labelLength {
		return value
	}
	return fmt.Sprintf("sha256-%x", sha256.Sum256([]byte(seed)))[:labelLength]
}

// seedOf reads the label; one that is too long for it is recognised only by that seed itself.
func (r *Reserver) seedOf(label string) string {
	if label == labelOf(r.home.Seed) {
		return r.home.Seed
	}
	return strings.ReplaceAll(label, "_", ".")
}

// requestID is a UUID by which the service recognises a repeated request. It is made of all that the request says: one that is sent to
// another subnetwork is another one. Its form is that of version 4 (RFC 9562), random, which everybody accepts.
func requestID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	sum[6] = sum[6]&0x0f | 0x40
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// allocation reads an address that bears a mark of ours; false if it bears none. One that is still being made is an error.
func (r *Reserver) allocation(at place, a *compute.Address) (reservation.Allocation, bool, error) {
	owner, seed, ours := undescribe(a.Description)
	if !ours || a.Name != nameOf(owner) {
		return reservation.Allocation{}, false, nil
	}
	id := at.address(a.Name)
	if a.Status == reserving || a.Address == "" {
		return reservation.Allocation{}, true, reservation.Errorf(reservation.Retry, "%s is still being reserved", id)
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(a.Address, fmt.Sprintf("/%d", a.PrefixLength)))
	if err != nil || a.PrefixLength <= 0 || a.PrefixLength > 128 {
		return reservation.Allocation{}, true, fmt.Errorf("%s: %q with length %d is no prefix", id, a.Address, a.PrefixLength)
	}
	if label, moved := a.Labels[seedLabel]; moved {
		seed = r.seedOf(label)
	}
	// A time that can't be read is left zero: nothing depends on it but which of several is the oldest.
	since, _ := time.Parse(time.RFC3339, a.CreationTimestamp) //nolint:errcheck // see above
	return reservation.Allocation{
		Owner: owner, Seed: seed, ID: id, Prefix: netip.PrefixFrom(addr, int(a.PrefixLength)).Masked(), Since: since,
	}, true, nil
}

// parseID reads the ID of an allocation; false if it is none of ours.
func parseID(id string) (place, string, bool) {
	parts := addressID.FindStringSubmatch(id)
	if parts == nil {
		return place{}, "", false
	}
	return place{project: parts[1], region: parts[2]}, parts[3], true
}
