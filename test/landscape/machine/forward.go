// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Forward makes a TCP port inside of a host's network reachable at the machine's 127.0.0.1 and tells at which port.
// The port stays the same as long as the landscape lives.
func (h *Host) Forward(ctx context.Context, name string, target netip.AddrPort) (int, error) {
	return h.l.forward(ctx, h, name, target)
}

func (l *Landscape) forward(ctx context.Context, h *Host, name string, target netip.AddrPort) (int, error) {
	process := name + "-forward"
	portFile := filepath.Join(h.Dir(), process+".port")
	port, err := savedPort(portFile)
	if err != nil {
		return 0, fmt.Errorf("forwarder to %s: %w", target, err)
	}
	if h.Running(process) {
		return port, nil
	}
	// it runs in the machine's own network namespace, in the host's cgroup, and dials inside of the host's namespace
	cmd := exec.CommandContext(ctx, l.program(enterProgram), "spawn", // #nosec G204 -- our own program
		"--pidfile", h.pidFile(process), "--log", h.LogFile(process), "--cgroup", string(h.group()), "--",
		l.program(enterProgram), "forward", "--listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		"--net", netnsPath(h.NetNS()), "--to", target.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("forwarder to %s: %w: %s", target, err, lastLines(string(out), 5))
	}
	return port, nil
}

// savedPort gives the port that was chosen before, or a free one.
func savedPort(file string) (int, error) {
	if text, err := os.ReadFile(file); err == nil { // #nosec G304 -- our own directory
		return strconv.Atoi(strings.TrimSpace(string(text)))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if err := listener.Close(); err != nil || !ok {
		return 0, fmt.Errorf("no free port: %w", err)
	}
	return address.Port, writeFile(file, []byte(strconv.Itoa(address.Port)))
}
