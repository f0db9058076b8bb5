// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
)

// specs describe two images that share a layer; program is a file of the machine.
func specs(program string) []image.Spec {
	shared := image.Layer{
		{Path: "/usr/local/bin/program", Mode: 0o755, Source: program},
		{Path: "/bin/sh", Link: "dash"},
		{Path: "/tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
	}
	own := image.Layer{{Path: "/etc/passwd", Mode: 0o644, Content: "root:x:0:0::/:/bin/sh\n"}}
	return []image.Spec{
		{Names: []string{"registry.k8s.io/one:v1", "registry.k8s.io/one:v2"}, Layers: []image.Layer{shared}, Entrypoint: []string{"/usr/local/bin/program"}},
		{Names: []string{"registry.k8s.io/two:v1"}, Layers: []image.Layer{shared, own}, Cmd: []string{"sh"}, User: "65532:65532"},
	}
}

func TestArchiveIsMadeOnceAndAlwaysTheSame(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	g.Expect(os.WriteFile(program, []byte("#!/bin/true\n"), 0o700)).To(Succeed())

	first, second := filepath.Join(dir, "a", "first.tar"), filepath.Join(dir, "b", "second.tar")
	g.Expect(image.Archive(first, specs(program))).To(BeTrue(), "there was none")
	g.Expect(image.Archive(first, specs(program))).To(BeFalse(), "nothing changed")

	// another time, another mode: neither is part of an image
	g.Expect(os.Chtimes(program, time.Unix(1, 0), time.Unix(1, 0))).To(Succeed())
	g.Expect(os.Chmod(program, 0o600)).To(Succeed())
	g.Expect(image.Archive(second, specs(program))).To(BeTrue())
	one, err := os.ReadFile(first)
	g.Expect(err).NotTo(HaveOccurred())
	two, err := os.ReadFile(second)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(bytes.Equal(one, two)).To(BeTrue(), "the same images are the same bytes")

	g.Expect(os.WriteFile(program, []byte("#!/bin/false\n"), 0o600)).To(Succeed())
	g.Expect(image.Archive(first, specs(program))).To(BeTrue(), "the program changed")
	g.Expect(os.Remove(first)).To(Succeed())
	g.Expect(image.Archive(first, specs(program))).To(BeTrue(), "the archive is gone")
}

func TestArchiveHoldsWhatWasDescribed(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	g.Expect(os.WriteFile(program, []byte("content"), 0o600)).To(Succeed())
	path := filepath.Join(dir, "images.tar")
	g.Expect(image.Archive(path, specs(program))).To(BeTrue())

	two := load(g, path, "registry.k8s.io/two:v1")
	config, err := two.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.OS).To(Equal("linux"))
	g.Expect(config.Config.User).To(Equal("65532:65532"))
	g.Expect(config.Config.Cmd).To(Equal([]string{"sh"}))
	layers, err := two.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(layers).To(HaveLen(2))
	g.Expect(names(g, layers[0])).To(Equal([]string{"bin/", "bin/sh -> dash", "tmp/", "usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/program"}))
	g.Expect(names(g, layers[1])).To(Equal([]string{"etc/", "etc/passwd"}))

	one := load(g, path, "registry.k8s.io/one:v2")
	config, err = one.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Config.Entrypoint).To(Equal([]string{"/usr/local/bin/program"}))
}

func TestArchiveRefusesRelativePaths(t *testing.T) {
	g := NewWithT(t)
	_, err := image.Archive(filepath.Join(t.TempDir(), "x.tar"), []image.Spec{
		{Names: []string{"registry.k8s.io/x:v1"}, Layers: []image.Layer{{{Path: "etc/passwd"}}}},
	})
	g.Expect(err).To(MatchError(ContainSubstring("etc/passwd: paths in images are absolute")))
}

func load(g Gomega, path, reference string) v1.Image {
	tag, err := name.NewTag(reference)
	g.Expect(err).NotTo(HaveOccurred())
	img, err := tarball.ImageFromPath(path, &tag)
	g.Expect(err).NotTo(HaveOccurred())
	return img
}

func names(g Gomega, layer v1.Layer) []string {
	text, err := layer.Uncompressed()
	g.Expect(err).NotTo(HaveOccurred())
	var found []string
	for in := tar.NewReader(text); ; {
		header, err := in.Next()
		if err != nil {
			return found
		}
		entry := header.Name
		if header.Linkname != "" {
			entry += " -> " + header.Linkname
		}
		found = append(found, entry)
	}
}
