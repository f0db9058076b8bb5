// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/cgroup"
)

// enterProgram runs programs inside of a host's namespaces; see test/landscape/enter.
const enterProgram = "landscape-enter"

// Host is a machine of the landscape: a network namespace with one interface, eth0, on one link; of a Node, more.
type Host struct {
	// Name is the host's name; its network namespace is LANDSCAPE-NAME, as `ip netns` shows.
	Name string

	l    *Landscape
	node bool
}

// HostConfig says what a host looks like from outside.
type HostConfig struct {
	// Name has at most twelve lower-case letters, digits and dashes.
	Name string
	// Link is where its eth0 is plugged in.
	Link Link
	// Addresses of eth0, exactly these, each with the length of the link's prefix.
	Addresses []netip.Prefix
	// Gateways are the default routers, at most one a family: any address on the link, fe80::1 included.
	Gateways []netip.Addr
	// FromRA: the host's IPv6 addresses and default route come from a router's advertisements (RFC 4861, RFC 4862), and the IPv6 ones of
	// Addresses, which Landscape.Autoconfigured tells, are only waited for.
	FromRA bool
}

// configured are the addresses that the host is given, and does not make itself.
func (c HostConfig) configured() []netip.Prefix {
	if !c.FromRA {
		return c.Addresses
	}
	return slices.DeleteFunc(slices.Clone(c.Addresses), func(a netip.Prefix) bool { return a.Addr().Is6() })
}

var validHostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,11}$`)

// Host gives a handle on a host, whether it is up or not.
func (l *Landscape) Host(name string) *Host { return &Host{Name: name, l: l} }

// StartHost brings a host up.
func (l *Landscape) StartHost(ctx context.Context, cfg HostConfig) (*Host, error) {
	if !validHostName.MatchString(cfg.Name) {
		return nil, fmt.Errorf("host name %q: want at most 12 lower-case letters, digits and dashes", cfg.Name)
	}
	if err := l.prepare(); err != nil {
		return nil, err
	}
	h := l.Host(cfg.Name)
	if err := os.MkdirAll(h.Dir(), 0o700); err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	if err := h.group().Make(); err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	if err := h.plug(cfg); err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	if err := h.waitAddresses(ctx, cfg); err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	return h, ctx.Err()
}

// NetNS is the name of the host's network namespace.
func (h *Host) NetNS() string { return h.l.Name + "-" + h.Name }

// Dir is where the host keeps its files; programs on the host see it under the same path.
func (h *Host) Dir() string { return h.l.hostDir(h.Name) }

// LogFile is where a process of that name writes.
func (h *Host) LogFile(process string) string { return filepath.Join(h.Dir(), process+".log") }

func (h *Host) group() cgroup.Group { return h.l.cgroup.Child(h.Name) }

// enter is the command line that runs a program on this host, up to the program's own name.
func (h *Host) enter(verb string, flags ...string) ([]string, error) {
	line := append([]string{h.l.program(enterProgram), verb}, flags...)
	if !h.node {
		return append(line, "--cgroup", string(h.group()), "--net", netnsPath(h.NetNS()), "--"), nil
	}
	pid, alive := readPIDFile(filepath.Join(h.Dir(), "init.pid"))
	if !alive {
		return nil, fmt.Errorf("node %s is down", h.Name)
	}
	// daemons may not sit at the root of the node's own cgroup namespace, see package enter
	return append(line, "--cgroup", string(h.group().Child(systemGroup)), "--node", strconv.Itoa(pid), "--"), nil
}

// Command runs a program in the foreground on the host, in all of its namespaces. Programs built for the landscape are in its PATH.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	line, err := h.enter("run")
	if err != nil {
		return &exec.Cmd{Path: name, Args: append([]string{name}, args...), Err: err}
	}
	line = append(append(line, name), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...) // #nosec G204 -- runs what the landscape's driver asks for
	cmd.Env = h.environ(nil)
	return cmd
}

// Run is Command for short programs: it gives what the program printed to both outputs, and an error that holds it.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := h.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("on %s: %s %s: %w: %s", h.Name, name, strings.Join(args, " "), err, lastLines(string(out), 5))
	}
	return string(out), nil
}

func (h *Host) environ(extra []string) []string {
	env := []string{"PATH=" + h.l.Bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	if h.node {
		env = append(env, "NODE_NAME="+h.Name)
	}
	return append(env, extra...)
}

// Remove ends every process of the host and takes its namespace, cgroup and files away.
func (h *Host) Remove(ctx context.Context) error {
	var errs []error
	errs = append(errs, h.group().Kill(killLimit), removeNetNS(h.NetNS()), h.l.unplug(h.Name), h.group().Remove())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing host %s: %w", h.Name, err)
	}
	return removeAll(ctx, h.Dir())
}

// removeAll removes a directory. A node's mount namespace is taken down in the background; its directories are busy until then.
func removeAll(ctx context.Context, dir string) error {
	return wait(ctx, "removal of "+dir, killLimit, func(context.Context) error { return os.RemoveAll(dir) })
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// machineCommand runs one of our own programs outside of the host.
func (h *Host) machineCommand(ctx context.Context, line []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, line[0], line[1:]...) // #nosec G204 -- our own program
	cmd.Env = h.environ(nil)
	return cmd
}
