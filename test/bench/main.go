// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command bench measures how long a CNI runtime waits for a pod's network: ADD and DEL of ipv6-cni with a real agent, alone and many
// at once, beside a plugin that does nothing and one that makes a veth pair and no more (the limits of process and kernel) and the reference
// plugins ptp and host-local (the peer), all in one run, because only a ratio of figures of one run means anything on another machine.
// It needs root.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

type options struct {
	rounds, batches, atOnce int
	dir                     string
	// data measures the data path instead of the plugin; lasting is how long each of its measurements is, tracked whether the nodes track
	// connections.
	data, tracked bool
	lasting       time.Duration
}

func main() {
	if path := os.Getenv(agentEnv); path != "" {
		exit(runAgent(path))
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 200, "calls of each plugin with nothing beside it")
	flag.IntVar(&o.batches, "batches", 6, "times that many pods start at once")
	flag.IntVar(&o.atOnce, "at-once", 50, "pods that start at once")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where host-local keeps its addresses; the file system matters")
	flag.BoolVar(&o.data, "data", false, "measure what travels between pods, not how they get their network")
	flag.DurationVar(&o.lasting, "lasting", 80*time.Millisecond, "with -data: how long each measurement takes")
	flag.BoolVar(&o.tracked, "tracked", true, "with -data: track connections on the nodes, as kube-proxy makes them do")
	flag.Parse()
	if os.Geteuid() != 0 {
		const why = "the CNI benchmark needs root for network namespaces; run: sudo make bench"
		if os.Getenv("CI") == "true" {
			exit(fmt.Errorf("%s (CI=true: it must not be left out)", why))
		}
		fmt.Fprintln(os.Stderr, "LEFT OUT:", why)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o options) (err error) {
	removeLeftovers()
	dir, err := os.MkdirTemp(o.dir, "ipv6-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	begin := time.Now()
	fmt.Fprint(os.Stderr, "building the plugins ... ")
	if err := build(ctx, filepath.Join(dir, "bin")); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, time.Since(begin).Round(100*time.Millisecond))

	if o.data {
		return dataPath(ctx, o, dir)
	}
	pods, err := newSpaces("pod", o.atOnce)
	defer pods.remove()
	if err != nil {
		return err
	}
	nodes, err := newSpaces("node", 5)
	defer nodes.remove()
	if err != nil {
		return err
	}
	process, stopAgent, err := startAgent(ctx, nodes[0], dir)
	if err != nil {
		return err
	}
	defer stopAgent()
	plugins := []*plugin{
		ours(nodes[0], dir),
		limit("nothing", "floor", nodes[1]),
		limit("veth pair", "veth", nodes[2]),
		ptp("ptp, no DAD", nodes[3], dir, "0", 1),
		// Duplicate address detection takes seconds: fewer samples of it.
		ptp("ptp", nodes[4], dir, "1", 10),
	}
	plugins[0].process = process
	if err := plugins[0].awaitReady(ctx, dir); err != nil {
		return err
	}
	where := machine(dir)
	if err := measure(ctx, o, dir, plugins, pods); err != nil {
		return err
	}
	fmt.Printf("%s\n%s\nThe agent without its informer: %s.\n", where, table(o.atOnce, plugins), plugins[0].memory)
	return nil
}

// build builds the plugins that are compared, all in the same way.
func build(ctx context.Context, bin string) error {
	const reference = "github.com/containernetworking/plugins/plugins/"
	for _, args := range [][]string{
		{"build", "-ldflags", "-s -w", "-o", bin + "/", "./cmd/ipv6-cni", "./test/bench/floor", "./test/bench/veth"},
		{"build", "-C", "hack/tools/cniplugins", "-ldflags", "-s -w", "-o", bin + "/",
			reference + "main/ptp", reference + "ipam/host-local", reference + "meta/portmap", reference + "main/loopback"},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %v: %w (run it in the repository's folder)\n%s", args, err, out)
		}
	}
	return nil
}

// measure calls every plugin in every round, in an order that is drawn anew each time, the same in each run: whatever else the machine
// does meets all of them, and none always comes after the one whose interfaces the kernel is still taking apart.
func measure(ctx context.Context, o options, dir string, plugins []*plugin, pods spaces) error {
	fmt.Fprintln(os.Stderr, "measuring ...")
	draw := rand.New(rand.NewPCG(1, 2))
	for round := range o.rounds {
		for _, i := range draw.Perm(len(plugins)) {
			p := plugins[i]
			if round%p.every != 0 {
				continue
			}
			if err := p.batch(ctx, dir, pods[round%len(pods):][:1], &p.alone); err != nil {
				return err
			}
		}
	}
	for range o.batches {
		for _, i := range draw.Perm(len(plugins)) {
			p := plugins[i]
			if err := p.batch(ctx, dir, pods, &p.atOnce); err != nil {
				return err
			}
		}
	}
	return nil
}
