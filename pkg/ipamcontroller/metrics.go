// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipamcontroller

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// meters of the controller. Names are part of what operators rely on.
type meters struct {
	prefixes *prometheus.GaugeVec
	nodes    *prometheus.GaugeVec
	latency  prometheus.Histogram
	problems *prometheus.CounterVec
	errors   *prometheus.CounterVec
}

func newMeters(r prometheus.Registerer) *meters {
	return &meters{
		prefixes: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_ipam_node_prefixes", Help: "Node prefixes by family and state: free, used and quarantined ones of the pool, brought ones that nodes have from elsewhere.",
		}, []string{"family", "state"})),
		nodes: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_ipam_nodes", Help: "Nodes by what became of them; Assigned is well, every other reason is not.",
		}, []string{"reason"})),
		latency: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ipv6_ipam_assignment_seconds", Help: "Time from a node's creation until its podCIDRs were written.",
			Buckets: []float64{.25, .5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600},
		})),
		problems: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ipv6_ipam_problems_total", Help: "Nodes that were found without, or with wrong, pod ranges, by reason.",
		}, []string{"reason"})),
		errors: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ipv6_ipam_errors_total", Help: "Failed operations (restore, journal, node), each of which is tried again.",
		}, []string{"operation"})),
	}
}

// register returns the collector that is registered under the name already, if there is one: a process may run two controllers.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	var already prometheus.AlreadyRegisteredError
	if errors.As(r.Register(c), &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}

func (m *meters) observe(usage []nodeprefix.Usage, states map[string]state) {
	for _, u := range usage {
		m.prefixes.WithLabelValues(u.Family, "used").Set(float64(u.Nodes))
		m.prefixes.WithLabelValues(u.Family, "quarantined").Set(float64(u.Quarantined))
		m.prefixes.WithLabelValues(u.Family, "brought").Set(float64(u.Brought))
		m.prefixes.WithLabelValues(u.Family, "free").Set(u.Capacity - float64(u.Nodes+u.Quarantined))
	}
	m.nodes.Reset()
	for _, s := range states {
		m.nodes.WithLabelValues(string(s.reason)).Inc()
	}
}
