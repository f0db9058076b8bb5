// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ec2fake

import (
	"cmp"
	"encoding/xml"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

type tagXML struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type allocationXML struct {
	Cidr         string   `xml:"cidr"`
	ID           string   `xml:"ipamPoolAllocationId,omitempty"`
	Description  string   `xml:"description,omitempty"`
	ResourceID   string   `xml:"resourceId,omitempty"`
	ResourceType string   `xml:"resourceType"`
	Tags         []tagXML `xml:"tagSet>item"`
}

func (a *allocation) xml() allocationXML {
	x := allocationXML{Cidr: a.prefix.String(), ID: a.id, Description: a.description, ResourceID: a.resource, ResourceType: a.kind}
	for _, t := range a.tags {
		x.Tags = append(x.Tags, tagXML{t[0], t[1]})
	}
	return x
}

func allocated(a *allocation) any {
	return struct {
		XMLName    xml.Name      `xml:"AllocateIpamPoolCidrResponse"`
		Allocation allocationXML `xml:"ipamPoolAllocation"`
	}{Allocation: a.xml()}
}

// listAllocations is GetIpamPoolAllocations.
func (s *Server) listAllocations(form url.Values) (any, *problem) {
	p, wrong := s.poolOf(form)
	if wrong != nil {
		return nil, wrong
	}
	all := s.visible(p.id)
	if id := form.Get("IpamPoolAllocationId"); id != "" {
		all = slices.DeleteFunc(all, func(a *allocation) bool { return a.id != id })
		if len(all) == 0 {
			return nil, badRequest("InvalidIpamPoolAllocationId.NotFound", "The IPAM pool allocation (%s) does not exist.", id)
		}
	}
	page, next, wrong := pageOf(s, all, form)
	if wrong != nil {
		return nil, wrong
	}
	var items []allocationXML
	for _, a := range page {
		items = append(items, a.xml())
	}
	return struct {
		XMLName xml.Name        `xml:"GetIpamPoolAllocationsResponse"`
		Items   []allocationXML `xml:"ipamPoolAllocationSet>item"`
		Next    string          `xml:"nextToken,omitempty"`
	}{Items: items, Next: next}, nil
}

// listCidrs is GetIpamPoolCidrs.
func (s *Server) listCidrs(form url.Values) (any, *problem) {
	p, wrong := s.poolOf(form)
	if wrong != nil {
		return nil, wrong
	}
	page, next, wrong := pageOf(s, p.cidrs, form)
	if wrong != nil {
		return nil, wrong
	}
	type item struct {
		Cidr  string `xml:"cidr"`
		State string `xml:"state"`
	}
	// One that is on its way stands in every answer: nothing can be taken from it yet.
	items := []item{{"2001:db8:ffff::/48", "pending-provision"}}
	for _, c := range page {
		items = append(items, item{c.String(), "provisioned"})
	}
	return struct {
		XMLName xml.Name `xml:"GetIpamPoolCidrsResponse"`
		Items   []item   `xml:"ipamPoolCidrSet>item"`
		Next    string   `xml:"nextToken,omitempty"`
	}{Items: items, Next: next}, nil
}

// pageOf a list; a token is where the next page begins.
func pageOf[T any](s *Server, all []T, form url.Values) (page []T, next string, wrong *problem) {
	begin := 0
	if token := form.Get("NextToken"); token != "" {
		text, found := strings.CutPrefix(token, "page-")
		n, err := strconv.Atoi(text)
		if !found || err != nil || n < 0 {
			return nil, "", badRequest("InvalidNextToken", "The token is not valid.")
		}
		begin = n
	}
	begin = min(begin, len(all))
	end := min(begin+s.PageSize, len(all))
	if end < len(all) {
		next = "page-" + itoa(end)
	}
	return all[begin:end], next, nil
}

func itoa(n int) string { return strconv.Itoa(n) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
