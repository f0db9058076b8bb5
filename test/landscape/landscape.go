// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

// paths of the landscape on this machine.
type paths struct{ root, bin, images, state string }

func findPaths() (paths, error) {
	root, err := build.Root()
	if err != nil {
		return paths{}, err
	}

	cache, err := build.CacheDir()
	if err != nil {
		return paths{}, err
	}

	return paths{
		root:   root,
		bin:    filepath.Join(cache, "bin"),
		images: filepath.Join(cache, "images"),
		state:  filepath.Join(cache, "run", machine.DefaultName),
	}, nil
}

func say(format string, args ...any) {
	fmt.Printf("%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

func quiet() {
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
}

func open() (*machine.Landscape, error) {
	p, err := findPaths()
	if err != nil {
		return nil, err
	}

	return machine.New(machine.DefaultName, p.state, p.bin, nil)
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
	quiet()

	if !skipBuild {
		if err := buildPrograms(ctx, "landscape"); err != nil {
			return nil, err
		}
	}

	return connect(ctx, true)
}

// connect starts, or finds, the landscape's machines and gives the driver; with install it also installs what is to run there.
func connect(ctx context.Context, install bool) (*driver.Driver, error) {
	p, err := findPaths()
	if err != nil {
		return nil, err
	}

	landscape, err := open()
	if err != nil {
		return nil, err
	}

	version, err := os.ReadFile(filepath.Join(p.root, "VERSION"))
	if err != nil {
		return nil, fmt.Errorf("version: %w", err)
	}

	progress := driver.NewProgress(os.Stdout)

	topology, err := driver.StartTopology(ctx, landscape, p.images, strings.TrimSpace(string(version)), progress)
	if err != nil {
		return nil, err
	}

	d, err := driver.New(topology, progress, logr.Discard())
	if err != nil || !install {
		return d, err
	}

	return d, d.Install(ctx)
}

func demo(ctx context.Context) error {
	d, err := bringUp(ctx)
	if err != nil {
		return err
	}

	cluster, err := d.DeployDemo(ctx)
	if err != nil {
		return err
	}

	return report(ctx, cluster)
}

func showAgain(ctx context.Context) error {
	quiet()

	d, err := connect(ctx, false)
	if err != nil {
		return err
	}

	cluster, err := d.OpenDemo(ctx)
	if err != nil {
		return err
	}

	return report(ctx, cluster)
}

func report(ctx context.Context, cluster *driver.Cluster) error {
	result, err := cluster.Report(ctx)
	show.Print(os.Stdout, result)

	return err
}

func down(ctx context.Context) error {
	landscape, err := open()
	if err != nil {
		return err
	}

	begin := time.Now()
	if err := landscape.Down(ctx); err != nil {
		return err
	}

	say("the landscape is gone, after %s", time.Since(begin).Round(100*time.Millisecond))

	return nil
}

// kubeconfig of one of the clusters for a person on this machine.
func kubeconfig(cluster string) (string, error) {
	p, err := findPaths()
	if err != nil {
		return "", err
	}

	var path string

	switch cluster {
	case "seed", "garden":
		path = driver.SeedKubeconfigPath(p.state)
	case "shoot":
		path = driver.ShootKubeconfigPath(p.state)
	default:
		return "", fmt.Errorf("cluster %q: want seed or shoot", cluster)
	}

	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the %s is not there (is the landscape up?): %w", cluster, err)
	}

	return path, nil
}

func kubectl(ctx context.Context, cluster string, args []string) error {
	path, err := kubeconfig(cluster)
	if err != nil {
		return err
	}

	p, err := findPaths()
	if err != nil {
		return err
	}

	return run(ctx, []string{"KUBECONFIG=" + path}, filepath.Join(p.bin, "kubectl"), args...)
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
	landscape, err := open()
	if err != nil {
		return err
	}

	var cmd = landscape.Host(host).Command(ctx, args[0], args[1:]...)
	if node := landscape.Node(host); node.Up() {
		cmd = node.Command(ctx, args[0], args[1:]...)
	}

	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr

	return cmd.Run()
}

func e2e(ctx context.Context, args []string) error {
	p, err := findPaths()
	if err != nil {
		return err
	}

	if err := buildPrograms(ctx, "all"); err != nil {
		return err
	}

	command := append([]string{"test", "-C", p.root, "-tags=e2e", "-count=1", "-timeout=60m", "-v", "./test/e2e/..."}, args...)

	return run(ctx, nil, "go", command...)
}
