// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Down removes everything that this landscape made: processes, network namespaces, mounts, cgroups and files. It needs
// no state but the landscape's name, and may be called at any time, any number of times.
func (l *Landscape) Down(ctx context.Context) error {
	// All processes are in the landscape's cgroup. A node's mounts go with its mount namespace, pods' network
	// namespaces with those mounts.
	if err := l.cgroup.Kill(killLimit); err != nil {
		return fmt.Errorf("landscape %s: %w", l.Name, err)
	}
	namespaces, err := filepath.Glob(netnsPath(l.Name + "-*"))
	if err != nil {
		return fmt.Errorf("landscape %s: %w", l.Name, err)
	}
	var errs []error
	for _, ns := range namespaces {
		errs = append(errs, removeNetNS(filepath.Base(ns)))
	}
	errs = append(errs, l.cgroup.Remove(), restoreSettings())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("landscape %s: %w", l.Name, err)
	}
	if err := l.refuseMounts(); err != nil {
		return err
	}
	return removeAll(ctx, l.Dir)
}

// refuseMounts makes sure that nothing is mounted below the landscape's directory: its files would be removed with it.
func (l *Landscape) refuseMounts() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("landscape %s: %w", l.Name, err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], l.Dir+"/") {
			return fmt.Errorf("landscape %s: %s is mounted: not removing %s", l.Name, fields[1], l.Dir)
		}
	}
	return nil
}
