// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

var (
	sessionUpDesc = prometheus.NewDesc("ipv6_agent_bgp_session_up", "1 if the BGP session with the peer is established.", []string{"peer"}, nil)
	flapsDesc     = prometheus.NewDesc("ipv6_agent_bgp_session_flaps_total", "Ends of the established BGP session with the peer.", []string{"peer"}, nil)
	bgpRoutesDesc = prometheus.NewDesc("ipv6_agent_bgp_session_routes", "Routes of the BGP session with the peer, by what became of them (received, accepted, advertised).",
		[]string{"peer", "state"}, nil)
	announcedDesc = prometheus.NewDesc("ipv6_agent_bgp_announced_prefixes", "Prefixes that this node announces to its BGP peers.", nil, nil)
	importedDesc  = prometheus.NewDesc("ipv6_agent_bgp_imported_routes", "Routes that BGP peers told of and that the node shall have, next hops counted apart.", nil, nil)
)

// Describe implements prometheus.Collector.
func (r *router) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sessionUpDesc, flapsDesc, bgpRoutesDesc, announcedDesc, importedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector, with what was known after the last reconciliation.
func (r *router) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	status, announced := r.status, r.announced
	r.mu.Unlock()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range status.Sessions {
		peer := s.Peer.Address.String()
		gauge(sessionUpDesc, map[bool]float64{true: 1}[s.State == bgp.Established], peer)
		ch <- prometheus.MustNewConstMetric(flapsDesc, prometheus.CounterValue, float64(s.Flaps), peer)
		gauge(bgpRoutesDesc, float64(s.Received), peer, "received")
		gauge(bgpRoutesDesc, float64(s.Accepted), peer, "accepted")
		gauge(bgpRoutesDesc, float64(s.Advertised), peer, "advertised")
	}
	gauge(announcedDesc, float64(announced))
	gauge(importedDesc, float64(len(status.Routes)))
}
