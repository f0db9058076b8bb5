// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package agent is what ipv6-agent does on a node: it gathers what the cluster and the kernel say, decides, and brings the kernel there;
// it answers the CNI plugin; it tells the runtime of the network once the node is ready for pods.
//
// Pods do not depend on it being alive: what it made stays in the kernel when it stops, and a new start finds it there.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// Nodes says what the cluster knows.
type Nodes interface {
	// View returns the present state.
	View() View
	// Changed receives whenever the view may have changed.
	Changed() <-chan struct{}
}

// Recorder tells people of problems, as events of the node.
type Recorder interface {
	// Warn records a warning.
	Warn(reason, message string)
}

// Options are what the agent works with. All but Masquerader, Guard, FastPath, BGP and Reporter are needed.
type Options struct {
	Config      agentconfig.Config
	Nodes       Nodes
	Recorder    Recorder
	Wirer       dataplane.Wirer
	Host        dataplane.Host
	Masquerader dataplane.Masquerader
	Guard       dataplane.Guard
	FastPath    dataplane.FastPath
	Store       podip.Store
	// BGP is there with routing mode BGP.
	BGP *BGP
	// Reporter is there if nodes bring their own prefixes.
	Reporter *Reporter
	Log      *slog.Logger
	// Socket, CNIBinDir, CNIConfDir, PluginDir and HTTPAddress are as in package agentconfig.
	Socket, CNIBinDir, CNIConfDir, PluginDir, HTTPAddress string
	// Resync is how often the node is compared with its desired state without being told to.
	Resync time.Duration
}

// Agent is the agent.
type Agent struct {
	Options
	addrs   *podip.Allocator
	handler *handler
	metrics *metrics
	router  *router
	// kernel receives when the kernel has changed.
	kernel chan struct{}
	// advertised is the uplink that was seen to live on router advertisements. Its successor of that name, a card that was plugged in
	// anew, begins with forwarding on and ignores them, and nothing on it tells any more.
	advertised string
	ways       knownWays
	// masqueraded and guarded are what the firewall was told.
	masqueraded, guarded lastTold

	mu       sync.Mutex
	alive    time.Time // when the last reconciliation ended
	blocked  string    // why the node is not ready; empty if it is
	problems []Problem
	ranges   []netip.Prefix
}

// New opens the store. Addresses whose wire is gone are free afterwards; wires without a record get one.
func New(ctx context.Context, o Options) (*Agent, error) {
	a := &Agent{Options: o, metrics: newMetrics(), kernel: make(chan struct{}, 1), blocked: "the agent is starting", alive: time.Now()}
	if a.Resync == 0 {
		a.Resync = 30 * time.Second
	}
	var err error
	if a.router, err = newRouter(o.Config, o.BGP); err != nil {
		return nil, err
	}
	if err := a.recover(ctx); err != nil {
		return nil, err
	}
	a.handler = newHandler(a.addrs, o.Wirer, o.FastPath, a.metrics)
	a.metrics.registry.MustRegister(addresses{a.addrs})
	a.metrics.registry.MustRegister(a.Reporter.collectors()...)
	if a.router != nil {
		a.metrics.registry.MustRegister(a.router)
	}
	return a, nil
}

