// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say what to make images of.
type Options struct {
	// Bin holds the built programs.
	Bin string
	// Dir is where the archives go.
	Dir string
	// Version is the beginning of the tags of the project's own images.
	Version string
	// Logf reports progress, one line a call.
	Logf func(format string, args ...any)
}

// Set is the images of a landscape, in archives.
type Set struct {
	dir        string
	references map[string]string
}

// The archives, by what changes together: a node imports anew only those that changed.
const (
	archiveBase         = "base.tar"
	archiveControlPlane = "controlplane.tar"
	archiveExtension    = "extension.tar"
	archiveAgent        = "agent.tar"
	archiveTests        = "tests.tar"
)

// Seed are the archives for the seed's node.
func (s *Set) Seed() []string { return s.paths(archiveBase, archiveControlPlane, archiveExtension) }

// Shoot are the archives for a shoot's nodes.
func (s *Set) Shoot() []string { return s.paths(archiveBase, archiveAgent, archiveTests) }

func (s *Set) paths(names ...string) []string {
	paths := make([]string, 0, len(names))
	for _, n := range names {
		paths = append(paths, filepath.Join(s.dir, n))
	}
	return paths
}

// Reference is the name of a program's image: of kube-apiserver, kube-controller-manager, kube-scheduler, etcd,
// gardener-apiserver, gardener-resource-manager, coredns, agnhost, pause, or one of the project's own. It is empty for others.
func (s *Set) Reference(program string) string { return s.references[program] }

// Build writes the archives that changed. The project's own images are tagged with a hash of their programs: a changed program
// is a changed image, and rolls out.
func Build(o Options) (*Set, error) {
	s := &Set{dir: o.Dir, references: map[string]string{"pause": Pause, "coredns": CoreDNS, "agnhost": Agnhost}}
	archives := map[string]func(Options) ([]Spec, error){
		archiveBase:         func(o Options) ([]Spec, error) { return Base(o.Bin) },
		archiveControlPlane: s.controlPlane,
		archiveExtension:    s.extension,
		archiveAgent:        s.agent,
		archiveTests:        s.tests,
	}
	contents := map[string][]Spec{}
	for name, describe := range archives {
		specs, err := describe(o)
		if err != nil {
			return nil, fmt.Errorf("images in %s: %w", name, err)
		}
		contents[name] = specs
	}
	var all errgroup.Group
	for name, specs := range contents {
		all.Go(func() error {
			start := time.Now()
			changed, err := Archive(filepath.Join(o.Dir, name), specs)
			if err == nil && changed {
				o.Logf("images: %-18s %5.1fs", name, time.Since(start).Seconds())
			}
			return err
		})
	}
	return s, all.Wait()
}

// Base are the images that every node needs: pause and CoreDNS.
func Base(bin string) ([]Spec, error) {
	coredns, err := static(CoreDNS, filepath.Join(bin, "coredns"))
	pause := Spec{Names: []string{Pause}, Entrypoint: []string{"/pause"}, User: "65535:65535",
		Layers: []Layer{{{Path: "/pause", Mode: 0o755, Source: filepath.Join(bin, "pause")}}}}
	return []Spec{pause, coredns}, err
}

// controlPlane has upstream's names: Gardener's components compute them from the Kubernetes version.
func (s *Set) controlPlane(o Options) ([]Spec, error) {
	var specs []Spec
	for program, reference := range controlPlaneImages {
		spec, err := static(reference, filepath.Join(o.Bin, program))
		if err != nil {
			return nil, err
		}
		s.references[program] = reference
		specs = append(specs, spec)
	}
	return sorted(specs), nil
}

// seedPrograms are the project's programs that run in the seed and in the garden's runtime cluster.
var seedPrograms = []string{"gardener-extension-networking-ipv6", "gardener-extension-admission-ipv6", "ipv6-ipam-controller"}

func (s *Set) extension(o Options) ([]Spec, error) {
	var specs []Spec
	for _, program := range seedPrograms {
		reference, err := s.own(o, program, program)
		if err != nil {
			return nil, err
		}
		spec, err := unprivileged(reference, filepath.Join(o.Bin, program))
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// Publish writes the project's own images to one docker archive, under the names and with the tag that they are published with,
// and gives the names.
func Publish(bin, path, version string) ([]string, error) {
	spec, err := agent(Repository+"/ipv6-agent:"+version, bin)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	specs := []Spec{spec}
	for _, program := range seedPrograms {
		if spec, err = unprivileged(Repository+"/"+program+":"+version, filepath.Join(bin, program)); err != nil {
			return nil, fmt.Errorf("images: %w", err)
		}
		specs = append(specs, spec)
	}
	var names []string
	for _, s := range specs {
		names = append(names, s.Names...)
	}
	_, err = Archive(path, specs)
	return names, err
}

func (s *Set) agent(o Options) ([]Spec, error) {
	reference, err := s.own(o, "ipv6-agent", "ipv6-agent", "ipv6-cni")
	if err != nil {
		return nil, err
	}
	spec, err := agent(reference, o.Bin)
	return []Spec{spec}, err
}

// tests are the images that upstream's end-to-end tests ask for.
func (s *Set) tests(o Options) ([]Spec, error) {
	machine, err := tools()
	if err != nil {
		return nil, err
	}
	certificate, err := localhost(o.Dir)
	if err != nil {
		return nil, err
	}
	// the DNS tests run the CoreDNS that upstream's agnhost holds
	coredns := Layer{{Path: "/coredns", Mode: 0o755, Source: filepath.Join(o.Bin, "coredns")}}
	agnhost := Layer{{Path: "/agnhost", Mode: 0o755, Source: filepath.Join(o.Bin, "agnhost")}, {Path: "/agnhost-2", Link: "agnhost"}}
	return []Spec{
		{Names: agnhostNames, Layers: []Layer{machine, coredns, agnhost, certificate}, Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}},
		{Names: []string{"registry.k8s.io/e2e-test-images/busybox:1.37.0-1"}, Layers: []Layer{machine}, Cmd: []string{"sh"}},
		{Names: []string{"registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0"}, Layers: []Layer{machine, coredns}, Cmd: []string{"sh"}},
	}, nil
}

// own names one of the project's own images after the programs in it.
func (s *Set) own(o Options, name string, programs ...string) (string, error) {
	sum := sha256.New()
	for _, p := range programs {
		in, err := os.ReadFile(filepath.Join(o.Bin, p)) // #nosec G304 -- a program that was built
		if err != nil {
			return "", err
		}
		_, _ = sum.Write(in)
	}
	s.references[name] = fmt.Sprintf("%s/%s:%s-%s", Repository, name, o.Version, hex.EncodeToString(sum.Sum(nil))[:12])
	return s.references[name], nil
}
