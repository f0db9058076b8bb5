// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	metricsNamespace = "networking_ipv6"
	// scrapeTimeout bounds the reads that a scrape causes.
	scrapeTimeout = 5 * time.Second
)

var (
	timeToBind = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Name: "reservation_bind_seconds",
		Help:    "Time from the creation of a PrefixReservation until its prefix was bound.",
		Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
	}, []string{"range", "backend"})
	garbageFreed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "reservation_garbage_freed_total",
		Help: "Prefixes that a backend held for nobody and that were freed.",
	}, []string{"backend"})

	reservationsDesc = prometheus.NewDesc(metricsNamespace+"_reservations",
		"PrefixReservations by phase, range and backend.", []string{"phase", "range", "backend"}, nil)
	movedDesc = prometheus.NewDesc(metricsNamespace+"_reservations_moved",
		"Prefixes that are held for shoots which moved to another seed, until somebody deletes their tombstones.", nil, nil)
	capacityDesc = prometheus.NewDesc(metricsNamespace+"_pool_capacity_addresses",
		"Addresses in the pool.", []string{"pool"}, nil)
	freeDesc = prometheus.NewDesc(metricsNamespace+"_pool_free_addresses",
		"Addresses in the pool that nobody holds.", []string{"pool"}, nil)
	largestDesc = prometheus.NewDesc(metricsNamespace+"_pool_largest_free_prefix_length",
		"Length of the largest prefix that can still be cut from the pool; -1 if it is full.", []string{"pool"}, nil)
)

func observeBound(r *v1alpha1.PrefixReservation, now time.Time) {
	timeToBind.WithLabelValues(string(r.Spec.Range), r.Status.Backend).Observe(now.Sub(r.CreationTimestamp.Time).Seconds())
}

// collector reads the figures when they are asked for.
type collector struct {
	*kit
}

func registerMetrics(k *kit) error {
	for _, c := range []prometheus.Collector{timeToBind, garbageFreed} {
		var already prometheus.AlreadyRegisteredError
		if err := metrics.Registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	metrics.Registry.Unregister(&collector{k}) // that of an earlier manager in this process, which asks a cache that has ended
	return metrics.Registry.Register(&collector{k})
}

// Describe sends the descriptions of the figures.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- reservationsDesc
	ch <- movedDesc
	ch <- capacityDesc
	ch <- freeDesc
	ch <- largestDesc
}

// Collect sends the figures.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()

	list := &v1alpha1.PrefixReservationList{}
	if err := c.client.List(ctx, list); err != nil {
		ch <- prometheus.NewInvalidMetric(reservationsDesc, err)
	} else {
		type labels struct{ phase, name, backend string }
		counts, moved := map[labels]int{}, 0
		for i := range list.Items {
			r := &list.Items[i]
			phase := cmp.Or(r.Status.Phase, v1alpha1.PhasePending)
			counts[labels{string(phase), string(r.Spec.Range), r.Status.Backend}]++
			if phase == v1alpha1.PhaseQuarantined && r.Status.QuarantinedUntil == nil {
				moved++
			}
		}
		ch <- prometheus.MustNewConstMetric(movedDesc, prometheus.GaugeValue, float64(moved))
		for l, n := range counts {
			ch <- prometheus.MustNewConstMetric(reservationsDesc, prometheus.GaugeValue, float64(n), l.phase, l.name, l.backend)
		}
	}
	for _, reserver := range c.Reservers {
		meter, ok := reserver.(reservation.Meter)
		if !ok {
			continue
		}
		usages, err := meter.Usage(ctx)
		if err != nil {
			ch <- prometheus.NewInvalidMetric(capacityDesc, err)
			continue
		}
		for _, u := range usages {
			ch <- prometheus.MustNewConstMetric(capacityDesc, prometheus.GaugeValue, u.Capacity, u.Pool)
			ch <- prometheus.MustNewConstMetric(freeDesc, prometheus.GaugeValue, u.Free, u.Pool)
			ch <- prometheus.MustNewConstMetric(largestDesc, prometheus.GaugeValue, float64(u.LargestFree), u.Pool)
		}
	}
}
