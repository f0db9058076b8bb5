// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

// scenarioAnnotation tells of a Shoot which scenario it belongs to.
const scenarioAnnotation = "landscape.example/scenario"

// Scenario is a Shoot, the machines and the network that it stands on, and what must hold then. A field that is not set is what the
// demo has. All hooks may be called again at any time, and leave alone what is there already.
type Scenario struct {
	// Name is what people call it by.
	Name string
	// Title is one line for a person.
	Title string

	// Networking is the section spec.networking of the Shoot's manifest, in YAML, as its owner writes it.
	Networking string
	// Nodes is how many the Shoot has.
	Nodes int
	// Workload are manifests beside the demo's web servers: a template in which {{ .Image }} is agnhost's image.
	Workload string

	// Infrastructure fills in what the infrastructure provider reports; it may report ranges.
	Infrastructure func(status *extensionsv1alpha1.InfrastructureStatus)
	// Machine describes the node with the given number, from 1, once the ranges are known. Unset: an address out of the nodes
	// range, on the Shoot's link.
	Machine func(c *Cluster, number int) (Machine, error)
	// BeforeNodes prepares the network that the nodes are plugged into. Unset: the router gets the first address of the nodes range.
	BeforeNodes func(ctx context.Context, c *Cluster) error
	// Routes tells the router the way to the nodes' prefixes, as the infrastructure does; called when nodes came or went. Unset: its
	// routes follow Node.spec.podCIDRs.
	Routes func(ctx context.Context, c *Cluster) error
	// AfterNodes is called when all nodes are ready and the workload runs.
	AfterNodes func(ctx context.Context, c *Cluster) error
	// AfterDeletion undoes what the hooks before did to router and links. The nodes are gone.
	AfterDeletion func(ctx context.Context, c *Cluster) error

	// Journeys sends packets for the report. Unset: those of the demo.
	Journeys func(ctx context.Context, c *Cluster) ([]show.Journey, error)
	// Report are further tables for the report.
	Report func(ctx context.Context, c *Cluster) ([]show.Table, error)
	// Checks are what must hold, in this order.
	Checks []Check
}

// Check is something that must hold in a scenario.
type Check struct {
	// Title says what holds.
	Title string
	// Disturbs is set if it takes away nodes or agents for a while: left out by the demo, done by the tests. It must leave the
	// cluster as it was.
	Disturbs bool
	// Run gives what was found, in a few words, or an error that says what does not hold.
	Run func(ctx context.Context, c *Cluster) (found string, err error)
}

// Machine is what a node of the Shoot looks like from outside.
type Machine struct {
	// HostConfig of the machine; its name is filled in. The first address is the node's InternalIP.
	machine.HostConfig
	// Labels beside those that Gardener gives to a node.
	Labels map[string]string
	// Prepare is called when the machine runs, before its kubelet starts.
	Prepare func(ctx context.Context, node *machine.Node) error
}

// DemoScenario is the name of the scenario that `make demo` shows.
const DemoScenario = "demo"

// Demo is the scenario that the others differ from: nodes share a link and get prefixes out of the operator's pool, to which the
// infrastructure has routes.
func Demo() Scenario {
	return Scenario{
		Name:  DemoScenario,
		Title: "prefixes by keyword, out of the operator's pool; the infrastructure routes them",
		Networking: `
type: ipv6
ipFamilies: [IPv6]
nodes: v6global/64+prefix/96
pods: v6fromNode
services: v6global/64
`,
	}
}

// NoRoutes is for scenarios whose nodes tell the router themselves.
func NoRoutes(context.Context, *Cluster) error { return nil }

// complete fills in what is not set.
func (s Scenario) complete() Scenario {
	if s.Nodes == 0 {
		s.Nodes = DefaultNodes
	}

	if s.Machine == nil {
		s.Machine = PoolMachine
	}

	if s.BeforeNodes == nil {
		s.BeforeNodes = PoolGateway
	}

	if s.Routes == nil {
		s.Routes = func(ctx context.Context, c *Cluster) error { return c.SyncRoutes(ctx) }
	}

	if s.Journeys == nil {
		s.Journeys = func(ctx context.Context, c *Cluster) ([]show.Journey, error) { return c.Journeys(ctx) }
	}

	return s
}

