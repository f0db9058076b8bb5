// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

// Report gathers what the demo shows. A journey that failed is in the report, and makes the error.
func (c *Cluster) Report(ctx context.Context) (show.Report, error) {
	report := show.Report{Shoot: c.Shoot.Namespace + "/" + c.Shoot.Name, Scenario: c.Scenario.Name + ": " + c.Scenario.Title}

	var err error
	if report.Ranges, err = c.reportRanges(ctx); err != nil {
		return report, err
	}

	if report.Nodes, err = c.reportNodes(ctx); err != nil {
		return report, err
	}

	pods, err := c.Workload(ctx)
	if err != nil {
		return report, err
	}

	caller, err := c.Client(ctx)
	if err != nil {
		return report, err
	}

	for _, pod := range append(slices.Clone(pods), *caller) {
		var addresses []string
		for _, ip := range pod.Status.PodIPs {
			addresses = append(addresses, ip.IP)
		}

		report.Pods = append(report.Pods, show.Pod{
			Name: pod.Namespace + "/" + pod.Name, Node: pod.Spec.NodeName, Address: strings.Join(addresses, " "),
		})
	}

	if report.Journeys, err = c.Scenario.Journeys(ctx, c); err != nil {
		return report, err
	}

	if c.Scenario.Report != nil {
		if report.Tables, err = c.Scenario.Report(ctx, c); err != nil {
			return report, err
		}
	}

	report.Checks = c.check(ctx)
	report.Hints = c.hints()

	return report, failure(report)
}

// check runs the scenario's checks that disturb nobody.
func (c *Cluster) check(ctx context.Context) []show.Check {
	var checks []show.Check

	for _, check := range c.Scenario.Checks {
		if check.Disturbs {
			continue
		}

		found, err := check.Run(ctx, c)
		if err != nil {
			found = err.Error()
		}

		checks = append(checks, show.Check{Title: check.Title, Found: found, OK: err == nil})
	}

	return checks
}

// failure is the first thing in the report that does not work.
func failure(report show.Report) error {
	for _, journey := range report.Journeys {
		if !journey.OK {
			return fmt.Errorf("the way from %s to %s does not work: %s", journey.From, journey.To, journey.Verdict)
		}
	}

	for _, check := range report.Checks {
		if !check.OK {
			return fmt.Errorf("%s: %s", check.Title, check.Found)
		}
	}

	return nil
}

func (c *Cluster) hints() []string {
	return []string{
		"kubectl, if you have none:  export PATH=$PATH:" + c.machine.Bin,
		"A shell on the Shoot:       export KUBECONFIG=" + ShootKubeconfigPath(c.machine.Dir),
		"A shell on garden and seed: export KUBECONFIG=" + SeedKubeconfigPath(c.machine.Dir),
		"On a host of the landscape: go run ./test/landscape exec outside ping -c1 ADDRESS",
		"The Shoot's owner:          go run ./test/landscape shoot scale 5   (or hibernate, wake, delete)",
		"The end of it all:          make demo-down",
	}
}

func (c *Cluster) reportRanges(ctx context.Context) ([]show.Range, error) {
	status, err := c.networkStatus(ctx)
	if err != nil {
		return nil, err
	}

	ranges := make([]show.Range, 0, len(status.Ranges))

	for _, item := range status.Ranges {
		reserved := strings.Join(item.Reserved, " ")
		if reserved == "" {
			reserved = "-"
		}

		ranges = append(ranges, show.Range{
			Name: string(item.Name), Asked: item.Requested, Reserved: reserved, Published: strings.Join(item.Published, " "),
		})
	}

	return ranges, nil
}

func (c *Cluster) reportNodes(ctx context.Context) ([]show.Node, error) {
	shoot, err := c.API(ctx)
	if err != nil {
		return nil, err
	}

	bits, err := c.nodePrefixLength(ctx)
	if err != nil {
		return nil, err
	}

	list := &corev1.NodeList{}
	if err := shoot.List(ctx, list); err != nil {
		return nil, fmt.Errorf("nodes of %s: %w", c.Namespace, err)
	}

	nodes := make([]show.Node, 0, len(list.Items))

	for i := range list.Items {
		node := &list.Items[i]

		prefix := node.Annotations[nodeprefix.AnnotationReportedPrefix]
		if prefix == "" {
			prefix = prefixOf(node, bits)
		}

		var addresses []string

		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				addresses = append(addresses, address.Address)
			}
		}

		nodes = append(nodes, show.Node{Name: node.Name, Address: strings.Join(addresses, " "), Prefix: prefix, PodCIDR: strings.Join(node.Spec.PodCIDRs, " ")})
	}

	return nodes, nil
}

