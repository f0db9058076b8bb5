// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ec2fake

import (
	"encoding/xml"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// pool of VPC IPAM.
type pool struct {
	id          string
	cidrs       []netip.Prefix
	quota       int
	allocations []*allocation
}

// allocation of a pool.
type allocation struct {
	pool, id    string
	prefix      netip.Prefix
	description string
	kind        string // custom, vpc, ipam-pool
	resource    string
	tags        [][2]string
}

// AddPool makes a pool with CIDRs provisioned to it, and returns its ID.
func (s *Server) AddPool(cidrs ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &pool{id: s.id("ipam-pool-")}
	for _, c := range cidrs {
		p.cidrs = append(p.cidrs, netip.MustParsePrefix(c))
	}
	s.pools[p.id] = p
	return p.id
}

// SetQuota limits how many allocations a pool may have; 0 does not.
func (s *Server) SetQuota(pool string, allocations int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[pool].quota = allocations
}

// Occupy allocates a prefix to a VPC ("vpc-…"), to a pool below ("ipam-pool-…") or by hand, if resource is empty.
func (s *Server) Occupy(pool, cidr, resource, description string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := "custom"
	if resource != "" {
		kind = resource[:strings.LastIndex(resource, "-")]
	}
	s.add(&allocation{pool: pool, prefix: netip.MustParsePrefix(cidr), kind: kind, resource: resource, description: description})
}

// Vanish removes an allocation as somebody would by hand.
func (s *Server) Vanish(pool, cidr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(pool, func(a *allocation) bool { return a.prefix.String() == cidr })
}

// Tags of the allocation of this prefix, as key=value.
func (s *Server) Tags(p netip.Prefix) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var texts []string
	for _, a := range s.held() {
		if a.prefix == p {
			for _, t := range a.tags {
				texts = append(texts, t[0]+"="+t[1])
			}
		}
	}
	return texts
}

// held is everything, in the order of pools and of allocation.
func (s *Server) held() []*allocation {
	var all []*allocation
	for _, id := range sortedKeys(s.pools) {
		all = append(all, s.pools[id].allocations...)
	}
	return all
}

// remember what lists show while they lag.
func (s *Server) remember() {
	s.before = nil
	for _, a := range s.held() {
		was := *a
		s.before = append(s.before, &was)
	}
}

func (s *Server) add(a *allocation) {
	s.remember()
	a.id = s.id("ipam-pool-alloc-")
	s.pools[a.pool].allocations = append(s.pools[a.pool].allocations, a)
}

func (s *Server) drop(pool string, match func(*allocation) bool) {
	s.remember()
	s.pools[pool].allocations = slices.DeleteFunc(s.pools[pool].allocations, match)
}

// visible is what a list shows of a pool.
func (s *Server) visible(pool string) []*allocation {
	all := s.held()
	if s.lag > 0 {
		s.lag--
		all = s.before
	}
	return slices.DeleteFunc(slices.Clone(all), func(a *allocation) bool { return a.pool != pool })
}

func (s *Server) poolOf(form url.Values) (*pool, *problem) {
	id := form.Get("IpamPoolId")
	if p, ok := s.pools[id]; ok {
		return p, nil
	}
	return nil, badRequest("InvalidIpamPoolId.NotFound", "The IPAM pool (%s) does not exist.", id)
}

// allocate is AllocateIpamPoolCidr. A client token is remembered once its call has succeeded.
func (s *Server) allocate(form url.Values) (any, *problem) {
	p, wrong := s.poolOf(form)
	if wrong != nil {
		return nil, wrong
	}
	token, parameters := form.Get("ClientToken"), parametersOf(form)
	if earlier, ok := s.answer[token]; ok && token != "" {
		if earlier.parameters != parameters {
			return nil, badRequest("IdempotentParameterMismatch", "The client token you have provided is associated with another request.")
		}
		return allocated(&earlier.allocation), nil
	}
	if len(token) > 64 || len(form.Get("Description")) > 255 {
		return nil, badRequest("InvalidParameterValue", "A value is too long.")
	}
	got, wrong := p.choose(form)
	if wrong != nil {
		return nil, wrong
	}
	a := &allocation{pool: p.id, prefix: got, kind: "custom", description: form.Get("Description"), tags: tagsOf(form)}
	if form.Get("PreviewNextCidr") == "true" {
		return allocated(a), nil
	}
	if p.quota > 0 && len(p.allocations) >= p.quota {
		return nil, badRequest("IpamPoolAllocationLimitExceeded", "You have reached the limit of %d allocations.", p.quota)
	}
	s.add(a)
	if token != "" {
		s.answer[token] = answered{parameters, *a}
	}
	return allocated(a), nil
}

