// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 looks for named network namespaces.
const netnsDir = "/run/netns"

func netnsPath(name string) string { return filepath.Join(netnsDir, name) }

func netnsExists(name string) bool {
	// a file that is no mount is what a crash between creating and mounting leaves
	var stat unix.Statfs_t
	return unix.Statfs(netnsPath(name), &stat) == nil && stat.Type == unix.NSFS_MAGIC
}

func openNetNS(name string) (netns.NsHandle, error) {
	h, err := netns.GetFromPath(netnsPath(name))
	if err != nil {
		return h, fmt.Errorf("network namespace %s: %w", name, err)
	}
	return h, nil
}

// netnsSysctls make a namespace a router, and stop the kernel from configuring it by itself.
var netnsSysctls = map[string]string{
	"ipv6/conf/all/disable_ipv6":     "0",
	"ipv6/conf/default/disable_ipv6": "0",
	"ipv6/conf/all/accept_dad":       "0",
	"ipv6/conf/default/accept_dad":   "0",
	"ipv6/conf/all/forwarding":       "1",
	"ipv6/conf/default/forwarding":   "1",
	"ipv6/conf/default/accept_ra":    "0",
	"ipv4/ip_forward":                "1",
}

// ensureNetNS makes a named network namespace, as `ip netns add` would.
func ensureNetNS(name string) error {
	if netnsExists(name) {
		return nil
	}
	if err := removeFile(netnsPath(name)); err != nil {
		return err
	}
	return onOwnThread(func() error {
		if _, err := netns.NewNamed(name); err != nil {
			return fmt.Errorf("network namespace %s: %w", name, err)
		}
		// this thread is in the new namespace now
		for key, value := range netnsSysctls {
			if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o600); err != nil {
				return fmt.Errorf("network namespace %s: %w", name, err)
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("network namespace %s: %w", name, err)
		}
		return netlink.LinkSetUp(lo)
	})
}

// onOwnThread runs f on a thread that ends with it, so that f may leave the thread in another namespace.
func onOwnThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
		result <- f()
	}()
	return <-result
}

// within calls f with a handle on the network configuration of a named namespace.
func within(name string, f func(*netlink.Handle) error) error {
	ns, err := openNetNS(name)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	k, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	defer k.Close()
	return f(k)
}

// removeNetNS removes a named network namespace; it is no error if there is none.
func removeNetNS(name string) error {
	if !netnsExists(name) {
		return removeFile(netnsPath(name))
	}
	if err := netns.DeleteNamed(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing network namespace %s: %w", name, err)
	}
	return nil
}
