// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memory is what of a process is in memory, in KiB: all of it, and what is not a part of its program's file.
type memory struct{ pods, all, own int }

// String is for people.
func (m memory) String() string {
	return fmt.Sprintf("%.1f MiB resident with %d pods, %.1f MiB of it without the program's file", float64(m.all)/1024, m.pods, float64(m.own)/1024)
}

// weigh looks at the daemon while pods are there.
func (p *plugin) weigh(pods int) error {
	if p.process == 0 {
		return nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process))
	if err != nil {
		return err
	}
	now := memory{pods: pods, all: kib(string(status), "VmRSS:"), own: kib(string(status), "RssAnon:")}
	if pods > p.memory.pods || pods == p.memory.pods && now.all > p.memory.all {
		p.memory = now
	}
	return nil
}

// kib is a line of /proc/PID/status; 0 if it is not there.
func kib(status, name string) int {
	_, rest, _ := strings.Cut(status, name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(fields[0]) // of the kernel
	return n
}
