// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/cgroup"
)

// enter moves this thread into the namespaces that the options name, and the process into the control group.
func enter(o options) error {
	if o.cgroup != "" {
		// first: the node's namespaces show another tree of groups
		if err := cgroup.Group(o.cgroup).Join(); err != nil {
			return err
		}
	}
	if o.net != "" {
		return setns(o.net, unix.CLONE_NEWNET)
	}
	if o.node == 0 {
		return nil
	}
	// the kernel refuses a mount namespace to threads that share their working directory with others
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	namespaces := []struct {
		name string
		kind int
	}{{"cgroup", unix.CLONE_NEWCGROUP}, {"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}, {"net", unix.CLONE_NEWNET},
		{"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS}}
	// all are opened before one is entered: the node's /proc numbers processes otherwise
	var files []*os.File
	for _, ns := range namespaces {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", o.node, ns.name))
		if err != nil {
			return fmt.Errorf("node's namespaces: %w", err)
		}
		defer func() { _ = f.Close() }()
		files = append(files, f)
	}
	for i, ns := range namespaces {
		if err := unix.Setns(int(files[i].Fd()), ns.kind); err != nil { // #nosec G115 -- a file descriptor
			return fmt.Errorf("entering %s namespace of process %d: %w", ns.name, o.node, err)
		}
	}
	return nil
}

func setns(path string, kind int) error {
	f, err := os.Open(path) // #nosec G304 -- a namespace the caller names
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := unix.Setns(int(f.Fd()), kind); err != nil { // #nosec G115 -- a file descriptor
		return fmt.Errorf("entering %s: %w", path, err)
	}
	return nil
}

// run runs a program in the foreground and ends as it does.
func run(args []string) error {
	o, err := parse("run", args)
	if err != nil {
		return err
	}
	if len(o.program) == 0 {
		return errors.New("no program given")
	}
	self, err := os.Executable() // while /proc shows this process
	if err != nil {
		return err
	}
	if err := enter(o); err != nil {
		return err
	}
	path, err := exec.LookPath(o.program[0])
	if err != nil {
		return err
	}
	if o.node == 0 {
		return syscall.Exec(path, o.program, os.Environ()) // #nosec G204 -- that is what it is for
	}
	// only children are in the node's PID namespace, so this process stays and passes signals on
	cmd := &exec.Cmd{Path: self, Args: append([]string{self, "bound", "--", path}, o.program[1:]...),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	return cmd.Wait()
}

// bound becomes a program that ends when its parent does. The exec package can't do that for a child in another PID
// namespace: it takes a parent that the child can't see for a dead one.
func bound(args []string) error {
	o, err := parse("bound", args)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	return syscall.Exec(o.program[0], o.program, os.Environ()) // #nosec G204 -- that is what it is for
}

func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// spawn starts a program in the background and ends once the PID file is written.
func spawn(args []string) error {
	o, err := parse("spawn", args)
	if err != nil {
		return err
	}
	if len(o.program) == 0 {
		return errors.New("no program given")
	}
	return background(o, 0)
}

// boot starts a node's first process, in namespaces of its own.
func boot(args []string) error {
	o, err := parse("boot", args)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o.program = []string{self, "init", "--hostname", o.hostname, "--root", o.root, "--system", o.system, "--ready", o.ready}
	return background(o, syscall.CLONE_NEWNS|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC|syscall.CLONE_NEWPID|unix.CLONE_NEWCGROUP)
}

// background starts o.program detached, with its output in a log, and writes the PID file.
func background(o options, newNamespaces uintptr) error {
	// opened while the machine's own files and process numbers are to be seen
	log, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	pidfile, err := os.OpenFile(o.pidfile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	if err := enter(o); err != nil {
		return err
	}
	path, err := exec.LookPath(o.program[0])
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: path, Args: o.program, Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Cloneflags: newNamespaces}}
	if err := cmd.Start(); err != nil {
		return err
	}
	start, err := startTime(proc, cmd.Process.Pid)
	if err == nil {
		_, err = fmt.Fprintf(pidfile, "%d %s\n", cmd.Process.Pid, start)
	}
	if err != nil {
		return errors.Join(err, cmd.Process.Kill())
	}
	return pidfile.Close()
}

// startTime reads when a process started, in clock ticks since boot; see proc_pid_stat(5).
func startTime(proc *os.File, pid int) (string, error) {
	fd, err := unix.Openat(int(proc.Fd()), fmt.Sprintf("%d/stat", pid), unix.O_RDONLY, 0) // #nosec G115 -- a file descriptor
	if err != nil {
		return "", fmt.Errorf("process %d ended at once: %w", pid, err)
	}
	f := os.NewFile(uintptr(fd), "stat") // #nosec G115 -- a file descriptor
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(f)
	if err != nil {
		return "", fmt.Errorf("process %d ended at once: %w", pid, err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("process %d: short stat", pid)
	}
	return fields[19], nil
}
