// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
)

func TestRequests(t *testing.T) {
	g := NewWithT(t)
	before, err := parseRequests([]byte(`# HELP apiserver_request_total [STABLE] Counter of apiserver requests
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="PUT",version="v1"} 3
apiserver_request_total{code="200",component="apiserver",resource="configmaps",subresource="",verb="GET",version="v1"} 8
apiserver_request_terminations_total{code="200",resource="configmaps",verb="PUT"} 99
`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(before).To(Equal(requests{"PUT configmaps": 3, "GET configmaps": 8}))
	after, err := parseRequests([]byte(`apiserver_request_total{code="200",resource="configmaps",subresource="",verb="PUT"} 5
apiserver_request_total{code="409",resource="configmaps",subresource="",verb="PUT"} 1
apiserver_request_total{code="200",resource="configmaps",subresource="",verb="GET"} 8
apiserver_request_total{code="200",resource="prefixreservations",subresource="status",verb="PUT"} 1e+02
`))
	g.Expect(err).NotTo(HaveOccurred())
	made := before.until(after)
	g.Expect(made).To(Equal(requests{"PUT configmaps": 3, "PUT prefixreservations/status": 100}), "a refused write is a write")
	g.Expect(made.writes()).To(Equal(103.0))
	g.Expect(made.writes("configmaps")).To(Equal(3.0))
}

func TestDisjoint(t *testing.T) {
	g := NewWithT(t)
	of := func(texts ...string) map[string]reserved {
		all := map[string]reserved{}
		for _, text := range texts {
			all[text] = reserved{prefix: netip.MustParsePrefix(text)}
		}
		return all
	}
	g.Expect(disjoint(of("2001:db8:0:1::/64", "2001:db8::/64", "2001:db8:0:2::/112"))).To(Succeed())
	g.Expect(disjoint(of("2001:db8:0:1::/64", "2001:db8::/64", "2001:db8:0:1::/112"))).NotTo(Succeed())
}
