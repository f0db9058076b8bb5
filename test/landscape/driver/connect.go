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
	// Name of the landscape.
	Name string
	// Root of the repository.
	Root string
	// Bin holds the built programs, Images the archives made of them.
	Bin, Images string
	// State is what `down` removes.
	State string
}

// NameVariable is the environment variable that names the landscape, so that several can stand side by side.
const NameVariable = "LANDSCAPE_NAME"

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

	paths := Paths{
		Name:   machine.DefaultName,
		Root:   root,
		Bin:    filepath.Join(cache, "bin"),
		Images: filepath.Join(cache, "images"),
		State:  filepath.Join(cache, "run", machine.DefaultName),
	}

	// Archives of its own: else nodes that come later would get images that another landscape's newer programs are in.
	if name := os.Getenv(NameVariable); name != "" && name != machine.DefaultName {
		paths.Name = name
		paths.State = filepath.Join(cache, "run", name)
		paths.Images = filepath.Join(paths.State, "images")
	}

	return paths, nil
}

// Machines describes the landscape's machines; nothing is started.
func (p Paths) Machines() (*machine.Landscape, error) {
	return machine.New(p.Name, p.State, p.Bin, nil)
}

// Connect starts, or finds, the landscape's machines; with install it also installs what an operator does, or finds it installed.
// The programs have been built. The scenarios are those that Shoots may belong to, beside the demo's.
func Connect(ctx context.Context, out io.Writer, install bool, scenarios ...Scenario) (*Driver, error) {
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

	d, err := New(topology, progress, logr.Discard(), scenarios...)
	if err != nil || !install {
		return d, err
	}

	return d, d.Install(ctx)
}
