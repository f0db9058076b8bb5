// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/60")}, nil)
	w.newShoot(demo).waitBound()

	w.Eventually(func() []string { return figures(w) }).Should(ContainElements(
		`networking_ipv6_reservations{backend="pool",phase="Bound",range="nodes"} 1`,
		`networking_ipv6_reservations{backend="pool",phase="Bound",range="services"} 1`,
		fmt.Sprintf(`networking_ipv6_pool_capacity_addresses{backend="pool",pool="public"} %g`, float64(1<<34)*float64(1<<34)),
		fmt.Sprintf(`networking_ipv6_pool_free_addresses{backend="pool",pool="public"} %g`, 14*float64(1<<32)*float64(1<<32)),
		`networking_ipv6_pool_largest_free_prefix_length{backend="pool",pool="public"} 61`,
	))
}

// figures are this project's gauges, one a line.
func figures(w *world) []string {
	families, err := metrics.Registry.Gather()
	w.Expect(err).NotTo(HaveOccurred())
	var lines []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if metric.GetGauge() == nil || !strings.HasPrefix(family.GetName(), "networking_ipv6_") {
				continue
			}
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			sort.Strings(labels)
			lines = append(lines, fmt.Sprintf("%s{%s} %g", family.GetName(), strings.Join(labels, ","), metric.GetGauge().GetValue()))
		}
	}
	return lines
}
