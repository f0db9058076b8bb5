// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
	"github.com/gardener/gardener-extension-networking-ipv6/test/scenarios"
)

func say(format string, args ...any) {
	fmt.Printf("%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

func buildPrograms(ctx context.Context, what string) error {
	builder, err := build.New(say)
	if err != nil {
		return err
	}

	if what != "binaries" && what != "own" {
		if err := build.Check(ctx, say, os.Getenv("CI") == "true"); err != nil {
			return err
		}
	}

	programs, err := build.Set(builder.Root, what)
	if err != nil {
		return err
	}

	return builder.Build(ctx, programs)
}

// bringUp brings up everything but the Shoot.
func bringUp(ctx context.Context) (*driver.Driver, error) {
	if !skipBuild {
		if err := buildPrograms(ctx, "landscape"); err != nil {
			return nil, err
		}
	}

	return driver.Connect(ctx, os.Stdout, true, scenarios.All()...)
}

func demo(ctx context.Context, scenario string) error {
	if scenario == "" {
		scenario = driver.DemoScenario
	}

	d, err := bringUp(ctx)
	if err != nil {
		return err
	}

	cluster, err := d.DeployScenario(ctx, scenario)
	if err != nil {
		return err
	}

	return report(ctx, cluster)
}

// withShoot does something to the demo's Shoot.
func withShoot(ctx context.Context, act func(context.Context, *driver.Driver, *driver.Cluster) error) error {
	d, err := driver.Connect(ctx, os.Stdout, false, scenarios.All()...)
	if err != nil {
		return err
	}

	cluster, err := d.OpenDemo(ctx)
	if err != nil {
		return err
	}

	return act(ctx, d, cluster)
}

func showAgain(ctx context.Context) error {
	return withShoot(ctx, func(ctx context.Context, _ *driver.Driver, cluster *driver.Cluster) error {
		return report(ctx, cluster)
	})
}

func report(ctx context.Context, cluster *driver.Cluster) error {
	result, err := cluster.Report(ctx)
	show.Print(os.Stdout, result)

	return err
}

func down(ctx context.Context) error {
	paths, err := driver.Locate()
	if err != nil {
		return err
	}

	machines, err := paths.Machines()
	if err != nil {
		return err
	}

	begin := time.Now()
	if err := machines.Down(ctx); err != nil {
		return err
	}

	say("the landscape is gone, after %s", time.Since(begin).Round(100*time.Millisecond))

	return nil
}

// kubectl runs kubectl with the kubeconfig that a person would use.
func kubectl(ctx context.Context, cluster string, args []string) error {
	paths, err := driver.Locate()
	if err != nil {
		return err
	}

	var kubeconfig string

	switch cluster {
	case "seed", "garden":
		kubeconfig = driver.SeedKubeconfigPath(paths.State)
	case "shoot":
		kubeconfig = driver.ShootKubeconfigPath(paths.State)
	default:
		return fmt.Errorf("cluster %q: want seed or shoot", cluster)
	}

	if _, err := os.Stat(kubeconfig); err != nil {
		return fmt.Errorf("the %s is not there (is the landscape up?): %w", cluster, err)
	}

	return run(ctx, []string{"KUBECONFIG=" + kubeconfig}, filepath.Join(paths.Bin, "kubectl"), args...)
}

func status(ctx context.Context) error {
	for _, cluster := range []string{"seed", "shoot"} {
		fmt.Printf("--- %s\n", cluster)

		for _, what := range []string{"nodes", "pods"} {
			if err := kubectl(ctx, cluster, []string{"get", what, "--all-namespaces", "--output", "wide"}); err != nil {
				return err
			}
		}
	}

	return nil
}

func execOn(ctx context.Context, host string, args []string) error {
	paths, err := driver.Locate()
	if err != nil {
		return err
	}

	machines, err := paths.Machines()
	if err != nil {
		return err
	}

	cmd := machines.Host(host).Command(ctx, args[0], args[1:]...)
	if node := machines.Node(host); node.Up() {
		cmd = node.Command(ctx, args[0], args[1:]...)
	}

	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr

	if err := cmd.Run(); err != nil {
		return ranError{err}
	}

	return nil
}

func e2e(ctx context.Context, args []string) error {
	paths, err := driver.Locate()
	if err != nil {
		return err
	}

	if !skipBuild {
		if err := buildPrograms(ctx, "all"); err != nil {
			return err
		}
	}

	command := append([]string{"test", "-C", paths.Root, "-tags=e2e", "-count=1", "-timeout=60m", "-v", "./test/e2e/..."}, args...)

	return run(ctx, nil, "go", command...)
}