// FindScenario finds one of the scenarios that the driver knows.
func (d *Driver) FindScenario(name string) (Scenario, error) {
	names := make([]string, 0, len(d.scenarios))

	for _, s := range d.scenarios {
		if s.Name == name {
			return s.complete(), nil
		}

		names = append(names, s.Name)
	}

	return Scenario{}, fmt.Errorf("scenario %q is not known; there are %q", name, names)
}

// scenarioOf finds the scenario that a Shoot belongs to.
func (d *Driver) scenarioOf(shoot *gardencorev1beta1.Shoot) (Scenario, error) {
	name := shoot.Annotations[scenarioAnnotation]
	if name == "" {
		name = DemoScenario
	}

	return d.FindScenario(name)
}

// DeployScenario creates the Shoot of a scenario and does for it what gardenlet does. A Shoot of another scenario is deleted before.
func (d *Driver) DeployScenario(ctx context.Context, name string) (*Cluster, error) {
	scenario, err := d.FindScenario(name)
	if err != nil {
		return nil, err
	}

	if err := d.deleteOther(ctx, name); err != nil {
		return nil, err
	}

	manifest, err := scenario.Manifest()
	if err != nil {
		return nil, err
	}

	cluster, err := d.Deploy(ctx, manifest, scenario.Nodes)
	if err != nil {
		return nil, err
	}

	steps := []step{{"owner: a web server on every node", func(ctx context.Context) error { return cluster.DeployWorkload(ctx, scenario.Nodes) }}}

	if scenario.AfterNodes != nil {
		steps = append(steps, step{"scenario " + name + ": settled", func(ctx context.Context) error { return scenario.AfterNodes(ctx, cluster) }})
	}

	return cluster, d.run(ctx, steps)
}

// deleteOther makes room: there is one Shoot at a time.
func (d *Driver) deleteOther(ctx context.Context, name string) error {
	shoot, err := d.getShoot(ctx, demoShoot)
	if err != nil {
		return client.IgnoreNotFound(err)
	}

	scenario, err := d.scenarioOf(shoot)
	if err != nil || scenario.Name == name {
		return err
	}

	cluster, err := d.Open(ctx, demoShoot)
	if err != nil {
		return err
	}

	return d.DeleteShoot(ctx, cluster)
}

// Manifest is that of the scenario's Shoot, as its owner wrote it.
func (s Scenario) Manifest() ([]byte, error) {
	s = s.complete()

	return render("shoot.yaml", map[string]string{
		"KubernetesVersion": kubernetesVersion,
		"Scenario":          s.Name,
		"Networking":        strings.ReplaceAll(strings.TrimSpace(s.Networking), "\n", "\n    "),
		"Nodes":             strconv.Itoa(s.Nodes),
		"MaxNodes":          strconv.Itoa(max(5, s.Nodes)),
	})
}

// PoolMachine is a machine on the Shoot's link with an address out of the first part of the nodes range.
func PoolMachine(c *Cluster, number int) (Machine, error) {
	nodes, err := c.NodesRange()
	if err != nil {
		return Machine{}, err
	}

	return Machine{HostConfig: machine.HostConfig{
		Link:      machine.ShootLink,
		Addresses: []netip.Prefix{addressOf(nodes, firstNodeHost+uint8(number))}, // #nosec G115 -- a handful of nodes
		Gateways:  []netip.Addr{addressOf(nodes, gatewayHost).Addr()},
	}}, nil
}

// PoolGateway gives the router the first address of the nodes range, on the Shoot's link.
func PoolGateway(ctx context.Context, c *Cluster) error {
	nodes, err := c.NodesRange()
	if err != nil {
		return err
	}

	return c.machine.SetShootGateway(ctx, addressOf(nodes, gatewayHost))
}

// Machines are those that the landscape is made of: for hooks and checks that look at hosts.
func (d *Driver) Machines() *Topology { return d.machine }

// ServicesRange is the first range of Services.
func (c *Cluster) ServicesRange() (netip.Prefix, error) {
	ranges, err := c.ranges()
	if err != nil {
		return netip.Prefix{}, err
	}

	return netip.ParsePrefix(ranges.Services[0].String())
}

// Await looks again and again until look returns nil. After the limit its error says what was awaited, and what was seen last.
func Await(ctx context.Context, what string, limit time.Duration, look func(context.Context) error) error {
	return until(ctx, waiting{what: what, limit: limit, every: 200 * time.Millisecond}, look)
}
