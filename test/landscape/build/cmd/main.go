// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command cmd builds programs into the cache that tests and the landscape run them from. It is a program of its own,
// made of little, so that it can show its progress within seconds on a machine where nothing was compiled before.
//
//	go run ./test/landscape/build/cmd [--install] [--check=false] binaries|landscape|own|e2e|all|images
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
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
	check := flag.Bool("check", true, "check first that the machine can run a landscape; without effect on binaries, own and images")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: build [flags] binaries|landscape|own|e2e|all|images")
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
	if *check && what != "binaries" && what != "own" && what != "images" {
		if err := build.Check(ctx, builder.Logf, *install); err != nil {
			return err
		}
	}
	if what == "images" {
		return images(ctx, builder)
	}
	programs, err := build.Set(builder.Root, what)
	if err != nil {
		return err
	}
	return builder.Build(ctx, programs)
}

// images builds the project's programs and makes of them the images that are published.
func images(ctx context.Context, builder *build.Builder) error {
	programs, err := build.Own(builder.Root)
	if err != nil {
		return err
	}
	if err := builder.Build(ctx, append(programs, build.Plugins()...)); err != nil {
		return err
	}
	version, err := os.ReadFile(filepath.Join(builder.Root, "VERSION"))
	if err != nil {
		return err
	}
	path := filepath.Join(builder.Bin, "..", "images", "published.tar")
	names, err := image.Publish(builder.Bin, path, strings.TrimSpace(string(version)))
	if err != nil {
		return err
	}
	for _, name := range names {
		builder.Logf("image: %s", name)
	}
	builder.Logf("images: a docker archive with all of them is %s", path)
	return nil
}
