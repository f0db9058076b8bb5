// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
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
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return false, fmt.Errorf("images: %w", err)
	}
	if err := writeArchive(path+".new", images); err != nil {
		return false, fmt.Errorf("images for %s: %w", path, err)
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

// manifestEntry is an image in a docker archive's manifest.json.
type manifestEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeArchive writes a docker archive. Its layers are not compressed: they go from one file of this machine to another.
func writeArchive(path string, images []Spec) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // #nosec G304 -- the cache
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	out := tar.NewWriter(file)
	written := map[string]bool{}
	add := func(name string, size int64, content func(io.Writer) error) error {
		if written[name] {
			return nil
		}
		written[name] = true
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: born, Format: tar.FormatPAX}); err != nil {
			return err
		}
		return content(out)
	}
	var manifest []manifestEntry
	for _, spec := range images {
		entry, err := spec.writeTo(add)
		if err != nil {
			return fmt.Errorf("image %s: %w", spec.Names[0], err)
		}
		manifest = append(manifest, entry)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if err := add("manifest.json", int64(len(text)), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return file.Close()
}

// writeTo adds the image's configuration and layers to an archive.
func (s Spec) writeTo(add func(name string, size int64, content func(io.Writer) error) error) (manifestEntry, error) {
	entry := manifestEntry{RepoTags: s.Names}
	config := v1.ConfigFile{Architecture: runtime.GOARCH, OS: "linux", Created: v1.Time{Time: born}, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Entrypoint: s.Entrypoint, Cmd: s.Cmd, User: s.User, WorkingDir: "/",
			Env: append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, s.Env...)}}
	for _, layer := range s.Layers {
		digest, size, err := layer.digest()
		if err != nil {
			return entry, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, v1.Hash{Algorithm: "sha256", Hex: digest})
		entry.Layers = append(entry.Layers, digest+".tar")
		if err := add(digest+".tar", size, layer.write); err != nil {
			return entry, err
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return entry, err
	}
	sum := sha256.Sum256(text)
	entry.Config = hex.EncodeToString(sum[:]) + ".json"
	return entry, add(entry.Config, int64(len(text)), func(w io.Writer) error { _, err := w.Write(text); return err })
}

// digest is what the layer's tar archive hashes to, and its size.
func (l Layer) digest() (string, int64, error) {
	sum := sha256.New()
	counter := &countingWriter{}
	if err := l.write(io.MultiWriter(sum, counter)); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(sum.Sum(nil)), counter.size, nil
}

type countingWriter struct{ size int64 }

func (c *countingWriter) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return len(p), nil
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
