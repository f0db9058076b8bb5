// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command churn lets very many Nodes, which are nothing but objects, come and go on a real kube-apiserver, and measures what that costs one
// agent: its processor time, its memory, and what it asks of its kernel, for each change of a Node. The same changes are made in
// clusters of several sizes: what a change costs ought to depend on the change and not on the size.
//
// The agent is a process of its own: this program starts itself again. As root, the agent works on a real kernel, in a network
// namespace of its own; its pods, and the sessions of BGP, are not there.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	// own is the Node of the agent.
	own = "node-0"
	// link is what the addresses of all nodes begin with.
	link = "2001:db8:1::"
)

// settings of a measurement.
type settings struct {
	sizes  []int
	modes  []agentconfig.RoutingMode
	kernel bool
	// rate of changes a second, and for how long.
	rate, beats int
	seconds     time.Duration
}

func main() {
	if text := os.Getenv(agentEnv); text != "" {
		exit(runAgent(text))
	}
	set := settings{}
	sizes := flag.String("nodes", "250,1000", "sizes of the clusters, in Nodes")
	modes := flag.String("modes", "Direct,BGP", "routing modes; BGP with a mesh of all nodes")
	flag.BoolVar(&set.kernel, "kernel", os.Getuid() == 0, "give the agent a real kernel: a network namespace of its own (root)")
	flag.IntVar(&set.rate, "rate", 10, "Nodes a second that go and come again with another prefix")
	flag.IntVar(&set.beats, "beats", 100, "heartbeats a second, which change nothing that matters")
	flag.DurationVar(&set.seconds, "for", 20*time.Second, "how long each measurement takes")
	flag.Parse()
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 {
			exit(fmt.Errorf("-nodes: %q is no number of Nodes, of which at least 2 are needed", text))
		}
		set.sizes = append(set.sizes, n)
	}
	for text := range strings.SplitSeq(*modes, ",") {
		set.modes = append(set.modes, agentconfig.RoutingMode(text))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, set))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "churn:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, set settings) (err error) {
	fmt.Fprintln(os.Stderr, "starting a kube-apiserver ...")
	env, err := envtest.New(envtest.WithServiceRange("fd00:10::/108"))
	if err != nil {
		return err
	}
	defer func() {
		if stopped := env.Stop(); err == nil {
			err = stopped
		}
	}()
	cluster, err := newCluster(env)
	if err != nil {
		return err
	}
	var columns []column
	for _, size := range set.sizes {
		if err := cluster.grow(ctx, size); err != nil {
			return err
		}
		for _, mode := range set.modes {
			fmt.Fprintf(os.Stderr, "measuring %s with %d Nodes ...\n", mode, size)
			c, err := measure(ctx, set, cluster, env, mode)
			if err != nil {
				return fmt.Errorf("%s with %d Nodes: %w", mode, size, err)
			}
			columns = append(columns, c)
		}
	}
	report(set, columns)
	return nil
}
