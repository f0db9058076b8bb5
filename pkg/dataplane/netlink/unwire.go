// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

const (
	// deletions bounds how many interfaces the kernel frees at once; each keeps a thread.
	deletions = 64
	// glance is how often Unwire looks whether the interface is gone, which takes about a millisecond.
	glance = 100 * time.Microsecond
)

// Unwire implements dataplane.Wirer.
//
// It returns when the kernel has taken the pair out of both namespaces: it is switched off, its routes, neighbours and addresses are gone, its
// names are free. What takes 20 to 40 ms more is the memory, for which the kernel waits (RCU) with no lock held that others need; that goes on by itself,
// even if this process ends.
func (k *Kernel) Unwire(_ context.Context, hostInterface string) error {
	if !strings.HasPrefix(hostInterface, agentconfig.HostInterfacePrefix) {
		return fmt.Errorf("unwire %s: the interface is not ours", hostInterface)
	}
	if err := k.deleteLink(hostInterface); err != nil && !missing(err) {
		return fmt.Errorf("unwire %s: %w", hostInterface, err)
	}
	return nil
}

// deleteLink has sockets made by this thread, as they remember the network namespace.
func (k *Kernel) deleteLink(name string) error {
	h, err := nl.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	link, err := h.LinkByName(name)
	if err != nil {
		h.Close()
		return err
	}
	o, err := newObserver()
	if err != nil {
		h.Close()
		return err
	}
	defer o.close()

	k.deleting <- struct{}{}
	done := make(chan error, 1)
	go func() {
		defer func() { <-k.deleting }()
		defer h.Close()
		done <- h.LinkDel(link)
	}()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if is, err := o.index(name); err == nil && is != link.Attrs().Index {
				return nil
			}
		}
	}
}

// observer looks interfaces up without waiting for those who change any, as netlink does. It stays in the network namespace that it was made in.
type observer int

func newObserver() (observer, error) {
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) { // ipv6.disable=1
		s, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	return observer(s), nil
}

func (o observer) close() { _ = unix.Close(int(o)) } // nothing was written

// index is 0 if there is no such interface.
func (o observer) index(name string) (int, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(int(o), unix.SIOCGIFINDEX, r)
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	return int(r.Uint32()), err
}

func find(name string) (index int, err error) {
	o, err := newObserver()
	if err != nil {
		return 0, err
	}
	defer o.close()
	return o.index(name)
}
