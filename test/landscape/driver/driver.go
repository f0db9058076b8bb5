// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"net/netip"

	"github.com/gardener/gardener/pkg/client/kubernetes"
	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Networks are the ranges of a cluster.
type Networks struct {
	Nodes, Pods, Services netip.Prefix
}

// Driver plays gardenlet and the infrastructure provider.
type Driver struct {
	machine  *Topology
	progress *Progress
	// scenarios that Shoots may belong to.
	scenarios []Scenario
	log       logr.Logger

	// The landscape's first cluster is garden and seed: two clients that differ in the types they know.
	seed   kubernetes.Interface
	garden client.Client
}

// New connects to the landscape's garden and seed. The scenarios are those that it knows beside the demo's.
func New(machine *Topology, progress *Progress, log logr.Logger, scenarios ...Scenario) (*Driver, error) {
	config, err := machine.SeedConfig()
	if err != nil {
		return nil, err
	}

	config.QPS, config.Burst = 200, 400

	seed, err := kubernetes.NewWithConfig(
		kubernetes.WithRESTConfig(config),
		kubernetes.WithClientOptions(client.Options{Scheme: kubernetes.SeedScheme}),
		kubernetes.WithDisabledCachedClient(),
	)
	if err != nil {
		return nil, fmt.Errorf("client of the seed: %w", err)
	}

	garden, err := client.New(config, client.Options{Scheme: kubernetes.GardenScheme})
	if err != nil {
		return nil, fmt.Errorf("client of the garden: %w", err)
	}

	return &Driver{
		machine: machine, progress: progress, log: log, seed: seed, garden: garden, scenarios: append([]Scenario{Demo()}, scenarios...),
	}, nil
}

// hint says how a person looks into the seed.
func (d *Driver) hint(args string) string {
	return fmt.Sprintf("`go run ./test/landscape kubectl seed %s`", args)
}
