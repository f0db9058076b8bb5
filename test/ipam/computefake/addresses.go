// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package computefake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// address is what the service keeps.
type address struct {
	path, name, description, subnetwork, addressType string

	number int
	prefix netip.Prefix // invalid while it is being reserved
	made   time.Time
	labels map[string]string
	print  int // the labels' fingerprint
	users  []string
}

var (
	name  = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	uuid  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	label = regexp.MustCompile(`^[a-z0-9_-]{0,63}$`)
)

func (s *Server) link(path string) string { return "https://www.googleapis.com/compute/v1/" + path }

func (s *Server) view(a *address) *compute.Address {
	v := &compute.Address{
		Kind: "compute#address", Id: uint64(a.number), Name: a.name, Description: a.description, AddressType: a.addressType, IpVersion: "IPV6",
		Status: "RESERVING", CreationTimestamp: a.made.Format("2006-01-02T15:04:05.000-07:00"), Labels: a.labels, LabelFingerprint: fmt.Sprintf("print-%d", a.print),
		SelfLink: s.link(a.path), Subnetwork: s.link(a.subnetwork), Users: a.users,
	}
	if a.prefix.IsValid() {
		v.Status, v.Address, v.PrefixLength = "RESERVED", a.prefix.Addr().String(), int64(a.prefix.Bits())
		if len(a.users) > 0 {
			v.Status = "IN_USE"
		}
	}
	return v
}

func (s *Server) getSubnetwork(c call) answer {
	sub := s.subnetworks[c.path("subnetworks")]
	if sub == nil {
		return notFound(c.path("subnetworks"))
	}
	v := &compute.Subnetwork{Name: c.name, SelfLink: s.link(sub.path), Ipv6AccessType: sub.access}
	switch sub.access {
	case "EXTERNAL":
		v.ExternalIpv6Prefix = sub.prefix.String()
	case "INTERNAL":
		v.InternalIpv6Prefix = sub.prefix.String()
	}
	return answer{body: v}
}

func (s *Server) getRegion(c call) answer {
	return answer{body: &compute.Region{Name: c.region, Quotas: []*compute.Quota{
		{Metric: "STATIC_ADDRESSES", Limit: 8, Usage: 1},
		{Metric: "STATIC_EXTERNAL_IPV6_ADDRESS_RANGES", Limit: float64(s.quota), Usage: float64(s.external(c))},
	}}}
}

// external is how many external ranges there are in the region.
func (s *Server) external(c call) int {
	n := 0
	for path, a := range s.addresses {
		if strings.HasPrefix(path, c.path("addresses")) && a.addressType == "EXTERNAL" {
			n++
		}
	}
	return n
}

func notFound(path string) answer {
	return failed(http.StatusNotFound, "notFound", "The resource '%s' was not found", path)
}

func (s *Server) getAddress(c call) answer {
	a := s.addresses[c.path("addresses")]
	if a == nil || !a.prefix.IsValid() && !s.reserving {
		return notFound(c.path("addresses"))
	}
	return answer{body: s.view(a)}
}

var filter = regexp.MustCompile(`^name eq "?([^"]+)"?$`)

func (s *Server) listAddresses(c call) answer {
	matches := regexp.MustCompile("")
	if f := c.query.Get("filter"); f != "" {
		parts := filter.FindStringSubmatch(f)
		if parts == nil {
			return failed(http.StatusBadRequest, "invalid", "Invalid value for field 'filter': '%s'", f)
		}
		matches = regexp.MustCompile("^(?:" + parts[1] + ")$")
	}
	var found []*address
	for _, path := range slices.Sorted(maps.Keys(s.addresses)) {
		a := s.addresses[path]
		if strings.HasPrefix(path, c.path("addresses")) && matches.MatchString(a.name) && (a.prefix.IsValid() || s.reserving) {
			found = append(found, a)
		}
	}
	if s.lag > 0 && len(found) > 0 {
		s.lag--
		latest := slices.MaxFunc(found, func(a, b *address) int { return a.number - b.number })
		found = slices.DeleteFunc(found, func(a *address) bool { return a == latest })
	}
	page := &compute.AddressList{Kind: "compute#addressList"}
	for _, a := range found {
		switch {
		case a.name <= c.query.Get("pageToken"):
		case len(page.Items) == s.pageSize:
			page.NextPageToken = page.Items[len(page.Items)-1].Name
			return answer{body: page}
		default:
			page.Items = append(page.Items, s.view(a))
		}
	}
	return answer{body: page}
}

