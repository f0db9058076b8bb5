// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package infrastructure

import (
	"fmt"
	"net/netip"
	"slices"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// immutable are the pods and services that the Shoot has already: gardenlet merges them with what the Infrastructure reports, and a
// second CIDR of a family is more than kube-controller-manager and kube-proxy take.
func immutable(shoot *gardencorev1beta1.Shoot) map[plan.Key]netip.Prefix {
	found := map[plan.Key]netip.Prefix{}
	for _, family := range []prefix.Family{prefix.IPv6, prefix.IPv4} {
		for _, name := range []keyword.Name{keyword.Pods, keyword.Services} {
			key := plan.Key{Range: name, Family: family}
			if cidr, ok := PublishedBefore(shoot, key); ok {
				found[key] = cidr
			} else if cidr, ok := ofFamily(inSpec(shoot, name), family); ok {
				found[key] = cidr
			}
		}
	}
	return found
}

func inSpec(shoot *gardencorev1beta1.Shoot, name keyword.Name) []string {
	networking := shoot.Spec.Networking
	switch {
	case networking == nil:
	case name == keyword.Pods && networking.Pods != nil:
		return []string{*networking.Pods}
	case name == keyword.Services && networking.Services != nil:
		return []string{*networking.Services}
	}
	return nil
}

// keep publishes of pods and services what the Shoot has already, and nothing else. That reservations would give something else
// nobody can mend by publishing one of the two: it is an error.
func (s Shoot) keep(out plan.Published) (plan.Published, error) {
	for _, name := range []keyword.Name{keyword.Pods, keyword.Services} {
		var kept []netip.Prefix
		for _, family := range familyOrder(s.Plan) {
			key := plan.Key{Range: name, Family: family}
			i := slices.IndexFunc(out.Of(name), func(p netip.Prefix) bool { return prefix.FamilyOf(p.Addr()) == family })
			before, ok := s.Published[key]
			reserved := s.requested(key) || s.comesWithNodes(key)
			switch {
			case !ok || !s.wants(key) || i < 0 && reserved:
				if i >= 0 {
					kept = append(kept, out.Of(name)[i])
				}
			case reserved && out.Of(name)[i] != before:
				return plan.Published{}, fmt.Errorf("the Shoot has %s for %s, which cannot change, but the reservations give %s", before, name, out.Of(name)[i])
			default:
				kept = append(kept, before)
				out.Missing = slices.DeleteFunc(out.Missing, func(k plan.Key) bool { return k == key })
			}
		}
		if name == keyword.Pods {
			out.Pods = kept
		} else {
			out.Services = kept
		}
	}
	return out, nil
}

// wants tells whether the range has a prefix of the family.
func (s Shoot) wants(key plan.Key) bool {
	asked := s.Plan.Ranges.Get(key.Range)
	if asked == nil {
		return true
	}
	_, ok := asked.Value(key.Family)
	return ok
}

// asBound is the plan with the sizes that bound reservations have in the place of those that the Shoot asks for by now: a
// reservation is never resized, and what is published of it never changes.
func (s Shoot) asBound() plan.Plan {
	p := s.Plan
	p.Requests = slices.Clone(p.Requests)
	for i := range s.Reservations {
		r := &s.Reservations[i]
		key := KeyOf(r)
		at := slices.IndexFunc(p.Requests, func(q plan.Request) bool { return q.Key == key })
		asked := p.Ranges.Get(key.Range)
		if r.Status.Phase != v1alpha1.PhaseBound || at < 0 || asked == nil {
			continue
		}
		p.Requests[at].Bits, p.Requests[at].PublishedBits = int(r.Spec.PrefixLength), int(r.Spec.PublishedLength)
		own := keyword.Range{Values: slices.Clone(asked.Values)}
		for j := range own.Values {
			if v := &own.Values[j]; v.Family() == key.Family && !v.None() {
				v.Size = int(r.Spec.PrefixLength)
			}
		}
		p.Ranges = p.Ranges.With(key.Range, &own)
	}
	return p
}
