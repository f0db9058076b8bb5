// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package promrules reads the chart's alerts and its dashboard with Prometheus' own parser, and evaluates the alerts with its own
// engine. It is a module of its own so that the product does not depend on a Prometheus.
package promrules

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

const folder = "../../../charts/gardener-extension-networking-ipv6/monitoring/"

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(folder + file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// rendered are the alerts that each Shoot's control plane gets.
func rendered(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../../../pkg/render/testdata/bgp.seed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(data), "---\n") {
		if _, spec, ok := strings.Cut(document, "\nspec:\n"); ok && strings.Contains(document, "\nkind: PrometheusRule\n") {
			return []byte(strings.TrimPrefix(strings.ReplaceAll("\n"+spec, "\n  ", "\n"), "\n"))
		}
	}
	t.Fatal("no rules")
	return nil
}

// expressions of the alerts, by name; everything else in the file is checked by the way.
func expressions(t *testing.T, file []byte) map[string]string {
	t.Helper()
	groups, errs := rulefmt.Parse(file, false, model.LegacyValidation)
	for _, err := range errs {
		t.Error(err)
	}
	found := map[string]string{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			found[rule.Alert] = strings.Join(strings.Fields(rule.Expr), " ")
		}
	}
	return found
}

func TestDashboardParses(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read(t, "dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) == 0 {
		t.Fatal("no panels")
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			if _, err := parser.ParseExpr(target.Expr); err != nil {
				t.Errorf("%s: %v", panel.Title, err)
			}
		}
	}
}

