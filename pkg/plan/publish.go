// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Of are the published CIDRs of the range.
func (p Published) Of(n keyword.Name) []netip.Prefix {
	switch n {
	case keyword.Nodes:
		return p.Nodes
	case keyword.Pods:
		return p.Pods
	case keyword.Services:
		return p.Services
	}
	return nil
}

// Publish merges the fixed ranges with the reserved ones: the first child of PublishedBits of every reservation.
func (p Plan) Publish(reserved map[Key]netip.Prefix) (Published, error) {
	return p.PublishAdopted(reserved, nil)
}

// PublishAdopted is Publish where some ranges are adopted: those that the infrastructure provider reported by itself are
// published whole, because the nodes live anywhere in them. Of services that we were asked for it is only as much as Kubernetes can use.
func (p Plan) PublishAdopted(reserved, adopted map[Key]netip.Prefix) (Published, error) {
	held := map[Key]netip.Prefix{}
	maps.Copy(held, reserved)
	maps.Copy(held, adopted)
	errs := p.unfit(reserved, func(k Key, bits int) int { return bits })
	errs = append(errs, p.unfit(adopted, publishedBits)...)
	errs = append(errs, p.conflicts(p.known(held), adopted)...)
	if err := errs.OrNil(); err != nil {
		return Published{}, err
	}

	var out Published
	for _, n := range keyword.Names() {
		for _, f := range p.order() {
			k := Key{n, f}
			if !p.wants(k) {
				continue
			}
			cidr, ok := p.publish(k, held, adopted)
			switch {
			case ok && n == keyword.Nodes:
				out.Nodes = append(out.Nodes, cidr)
			case ok && n == keyword.Pods:
				out.Pods = append(out.Pods, cidr)
			case ok:
				out.Services = append(out.Services, cidr)
			case p.mustHave(k):
				out.Missing = append(out.Missing, k)
			}
		}
	}
	return out, nil
}

// publish is the CIDR of one key.
func (p Plan) publish(k Key, held, adopted map[Key]netip.Prefix) (netip.Prefix, bool) {
	if cidr, ok := p.Fixed[k]; ok {
		return PublishedPart(k, cidr), true
	}
	i := slices.IndexFunc(p.Requests, func(r Request) bool { return r.Key == k })
	if cidr, ok := adopted[k]; ok {
		if i >= 0 {
			cidr = adoptedPart(p.Requests[i], cidr)
		}
		return cidr, true
	}
	cidr, ok := held[k]
	if i >= 0 {
		return firstChild(cidr, p.Requests[i].PublishedBits), ok
	}
	if ok || k.Range != keyword.Pods {
		return cidr, ok
	}
	if p.fromNodes(k.Family) {
		if cidr, ok := p.publish(Key{keyword.Nodes, k.Family}, held, adopted); ok {
			return cidr, true
		}
	}
	if s := p.PodSupernet; s.IsValid() && prefix.FamilyOf(s.Addr()) == k.Family {
		return s, true
	}
	return netip.Prefix{}, false
}

// PublishedPart is what Kubernetes gets of a range of one's own: all of it, but of services no more than it can use.
func PublishedPart(k Key, own netip.Prefix) netip.Prefix {
	return firstChild(own, publishedBits(k, own.Bits()))
}

// usableServicesBits is the least length of services that every kube-apiserver accepts.
const usableServicesBits = 108

// adoptedPart is what Kubernetes gets of a reported range. Services that it can use are left as the provider reported them, for
// its routes and load balancers know them so (AWS reports a /108); of larger ones it is what everybody gets.
func adoptedPart(r Request, reported netip.Prefix) netip.Prefix {
	if r.Range == keyword.Services && reported.Bits() < usableServicesBits {
		return firstChild(reported, r.PublishedBits)
	}
	return reported
}

func firstChild(p netip.Prefix, bits int) netip.Prefix {
	return netip.PrefixFrom(p.Addr(), max(bits, p.Bits()))
}

