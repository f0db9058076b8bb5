// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// mark begins the names of our namespaces; the process's ID follows.
const mark = "v6bench-"

// space is a network namespace: a node or a pod.
type space struct {
	name, path string
	handle     netns.NsHandle
}

type spaces []*space

// newSpaces makes namespaces. They are to be removed also after an error.
func newSpaces(kind string, count int) (spaces, error) {
	var all spaces
	for i := range count {
		s, err := newSpace(fmt.Sprintf("%s%d-%s%d", mark, os.Getpid(), kind, i))
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

func newSpace(name string) (*space, error) {
	s := &space{name: name, path: filepath.Join("/run/netns", name)}
	err := onThread(func() error {
		own, err := netns.Get()
		if err != nil {
			return err
		}
		defer own.Close() //nolint:errcheck // nothing was written
		if s.handle, err = netns.NewNamed(name); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		// netns.NewNamed left the thread in the new namespace.
		return errors.Join(err, netns.Set(own))
	})
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return s, nil
}

func (ss spaces) remove() {
	for _, s := range ss {
		_ = s.handle.Close()
		_ = netns.DeleteNamed(s.name)
	}
}

// removeLeftovers removes the namespaces of runs that were killed.
func removeLeftovers() {
	paths, _ := filepath.Glob("/run/netns/" + mark + "*") // the pattern is valid
	for _, p := range paths {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(p), mark), "-")
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			_ = netns.DeleteNamed(filepath.Base(p))
		}
	}
}

// onThread runs f on a thread of its own, which dies with it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// within runs f in the namespace. Processes that f starts are in it.
func (s *space) within(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(s.handle); err != nil {
			return fmt.Errorf("enter %s: %w", s.name, err)
		}
		return f()
	})
}

// uplink gives a node the interface and the address that the agent looks for.
func (s *space) uplink(address string) error {
	return s.within(func() error {
		link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}}
		if err := netlink.LinkAdd(link); err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		addr.Flags = 0x02 // IFA_F_NODAD
		return errors.Join(netlink.LinkSetUp(link), netlink.AddrAdd(link, addr))
	})
}

// setDAD says whether interfaces that come to be in the namespace check their addresses for duplicates.
func (s *space) setDAD(value string) error {
	return s.within(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte(value), 0) })
}
