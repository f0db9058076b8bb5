// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command cmd builds programs into the cache that tests and the landscape run them from. It is a program of its own,
// made of little, so that it can show its progress within seconds on a machine where nothing was compiled before.
//
//	go run ./test/landscape/build/cmd [--install] [--no-check] binaries|landscape|own|e2e|all
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	install := flag.Bool("install", os.Getenv("CI") == "true", "install missing packages with apt-get (as in CI)")
	check := flag.Bool("check", true, "check first that the machine can run a landscape; without effect on binaries and own")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: build [flags] binaries|landscape|own|e2e|all")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		return fmt.Errorf("want one argument, got %d", flag.NArg())
	}
	builder, err := build.New(func(format string, args ...any) {
		fmt.Printf("%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
	})
	if err != nil {
		return err
	}
	what := flag.Arg(0)
	if *check && what != "binaries" && what != "own" {
		if err := build.Check(ctx, builder.Logf, *install); err != nil {
			return err
		}
	}
	programs, err := build.Set(builder.Root, what)
	if err != nil {
		return err
	}
	return builder.Build(ctx, programs)
}
