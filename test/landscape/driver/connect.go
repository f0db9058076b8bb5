// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// Paths of the landscape on this machine.
type Paths struct {
	// Root of the repository.
	Root string
	// Bin holds the built programs, Images the archives made of them.
	Bin, Images string
	// State is what `down` removes.
	State string
}

// Locate finds the paths. Only Root is inside of the work tree.
func Locate() (Paths, error) {
	root, err := build.Root()
	if err != nil {
		return Paths{}, err
	}

	cache, err := build.CacheDir()
	if err != nil {
		return Paths{}, err
	}

	return Paths{
		Root:   root,
		Bin:    filepath.Join(cache, "bin"),
		Images: filepath.Join(cache, "images"),
		State:  filepath.Join(cache, "run", machine.DefaultName),
	}, nil
}

// Machines describes the landscape's machines; nothing is started.
func (p Paths) Machines() (*machine.Landscape, error) {
	return machine.New(machine.DefaultName, p.State, p.Bin, nil)
}

// Connect starts, or finds, the landscape's machines; with install it also installs what an operator does, or finds it installed.
// The programs have been built.
func Connect(ctx context.Context, out io.Writer, install bool) (*Driver, error) {
	// Gardener's components log much that is no news here.
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())

	paths, err := Locate()
	if err != nil {
		return nil, err
	}

	machines, err := paths.Machines()
	if err != nil {
		return nil, err
	}

	version, err := os.ReadFile(filepath.Join(paths.Root, "VERSION"))
	if err != nil {
		return nil, fmt.Errorf("version: %w", err)
	}

	progress := NewProgress(out)

	topology, err := StartTopology(ctx, machines, paths.Images, strings.TrimSpace(string(version)), progress)
	if err != nil {
		return nil, err
	}

	d, err := New(topology, progress, logr.Discard())
	if err != nil || !install {
		return d, err
	}

	return d, d.Install(ctx)
}