// Run works until the context ends. Then it takes no more requests, finishes those that it has, and leaves everything in the
// kernel, and the network's list, as they are: pods go on, and the runtime is told to try again later until the next agent listens.
func (a *Agent) Run(ctx context.Context) error {
	if err := install(a.PluginDir, a.CNIBinDir); err != nil {
		return err
	}
	server, err := cnirpc.Listen(a.Socket, a.handler)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var tasks sync.WaitGroup
	for name, task := range map[string]func(context.Context) error{"plugin": server.Serve, "http": a.serveHTTP, "kernel": a.watchKernel, "prefix": a.Reporter.Run} {
		tasks.Go(func() {
			if err := task(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	a.loop(ctx)
	left := a.router.stop(a.Nodes.View())
	tasks.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return errors.Join(err, left)
	}
	return left
}

func (a *Agent) watchKernel(ctx context.Context) error {
	return a.Host.Watch(ctx, func() {
		select {
		case a.kernel <- struct{}{}:
		default: // a notice is waiting already
		}
	})
}

// unsettledResync is how often the node is looked at while no pod can start on it, or a peer cannot be reached: an address or a route of
// the node's that comes back is not an interface that changes.
const unsettledResync = 3 * time.Second

func (a *Agent) unsettled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.problems, func(p Problem) bool {
		return p.Blocking || slices.Contains([]string{ReasonPeerNotOnLink, ReasonRoute, ReasonTunnel, ReasonBGPSpeaker, string(announce.GatewayUnknown)}, p.Reason)
	})
}

func (a *Agent) loop(ctx context.Context) {
	for {
		a.reconcile(ctx)
		wait := a.Resync
		if a.unsettled() {
			wait = min(wait, unsettledResync)
		}
		sessions, services, passwords := a.router.changed()
		select {
		case <-ctx.Done():
			return
		case <-a.Nodes.Changed():
		case <-a.kernel:
			a.ways.forget()
		case <-sessions:
		case <-services:
		case <-passwords:
		case <-time.After(a.router.next(wait)):
		}
		if a.ways.older(wait) {
			a.ways.forget()
		}
	}
}

// reconcile gathers, decides and applies.
func (a *Agent) reconcile(ctx context.Context) {
	view := a.Nodes.View()
	a.Reporter.Observe(view.Own)
	unheard := a.router.listen(ctx)
	facts, err := a.gather(ctx, view)
	if err != nil {
		a.conclude([]Problem{{Reason: ReasonHostUnknown, Message: err.Error(), Blocking: true}}, 0, 0)
		return
	}
	told, problems := a.router.decide(a.Config, view, facts)
	if told != nil {
		facts.Unforwarded = slices.Concat(told.Unreachable, a.router.unreachable)
	}
	imported, refused := a.router.imported(a.Config, view, facts)
	facts.Imported, facts.KeepImported = imported, a.router.converging()
	d := Decide(a.Config, view, facts)
	problems = slices.Concat(d.Problems, problems, refused, unheard)
	changes, failed := a.apply(ctx, d)
	problems = append(problems, failed...)
	if blocked := func(p Problem) bool { return p.Blocking }; slices.ContainsFunc(failed, blocked) {
		told = nil // packets that came would not be forwarded
	} else {
		a.router.applied(d, changes)
	}
	problems = slices.Concat(problems, a.router.speak(ctx, told), a.setRanges(d), a.look(ctx), a.quicken(facts.Uplink.Name))
	a.conclude(problems, d.MTU, len(d.State.Routes))
}

func (a *Agent) gather(ctx context.Context, view View) (Facts, error) {
	var own []netip.Addr
	if view.Own != nil {
		own = view.Own.Addrs
	}
	var f Facts
	var err error
	if f.Uplink, err = a.Host.Uplink(ctx, own); err != nil {
		return f, err
	}
	if f.Uplink.FromRA {
		a.advertised = f.Uplink.Name
	}
	f.Uplink.FromRA = f.Uplink.Name == a.advertised
	if f.Addrs, err = a.Host.Addrs(ctx); err != nil {
		return f, err
	}
	var others []netip.Addr
	if a.Config.RoutingMode != agentconfig.BGP || a.Config.Encapsulation != nil {
		for _, p := range view.Peers {
			others = append(others, p.Addrs...)
		}
	}
	a.ways.begin(f.Uplink, f.Addrs)
	f.Ways = a.ways.to(ctx, a.Host, append(others, a.router.hops()...))
	if a.Config.RoutingMode != agentconfig.BGP {
		return f, nil
	}
	if f.Gateways, err = a.Host.Gateways(ctx); err != nil {
		return f, err
	}
	if f.Connected, err = a.Host.Connected(ctx); err != nil {
		return f, err
	}
	return f, nil
}

// apply brings the kernel to the decision.
func (a *Agent) apply(ctx context.Context, d Decision) (dataplane.Changes, []Problem) {
	problems := a.guard(ctx, d)
	changes, err := a.Host.Apply(ctx, d.State)
	problems = append(problems, applyProblems(err)...)
	result := "unchanged"
	if !changes.Empty() {
		result = "changed"
		a.Log.Info("brought the node to its desired state", "sysctls", changes.Sysctls, "added", changes.Added, "replaced", changes.Replaced, "deleted", changes.Deleted,
			"rulesAdded", changes.AddedRules, "rulesDeleted", changes.DeletedRules, "tunnels", changes.Tunnels)
	}
	if err != nil {
		result = "error"
	}
	a.metrics.reconciles.WithLabelValues(result).Inc()
	return changes, append(problems, a.masquerade(ctx, d)...)
}

// setRanges tells the allocator. Pods that run keep their addresses, in the range or not.
func (a *Agent) setRanges(d Decision) []Problem {
	if len(d.Ranges) == 0 {
		return nil // the decision says so itself; what was allocated from stays known
	}
	if err := a.addrs.SetRanges(d.Ranges, d.Reserved); err != nil {
		return []Problem{{Reason: ReasonPodRangeInvalid, Message: err.Error(), Blocking: true}}
	}
	var problems []Problem
	var outside []string
	for _, r := range a.addrs.Records() {
		if slices.ContainsFunc(r.Addrs, func(x netip.Addr) bool {
			return !slices.ContainsFunc(d.Ranges, func(p netip.Prefix) bool { return p.Contains(x) })
		}) {
			outside = append(outside, r.Pod)
		}
	}
	if len(outside) > 0 {
		problems = append(problems, Problem{Reason: ReasonPodRangeChanged, Message: fmt.Sprintf(
			"%d pods have addresses outside of the node's present pod range %v; they keep them until they are created anew: %v", len(outside), d.Ranges, firstFew(outside))})
	}
	for _, u := range a.addrs.Usage() {
		if u.Free == 0 {
			problems = append(problems, Problem{Reason: ReasonAddressExhausted, Message: fmt.Sprintf("all %d addresses of the pod range %s are in use", u.Used, u.Range)})
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.ranges, d.Ranges) {
		a.Log.Info("new pods get addresses out of", "ranges", d.Ranges, "before", a.ranges)
		a.ranges = d.Ranges
	}
	return problems
}

// firstFew keeps messages short.
func firstFew(names []string) []string {
	if len(names) > 5 {
		return append(slices.Clone(names[:5]), "…")
	}
	return names
}

// look finds what others did to the node, and addresses whose wire is gone.
func (a *Agent) look(ctx context.Context) []Problem {
	var problems []Problem
	released, err := a.handler.sweep(ctx)
	if err != nil {
		a.Log.Error("sweep", "error", err)
	}
	if released > 0 {
		a.metrics.stale.Add(float64(released))
		a.Log.Info("released addresses whose wire is gone", "count", released)
	}
	drops, err := a.Host.ForwardDrops(ctx)
	if err != nil {
		a.Log.Error("look at the firewall", "error", err)
	}
	for _, chain := range drops {
		problems = append(problems, Problem{Reason: ReasonForwardDrop, Message: fmt.Sprintf(
			"the firewall chain %s drops forwarded packets unless a rule accepts them; pods reach nothing beyond this node unless one does", chain)})
	}
	if other, err := foreignNetwork(a.CNIConfDir); err != nil {
		problems = append(problems, Problem{Reason: ReasonOtherNetwork, Message: err.Error()})
	} else if other != "" {
		problems = append(problems, Problem{Reason: ReasonOtherNetwork, Message: fmt.Sprintf("the runtime reads %s in %s before %s, and uses that network instead",
			other, a.CNIConfDir, agentconfig.ConflistName)})
	}
	return problems
}

// conclude says whether the node is ready for pods, and tells people what is new.
func (a *Agent) conclude(problems []Problem, mtu, routes int) {
	blocked := ""
	if i := slices.IndexFunc(problems, func(p Problem) bool { return p.Blocking }); i >= 0 {
		blocked = problems[i].Message
	}
	if blocked == "" {
		changed, err := writeConflist(a.CNIConfDir, a.Socket)
		if err != nil {
			p := Problem{Reason: ReasonInstall, Message: err.Error(), Blocking: true}
			problems, blocked = append(problems, p), p.Message
		} else if changed {
			a.Log.Info("the node is ready for pods", "network", agentconfig.ConflistName)
		}
	}
	a.handler.setReady(blocked, mtu)
	a.metrics.problems.Reset()
	for _, p := range problems {
		a.metrics.problems.WithLabelValues(p.Reason).Inc()
	}
	a.metrics.routes.Set(float64(routes))
	a.metrics.ready.Set(map[bool]float64{true: 1}[blocked == ""])

	a.mu.Lock()
	known := a.problems
	a.problems, a.blocked, a.alive = problems, blocked, time.Now()
	a.mu.Unlock()
	for _, p := range problems {
		if !slices.Contains(known, p) {
			a.warn(p)
		}
	}
	for _, p := range known {
		if !slices.Contains(problems, p) {
			a.Log.Info("no longer a problem", "reason", p.Reason, "message", p.Message)
		}
	}
}

func (a *Agent) warn(p Problem) {
	a.Log.Warn(p.Message, "reason", p.Reason, "keepsPodsOff", p.Blocking)
	a.Recorder.Warn(p.Reason, p.Message)
}