// prefixOf is the prefix that a node's IPv6 pods are a part of, as far as its length is known.
func prefixOf(node *corev1.Node, bits int) string {
	for _, text := range node.Spec.PodCIDRs {
		if pods, err := netip.ParsePrefix(text); err == nil && pods.Addr().Is6() && bits > 0 && bits <= pods.Bits() {
			return netip.PrefixFrom(pods.Addr(), bits).Masked().String()
		}
	}

	return "-"
}

// Journeys sends packets all ways and notes the source address that arrived.
func (c *Cluster) Journeys(ctx context.Context) ([]show.Journey, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return nil, err
	}

	if len(pods) < 2 {
		return nil, fmt.Errorf("there are %d web servers in the Shoot, too few to talk to each other", len(pods))
	}

	service, err := c.WorkloadService(ctx)
	if err != nil {
		return nil, err
	}

	var journeys []show.Journey

	for i := range pods {
		from, to := &pods[i], &pods[(i+1)%len(pods)]
		journeys = append(journeys,
			c.ping(ctx, from, "pod on "+to.Spec.NodeName, to.Status.PodIP),
			c.call(ctx, from, "pod on "+to.Spec.NodeName, to.Status.PodIP, 8080))
	}

	from, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}

	journeys = append(journeys,
		c.call(ctx, from, "Service by its ClusterIP "+service.String(), service.String(), 80),
		c.call(ctx, from, "Service by its name in DNS", ServiceName, 80),
		c.call(ctx, from, "host outside "+c.OutsideAddress().String(), c.OutsideAddress().String(), OutsidePort))

	last := &pods[len(pods)-1]

	return append(journeys, c.callFromOutside(ctx, last)), nil
}

// url of a web server's page that tells the caller's address.
func url(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}

	return "http://" + host + ":" + strconv.Itoa(port) + "/clientip"
}

func called(pod *corev1.Pod) string {
	if pod.Labels["app"] == clientName {
		return "client"
	}

	return "pod on " + pod.Spec.NodeName
}

var curl = []string{"curl", "--silent", "--show-error", "--globoff", "--fail", "--max-time", "5"}

func (c *Cluster) call(ctx context.Context, from *corev1.Pod, name, host string, port int) show.Journey {
	journey := show.Journey{From: called(from), To: name, How: "curl"}
	seen, err := c.Exec(ctx, from.Namespace, from.Name, append(curl, url(host, port))...)

	return judge(journey, seen, from.Status.PodIP, err)
}

func (c *Cluster) callFromOutside(ctx context.Context, to *corev1.Pod) show.Journey {
	journey := show.Journey{From: "host outside", To: "pod on " + to.Spec.NodeName, How: "curl"}
	seen, err := c.ExecOutside(ctx, append(curl, url(to.Status.PodIP, 8080))...)

	return judge(journey, seen, c.OutsideAddress().String(), err)
}

// judge compares the address that was seen with the caller's own.
func judge(journey show.Journey, seen, own string, err error) show.Journey {
	if err != nil {
		journey.Verdict = err.Error()

		return journey
	}

	address, err := netip.ParseAddrPort(strings.TrimSpace(seen))
	if err != nil {
		journey.Verdict = fmt.Sprintf("the other end answers %q", seen)

		return journey
	}

	journey.Seen, journey.OK = address.Addr().String(), address.Addr().String() == own
	journey.Verdict = "its own: no NAT"

	if !journey.OK {
		journey.Verdict = "not its own, which is " + own
	}

	return journey
}

func (c *Cluster) ping(ctx context.Context, from *corev1.Pod, name, address string) show.Journey {
	journey := show.Journey{From: called(from), To: name, How: "ping"}

	out, err := c.Exec(ctx, from.Namespace, from.Name, "ping", "-6", "-c", "1", "-W", "2", address)
	if err != nil {
		journey.Verdict = err.Error()

		return journey
	}

	journey.OK = true

	for line := range strings.Lines(out) {
		if _, after, found := strings.Cut(line, "time="); found {
			journey.Verdict = strings.TrimSpace(after)
		}
	}

	return journey
}
