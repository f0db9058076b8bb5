// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package build compiles the programs of the landscape from their Go modules into a cache outside of the work tree, and
// checks beforehand that the machine has what the landscape needs.
//
// A program from another project's module carries a stamp of all that went into it; while the stamp holds, the compiler
// isn't even asked. The project's own programs always go through the compiler, which is quick when nothing changed.
package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// CacheDir is where everything that outlives a landscape is kept: $XDG_CACHE_HOME/gardener-extension-networking-ipv6.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	return filepath.Join(dir, "gardener-extension-networking-ipv6"), nil
}

// BinDir is where the programs are: CacheDir/bin.
func BinDir() (string, error) {
	dir, err := CacheDir()
	return filepath.Join(dir, "bin"), err
}

// Root finds the repository's root: the nearest directory upwards that holds the product's go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("repository's root: %w", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod")) // #nosec G304 -- looks for the repository
		if err == nil && strings.HasPrefix(string(text), "module github.com/gardener/gardener-extension-networking-ipv6\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("repository's root: no go.mod of the product here or above")
		}
		dir = filepath.Dir(dir)
	}
}

// Builder compiles programs.
type Builder struct {
	// Root of the repository.
	Root string
	// Bin is the directory to write to.
	Bin string
	// Logf reports progress, one line a call.
	Logf func(format string, args ...any)
	// Every is how often a long build says that it goes on; 15 seconds if zero.
	Every time.Duration
}

// New is a builder for this repository and its cache.
func New(logf func(string, ...any)) (*Builder, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	bin, err := BinDir()
	if err != nil {
		return nil, err
	}
	return &Builder{Root: root, Bin: bin, Logf: logf}, nil
}

// atOnce is how many programs are built beside one another: the linker uses one core, the compiler all.
const atOnce = 2

// Build compiles the programs that are missing or out of date.
func (b *Builder) Build(ctx context.Context, programs []Program) error {
	version, err := b.output(ctx, ".", "go", "env", "GOVERSION")
	if err != nil {
		return err
	}
	var todo []Program
	stamps := map[string]string{}
	for _, p := range programs {
		if stamps[p.Name], err = b.stamp(p, version); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if p.own() || !b.fresh(p, stamps[p.Name]) {
			todo = append(todo, p)
		}
	}
	if cached := len(programs) - len(todo); cached > 0 {
		b.Logf("build: %d programs are in %s already", cached, b.Bin)
	}
	start := time.Now()
	var done atomic.Int32
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for _, p := range todo {
		all.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			took, err := b.one(ctx, p)
			if err != nil {
				return err
			}
			b.Logf("build: [%2d/%d] %-36s %6.1fs", done.Add(1), len(todo), p.Name, took.Seconds())
			if p.own() {
				return nil
			}
			return os.WriteFile(b.stampFile(p), []byte(stamps[p.Name]), 0o600)
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if len(todo) > 0 {
		b.Logf("build: %d programs in %s", len(todo), time.Since(start).Round(100*time.Millisecond))
	}
	return nil
}

// one compiles a program, and says every now and then that it still does.
func (b *Builder) one(ctx context.Context, p Program) (time.Duration, error) {
	start := time.Now()
	if err := os.MkdirAll(filepath.Dir(b.stampFile(p)), 0o750); err != nil {
		return 0, err
	}
	every := b.Every
	if every == 0 {
		every = 15 * time.Second
	}
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-finished:
				return
			case <-tick.C:
				b.Logf("build: %s: still compiling after %s", p.Name, time.Since(start).Round(time.Second))
			}
		}
	}()
	args := []string{"build"}
	if p.Test {
		args = []string{"test", "-c"}
	}
	args = append(args, "-ldflags", p.LDFlags, "-tags", p.Tags, "-o", filepath.Join(b.Bin, p.Name), p.Package)
	_, err := b.output(ctx, p.Module, "go", args...)
	if err != nil {
		return 0, fmt.Errorf("building %s in %s: %w", p.Name, p.Module, err)
	}
	return time.Since(start), nil
}

// goFlags are the same for all that is built in this repository, so that all share what the compiler has cached.
const goFlags = "-trimpath -buildvcs=false"

func (b *Builder) output(ctx context.Context, module, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) // #nosec G204 -- the go command with arguments from above
	cmd.Dir = filepath.Join(b.Root, module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+goFlags, "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// stamp is a hash of all that goes into a program of another project: its module's files, the flags, the compiler.
func (b *Builder) stamp(p Program, goVersion string) (string, error) {
	if p.own() {
		return "", nil
	}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\n%s\n%+v\n", goVersion, goFlags, p)
	dir := filepath.Join(b.Root, p.Module)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	for _, file := range append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")) {
		text, err := os.ReadFile(file) // #nosec G304 -- a file of the repository
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (b *Builder) stampFile(p Program) string { return filepath.Join(b.Bin, ".stamps", p.Name) }

func (b *Builder) fresh(p Program, stamp string) bool {
	have, err := os.ReadFile(b.stampFile(p))
	if err != nil || string(have) != stamp {
		return false
	}
	_, err = os.Stat(filepath.Join(b.Bin, p.Name))
	return err == nil
}