// Each alert with series that must raise it, and with such that must not. Series begin at 0 and have a value a minute.
var scenarios = []struct {
	alert, name, series, at, raises string
}{
	{"NetworkingIPv6PrefixLost", "one replica sees it", `
		networking_ipv6_reservations_lost{backend="pool",pod="a"} 0x90
		networking_ipv6_reservations_lost{backend="pool",pod="b"} 2x90
		networking_ipv6_reservations_lost{backend="vpc",pod="b"} 0x90`, "60m", `{backend="pool"} 2`},

	{"NetworkingIPv6ReservationNotBound", "pending, but others get bound", `
		networking_ipv6_reservations{range="nodes",phase="Pending"} 1x90
		networking_ipv6_reservation_bind_seconds_count{range="nodes",backend="vpc"} 0+1x90`, "60m", ``},
	{"NetworkingIPv6ReservationNotBound", "pending, and only another range gets bound", `
		networking_ipv6_reservations{range="nodes",phase="Pending"} 1x90
		networking_ipv6_reservation_bind_seconds_count{range="nodes",backend="vpc"} 7x90
		networking_ipv6_reservation_bind_seconds_count{range="pods",backend="vpc"} 0+1x90`, "60m", `{range="nodes",phase="Pending"} 1`},
	{"NetworkingIPv6ReservationNotBound", "pending, and nothing was ever bound", `
		networking_ipv6_reservations{range="nodes",phase="Pending"} 1x90`, "60m", `{range="nodes",phase="Pending"} 1`},
	{"NetworkingIPv6ReservationNotBound", "allocating, two replicas", `
		networking_ipv6_reservations{range="nodes",backend="vpc",phase="Allocating",pod="a"} 3x90
		networking_ipv6_reservations{range="nodes",backend="vpc",phase="Allocating",pod="b"} 3x90
		networking_ipv6_reservations{range="nodes",backend="vpc",phase="Failed",pod="a"} 0x90
		networking_ipv6_reservations{range="nodes",backend="vpc",phase="Bound",pod="a"} 9x90`, "60m", `{range="nodes",backend="vpc",phase="Allocating"} 3`},

	{"NetworkingIPv6GarbageNotFreed", "", `
		networking_ipv6_reservation_garbage{backend="vpc"} 4x90
		networking_ipv6_reservation_garbage{backend="pool"} 0x90`, "60m", `{backend="vpc"} 4`},

	{"NetworkingIPv6IPAMUnauthorized", "refused within a quarter of an hour", `
		networking_ipv6_ipam_calls_total{backend="vpc",method="List",kind="Unauthorized"} 0x50 1x40
		networking_ipv6_ipam_calls_total{backend="vpc",method="List",kind="OK"} 0+1x90
		networking_ipv6_ipam_calls_total{backend="pool",method="List",kind="OK"} 0+1x90`, "60m", `{backend="vpc"} 1`},
	{"NetworkingIPv6IPAMUnauthorized", "long ago", `
		networking_ipv6_ipam_calls_total{backend="vpc",method="List",kind="Unauthorized"} 0x10 1x80`, "60m", ``},

	{"NetworkingIPv6IPAMRefuses", "", `
		networking_ipv6_ipam_calls_total{backend="vpc",method="Allocate",kind="Exhausted"} 0+1x90
		networking_ipv6_ipam_calls_total{backend="vpc",method="Allocate",kind="OK"} 0+1x90`, "60m", `{backend="vpc",kind="Exhausted"} 15`},

	{"NetworkingIPv6IPAMErrors", "a quarter fails", `
		networking_ipv6_ipam_calls_total{backend="vpc",method="List",kind="OK"} 0+3x90
		networking_ipv6_ipam_calls_total{backend="vpc",method="List",kind="Retry"} 0+1x90`, "60m", `{backend="vpc"} 0.25`},
	{"NetworkingIPv6IPAMErrors", "a tenth fails", `
		networking_ipv6_ipam_calls_total{backend="vpc",method="List",kind="OK"} 0+9x90
		networking_ipv6_ipam_calls_total{backend="vpc",method="List",kind="Ambiguous"} 0+1x90`, "60m", ``},

	{"NetworkingIPv6PoolNearlyFull", "", `
		networking_ipv6_pool_free_addresses{backend="vpc",pool="a"} 5x90
		networking_ipv6_pool_capacity_addresses{backend="vpc",pool="a"} 100x90
		networking_ipv6_pool_free_addresses{backend="vpc",pool="b"} 50x90
		networking_ipv6_pool_capacity_addresses{backend="vpc",pool="b"} 100x90`, "60m", `{backend="vpc",pool="a"} 0.05`},

	{"NetworkingIPv6PoolLengthRunsOut", "fallen, falling, steady, and never there", `
		networking_ipv6_pool_free_prefixes{backend="vpc",pool="a",length="64"} 1000x5 50x85
		networking_ipv6_pool_free_prefixes{backend="vpc",pool="a",length="60"} 1000-1x90
		networking_ipv6_pool_free_prefixes{backend="vpc",pool="a",length="56"} 10x90
		networking_ipv6_pool_free_prefixes{backend="vpc",pool="a",length="52"} 0x90`, "60m", `
		{backend="vpc",pool="a",length="64"} 50
		{backend="vpc",pool="a",length="60"} 940`},
	{"IPv6NodesWithoutPodRange", "some wait", `
		ipv6_ipam_nodes{reason="Assigned"} 5x90
		ipv6_ipam_nodes{reason="CIDRNotAvailable"} 2x90`, "60m", `{reason="CIDRNotAvailable"} 2`},
	{"IPv6NodePrefixesScarce", "one family of two", `
		ipv6_ipam_node_prefixes{family="IPv6",state="free"} 1000x90
		ipv6_ipam_node_prefixes{family="IPv6",state="used"} 10x90
		ipv6_ipam_node_prefixes{family="IPv4",state="free"} 1x90
		ipv6_ipam_node_prefixes{family="IPv4",state="used"} 17x90
		ipv6_ipam_node_prefixes{family="IPv4",state="quarantined"} 2x90`, "60m", `{family="IPv4"} 0.05`},
	{"IPv6NodePrefixesScarce", "nodes bring theirs", `
		ipv6_ipam_node_prefixes{family="IPv6",state="free"} 0x90
		ipv6_ipam_node_prefixes{family="IPv6",state="used"} 0x90
		ipv6_ipam_node_prefixes{family="IPv6",state="quarantined"} 0x90
		ipv6_ipam_node_prefixes{family="IPv6",state="brought"} 5x90`, "60m", ``},
	{"IPv6LoadBalancerPoolExhausted", "some wait", `
		ipv6_ipam_load_balancer_services{reason="Allocated"} 5x90
		ipv6_ipam_load_balancer_services{reason="PoolExhausted"} 2x90`, "60m", `{} 2`},
}

func TestAlerts(t *testing.T) {
	engine := promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
	})
	alerts := expressions(t, read(t, "alerts.yaml"))
	maps.Copy(alerts, expressions(t, rendered(t)))
	tested := map[string]bool{}
	for _, s := range scenarios {
		tested[s.alert] = true
		t.Run(s.alert+"/"+s.name, func(t *testing.T) {
			promqltest.RunTest(t, "load 1m\n"+indented(s.series)+"\neval instant at "+s.at+" "+alerts[s.alert]+"\n"+indented(s.raises), engine)
		})
	}
	for alert := range alerts {
		if !tested[alert] {
			t.Errorf("%s has no scenario", alert)
		}
	}
}

// indented lines, as the test language of Prometheus wants them.
func indented(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines.WriteString("  " + line + "\n")
		}
	}
	return lines.String()
}
