// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command thousand creates very many Shoots at once, as gardenlets would, on a real kube-apiserver, and measures how the reservation
// controller copes: how long until all have their prefixes from the operator's pool, how many requests it takes, and what the
// controller needs. The controller is a process of its own: this program starts itself again.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// settings of a measurement. Each Shoot asks for two prefixes.
type settings struct {
	Kubeconfig, Namespace string
	Shoots                int
	// Workers of the controller, and requests a second that it may make, and at once: the defaults are the chart's.
	Workers int
	QPS     float64
	Burst   int
}

const reservationsOfAShoot = 2

func main() {
	if text := os.Getenv(controllerEnv); text != "" {
		exit(runController(text))
	}
	var set settings
	flag.IntVar(&set.Shoots, "shoots", 1000, "Shoots that are created at once")
	flag.IntVar(&set.Workers, "workers", 25, "Shoots that the controller works on at a time")
	flag.Float64Var(&set.QPS, "qps", 100, "requests a second that the controller may make; negative: any number")
	flag.IntVar(&set.Burst, "burst", 130, "requests that the controller may make at once")
	patience := flag.Duration("patience", 15*time.Minute, "how long to wait for the last one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *patience)
	defer cancel()
	exit(run(ctx, set))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "thousand:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, set settings) (err error) {
	fmt.Fprintln(os.Stderr, "starting a kube-apiserver ...")
	env, err := envtest.New(envtest.WithScheme(addToScheme), envtest.WithGardenerCRDs(),
		envtest.WithCRDs("charts/gardener-extension-networking-ipv6/templates/crds"))
	if err != nil {
		return err
	}
	defer func() {
		if stopped := env.Stop(); err == nil {
			err = stopped
		}
	}()
	env.Config.QPS = -1 // the gardenlets are many
	s, err := newSeed(env)
	if err != nil {
		return err
	}
	if set.Namespace, err = s.namespace(ctx, "extension-", nil); err != nil {
		return err
	}
	file, err := os.CreateTemp("", "thousand-*.kubeconfig")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // a temporary file
	if _, err := file.Write(env.Kubeconfig); err != nil {
		return err
	}
	set.Kubeconfig = file.Name()
	controller, err := startController(set)
	if err != nil {
		return err
	}
	defer controller.stop()

	bound, err := s.watch(ctx)
	if err != nil {
		return err
	}
	before, err := s.requests(ctx)
	if err != nil {
		return err
	}
	idle := controller.usage()
	fmt.Fprintf(os.Stderr, "creating %d Shoots ...\n", set.Shoots)
	begin := time.Now()
	created, err := s.create(ctx, set.Shoots)
	if err != nil {
		return err
	}
	allCreated := time.Since(begin)
	fmt.Fprintln(os.Stderr, "waiting until all are bound ...")
	got, err := bound.wait(ctx, set.Shoots*reservationsOfAShoot, controller.exited)
	if err != nil {
		return err
	}
	allBound := time.Since(begin)
	if err := disjoint(got); err != nil {
		return err
	}
	busy := controller.usage()
	// What the controller still does, to tell the Infrastructures, goes on for a while: it belongs to the requests.
	if err := s.settled(ctx); err != nil {
		return err
	}
	after, err := s.requests(ctx)
	if err != nil {
		return err
	}
	report(set, created, got, allCreated, allBound, before.until(after), idle, busy)
	return nil
}

// disjoint tells whether no two reservations got the same address.
func disjoint(got map[string]reserved) error {
	var all []reserved
	for _, r := range got {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b reserved) int { return a.prefix.Addr().Compare(b.prefix.Addr()) })
	for i := 1; i < len(all); i++ {
		if all[i].prefix.Overlaps(all[i-1].prefix) {
			return fmt.Errorf("%s and %s overlap", all[i].prefix, all[i-1].prefix)
		}
	}
	return nil
}

// reserved is what one reservation got, and when it was seen.
type reserved struct {
	prefix netip.Prefix
	at     time.Time
}

func environment(set settings) (string, error) {
	text, err := json.Marshal(set)
	return controllerEnv + "=" + string(text), err
}
