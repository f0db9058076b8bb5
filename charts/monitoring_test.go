// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
)

// metricsInCode are the labels of every metric of the reservations, by name.
func metricsInCode(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../pkg/controller/reservation/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	found := map[string][]string{}
	declaration := regexp.MustCompile(`(?s)(?:Namespace: metricsNamespace, Name: |metricsNamespace\+)"_?([a-z_]+)".*?(?:\[\]string\{([^}]*)\}|, nil, nil\))`)
	for _, m := range declaration.FindAllStringSubmatch(source.String(), -1) {
		found["networking_ipv6_"+m[1]] = words.FindAllString(m[2], -1)
	}
	if len(found) < 10 {
		t.Fatalf("only %d metrics were found in the code: does this test still know how they are declared?", len(found))
	}
	return found
}

var words = regexp.MustCompile(`[a-z_]+`)

// dashboard is what is checked of Plutono's JSON.
type dashboard struct {
	Title      string
	Templating struct {
		List []struct{ Name, Query, Datasource string }
	}
	Panels []struct {
		ID                      int
		Title, Type, Datasource string
		GridPos                 struct{ X, Y, W, H int }
		Targets                 []struct{ Expr string }
	}
}

func monitoringOf(t *testing.T, values map[string]any) (maps []*corev1.ConfigMap, rules []*monitoringv1.PrometheusRule) {
	t.Helper()
	for _, object := range decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, values)) {
		switch o := object.(type) {
		case *corev1.ConfigMap:
			if o.Labels["dashboard.monitoring.gardener.cloud/seed"] == "true" {
				maps = append(maps, o)
			}
		case *monitoringv1.PrometheusRule:
			rules = append(rules, o)
		}
	}
	return maps, rules
}

// Where nothing is scraped, and where there is no garden namespace with its Prometheus, the objects would be in the way.
func TestMonitoringIsWhereThePrometheusOfTheSeedIs(t *testing.T) {
	g := NewWithT(t)
	maps, rules := monitoringOf(t, nil)
	g.Expect(maps).To(HaveLen(1))
	g.Expect(maps[0].Namespace).To(Equal("garden"))
	g.Expect(rules).To(HaveLen(1))
	g.Expect(rules[0].Labels).To(HaveKeyWithValue("prometheus", "seed"))
	for _, without := range []map[string]any{
		{"metrics": map[string]any{"enableScraping": false}}, {"gardener": map[string]any{"selfHostedShootCluster": true}},
	} {
		maps, rules = monitoringOf(t, without)
		g.Expect(maps).To(BeEmpty())
		g.Expect(rules).To(BeEmpty())
	}
}

func TestAlerts(t *testing.T) {
	g, known := NewWithT(t), metricsInCode(t)
	_, rules := monitoringOf(t, nil)
	page, err := os.ReadFile("../docs/alerts.md")
	g.Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, group := range rules[0].Spec.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
			g.Expect(rule.Labels).To(And(
				HaveKeyWithValue("severity", BeElementOf("critical", "warning")),
				HaveKeyWithValue("type", "seed"), HaveKeyWithValue("visibility", "operator"), HaveLen(3)), rule.Alert)
			g.Expect(rule.Annotations).To(And(HaveKey("summary"), HaveKey("description")), rule.Alert)
			g.Expect(checkPromQL(rule.Expr.String(), known)).To(Succeed(), rule.Alert)
			g.Expect(string(page)).To(ContainSubstring("| `"+rule.Alert+"` |"), "docs/alerts.md says what to do")
			for _, used := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(rule.Annotations["description"], -1) {
				g.Expect(rule.Expr.String()).To(MatchRegexp(`(?s)by \([^)]*\b%s\b[^)]*\)`, used[1]), "%s: label %s is gone after the aggregation", rule.Alert, used[1])
			}
		}
	}
	g.Expect(names).To(HaveLen(8))
	g.Expect(regexp.MustCompile("(?m)^\\| `NetworkingIPv6").FindAllString(string(page), -1)).To(HaveLen(8), "docs/alerts.md has no alert that is not there")
}

