// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Inside calls f on a thread that is in the host's network namespace. Sockets that f itself opens stay there, whoever uses them later.
// What f starts in other goroutines is not inside.
func (h *Host) Inside(f func() error) error {
	ns, err := openNetNS(h.NetNS())
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return onOwnThread(func() error {
		if err := unix.Setns(int(ns), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering network namespace %s: %w", h.NetNS(), err)
		}
		return f()
	})
}
