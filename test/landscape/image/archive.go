// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Spec describes an image.
type Spec struct {
	// Names with tags, for example "registry.k8s.io/pause:3.10.2".
	Names []string
	// Layers from the bottom to the top. Images that share a Layer share its bytes.
	Layers []Layer
	// Entrypoint, Cmd, User and Env as in a Dockerfile.
	Entrypoint []string
	Cmd        []string
	User       string
	Env        []string
}

// Layer is a set of files.
type Layer []File

// File is a file, directory or symbolic link of a layer. Parent directories need not be listed.
type File struct {
	// Path in the image, absolute.
	Path string
	// Mode holds the permission bits; a directory has os.ModeDir set as well.
	Mode os.FileMode
	// Source is a file of the machine that holds the content; else it is Content.
	Source string
	// Content of the file, if Source is empty.
	Content string
	// Link is the target of a symbolic link; it wins over the others.
	Link string
}

// born is the time of everything in an image: the same inputs have to give the same bytes.
var born = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Archive writes the images to a docker archive and tells whether it did: it is left alone if nothing went into it that
// is not in it already.
func Archive(path string, images []Spec) (bool, error) {
	key, err := fingerprint(images)
	if err != nil {
		return false, fmt.Errorf("images for %s: %w", path, err)
	}
	stamp := path + ".stamp"
	if have, err := os.ReadFile(stamp); err == nil && string(have) == key { // #nosec G304 -- the cache
		if _, err := os.Stat(path); err == nil {
			return false, nil
		}
	}
	refs := map[name.Reference]v1.Image{}
	for _, spec := range images {
		img, err := build(spec)
		if err != nil {
			return false, fmt.Errorf("image %s: %w", spec.Names[0], err)
		}
		for _, n := range spec.Names {
			tag, err := name.NewTag(n, name.StrictValidation)
			if err != nil {
				return false, fmt.Errorf("image: %w", err)
			}
			refs[tag] = img
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return false, fmt.Errorf("images: %w", err)
	}
	if err := tarball.MultiRefWriteToFile(path+".new", refs); err != nil {
		return false, fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return false, fmt.Errorf("images: %w", err)
	}
	return true, os.WriteFile(stamp, []byte(key), 0o600)
}

// fingerprint is a hash of everything that goes into the images.
func fingerprint(images []Spec) (string, error) {
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(images); err != nil {
		return "", err
	}
	seen := map[string]bool{}
	for _, spec := range images {
		for _, layer := range spec.Layers {
			for _, f := range layer {
				if f.Source == "" || seen[f.Source] {
					continue
				}
				seen[f.Source] = true
				if err := hashFile(sum, f.Source); err != nil {
					return "", err
				}
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func hashFile(sum io.Writer, path string) error {
	in, err := os.Open(path) // #nosec G304 -- a program that was built
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = io.Copy(sum, in)
	return err
}

func build(spec Spec) (v1.Image, error) {
	var layers []v1.Layer
	for _, l := range spec.Layers {
		layer, err := l.build()
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(img, config(img, spec))
}

func config(img v1.Image, spec Spec) *v1.ConfigFile {
	c, err := img.ConfigFile()
	if err != nil {
		c = &v1.ConfigFile{}
	}
	c = c.DeepCopy()
	c.Architecture, c.OS = "amd64", "linux"
	c.Created = v1.Time{Time: born}
	c.Config = v1.Config{Entrypoint: spec.Entrypoint, Cmd: spec.Cmd, User: spec.User, WorkingDir: "/",
		Env: append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, spec.Env...)}
	return c
}

// build makes a layer. It is hardly compressed: it goes from one file of this machine to another.
func (l Layer) build() (v1.Layer, error) {
	var text bytes.Buffer
	if err := l.write(&text); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil },
		tarball.WithCompressionLevel(gzip.NoCompression))
}

// write writes the layer as a tar archive, sorted by path, with the parent directories.
func (l Layer) write(w io.Writer) error {
	files := map[string]File{}
	for _, f := range l {
		if !filepath.IsAbs(f.Path) {
			return fmt.Errorf("%s: paths in images are absolute", f.Path)
		}
		path := filepath.Clean(f.Path)
		for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
			if _, ok := files[dir]; !ok {
				files[dir] = File{Path: dir, Mode: os.ModeDir | 0o755}
			}
		}
		f.Path = path
		files[path] = f
	}
	paths := make([]string, 0, len(files))
	for p := range files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	out := tar.NewWriter(w)
	for _, p := range paths {
		if err := files[p].write(out); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return out.Close()
}

func (f File) write(out *tar.Writer) error {
	header := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: int64(f.Mode.Perm()), ModTime: born, Format: tar.FormatPAX}
	if f.Mode&os.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case f.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
		return out.WriteHeader(header)
	case f.Mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		return out.WriteHeader(header)
	}
	header.Typeflag = tar.TypeReg
	content := io.Reader(strings.NewReader(f.Content))
	header.Size = int64(len(f.Content))
	if f.Source != "" {
		in, err := os.Open(f.Source) // #nosec G304 -- a program that was built
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		info, err := in.Stat()
		if err != nil {
			return err
		}
		header.Size, content = info.Size(), in
	}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(out, content)
	if err == nil && n != header.Size {
		err = errors.New("it changed while it was read")
	}
	return err
}

// sorted sorts by path: layers are compared file by file.
func (l Layer) sorted() Layer {
	slices.SortFunc(l, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return l
}

func sorted(specs []Spec) []Spec {
	slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(a.Names[0], b.Names[0]) })
	return specs
}
