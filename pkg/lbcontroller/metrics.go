// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbcontroller

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
)

// meters of the controller. Names are part of what operators rely on.
type meters struct {
	addresses *prometheus.GaugeVec
	services  *prometheus.GaugeVec
	latency   prometheus.Histogram
	problems  *prometheus.CounterVec
	errors    *prometheus.CounterVec
}

func newMeters(r prometheus.Registerer) *meters {
	f := promauto.With(r)
	return &meters{
		addresses: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_ipam_load_balancer_addresses", Help: "Addresses of the pools for LoadBalancer Services by family and state (free, used).",
		}, []string{"pool", "family", "state"}),
		services: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_ipam_load_balancer_services", Help: "LoadBalancer Services by what became of them; Allocated is well, every other reason is not.",
		}, []string{"reason"}),
		latency: f.NewHistogram(prometheus.HistogramOpts{
			Name: "ipv6_ipam_load_balancer_allocation_seconds", Help: "Time from a Service's creation until its status was written.",
			Buckets: []float64{.1, .25, .5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600},
		}),
		problems: f.NewCounterVec(prometheus.CounterOpts{
			Name: "ipv6_ipam_load_balancer_problems_total", Help: "Services that were found without, or with other than the wanted addresses, by reason.",
		}, []string{"reason"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "ipv6_ipam_load_balancer_errors_total", Help: "Failed operations (restore, journal, service), each of which is tried again.",
		}, []string{"operation"}),
	}
}

func (m *meters) observe(usage []lbip.Usage, reasons map[string]lbip.Reason) {
	for _, u := range usage {
		m.addresses.WithLabelValues(u.Pool, u.Family.String(), "used").Set(float64(u.Used))
		m.addresses.WithLabelValues(u.Pool, u.Family.String(), "free").Set(u.Capacity - float64(u.Used))
	}
	m.services.Reset()
	for _, reason := range reasons {
		m.services.WithLabelValues(string(reason)).Inc()
	}
}
