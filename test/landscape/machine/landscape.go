// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package machine turns one Linux machine into a small data centre: links with a router between them, hosts, control
// planes and Kubernetes nodes. A host is a network namespace; a node is a set of namespaces (net, mount, uts, ipc,
// pid, cgroup) in which an own containerd and kubelet run. There is no container engine and no virtual machine.
//
// It knows nothing of Gardener and of this extension: what to start with which flags is the driver's business.
//
// Every function is idempotent: what is there already is left alone, what differs is changed. Nothing that this
// package makes lies outside of the landscape's directory, its cgroup, and the network namespaces that bear its name,
// so that Down can find all of it whatever happened before.
package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/cgroup"
)

// DefaultName is the landscape that `make demo` brings up.
const DefaultName = "gx6"

// Landscape is everything that runs on this machine under one name. Several can stand side by side.
type Landscape struct {
	// Name prefixes the network namespaces (NAME-HOST) and is the name of the cgroup.
	Name string
	// Dir holds the state: configuration, keys, logs, the nodes' disks. Down removes it.
	Dir string
	// Bin holds the built programs; see package build.
	Bin string
	// Logf reports progress to a person, one line a call.
	Logf func(format string, args ...any)

	cgroup cgroup.Group
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9]{0,7}$`)

// New describes a landscape; nothing is started. The name has at most eight lower-case letters and digits.
func New(name, dir, bin string, logf func(string, ...any)) (*Landscape, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("landscape name %q: want at most 8 lower-case letters and digits", name)
	}
	if !filepath.IsAbs(dir) || !filepath.IsAbs(bin) {
		return nil, fmt.Errorf("landscape %s: directories %q and %q must be absolute", name, dir, bin)
	}
	if logf == nil {
		logf = func(string, ...any) {}
	}
	return &Landscape{Name: name, Dir: dir, Bin: bin, Logf: logf, cgroup: cgroup.Top(name)}, nil
}

// program is the path of a built program.
func (l *Landscape) program(name string) string { return filepath.Join(l.Bin, name) }

// hostDir is where a host keeps its files.
func (l *Landscape) hostDir(host string) string { return filepath.Join(l.Dir, host) }

// prepare makes the directory and sees to it that the machine can carry a landscape.
func (l *Landscape) prepare() error {
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return fmt.Errorf("landscape %s: %w", l.Name, err)
	}
	if _, err := os.Stat(l.program(enterProgram)); err != nil {
		return fmt.Errorf("landscape %s: programs are not built: %w", l.Name, err)
	}
	return prepareSettings()
}

// wait calls check until it returns nil, and gives its last error if that takes too long.
func wait(ctx context.Context, what string, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := errors.New("not tried")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, done := context.WithTimeout(ctx, 10*time.Second)
		err := check(attempt)
		done()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, limit, last)
		case <-tick.C:
		}
	}
}
