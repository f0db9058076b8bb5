// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// metrics are what /metrics shows.
type metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.HistogramVec
	leftovers  prometheus.Counter
	stale      prometheus.Counter
	reconciles *prometheus.CounterVec
	routes     prometheus.Gauge
	problems   *prometheus.GaugeVec
	ready      prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ipv6_agent_cni_operation_duration_seconds", Help: "Duration of CNI operations, by command and CNI error code (0: success).",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}, []string{"command", "code"}),
		leftovers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ipv6_agent_cni_leftovers_total", Help: "Failed ADDs that could not be undone at once.",
		}),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ipv6_agent_stale_addresses_released_total", Help: "Addresses released because their pod's wire was gone without a DEL.",
		}),
		reconciles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ipv6_agent_reconciles_total", Help: "Comparisons of the node with its desired state, by whether something had to be changed.",
		}, []string{"result"}),
		routes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ipv6_agent_routes", Help: "Routes that the node shall have, without those to its pods."}),
		problems: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ipv6_agent_problems", Help: "Problems at present, by reason.",
		}, []string{"reason"}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ipv6_agent_ready", Help: "1 if new pods can be wired."}),
	}
	m.registry.MustRegister(m.operations, m.leftovers, m.stale, m.reconciles, m.routes, m.problems, m.ready,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) operation(cmd cnirpc.Command, err error, took time.Duration) {
	code := cnirpc.Code(0)
	var e *cnirpc.Error
	switch {
	case errors.As(err, &e):
		code = e.Code
	case err != nil:
		code = cnirpc.CodeInternal
	}
	switch cmd {
	case cnirpc.Add, cnirpc.Del, cnirpc.Check, cnirpc.GC, cnirpc.Status:
	default:
		cmd = "unknown" // a label's values are ours to choose
	}
	m.operations.WithLabelValues(string(cmd), strconv.FormatUint(uint64(code), 10)).Observe(took.Seconds())
}

// addresses shows the allocator's state when it is asked for.
type addresses struct {
	allocator *podip.Allocator
}

var addressesDesc = prometheus.NewDesc("ipv6_agent_pod_addresses", "Addresses of the node's pod ranges, by state (used, free).",
	[]string{"range", "state"}, nil)

// Describe implements prometheus.Collector.
func (a addresses) Describe(ch chan<- *prometheus.Desc) { ch <- addressesDesc }

// Collect implements prometheus.Collector.
func (a addresses) Collect(ch chan<- prometheus.Metric) {
	for _, u := range a.allocator.Usage() {
		ch <- prometheus.MustNewConstMetric(addressesDesc, prometheus.GaugeValue, float64(u.Used), u.Range.String(), "used")
		ch <- prometheus.MustNewConstMetric(addressesDesc, prometheus.GaugeValue, float64(u.Free), u.Range.String(), "free")
	}
}
