// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package fake is a data plane in memory that behaves: it refuses what a kernel refuses, fails on command, and can be dumped.
package fake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Kernel is a dataplane.Wirer, Host and Masquerader. Its zero value is not usable: New makes one.
type Kernel struct {
	mu      sync.Mutex
	wires   map[string]dataplane.Wire
	broken  map[string][]string
	routes  []dataplane.Route
	rules   []dataplane.Rule
	tunnels []dataplane.VXLAN
	sysctls map[string]string
	nat     *dataplane.Masquerade
	guarded *dataplane.Guarded
	faults  map[string]error
	changes chan struct{}

	// The following are what the kernel answers; set them before use.

	// UplinkIs is the answer of Uplink.
	UplinkIs dataplane.Uplink
	// AddrsAre is the answer of Addrs.
	AddrsAre []netip.Addr
	// OnLink are the addresses that are neighbours.
	OnLink []netip.Prefix
	// GatewaysAre is the answer of Gateways.
	GatewaysAre []dataplane.Hop
	// ConnectedAre is the answer of Connected.
	ConnectedAre []netip.Prefix
	// Drops is the answer of ForwardDrops.
	Drops []string
}

// New returns a kernel with an uplink eth0.
func New() *Kernel {
	return &Kernel{
		wires: map[string]dataplane.Wire{}, broken: map[string][]string{}, sysctls: map[string]string{}, faults: map[string]error{},
		changes:  make(chan struct{}),
		UplinkIs: dataplane.Uplink{Name: "eth0", MTU: 1500, HasIPv6: true},
	}
}

// Fail makes every call of a method fail, by its name, until err is nil.
func (k *Kernel) Fail(method string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults[method] = err
}

// Break makes Check find something at a wire.
func (k *Kernel) Break(hostInterface, finding string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.broken[hostInterface] = append(k.broken[hostInterface], finding)
}

// Vanish removes a wire behind the agent's back, as the end of its namespace does.
func (k *Kernel) Vanish(hostInterface string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.wires, hostInterface)
}

// Wire implements dataplane.Wirer.
func (k *Kernel) Wire(_ context.Context, netns *os.File, w dataplane.Wire) error {
	if err := w.Validate(); err != nil {
		return fmt.Errorf("wire %s: %w", w.HostInterface, err)
	}
	if netns == nil {
		return errors.New("wire: no network namespace")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults["Wire"]; err != nil {
		return err
	}
	for name, other := range k.wires {
		for _, a := range w.Addrs {
			if name != w.HostInterface && slices.Contains(other.Addrs, a) {
				return fmt.Errorf("add route %s: file exists", a) // as the kernel has one route to an address
			}
		}
	}
	w.Addrs = slices.Clone(w.Addrs)
	k.wires[w.HostInterface] = w
	delete(k.broken, w.HostInterface)
	return nil
}

// Unwire implements dataplane.Wirer.
func (k *Kernel) Unwire(_ context.Context, hostInterface string) error {
	if !strings.HasPrefix(hostInterface, agentconfig.HostInterfacePrefix) {
		return fmt.Errorf("unwire %s: the interface is not ours", hostInterface)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults["Unwire"]; err != nil {
		return err
	}
	delete(k.wires, hostInterface)
	return nil
}

// Check implements dataplane.Wirer.
func (k *Kernel) Check(_ context.Context, _ *os.File, w dataplane.Wire) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults["Check"]; err != nil {
		return nil, err
	}
	is, ok := k.wires[w.HostInterface]
	if !ok {
		return []string{fmt.Sprintf("interface %s is missing", w.HostInterface)}, nil
	}
	findings := slices.Clone(k.broken[w.HostInterface])
	for _, a := range w.Addrs {
		if !slices.Contains(is.Addrs, a) {
			findings = append(findings, fmt.Sprintf("in the pod: interface %s lacks the address %s", w.PodInterface, netip.PrefixFrom(a, a.BitLen())))
		}
	}
	if is.MTU != w.MTU {
		findings = append(findings, fmt.Sprintf("interface %s has MTU %d, want %d", w.HostInterface, is.MTU, w.MTU))
	}
	return findings, nil
}

// Exists implements dataplane.Wirer.
func (k *Kernel) Exists(_ context.Context, hostInterface string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.wires[hostInterface]
	return ok, k.faults["Exists"]
}

// List implements dataplane.Wirer.
func (k *Kernel) List(context.Context) ([]dataplane.FoundWire, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults["List"]; err != nil {
		return nil, err
	}
	var out []dataplane.FoundWire
	for _, w := range k.wires {
		out = append(out, dataplane.FoundWire{HostInterface: w.HostInterface, Owner: w.Owner, MTU: w.MTU, Addrs: slices.Clone(w.Addrs)})
	}
	slices.SortFunc(out, func(a, b dataplane.FoundWire) int { return strings.Compare(a.HostInterface, b.HostInterface) })
	return out, nil
}

// Uplink implements dataplane.Host.
func (k *Kernel) Uplink(context.Context, []netip.Addr) (dataplane.Uplink, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.UplinkIs, k.faults["Uplink"]
}

// Addrs implements dataplane.Host.
func (k *Kernel) Addrs(context.Context) ([]netip.Addr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.AddrsAre), k.faults["Addrs"]
}