func (s *Server) insertAddress(c call) answer {
	in := &compute.Address{}
	if err := json.Unmarshal(c.body, in); err != nil {
		return failed(http.StatusBadRequest, "badRequest", "Parse error")
	}
	c.name = in.Name
	if earlier, again := s.requests[c.query.Get("requestId")]; again {
		return answer{body: s.operations[earlier].view()}
	}
	sub := s.subnetworks[in.Subnetwork]
	path := c.path("addresses")
	if wrong := invalid(in, sub, c); wrong != "" {
		return failed(http.StatusBadRequest, "invalid", "Invalid value for field '%s'", wrong)
	}
	switch {
	case sub == nil:
		return notFound(in.Subnetwork)
	case s.addresses[path] != nil:
		return failed(http.StatusConflict, "alreadyExists", "The resource '%s' already exists", path)
	case sub.access == "EXTERNAL" && s.external(call{project: c.project, region: c.region}) >= s.quota:
		return failed(http.StatusForbidden, "quotaExceeded", "Quota 'STATIC_EXTERNAL_IPV6_ADDRESS_RANGES' exceeded. Limit: %d.0 in region %s.", s.quota, c.region)
	}
	s.counter++
	a := &address{
		path: path, name: in.Name, description: in.Description, subnetwork: sub.path, addressType: in.AddressType, number: s.counter, made: time.Now(),
	}
	s.addresses[path] = a
	op := s.start(c, "insert", path, func() string { return s.reserve(a, sub, in.Address) }, func() {
		if s.addresses[path] == a {
			delete(s.addresses, path)
		}
	})
	if id := c.query.Get("requestId"); id != "" {
		s.requests[id] = op.path
	}
	return answer{body: op.view()}
}

// invalid names the field that the service would not accept.
func invalid(in *compute.Address, sub *subnetwork, c call) string {
	id := c.query.Get("requestId")
	switch {
	case !name.MatchString(in.Name):
		return "resource.name"
	case len(in.Description) > 2048:
		return "resource.description"
	case in.IpVersion != "IPV6":
		return "resource.ipVersion"
	case in.PrefixLength != 96:
		return "resource.prefixLength"
	case sub != nil && in.AddressType != sub.access:
		return "resource.addressType"
	case in.AddressType == "EXTERNAL" && in.Ipv6EndpointType != "VM":
		return "resource.ipv6EndpointType"
	case !strings.HasPrefix(in.Subnetwork, fmt.Sprintf("projects/%s/regions/%s/", c.project, c.region)):
		return "resource.subnetwork"
	case id != "" && !uuid.MatchString(id):
		return "requestId"
	case len(in.Labels) > 0:
		return "resource.labels" // "can only be added or modified by the setLabels method"
	}
	return ""
}

// reserve gives the address its range, at the end of the operation: the lowest that is free, so one that was released comes again at once.
func (s *Server) reserve(a *address, sub *subnetwork, explicit string) string {
	var used []netip.Prefix
	for _, other := range s.addresses {
		if other.prefix.IsValid() && other.subnetwork == sub.path {
			used = append(used, other.prefix)
		}
	}
	if sub.room >= 0 && len(used) >= sub.room {
		return "IP_SPACE_EXHAUSTED"
	}
	used = append(used, sub.taken...)
	if explicit != "" {
		wanted, err := netip.ParseAddr(explicit)
		cidr := netip.PrefixFrom(wanted, 96)
		_, overlaps := prefix.OverlapsAny(cidr, used...)
		switch {
		case err != nil || cidr != cidr.Masked() || !prefix.Covers(sub.prefix, cidr):
			return "INVALID_USAGE"
		case overlaps:
			return "IP_IN_USE_BY_ANOTHER_RESOURCE"
		}
		a.prefix = cidr
		return ""
	}
	half := netip.PrefixFrom(sub.prefix.Addr(), sub.prefix.Bits()+1)
	cut, ok, err := prefix.Cut([]netip.Prefix{half}, used, 96)
	if err != nil || !ok {
		return "IP_SPACE_EXHAUSTED"
	}
	a.prefix = cut
	return ""
}

// Take lets a range of a subnetwork be used by something that has no address of its own, a VM.
func (s *Server) Take(path string, p netip.Prefix) {
	s.set(func() { s.subnetworks[path].taken = append(s.subnetworks[path].taken, p) })
}

func (s *Server) deleteAddress(c call) answer {
	path := c.path("addresses")
	a := s.addresses[path]
	switch {
	case a == nil:
		return notFound(path)
	case len(a.users) > 0:
		return failed(http.StatusBadRequest, "resourceInUseByAnotherResource", "The address resource '%s' is already being used by '%s'", path, a.users[0])
	case !a.prefix.IsValid():
		return failed(http.StatusBadRequest, "resourceNotReady", "The resource '%s' is not ready", path)
	}
	return answer{body: s.start(c, "delete", path, func() string {
		if s.addresses[path] == a {
			delete(s.addresses, path)
		}
		return ""
	}, func() {}).view()}
}

func (s *Server) setLabels(c call) answer {
	path := c.path("addresses")
	a := s.addresses[path]
	in := &compute.RegionSetLabelsRequest{}
	switch {
	case json.Unmarshal(c.body, in) != nil:
		return failed(http.StatusBadRequest, "badRequest", "Parse error")
	case a == nil:
		return notFound(path)
	case in.LabelFingerprint != fmt.Sprintf("print-%d", a.print):
		return failed(http.StatusPreconditionFailed, "conditionNotMet", "Labels fingerprint either invalid or resource labels have changed")
	}
	for key, value := range in.Labels {
		if !label.MatchString(key) || !label.MatchString(value) {
			return failed(http.StatusBadRequest, "invalid", "Invalid value for field 'labels': '%s: %s'", key, value)
		}
	}
	return answer{body: s.start(c, "setLabels", path, func() string {
		a.labels = in.Labels
		a.print++
		return ""
	}, func() {}).view()}
}