// order of publication: the primary family first.
func (p Plan) order() []prefix.Family {
	if len(p.IPFamilies) > 0 && p.IPFamilies[0] == prefix.IPv4 {
		return []prefix.Family{prefix.IPv4, prefix.IPv6}
	}
	return []prefix.Family{prefix.IPv6, prefix.IPv4}
}

// wants tells whether the range may have a prefix of the family.
func (p Plan) wants(k Key) bool {
	r := p.Ranges.Get(k.Range)
	if r == nil {
		return true
	}
	_, ok := r.Value(k.Family)
	return ok
}

// mustHave tells whether the Shoot cannot go on without a prefix for the key. Nodes that somebody else addresses need none;
// pods and services that somebody else brings need one for each of the Shoot's families.
func (p Plan) mustHave(k Key) bool {
	r := p.Ranges.Get(k.Range)
	custom := r == nil
	if r != nil {
		v, _ := r.Value(k.Family)
		custom = v.Word == keyword.Custom
	}
	if custom {
		return k.Range != keyword.Nodes && slices.Contains(p.IPFamilies, k.Family)
	}
	return true
}

// fromNodes tells whether the pods of the family are a part of the nodes' own prefixes.
func (p Plan) fromNodes(f prefix.Family) bool {
	return slices.ContainsFunc(p.NodeRanges, func(r NodeRange) bool { return r.Family == f && r.From == keyword.Nodes })
}

// unfit are the held prefixes that do not satisfy what was asked for. Longest tells how long a prefix may be of which so many bits
// were asked for.
func (p Plan) unfit(held map[Key]netip.Prefix, longest func(k Key, bits int) int) ErrorList {
	var errs ErrorList
	for _, n := range keyword.Names() {
		for _, f := range p.order() {
			k := Key{n, f}
			if cidr, ok := held[k]; ok {
				errs = append(errs, p.check(k, cidr, longest)...)
			}
		}
	}
	return errs
}

// Adoptable tells whether a range that the infrastructure provider reports satisfies the range asked for. For services it is
// enough that it holds what is published.
func (p Plan) Adoptable(k Key, reported netip.Prefix) error {
	return p.check(k, reported, publishedBits).OrNil()
}

var uniqueLocal = netip.MustParsePrefix("fc00::/7")

// check tells what is wrong with a prefix for the key, whoever brought it.
func (p Plan) check(k Key, got netip.Prefix, longest func(k Key, bits int) int) ErrorList {
	r := p.Ranges.Get(k.Range)
	fail := func(format string, args ...any) ErrorList {
		return ErrorList{errorAt(r, k, RuleReserved, fmt.Sprintf(format, args...), "")}
	}
	switch {
	case !got.IsValid() || got != got.Masked():
		return fail("%v is no canonical CIDR", got)
	case prefix.FamilyOf(got.Addr()) != k.Family:
		return fail("%v is no %s range", got, k.Family)
	case keyword.Forbidden(got) != "":
		return fail("%v holds %s addresses, which can be nobody's %s", got, keyword.Forbidden(got), k.Range)
	case r == nil:
		return nil
	}
	v, ok := r.Value(k.Family)
	if !ok {
		return fail("%v is not asked for: %s have no %s", got, k.Range, k.Family)
	}
	if fixed, isFixed := p.Fixed[k]; isFixed && !prefix.Covers(got, firstChild(fixed, longest(k, fixed.Bits()))) {
		return fail("%v is not the range asked for, %v", got, fixed)
	}
	switch bits := v.Effective(k.Range); {
	case v.Word == keyword.V6Global && uniqueLocal.Overlaps(got):
		return fail("%v is not global: unique local addresses (RFC 4193) are what v6private asks for", got)
	case v.Word == keyword.V6Private && !prefix.Covers(uniqueLocal, got):
		return fail("%v is not a unique local range (RFC 4193)", got)
	case bits != 0 && got.Bits() > longest(k, bits):
		return fail("%v is smaller than the /%d asked for", got, bits)
	}
	return nil
}
