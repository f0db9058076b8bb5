// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package netlink brings a node's kernel to the desired states of package dataplane, through rtnetlink and /proc/sys.
package netlink

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	nl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Kernel is a dataplane.Wirer and a dataplane.Host. It works in the network namespace of the process.
type Kernel struct {
	// deleting holds a token for each interface that the kernel is freeing.
	deleting chan struct{}
}

// New returns the kernel of this machine.
func New() *Kernel { return &Kernel{deleting: make(chan struct{}, deletions)} }

// within runs f on a thread inside the network namespace. f must not start goroutines that use the network.
func within(ns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("own network namespace: %w", err)
			return
		}
		defer own.Close() //nolint:errcheck // nothing was written
		if err := netns.Set(netns.NsHandle(ns.Fd())); err != nil {
			done <- fmt.Errorf("enter network namespace %s: %w", ns.Name(), err)
			return
		}
		err = f()
		if back := netns.Set(own); back == nil {
			runtime.UnlockOSThread()
		} // else the goroutine ends locked, and the runtime ends the thread with it
		done <- err
	}()
	return <-done
}

// attempts at a dump that others' changes interrupt.
const attempts = 10

// dump repeats a listing that was interrupted: what it returned may lack entries.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	var out []T
	var err error
	for range attempts {
		if out, err = list(); !errors.Is(err, nl.ErrDumpInterrupted) {
			return out, err
		}
	}
	return nil, err
}

// set writes a sysctl unless it has the value already, and says whether it wrote. /proc/sys may be read-only where all is right.
func set(s dataplane.Sysctl) (bool, error) {
	is, err := get(s.Path)
	if err != nil {
		return false, err
	}
	if is == s.Value {
		return false, nil
	}
	if err := write(sysctlFile(s.Path), s.Value); err != nil {
		return false, fmt.Errorf("set sysctl %s from %s to %s: %w", s.Path, is, s.Value, err)
	}
	return true, nil
}

func get(path string) (string, error) {
	out, err := read(sysctlFile(path))
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path, "net/ipv6/") {
		if _, no := os.Stat(sysctlFile("net/ipv6")); errors.Is(no, fs.ErrNotExist) {
			return "", errors.New("/proc/sys/net/ipv6 is missing: the kernel runs without IPv6 (ipv6.disable=1 on its command line?)")
		}
	}
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", path, err)
	}
	return strings.TrimSpace(out), nil
}

// read and write use system calls, not package os, which makes each file known to its poller: a pod's wire has a dozen sysctls, and that
// would be most of the time they take.
func read(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	var b [256]byte      // the sysctls of interfaces are numbers
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return "", &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return string(b[:n]), nil
}

func write(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	_, err = unix.Write(fd, []byte(value))
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

func sysctlFile(path string) string { return filepath.Join("/proc/sys", path) }

func ipNet(p netip.Prefix) *net.IPNet { return netipx.PrefixIPNet(p) }

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func hardware(m dataplane.MAC) net.HardwareAddr { return net.HardwareAddr(m[:]) }

func family(a netip.Addr) int {
	if a.Is4() {
		return nl.FAMILY_V4
	}
	return nl.FAMILY_V6
}
