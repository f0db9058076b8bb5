//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
	"github.com/gardener/gardener-extension-networking-ipv6/test/scenarios"
)

var (
	// installed is for those who iterate: garden and seed stay as they are, nothing is installed again.
	installed = flag.Bool("installed", false, "the landscape is up and everything is installed on it")
	// keep leaves the last Shoot for a person to look at.
	keep = flag.Bool("keep", false, "do not delete the Shoot after the last scenario")
)

// world is set by TestMain.
var world *driver.Driver

func TestMain(m *testing.M) {
	flag.Parse()

	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "the landscape is made of network namespaces, which needs root")
		os.Exit(1)
	}

	var err error
	if world, err = driver.Connect(context.Background(), os.Stdout, !*installed, scenarios.All()...); err != nil {
		fmt.Fprintf(os.Stderr, "the landscape does not come up: %v\n", err)
		os.Exit(1)
	}

	code := m.Run()

	if !*keep {
		if err := world.DeleteDemo(context.Background()); err != nil {
			fmt.Fprintf(os.Stderr, "the last Shoot is not deleted: %v\n", err)
			os.Exit(1)
		}
	}

	os.Exit(code)
}

// TestScenarios creates the Shoot of one scenario after the other and runs its checks.
// `-run TestScenarios/packet` runs one scenario, `-run TestScenarios/packet/sessions` some of its checks.
func TestScenarios(t *testing.T) {
	for _, scenario := range scenarios.All() {
		t.Run(scenario.Name, func(t *testing.T) {
			cluster, err := world.DeployScenario(t.Context(), scenario.Name)
			if err != nil {
				if cluster, err := world.OpenDemo(t.Context()); err == nil {
					diagnose(t, cluster)
				}

				t.Fatalf("the Shoot of scenario %s does not come up: %v", scenario.Name, err)
			}

			for _, check := range scenario.Checks {
				t.Run(check.Title, func(t *testing.T) {
					begin := time.Now()
					found, err := check.Run(t.Context(), cluster)
					took := time.Since(begin).Round(100 * time.Millisecond)

					if err != nil {
						t.Errorf("%v (after %s)", err, took)
						diagnose(t, cluster)

						return
					}

					t.Logf("%s (%s)", found, took)
				})
			}

			t.Run("report", func(t *testing.T) {
				report, err := cluster.Report(t.Context())
				show.Print(os.Stdout, report)

				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// diagnose prints what a person would look at first.
func diagnose(t *testing.T, cluster *driver.Cluster) {
	t.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	t.Log(cluster.Diagnosis(ctx))
}
