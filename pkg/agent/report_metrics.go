// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// reportMetrics are those of the source of the node's own prefix.
type reportMetrics struct {
	up       *prometheus.GaugeVec
	prefixes *prometheus.GaugeVec
	success  *prometheus.GaugeVec
	renewals *prometheus.CounterVec
	writes   *prometheus.CounterVec
}

func newReportMetrics() *reportMetrics {
	return &reportMetrics{
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_agent_prefix_source_up", Help: "1 if the source of the node's own prefix answered when it was last asked, be it that there is none.",
		}, []string{"source"}),
		prefixes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_agent_prefix_source_prefixes", Help: "Prefixes that the source gives the node, by whether they are deprecated.",
		}, []string{"source", "deprecated"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_agent_prefix_source_last_success_timestamp_seconds", Help: "When the source last gave the node a prefix.",
		}, []string{"source"}),
		renewals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ipv6_agent_prefix_source_renewals_total", Help: "Answers of the source in which a prefix lasts longer than it did before.",
		}, []string{"source"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ipv6_agent_prefix_report_writes_total", Help: "Writes of the node's own prefix to its Node object, by result.",
		}, []string{"result"}),
	}
}

func (m *reportMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.up, m.prefixes, m.success, m.renewals, m.writes}
}

func (m *reportMetrics) answered(source agentconfig.PrefixSource, before, ps []nodesource.Prefix, err error) {
	name := string(source)
	var lost *nodesource.LostError
	if err != nil && !errors.Is(err, nodesource.ErrNone) && !errors.As(err, &lost) {
		m.up.WithLabelValues(name).Set(0)
		return
	}
	m.up.WithLabelValues(name).Set(1)
	counts := map[bool]int{}
	for _, p := range ps {
		counts[p.Deprecated]++
	}
	m.prefixes.WithLabelValues(name, "false").Set(float64(counts[false]))
	m.prefixes.WithLabelValues(name, "true").Set(float64(counts[true]))
	if err != nil {
		return
	}
	m.success.WithLabelValues(name).SetToCurrentTime()
	if renewed(before, ps) {
		m.renewals.WithLabelValues(name).Inc()
	}
}

// renewed tells whether a prefix ends later than it did. A router's advertisements count down in seconds, which is no renewal.
func renewed(before, ps []nodesource.Prefix) bool {
	return slices.ContainsFunc(ps, func(p nodesource.Prefix) bool {
		return slices.ContainsFunc(before, func(b nodesource.Prefix) bool {
			return b.Prefix == p.Prefix && !b.ValidUntil.IsZero() && p.ValidUntil.Sub(b.ValidUntil) > 2*time.Second
		})
	})
}

// forget a source that is not asked any more.
func (m *reportMetrics) forget(source agentconfig.PrefixSource) {
	labels := prometheus.Labels{"source": string(source)}
	m.up.DeletePartialMatch(labels)
	m.prefixes.DeletePartialMatch(labels)
	m.success.DeletePartialMatch(labels)
}

func (m *reportMetrics) wrote(err error) {
	result := "success"
	if err != nil {
		result = "error"
	}
	m.writes.WithLabelValues(result).Inc()
}