// choose a prefix of the length, or the very CIDR.
func (p *pool) choose(form url.Values) (netip.Prefix, *problem) {
	var used []netip.Prefix
	for _, a := range p.allocations {
		used = append(used, a.prefix)
	}
	if cidr := form.Get("Cidr"); cidr != "" {
		want, err := netip.ParsePrefix(cidr)
		if err != nil || !slices.ContainsFunc(p.cidrs, func(c netip.Prefix) bool { return prefix.Covers(c, want) }) {
			return want, badRequest("InvalidParameterValue", "The CIDR %s is not in the pool.", cidr)
		}
		if _, taken := prefix.OverlapsAny(want, used...); taken {
			return want, badRequest("InvalidParameterValue", "The CIDR %s is not available.", cidr)
		}
		return want, nil
	}
	bits, err := strconv.Atoi(form.Get("NetmaskLength"))
	if err != nil {
		return netip.Prefix{}, badRequest("MissingParameter", "The request must contain NetmaskLength or Cidr.")
	}
	for i := 1; form.Has(fmt.Sprintf("DisallowedCidr.%d", i)); i++ {
		no, err := netip.ParsePrefix(form.Get(fmt.Sprintf("DisallowedCidr.%d", i)))
		if err != nil {
			return no, badRequest("InvalidParameterValue", "A disallowed CIDR is malformed.")
		}
		used = append(used, no)
	}
	got, ok, err := prefix.Cut(p.cidrs, used, bits)
	if err != nil || !ok {
		return got, badRequest("InvalidParameterValue", "The allocation size is too big for the pool.")
	}
	return got, nil
}

// release is ReleaseIpamPoolAllocation.
func (s *Server) release(form url.Values) (any, *problem) {
	p, wrong := s.poolOf(form)
	if wrong != nil {
		return nil, wrong
	}
	id, cidr := form.Get("IpamPoolAllocationId"), form.Get("Cidr")
	at := slices.IndexFunc(p.allocations, func(a *allocation) bool { return a.id == id && a.prefix.String() == cidr })
	if at < 0 {
		return nil, badRequest("InvalidParameterCombination", "No allocation found with the given CIDR %s and allocation %s.", cidr, id)
	}
	if p.allocations[at].kind != "custom" {
		return nil, badRequest("InvalidParameterValue", "Only manual allocations can be released, not %s.", p.allocations[at].resource)
	}
	s.drop(p.id, func(a *allocation) bool { return a.id == id })
	return struct {
		XMLName xml.Name `xml:"ReleaseIpamPoolAllocationResponse"`
		Success bool     `xml:"success"`
	}{Success: true}, nil
}

// modify is ModifyIpamPoolAllocation.
func (s *Server) modify(form url.Values) (any, *problem) {
	id := form.Get("IpamPoolAllocationId")
	for _, a := range s.held() {
		if a.id == id {
			s.remember()
			a.description = form.Get("Description")
			return struct {
				XMLName    xml.Name      `xml:"ModifyIpamPoolAllocationResponse"`
				Allocation allocationXML `xml:"ipamPoolAllocation"`
			}{Allocation: a.xml()}, nil
		}
	}
	return nil, badRequest("InvalidIpamPoolAllocationId.NotFound", "The IPAM pool allocation (%s) does not exist.", id)
}

// parametersOf a call, without what may differ between two calls that are the same.
func parametersOf(form url.Values) string {
	var parts []string
	for _, name := range sortedKeys(form) {
		if name != "ClientToken" && name != "DryRun" {
			parts = append(parts, name+"="+form.Get(name))
		}
	}
	return strings.Join(parts, "&")
}

func tagsOf(form url.Values) (tags [][2]string) {
	for i := 1; form.Has(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", i)); i++ {
		tags = append(tags, [2]string{
			form.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", i)), form.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Value", i)),
		})
	}
	return tags
}