func TestDashboard(t *testing.T) {
	g, known := NewWithT(t), metricsInCode(t)
	maps, _ := monitoringOf(t, nil)
	var d dashboard
	g.Expect(maps[0].Data).To(HaveLen(1))
	g.Expect(json.Unmarshal([]byte(maps[0].Data["networking-ipv6.json"]), &d)).To(Succeed())

	fill := []string{}
	for _, v := range d.Templating.List {
		g.Expect(v.Datasource).To(Equal("prometheus-seed"))
		fill = append(fill, "$"+v.Name, ".*")
		m := regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`).FindStringSubmatch(v.Query)
		g.Expect(m).To(HaveLen(3), v.Query)
		g.Expect(known[metricName.FindString(m[1])]).To(ContainElement(m[2]), v.Query)
	}
	shown, ids, cells := map[string]bool{}, map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		g.Expect(ids[p.ID]).To(BeFalse(), "panel %d", p.ID)
		ids[p.ID] = true
		g.Expect(p.Datasource).To(Equal("prometheus-seed"), p.Title)
		g.Expect(p.Type).To(BeElementOf("stat", "graph"), "what Plutono can draw")
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				g.Expect(cells[[2]int{x, y}]).To(BeEmpty(), "%s lies on another panel", p.Title)
				g.Expect(x).To(BeNumerically("<", 24), p.Title)
				cells[[2]int{x, y}] = p.Title
			}
		}
		g.Expect(p.Targets).NotTo(BeEmpty(), p.Title)
		for _, target := range p.Targets {
			expr := strings.NewReplacer(fill...).Replace(target.Expr)
			g.Expect(expr).NotTo(ContainSubstring("$"), "%s: a variable that the dashboard does not have", p.Title)
			g.Expect(checkPromQL(expr, known)).To(Succeed(), p.Title)
			for _, name := range metricName.FindAllString(expr, -1) {
				shown[family(name)] = true
			}
		}
	}
	for name := range known {
		g.Expect(shown).To(HaveKey(name), "every metric is on the dashboard")
	}
}

var metricName = regexp.MustCompile(`networking_ipv6_[a-z_]+`)

// family of a metric: a histogram has three series.
func family(name string) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			return base
		}
	}
	return name
}

// checkPromQL is no parser: it finds brackets that do not match, metrics that do not exist, and labels that no metric of the
// expression has. The module hack/tools/promrules reads and evaluates the rules with Prometheus' own code.
func checkPromQL(expr string, known map[string][]string) error {
	if err := brackets(expr); err != nil {
		return fmt.Errorf("%s: %w", expr, err)
	}
	var labels []string
	names := metricName.FindAllString(expr, -1)
	if len(names) == 0 {
		return fmt.Errorf("%s: names no metric", expr)
	}
	for _, name := range names {
		have, ok := known[family(name)]
		if !ok {
			return fmt.Errorf("%s: there is no metric %s", expr, name)
		}
		labels = append(labels, have...)
		if strings.HasSuffix(name, "_bucket") {
			labels = append(labels, "le")
		}
	}
	for _, grouped := range regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for _, label := range words.FindAllString(grouped[1], -1) {
			if !slices.Contains(labels, label) {
				return fmt.Errorf("%s: no metric has a label %s", expr, label)
			}
		}
	}
	for _, selector := range regexp.MustCompile(`(networking_ipv6_[a-z_]+)\{([^}]*)\}`).FindAllStringSubmatch(expr, -1) {
		for _, matcher := range regexp.MustCompile(`([a-z_]+)(?:=~|!=|=)"`).FindAllStringSubmatch(selector[2], -1) {
			if !slices.Contains(known[family(selector[1])], matcher[1]) {
				return fmt.Errorf("%s: %s has no label %s", expr, selector[1], matcher[1])
			}
		}
	}
	return nil
}

// brackets tells whether they match, outside of quotes.
func brackets(expr string) error {
	var open []rune
	quoted := false
	for _, c := range expr {
		switch at := strings.IndexRune(")]}", c); {
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.ContainsRune("([{", c):
			open = append(open, c)
		case at >= 0 && (len(open) == 0 || open[len(open)-1] != rune("([{"[at])):
			return fmt.Errorf("%q is not opened", c)
		case at >= 0:
			open = open[:len(open)-1]
		}
	}
	if quoted || len(open) > 0 {
		return fmt.Errorf("something is not closed: quote %t, %q", quoted, string(open))
	}
	return nil
}

func TestCheckPromQL(t *testing.T) {
	g := NewWithT(t)
	known := map[string][]string{"networking_ipv6_x": {"backend"}, "networking_ipv6_h": {"range"}}
	for _, good := range []string{
		`max by (backend) (networking_ipv6_x{backend=~"a|b"}) > 0`, `histogram_quantile(0.9, sum by (le, range) (rate(networking_ipv6_h_bucket[5m])))`,
	} {
		g.Expect(checkPromQL(good, known)).To(Succeed(), good)
	}
	for _, bad := range []string{
		`max by (backend) (networking_ipv6_x`, `networking_ipv6_x)`, `networking_ipv6_y`, `sum by (pool) (networking_ipv6_x)`, `networking_ipv6_x{pool="a"}`,
		`networking_ipv6_x{backend="a}`, `up == 0`,
	} {
		g.Expect(checkPromQL(bad, known)).NotTo(Succeed(), bad)
	}
}