// Neighbour implements dataplane.Host.
func (k *Kernel) Neighbour(_ context.Context, a netip.Addr) (device string, onLink bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.UplinkIs.Name, slices.ContainsFunc(k.OnLink, func(p netip.Prefix) bool { return p.Contains(a) }), k.faults["Neighbour"]
}

// Gateways implements dataplane.Host.
func (k *Kernel) Gateways(context.Context) ([]dataplane.Hop, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.GatewaysAre), k.faults["Gateways"]
}

// Connected implements dataplane.Host.
func (k *Kernel) Connected(context.Context) ([]netip.Prefix, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.ConnectedAre), k.faults["Connected"]
}

// AddRoute puts a route in place, someone else's unless it bears our mark.
func (k *Kernel) AddRoute(r dataplane.Route) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.routes = append(k.routes, r)
}

// Apply implements dataplane.Host.
func (k *Kernel) Apply(_ context.Context, s dataplane.State) (dataplane.Changes, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults["Apply"]; err != nil {
		return dataplane.Changes{}, err
	}
	var ours, others []dataplane.Route
	for _, r := range k.routes {
		if dataplane.Ours(r.Protocol) {
			ours = append(ours, r)
		} else {
			others = append(others, r)
		}
	}
	done := s.Diff(ours, k.rules, k.tunnels)
	for _, c := range s.Sysctls {
		if k.sysctls[c.Path] != c.Value {
			k.sysctls[c.Path] = c.Value
			done.Sysctls = append(done.Sysctls, c)
		}
	}
	if s.KeepRoutes {
		return done, nil
	}
	k.rules, k.tunnels = slices.Clone(s.Rules), slices.Clone(s.Tunnels)
	var failed dataplane.ApplyError
	refused := func(r dataplane.Route) bool {
		taken := slices.ContainsFunc(others, func(o dataplane.Route) bool { return o.Dst == r.Dst && o.Metric == r.Metric })
		if taken {
			failed.Routes = append(failed.Routes, &dataplane.RouteError{Action: "add", Route: r, Err: errors.New("someone else's route is in its place")})
		}
		return taken
	}
	done.Added = slices.DeleteFunc(done.Added, refused)
	ours = slices.DeleteFunc(ours, func(r dataplane.Route) bool {
		return slices.ContainsFunc(slices.Concat(done.Deleted, done.Replaced), func(c dataplane.Route) bool { return c.Dst == r.Dst && c.Metric == r.Metric })
	})
	k.routes = slices.Concat(others, ours, done.Replaced, done.Added)
	return done, failed.Err()
}

// Change tells the one who watches.
func (k *Kernel) Change() { k.changes <- struct{}{} }

// Watch implements dataplane.Host.
func (k *Kernel) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.changes:
			changed()
		}
	}
}

// ForwardDrops implements dataplane.Host.
func (k *Kernel) ForwardDrops(context.Context) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.Drops), k.faults["ForwardDrops"]
}

// Masquerade implements dataplane.Masquerader.
func (k *Kernel) Masquerade(_ context.Context, m *dataplane.Masquerade) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults["Masquerade"]; err != nil {
		return err
	}
	k.nat = m
	return nil
}

// Guard implements dataplane.Guard.
func (k *Kernel) Guard(_ context.Context, g *dataplane.Guarded) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults["Guard"]; err != nil {
		return err
	}
	k.guarded = g
	return nil
}

// Dump returns the state, one line a thing, sorted.
func (k *Kernel) Dump() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lines []string
	for _, w := range k.wires {
		lines = append(lines, fmt.Sprintf("wire %s %s mtu %d %v\n", w.Owner, w.PodInterface, w.MTU, w.Addrs))
	}
	for _, r := range k.routes {
		lines = append(lines, fmt.Sprintf("route %s\n", r))
	}
	for _, r := range k.rules {
		lines = append(lines, fmt.Sprintf("rule %s\n", r))
	}
	for _, v := range k.tunnels {
		lines = append(lines, fmt.Sprintf("tunnel %s vni %d port %d local %s mtu %d addresses %v\n", v.Name, v.VNI, v.Port, v.Local, v.MTU, v.Addrs))
		for _, e := range v.FDB {
			lines = append(lines, fmt.Sprintf("tunnel %s to %s\n", v.Name, e.Remote))
		}
	}
	for path, value := range k.sysctls {
		lines = append(lines, fmt.Sprintf("sysctl %s=%s\n", path, value))
	}
	if k.nat != nil {
		lines = append(lines, fmt.Sprintf("masquerade %v except %v\n", k.nat.Sources, k.nat.Except))
	}
	if k.guarded != nil {
		lines = append(lines, fmt.Sprintf("guard vni %d port %d against all but %v\n", k.guarded.VNI, k.guarded.Port, k.guarded.Nodes))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
