// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package neutron

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// packages that are unpacked, with all that they depend on. The versions are those of Debian 12.
var packages = []string{"python3-neutron", "neutron-common", "python3-keystone"}

// recipe changes when a root made by an earlier version of this package would not do.
const recipe = "debian 12, neutron 2:21, keystone 2:22, 2"

// root is the folder with Debian's files and the prepared databases. It is made if it is not there.
func root(ctx context.Context, log io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	base := filepath.Join(cache, "gardener-extension-networking-ipv6", "neutron")
	sum := sha256.Sum256([]byte(recipe + strings.Join(packages, " ") + prepare))
	dir := filepath.Join(base, hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(base, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // somebody else was quicker
	}
	building := dir + ".building"
	if err := os.RemoveAll(building); err != nil { // of one that was interrupted
		return "", err
	}
	if err := build(ctx, building, log); err != nil {
		return "", fmt.Errorf("preparing Neutron and Keystone in %s: %w", building, err)
	}
	return dir, os.Rename(building, dir)
}

// lock keeps other processes out, and is let go when this one dies.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// build makes a root from nothing: download, unpack, make the databases, and start once so that Python compiles what is used.
func build(ctx context.Context, dir string, log io.Writer) error {
	begin := time.Now()
	say := func(what string) {
		_, _ = fmt.Fprintf(log, "neutron: %s (%.0f s)\n", what, time.Since(begin).Seconds())
	}
	apt := filepath.Join(dir, "apt")
	for _, sub := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(apt, sub), 0o755); err != nil {
			return err
		}
	}
	say("downloading Debian's neutron and keystone, once, about 110 MB")
	if err := download(ctx, apt); err != nil {
		return err
	}
	say("unpacking")
	files := filepath.Join(dir, "root")
	if err := unpack(ctx, filepath.Join(apt, "archives"), files); err != nil {
		return err
	}
	if err := os.RemoveAll(apt); err != nil {
		return err
	}
	say("making the databases")
	if err := databases(ctx, dir); err != nil {
		return err
	}
	say("starting both for the first time")
	c, err := start(ctx, dir, true)
	if err != nil {
		return err
	}
	if err := c.Stop(); err != nil {
		return err
	}
	say("prepared")
	return nil
}

// download fetches the packages and all they need, as for a machine on which nothing is installed. The lists are fetched
// anew, into a folder of their own: those of the machine may be old.
func download(ctx context.Context, apt string) error {
	status := filepath.Join(apt, "status")
	if err := os.WriteFile(status, nil, 0o600); err != nil {
		return err
	}
	options := []string{
		"-y", "-q", "--no-install-recommends", "-o", "Dir::State::status=" + status, "-o", "Dir::State::lists=" + filepath.Join(apt, "lists"),
		"-o", "Dir::Cache=" + apt, "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3",
	}
	if err := run(ctx, "apt-get", append(options, "update")...); err != nil {
		return err
	}
	return run(ctx, "apt-get", append(append(options, "-d", "install"), packages...)...)
}

// unpackScript leaves out what only people read.
const unpackScript = `set -e
dpkg-deb --fsys-tarfile "$1" >"$2/deb.tar"
tar -C "$2" --keep-directory-symlink --exclude './usr/share/doc' --exclude './usr/share/man' --exclude './usr/share/locale' -xf "$2/deb.tar"
rm "$2/deb.tar"`

// unpack lays out the files of all packages and does the little that their scripts would have done that is needed here.
func unpack(ctx context.Context, archives, files string) error {
	for _, sub := range []string{"proc", "dev", "tmp", "run/stack", "etc"} {
		if err := os.MkdirAll(filepath.Join(files, sub), 0o755); err != nil {
			return err
		}
	}
	debs, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	if fits, _ := filepath.Glob(filepath.Join(archives, "python3-neutron_2%3a21.*.deb")); len(fits) == 0 {
		return errors.New("apt has another Neutron than 21: this needs the packages of Debian 12")
	}
	var versions []string
	for _, deb := range debs {
		if err := run(ctx, "sh", "-c", unpackScript, "unpack", deb, files); err != nil {
			return err
		}
		versions = append(versions, strings.TrimSuffix(filepath.Base(deb), ".deb"))
	}
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/:/bin/false\n",
		"etc/group":  "root:x:0:\n",
		"etc/hosts":  "127.0.0.1 localhost\n",
		"packages":   strings.Join(versions, "\n") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func databases(ctx context.Context, dir string) error {
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	if err := configure(state, "http://127.0.0.1:5000", "http://127.0.0.1:9696"); err != nil {
		return err
	}
	cmd := enter(ctx, dir, state, `
		mount --bind "$state" "$root/run/stack"
		python prepare.py keystone & first=$!
		python prepare.py neutron && wait $first`)
	return output(cmd)
}

// enter runs a script in namespaces of its own: its mounts are seen by nobody else and go with it, and so do all processes that
// it leaves behind. In it, "python" runs a file of the state in the root.
func enter(ctx context.Context, dir, state, script string) *exec.Cmd {
	const before = `
		set -e
		mount -t proc proc "$1/proc"
		mount --rbind /dev "$1/dev"
		mount -t tmpfs tmpfs "$1/tmp"
		root=$1 state=$2
		python() { file=$1; shift; exec_in /usr/bin/python3 "/run/stack/$file" "$@"; }
		exec_in() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONWARNINGS=ignore OS_KEYSTONE_CONFIG_DIR=/run/stack PYTHONDONTWRITEBYTECODE="$DONTCOMPILE" \
			chroot "$root" "$@"; }
	`
	return exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
		"sh", "-c", before+script, "enter", filepath.Join(dir, "root"), state)
}

func run(ctx context.Context, name string, args ...string) error {
	return output(exec.CommandContext(ctx, name, args...))
}

// output runs a command and gives the end of what it said if it fails.
func output(cmd *exec.Cmd) error {
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, tail(said))
	}
	return nil
}

func tail(said []byte) string {
	const most = 2000
	said = bytes.TrimSpace(said)
	return string(said[max(0, len(said)-most):])
}
