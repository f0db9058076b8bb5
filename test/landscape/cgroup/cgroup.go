// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package cgroup makes, joins and removes control groups, on machines with cgroup v2 and on those that still mount
// the v1 hierarchies. A group is named by its path below the root, and is the same path in every v1 hierarchy.
//
// Every process of a landscape is in one of its groups: that is how it is found again when all else is lost.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const root = "/sys/fs/cgroup"

// Group is the path of a control group below the root, for example "gx6/n1".
type Group string

// Top is a group directly below the root.
func Top(name string) Group { return Group(name) }

// Child is the group NAME below g.
func (g Group) Child(name string) Group { return Group(filepath.Join(string(g), name)) }

// V2 tells whether the machine has the unified hierarchy with all its controllers.
func V2() bool {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return err == nil
}

// Hierarchies are the mount points below /sys/fs/cgroup that a group has to be made in: "." alone with cgroup v2.
// Names that are links to a joint hierarchy (cpu → cpu,cpuacct) are left out.
func Hierarchies() ([]string, error) {
	if V2() {
		return []string{"."}, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("control groups: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(root, e.Name(), "cgroup.procs")); err == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, errors.New("control groups: none is mounted below " + root)
	}
	return names, nil
}

func (g Group) dir(hierarchy string) string { return filepath.Join(root, hierarchy, string(g)) }

// Make creates the group and its parents in every hierarchy.
func (g Group) Make() error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		at := filepath.Join(root, h)
		for _, part := range strings.Split(string(g), "/") {
			if V2() {
				enableControllers(at)
			}
			parent := at
			at = filepath.Join(at, part)
			if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("control group %s: %w", g, err)
			}
			if err := inheritCPUSet(parent, at); err != nil {
				return fmt.Errorf("control group %s: %w", g, err)
			}
		}
	}
	return nil
}

// enableControllers hands every controller on to the children of a v2 group. A controller that can't be had
// is missed by whoever needs it, with a better message than could be given here.
func enableControllers(dir string) {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers")) // #nosec G304 -- below /sys/fs/cgroup
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o600)
	}
}

// HandOn waits until the children of a v2 group have all controllers that it has. As long as a process is left in
// the group itself, the kernel refuses that.
func (g Group) HandOn(limit time.Duration) error {
	if !V2() {
		return nil
	}
	dir := g.dir(".")
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		enableControllers(dir)
		all, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers")) // #nosec G304 -- below /sys/fs/cgroup
		if err != nil {
			return fmt.Errorf("control group %q: %w", g, err)
		}
		enabled, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control")) // #nosec G304 -- below /sys/fs/cgroup
		if err != nil {
			return fmt.Errorf("control group %q: %w", g, err)
		}
		if strings.TrimSpace(string(all)) == strings.TrimSpace(string(enabled)) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("control group %q hands on only %q of %q", g, strings.TrimSpace(string(enabled)), strings.TrimSpace(string(all)))
		}
	}
}

// inheritCPUSet fills what a v1 cpuset group starts without, and without which no process can join it.
func inheritCPUSet(parent, child string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := os.ReadFile(filepath.Join(child, file)) // #nosec G304 -- below /sys/fs/cgroup
		if err != nil || strings.TrimSpace(string(have)) != "" || V2() {
			continue
		}
		want, err := os.ReadFile(filepath.Join(parent, file)) // #nosec G304 -- below /sys/fs/cgroup
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(child, file), want, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Join moves this process into the group.
func (g Group) Join() error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	pid := []byte(strconv.Itoa(os.Getpid()))
	for _, h := range hierarchies {
		if err := os.WriteFile(filepath.Join(g.dir(h), "cgroup.procs"), pid, 0o600); err != nil {
			return fmt.Errorf("joining control group %s: %w", g, err)
		}
	}
	return nil
}

// Processes lists the processes of the group and of all below it, as far as this PID namespace sees them.
func (g Group) Processes() ([]int, error) {
	hierarchies, err := Hierarchies()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, h := range hierarchies {
		found, err := processesBelow(g.dir(h))
		if err != nil {
			return nil, fmt.Errorf("processes of control group %s: %w", g, err)
		}
		pids = append(pids, found...)
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

func processesBelow(dir string) ([]int, error) {
	var pids []int
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		if err != nil || e.IsDir() || e.Name() != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path) // #nosec G304,G122 -- below /sys/fs/cgroup, where only root makes links
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
				return nil
			}
			return err
		}
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

// Kill ends every process of the group and of all below it, and waits until they are gone.
func (g Group) Kill(limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; {
		pids, err := g.Processes()
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("control group %s: processes %v outlive SIGKILL", g, pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Remove deletes the group and all below it. No process may be left in it.
func (g Group) Remove() error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range hierarchies {
		errs = append(errs, removeTree(g.dir(h)))
	}
	return errors.Join(errs...)
}

// removeTree removes directories depth first; the files in them are the kernel's and go with them.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() {
			errs = append(errs, removeTree(filepath.Join(dir, e.Name())))
		}
	}
	// a process that was just killed may hold its group for a moment
	for attempt := 0; ; attempt++ {
		err = syscall.Rmdir(dir)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			break
		}
		if !errors.Is(err, syscall.EBUSY) || attempt == 100 {
			errs = append(errs, fmt.Errorf("removing control group %s: %w", dir, err))
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.Join(errs...)
}
