// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Lookup reads the owner's address in every region of the pools. By its name it is found at once, which a list does not promise.
func (r *Reserver) Lookup(ctx context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	var found []reservation.Allocation
	for _, at := range r.places() {
		got, there, err := r.get(ctx, at, owner)
		if err != nil {
			return nil, err
		}
		if there {
			found = append(found, got)
		}
	}
	slices.SortStableFunc(found, func(a, b reservation.Allocation) int { return a.Since.Compare(b.Since) })
	return found, nil
}

// List reads all pages of the addresses in every region of the pools. One that is still being made is left out: it has no prefix yet.
func (r *Reserver) List(ctx context.Context, gardenID string) ([]reservation.Allocation, error) {
	var found []reservation.Allocation
	for _, at := range r.places() {
		err := r.eachAddress(ctx, at, func(a *compute.Address) error {
			if a.Status == reserving {
				return nil
			}
			got, ours, err := r.allocation(at, a)
			if err != nil || !ours || got.Owner.GardenID != gardenID {
				return err
			}
			found = append(found, got)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// eachAddress goes through the addresses of ours. The filter only spares traffic; what is ours the marks tell.
func (r *Reserver) eachAddress(ctx context.Context, at place, do func(*compute.Address) error) error {
	list := r.service.Addresses.List(at.project, at.region).Filter(fmt.Sprintf("name eq %q", namePrefix+".*")).Context(ctx)
	for {
		page, err := list.Do()
		if err != nil {
			return problem(reading, err, "listing the addresses of %s in %s", at.project, at.region)
		}
		if w := page.Warning; w != nil && w.Code != "NO_RESULTS_ON_PAGE" {
			return reservation.Errorf(reservation.Retry, "the list of the addresses of %s in %s is not complete: %s", at.project, at.region, oneLine(w.Code))
		}
		for _, a := range page.Items {
			if err := do(a); err != nil {
				return err
			}
		}
		if page.NextPageToken == "" {
			return nil
		}
		list = list.PageToken(page.NextPageToken)
	}
}

// Release deletes the address if it is the owner's and nobody uses it.
func (r *Reserver) Release(ctx context.Context, allocation reservation.Allocation) error {
	places := r.places()
	name := nameOf(allocation.Owner)
	if at, named, ok := parseID(allocation.ID); ok { // else it was allocated by another backend, and claimed here
		places, name = []place{at}, named
	}
	for _, at := range places {
		if err := r.releaseIn(ctx, at, name, allocation); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reserver) releaseIn(ctx context.Context, at place, name string, allocation reservation.Allocation) error {
	got, err := r.service.Addresses.Get(at.project, at.region, name).Context(ctx).Do()
	if f := asFailure(err); f != nil && f.missing() {
		return nil
	}
	if err != nil {
		return problem(reading, err, "reading %s", at.address(name))
	}
	held, ours, err := r.allocation(at, got)
	switch {
	case err != nil:
		return err
	case !ours || held.Owner != allocation.Owner:
		return reservation.Errorf(reservation.Conflict, "%s is not held by %s: it is left alone", at.address(name), allocation.Owner.Key())
	case held.Prefix != allocation.Prefix:
		return reservation.Errorf(reservation.Conflict, "%s is %s, not %s: it is left alone", at.address(name), held.Prefix, allocation.Prefix)
	case allocation.Seed != "" && held.Seed != allocation.Seed:
		return reservation.Errorf(reservation.Retry, "%s (%s) is not released: seed %s has taken it over", at.address(name), held.Prefix, held.Seed)
	case len(got.Users) > 0:
		return reservation.Errorf(reservation.Retry, "%s (%s) is still in use by %s", at.address(name), held.Prefix, shortened(got.Users))
	}
	// No ID of the request: the service would repeat its earlier answer, also that it was in use.
	op, err := r.service.Addresses.Delete(at.project, at.region, name).Context(ctx).Do()
	if err == nil {
		err = r.finish(ctx, at, op)
	}
	if f := asFailure(err); f != nil && f.missing() {
		return nil
	}
	if err != nil {
		return problem(changing, err, "deleting %s (%s)", at.address(name), held.Prefix)
	}
	return nil
}

// shortened names what uses an address, without the part of the URL that is always the same.
func shortened(users []string) string {
	names := make([]string, len(users))
	for i, user := range users {
		names[i] = user[strings.LastIndex(user, "/projects/")+1:]
	}
	return strings.Join(names, ", ")
}

// Claim reserves this very /96 for the owner, or marks the one that he has with this seed.
func (r *Reserver) Claim(ctx context.Context, allocation reservation.Allocation) error {
	if allocation.Prefix.Bits() != Length || prefix.FamilyOf(allocation.Prefix.Addr()) != prefix.IPv6 {
		return reservation.Errorf(reservation.Invalid, "claiming %s: Compute Engine reserves IPv6 prefixes of /%d only", allocation.Prefix, Length)
	}
	held, err := r.Lookup(ctx, allocation.Owner)
	if err != nil {
		return err
	}
	for _, got := range held {
		if got.Prefix == allocation.Prefix {
			return r.takeOver(ctx, got)
		}
	}
	var gone []string
	for _, p := range r.pools {
		net, err := r.subnetwork(ctx, p)
		if reservation.KindOf(err) == reservation.Invalid { // no reason to give up what lies in another
			gone = append(gone, "; "+err.Error())
			continue
		}
		if err != nil {
			return err
		}
		if !prefix.Covers(net.prefix, allocation.Prefix) {
			continue
		}
		got, err := r.insert(ctx, p, net, allocation.Owner, allocation.Prefix.Addr())
		if err != nil {
			return fmt.Errorf("claiming %s: %w", allocation.Prefix, err)
		}
		return r.takeOver(ctx, got)
	}
	return reservation.Errorf(reservation.Invalid, "claiming %s: no pool of backend %s contains it%s", allocation.Prefix, r.name, strings.Join(gone, ""))
}

// takeOver says on an address that this seed holds it. The description can't be changed, the labels can; their fingerprint keeps two
// seeds from overwriting each other unseen.
func (r *Reserver) takeOver(ctx context.Context, held reservation.Allocation) error {
	if held.Seed == r.home.Seed {
		return nil
	}
	at, name, ok := parseID(held.ID)
	if !ok {
		return reservation.Errorf(reservation.Invalid, "%q is no address", held.ID)
	}
	got, err := r.service.Addresses.Get(at.project, at.region, name).Context(ctx).Do()
	if err != nil {
		return problem(reading, err, "reading %s", held.ID)
	}
	labels := map[string]string{seedLabel: labelOf(r.home.Seed)}
	for key, value := range got.Labels {
		if key != seedLabel {
			labels[key] = value
		}
	}
	op, err := r.service.Addresses.SetLabels(at.project, at.region, name, &compute.RegionSetLabelsRequest{
		LabelFingerprint: got.LabelFingerprint, Labels: labels,
	}).Context(ctx).Do()
	if err == nil {
		err = r.finish(ctx, at, op)
	}
	if err != nil {
		return problem(changing, err, "marking %s with seed %s", held.ID, r.home.Seed)
	}
	return nil
}

// Usage tells of each pool how many more /96 can be reserved. What runs out is the quota of the region, which all its pools share; a
// subnetwork has room for two thousand million.
func (r *Reserver) Usage(ctx context.Context) ([]reservation.Usage, error) {
	quotas := map[place]*compute.Quota{}
	var all []reservation.Usage
	for _, p := range r.pools {
		net, err := r.subnetwork(ctx, p)
		if err != nil {
			return nil, err
		}
		limit := math.Exp2(float64(Length - net.prefix.Bits() - 1))
		free := limit
		if net.addressType == "EXTERNAL" {
			quota, err := r.quota(ctx, p.place, quotas)
			if err != nil {
				return nil, err
			}
			if quota != nil {
				limit, free = quota.Limit, max(quota.Limit-quota.Usage, 0)
			}
		}
		const size = 1 << (128 - Length)
		usage := reservation.Usage{
			Pool: p.name, Capacity: limit * size, Free: free * size, LargestFree: -1, FreePrefixes: map[int]float64{Length: free},
		}
		if free > 0 {
			usage.LargestFree = Length
		}
		all = append(all, usage)
	}
	return all, nil
}

// quotaMetric is what the service calls the number of external /96 of a region.
const quotaMetric = "STATIC_EXTERNAL_IPV6_ADDRESS_RANGES"

// quota of a region; nil if it tells none.
func (r *Reserver) quota(ctx context.Context, at place, known map[place]*compute.Quota) (*compute.Quota, error) {
	if quota, done := known[at]; done {
		return quota, nil
	}
	region, err := r.service.Regions.Get(at.project, at.region).Context(ctx).Do()
	if err != nil {
		return nil, problem(reading, err, "reading the quotas of %s in %s", at.project, at.region)
	}
	known[at] = nil
	for _, quota := range region.Quotas {
		if quota.Metric == quotaMetric {
			known[at] = quota
		}
	}
	return known[at], nil
}
