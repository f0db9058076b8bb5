// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/cgroup"
)

// overlaid are the machine's directories that a node sees but can't change: what it writes there goes to its own disk.
var overlaid = []string{"/etc", "/opt", "/var/lib", "/var/log"}

// private are the directories that start empty on a node. They are no overlays: kubelet shares mounts out of its
// own, and containerd puts overlays into its own.
var private = []string{"/etc/cni", "/opt/cni", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/log/pods", "/var/log/containers"}

// initNode is PID 1 of a node: it gives the node a view of the machine of its own, then collects orphans for ever.
func initNode(args []string) error {
	o, err := parse("init", args)
	if err != nil {
		return err
	}
	hierarchies, err := findHierarchies()
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return syscall.Sethostname([]byte(o.hostname)) },
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		dropNetNS,
		func() error { return mount("proc", "/proc", "proc", 0, "") },
		func() error { return mountSys(hierarchies) },
		func() error { return joinSystem(cgroup.Group(o.system)) },
		func() error { return mountRun() },
		func() error { return mountDisk(o.root) },
		func() error { return ownFile("/etc/resolv.conf", "/run/landscape/resolv.conf") },
		func() error { return ownFile("/etc/hosts", "/run/landscape/hosts") },
		// kubelet and pods with mount propagation expect shared mounts
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") },
		func() error { return os.WriteFile(o.ready, nil, 0o600) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("node %s: %w", o.hostname, err)
		}
	}
	reap()
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", source+kind, target, err)
	}
	return nil
}

// reap waits for children that others left behind, until SIGTERM; the kernel then ends the whole node.
func reap() {
	signals := make(chan os.Signal, 32)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM)
	for s := range signals {
		if s == syscall.SIGTERM {
			return
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}

// dropNetNS lets go of the machine's named network namespaces: a mount in here would keep one of another host alive
// after that host is gone.
func dropNetNS() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], "/run/netns/") {
			err := unix.Unmount(fields[4], unix.MNT_DETACH)
			// whoever removes a namespace unmounts it everywhere
			if gone := errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT); err != nil && !gone {
				return fmt.Errorf("unmounting %s: %w", fields[4], err)
			}
		}
	}
	return nil
}

// hierarchy is a mount below /sys/fs/cgroup.
type hierarchy struct {
	path, kind, data string
}

// findHierarchies lists the machine's control group mounts, to mount the same again as seen from the node's namespace.
func findHierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []hierarchy
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 3 || !strings.HasPrefix(right[0], "cgroup") || !strings.HasPrefix(left[4], "/sys/fs/cgroup") {
			continue
		}
		found = append(found, hierarchy{path: left[4], kind: right[0], data: controllers(right[0], right[2])})
	}
	return found, nil
}

// controllers picks from a v1 mount's options those that name the hierarchy.
func controllers(kind, options string) string {
	if kind != "cgroup" {
		return ""
	}
	var keep []string
	for _, o := range strings.Split(options, ",") {
		switch {
		case strings.HasPrefix(o, "name="):
			keep = append(keep, "none", o)
		case o == "rw" || o == "ro" || o == "xattr" || o == "clone_children" || o == "noprefix" || strings.HasPrefix(o, "release_agent="):
		default:
			keep = append(keep, o)
		}
	}
	return strings.Join(keep, ",")
}

// mountSys mounts sysfs anew, because it shows the network namespace it was mounted in, and the control groups,
// because they begin at the root of the cgroup namespace they were mounted in.
func mountSys(hierarchies []hierarchy) error {
	links := map[string]string{}
	if entries, err := os.ReadDir("/sys/fs/cgroup"); err == nil {
		for _, e := range entries {
			if target, err := os.Readlink(filepath.Join("/sys/fs/cgroup", e.Name())); err == nil {
				links[e.Name()] = target
			}
		}
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting /sys: %w", err)
	}
	if err := mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if len(hierarchies) != 1 || hierarchies[0].path != "/sys/fs/cgroup" {
		if err := mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	for _, h := range hierarchies {
		if err := os.MkdirAll(h.path, 0o750); err != nil {
			return err
		}
		if err := mount("cgroup", h.path, h.kind, 0, h.data); err != nil {
			return err
		}
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join("/sys/fs/cgroup", name)); err != nil {
			return err
		}
	}
	// programs that load BPF look for it; a kernel without it is no reason to fail
	_ = unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, "")
	return nil
}

// joinSystem leaves the root of the node's control groups: cgroup v2 lets a group have either processes or children
// with controllers, and kubelet needs the latter.
func joinSystem(system cgroup.Group) error {
	if err := system.Make(); err != nil {
		return err
	}
	if err := system.Join(); err != nil {
		return err
	}
	// the one who started this process is still at the root for a moment
	return cgroup.Group("").HandOn(5 * time.Second)
}

func mountRun() error {
	if err := mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, d := range []string{"/run/landscape", "/run/lock", "/run/netns"} {
		if err := os.MkdirAll(d, 0o755); err != nil { // #nosec G301 -- as on every machine
			return err
		}
	}
	// the landscape has no resolver of its own: a name that the cluster doesn't know gets no answer
	if err := os.WriteFile("/run/landscape/resolv.conf", []byte("nameserver ::1\n"), 0o644); err != nil { // #nosec G306 -- all read it
		return err
	}
	return os.WriteFile("/run/landscape/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n"), 0o644) // #nosec G306 -- all read it
}

// mountDisk gives the node its own files below root.
func mountDisk(root string) error {
	for _, dir := range overlaid {
		name := strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-")
		upper, work := filepath.Join(root, "overlay", name), filepath.Join(root, "work", name)
		for _, d := range []string{upper, work} {
			if err := os.MkdirAll(d, 0o755); err != nil { // #nosec G301 -- becomes /etc
				return err
			}
		}
		if err := mount("overlay", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)); err != nil {
			return err
		}
	}
	for _, dir := range private {
		own := filepath.Join(root, dir)
		for _, d := range []string{own, dir} {
			if err := os.MkdirAll(d, 0o755); err != nil { // #nosec G301 -- as on every machine
				return err
			}
		}
		if err := mount(own, dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// ownFile puts the node's file in the place of the machine's. That may be a link into /run, which is the node's now.
func ownFile(path, own string) error {
	target, err := filepath.EvalSymlinks(path)
	if err == nil {
		return mount(own, target, "", unix.MS_BIND, "")
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(own, path) // on the node's overlay
}
