// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// docs/metrics.md lists the metrics for people.
const metricsNamespace = "networking_ipv6"

// kindOK is the kind of a call without an error.
const kindOK = "OK"

var (
	timeToBind = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Name: "reservation_bind_seconds",
		Help:    "Time from the creation of a PrefixReservation until its prefix was bound.",
		Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
	}, []string{"range", "backend"})
	callSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Name: "ipam_call_seconds",
		Help:    "Time that calls of an IPAM backend took.",
		Buckets: []float64{0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"backend", "method"})
	calls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "ipam_calls_total",
		Help: "Calls of an IPAM backend, by what became of them: OK or the kind of the error.",
	}, []string{"backend", "method", "kind"})
	garbageFreed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "reservation_garbage_freed_total",
		Help: "Prefixes that a backend held for nobody and that were freed.",
	}, []string{"backend"})
	garbageSeen = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: metricsNamespace, Name: "reservation_garbage",
		Help: "Prefixes that a backend holds for nobody and that are not freed: not yet, or because of the dry run.",
	}, []string{"backend"})
	prefixesLost = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "reservation_lost_total",
		Help: "Bound prefixes that a backend did not hold any more: Lost if it could not be mended, else Mended.",
	}, []string{"backend", "reason"})

	reservationsDesc = prometheus.NewDesc(metricsNamespace+"_reservations",
		"PrefixReservations by phase, range and backend.", []string{"phase", "range", "backend"}, nil)
	lostDesc = prometheus.NewDesc(metricsNamespace+"_reservations_lost",
		"Bound PrefixReservations whose prefix the backend does not hold for them now.", []string{"backend"}, nil)
	movedDesc = prometheus.NewDesc(metricsNamespace+"_reservations_moved",
		"Prefixes that are held for shoots which moved to another seed, until their tombstones go.", nil, nil)
	capacityDesc = prometheus.NewDesc(metricsNamespace+"_pool_capacity_addresses",
		"Addresses in the pool.", []string{"backend", "pool"}, nil)
	freeDesc = prometheus.NewDesc(metricsNamespace+"_pool_free_addresses",
		"Addresses in the pool that nobody holds.", []string{"backend", "pool"}, nil)
	largestDesc = prometheus.NewDesc(metricsNamespace+"_pool_largest_free_prefix_length",
		"Length of the largest prefix that can still be cut from the pool; -1 if it is full.", []string{"backend", "pool"}, nil)
	freePrefixesDesc = prometheus.NewDesc(metricsNamespace+"_pool_free_prefixes",
		"Prefixes of the length that could still be cut from the pool if all free space went to such.", []string{"backend", "pool", "length"}, nil)
)

func observeBound(r *v1alpha1.PrefixReservation, now time.Time) {
	timeToBind.WithLabelValues(string(r.Spec.Range), r.Status.Backend).Observe(now.Sub(r.CreationTimestamp.Time).Seconds())
}

// observeCalls counts the calls of a backend.
func observeCalls(backend string) reservation.Observer {
	return func(method string, kind reservation.Kind, took time.Duration) {
		callSeconds.WithLabelValues(backend, method).Observe(took.Seconds())
		calls.WithLabelValues(backend, method, cmp.Or(string(kind), kindOK)).Inc()
	}
}

// collector shows what the inventory and the gauge know by now: a scrape asks nobody.
type collector struct {
	*kit
}

func registerMetrics(k *kit) error {
	for _, c := range []prometheus.Collector{timeToBind, callSeconds, calls, garbageFreed, garbageSeen, prefixesLost} {
		var already prometheus.AlreadyRegisteredError
		if err := metrics.Registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	metrics.Registry.Unregister(&collector{k}) // that of an earlier manager in this process
	return metrics.Registry.Register(&collector{k})
}

// Describe sends the descriptions of the figures.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{reservationsDesc, lostDesc, movedDesc, capacityDesc, freeDesc, largestDesc, freePrefixesDesc} {
		ch <- desc
	}
}

// Collect sends the figures.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	figure := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	seen := c.inventory.figures()
	figure(movedDesc, float64(seen.moved))
	for at, n := range seen.standing {
		figure(reservationsDesc, float64(n), at.phase, at.name, at.backend)
	}
	for _, b := range c.accounts.backends {
		figure(lostDesc, float64(seen.lost[b.Backend]), b.Backend)
	}
	for backend, usages := range c.fill.latest() {
		for _, u := range usages {
			figure(capacityDesc, u.Capacity, backend, u.Pool)
			figure(freeDesc, u.Free, backend, u.Pool)
			figure(largestDesc, float64(u.LargestFree), backend, u.Pool)
			for bits, n := range u.FreePrefixes {
				figure(freePrefixesDesc, n, backend, u.Pool, strconv.Itoa(bits))
			}
		}
	}
}
