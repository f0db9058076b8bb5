// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// The reasons of problems with BGP that are not of package announce.
const (
	ReasonServicesUnknown = "ServicesUnknown"
	ReasonBGPSpeaker      = "BGPSpeakerFailed"
	ReasonBGPSessionDown  = "BGPSessionDown"
	ReasonRouteRefused    = "BGPRouteRefused"
)

const (
	// patience with an API server that does not list the Services. A restarted speaker that announced without them would have routers
	// delete those routes that they keep; one that waits for too long loses the node's own, too.
	patience = 30 * time.Second
	// convergingResync is how often the speaker is asked whether its peers have told all: not every peer says so.
	convergingResync = time.Second
	// sessionDownAfter is how long a session may be away before people are told.
	sessionDownAfter = time.Minute
	// goodbye is the time to withdraw in when the agent stops.
	goodbye = 5 * time.Second
	// longest that a change of the speaker may take: a peer that does not read must not keep the node from its pods.
	longest = 10 * time.Second
)

// Services says which Services there are.
type Services interface {
	// Services returns the present state, which is not to be changed; known is false until all were listed.
	Services() (services []announce.Service, known bool)
	// Changed receives whenever something has changed that decides what is announced.
	Changed() <-chan struct{}
}

// Passwords are those of BGP sessions.
type Passwords interface {
	// Passwords returns the last known ones by the name of their Secret, and what is wrong with those that are not there now; known is
	// false until all were looked for.
	Passwords() (passwords map[string]string, known bool, problems []Problem)
	// Changed receives whenever one has changed.
	Changed() <-chan struct{}
}

// BGP is what the routing mode BGP works with.
type BGP struct {
	// Speaker makes the one that speaks. Restarting is true if an earlier process has announced from this node since it booted.
	Speaker func(restarting bool) bgp.Speaker
	// Services is nil if nothing of them is announced.
	Services Services
	// Passwords is nil if no peer has one.
	Passwords Passwords
}

// router is the part of the agent that tells routers and learns from them. A nil one does nothing.
type router struct {
	BGP
	announcing
	born time.Time
	// speaker is nil until the node is known.
	speaker bgp.Speaker
	// sessions gives notice of them, and of what peers told.
	sessions *pacer
	// restarting is known when the kernel's routes have been looked at for the first time.
	restarting *bool
	// incomplete is true while the decision lacks the Services.
	incomplete bool
	// ranges are the pod ranges that the node had last.
	ranges []netip.Prefix
	// spoken is true when the speaker has taken a state: before, it has no peers that could tell.
	spoken bool
	// unreachable is what went with the speaker's last state. It stays refused for one look longer than it is announced: routers that have
	// not taken the withdrawal in would get their packets back, and round.
	unreachable []netip.Prefix
	// phase of the node when it was last known.
	phase announce.Phase

	// mu is for what metrics show; only the agent's loop writes it.
	mu sync.Mutex
	// status as it was last known.
	status bgp.Status
	// announced is the number of prefixes.
	announced int
}

// newRouter returns nil unless the mode is BGP.
func newRouter(cfg agentconfig.Config, b *BGP) (*router, error) {
	if cfg.RoutingMode != agentconfig.BGP {
		return nil, nil
	}
	if b == nil {
		return nil, fmt.Errorf("routing mode %s: nothing that speaks it", cfg.RoutingMode)
	}
	from, err := announcingOf(cfg)
	if err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	return &router{BGP: *b, announcing: from, born: time.Now(), sessions: newPacer()}, nil
}

// changed receives when the router is to be looked at again. Each channel of a part that is not there is nil, and never receives.
func (r *router) changed() (sessions, services, passwords <-chan struct{}) {
	if r == nil {
		return nil, nil, nil
	}
	sessions = r.sessions.changed
	if r.Services != nil {
		services = r.Services.Changed()
	}
	if r.Passwords != nil {
		passwords = r.Passwords.Changed()
	}
	return sessions, services, passwords
}

// decide what this node tells its routers; nil while the node is not known.
func (r *router) decide(cfg agentconfig.Config, view View, facts Facts) (out *announce.Output, problems []Problem) {
	if r == nil || view.Own == nil {
		return nil, nil
	}
	in := announce.Input{
		Node: r.own(cfg, view, facts), Families: r.families, ServiceCIDRs: r.serviceCIDRs, Pools: r.pools, Config: r.config,
		Others: make([]announce.Node, len(view.Peers)),
	}
	for i := range view.Peers {
		in.Others[i] = nodeFor(cfg, &view.Peers[i])
	}
	for _, hop := range facts.Gateways {
		in.Gateways = append(in.Gateways, announce.Gateway{Address: hop.Via, Interface: hop.Device})
	}
	listed, asked := true, true
	if r.Services != nil {
		in.Services, listed = r.Services.Services()
	}
	if r.Passwords != nil {
		in.Passwords, asked, problems = r.Passwords.Passwords()
	}
	impatient := time.Since(r.born) >= patience
	if !listed && impatient {
		problems = append(problems, Problem{Reason: ReasonServicesUnknown,
			Message: "the Services have not been listed since the agent's start, so that none of their addresses is announced; may the agent read Services and EndpointSlices?"})
	}
	r.incomplete = !listed && !impatient
	decided := announce.Decide(in)
	return &decided, append(problems, problemsOf(decided.Problems, asked || impatient)...)
}

// problemsOf the decision, one a reason: a user can make thousands of wrong Services, and every node would tell of each.
func problemsOf(found []announce.Problem, asked bool) []Problem {
	var out []Problem
	for len(found) > 0 {
		reason := found[0].Reason
		n := slices.IndexFunc(found, func(p announce.Problem) bool { return p.Reason != reason })
		if n < 0 {
			n = len(found)
		}
		var told []string
		for _, p := range found[:n] {
			told = append(told, p.String())
		}
		found = found[n:]
		if reason == announce.PasswordMissing && !asked {
			continue
		}
		out = append(out, Problem{Reason: string(reason), Message: strings.Join(firstFew(told), "; ")})
	}
	return out
}

// mustWait for all that is announced, because routers would delete what they keep of an earlier process and are not told again.
func (r *router) mustWait() bool {
	return r.incomplete && r.config.GracefulRestart.Enabled && r.speaker == nil && (r.restarting == nil || *r.restarting)
}

// own node. Ranges that the Node lost for a moment, as one that is made anew has, stay announced for the pods that run, unless another
// node has them.
func (r *router) own(cfg agentconfig.Config, view View, facts Facts) announce.Node {
	n := nodeFor(cfg, view.Own)
	n.Phase, r.phase = view.Own.Phase, view.Own.Phase
	if len(n.PodRanges) > 0 {
		r.ranges = n.PodRanges
	} else {
		n.PodRanges = slices.DeleteFunc(slices.Clone(r.ranges), func(p netip.Prefix) bool {
			return slices.ContainsFunc(view.Peers, func(other Node) bool { return slices.ContainsFunc(other.PodCIDRs, p.Overlaps) })
		})
	}
	n.Prefixes = slices.DeleteFunc(n.Prefixes, func(p netip.Prefix) bool { return slices.ContainsFunc(facts.Addrs, p.Contains) })
	return n
}

func nodeFor(cfg agentconfig.Config, n *Node) announce.Node {
	out := announce.Node{Name: n.Name, Labels: n.Labels, Addresses: n.Addrs, Prefixes: prefixes(cfg, n), PodRanges: n.PodCIDRs}
	if id, err := netip.ParseAddr(n.Annotations[AnnotationRouterID]); err == nil && id.Is4() {
		out.RouterID = id
	}
	return out
}

// applied tells of the kernel's first state: where an earlier process was, its routes to this node's own ranges are there.
func (r *router) applied(d Decision, changes dataplane.Changes) {
	if r == nil || r.restarting != nil || d.Keep || len(d.Ranges) == 0 {
		return
	}
	made := slices.ContainsFunc(changes.Added, func(route dataplane.Route) bool {
		return route.Type == dataplane.Unreachable && slices.Contains(d.Ranges, route.Dst)
	})
	r.restarting = new(bool)
	*r.restarting = !made
}

// speak brings the speaker to the decision, if there is one.
func (r *router) speak(ctx context.Context, out *announce.Output) []Problem {
	if r == nil {
		return nil
	}
	var problems []Problem
	if out != nil && !r.mustWait() {
		if r.speaker == nil {
			r.speaker = r.Speaker(r.restarting != nil && *r.restarting)
			go r.follow(ctx)
		}
		applying, cancel := context.WithTimeout(ctx, longest)
		err := r.speaker.Apply(applying, out.Desired)
		cancel()
		if err != nil {
			problems = append(problems, Problem{Reason: ReasonBGPSpeaker, Message: err.Error()})
		} else {
			r.spoken, r.unreachable = true, out.Unreachable
		}
		r.mu.Lock()
		r.announced = len(out.Desired.Advertisements)
		r.mu.Unlock()
		if len(r.status.Sessions) != len(out.Desired.Peers) {
			problems = append(problems, r.listen(ctx)...)
		}
	}
	for _, s := range r.status.Sessions {
		if s.State != bgp.Established && time.Since(s.Since) >= sessionDownAfter {
			problems = append(problems, Problem{Reason: ReasonBGPSessionDown, Message: fmt.Sprintf("the BGP session with %s is down: %s", s.Peer, reasonOf(s))})
		}
	}
	return problems
}

// listen to what became of the sessions, and to what peers told. What was known stays so if the speaker cannot say.
func (r *router) listen(ctx context.Context) []Problem {
	if r == nil || r.speaker == nil {
		return nil
	}
	status, err := r.speaker.Status(ctx)
	if err != nil {
		return []Problem{{Reason: ReasonBGPSpeaker, Message: err.Error()}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
	return nil
}

// follow the speaker, which may have as much to tell as the whole Internet: at a pace that leaves the node time for its pods.
func (r *router) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.speaker.Changed():
			r.sessions.soon()
		}
	}
}

func reasonOf(s bgp.Session) string {
	switch {
	case s.Reason != "":
		return s.Reason
	case s.Peer.Passive:
		return "the router has not connected"
	}
	return "no answer yet"
}

// next is when to look again: soon while peers tell what they know, when patience ends, since routers wait for no longer than the restart
// time, and when a session that is away will have been so for too long.
func (r *router) next(wait time.Duration) time.Duration {
	if r == nil {
		return wait
	}
	if r.converging() && r.speaker != nil {
		wait = min(wait, convergingResync)
	}
	if left := patience - time.Since(r.born); r.speaker == nil && left > 0 {
		wait = min(wait, left)
	}
	for _, s := range r.status.Sessions {
		if left := sessionDownAfter - time.Since(s.Since); s.State != bgp.Established && left > 0 {
			wait = min(wait, left)
		}
	}
	return wait
}

// stop when the agent does. A node that stays keeps its routes with routers that know graceful restart: the next agent takes them over.
// Everything else is withdrawn, so that nobody sends here any more.
func (r *router) stop(view View) error {
	if r == nil || r.speaker == nil {
		return nil
	}
	gone := view.Own == nil && view.Known
	if view.Own != nil {
		r.phase = view.Own.Phase
	}
	if r.config.GracefulRestart.Enabled && !gone && (r.phase == "" || r.phase == announce.Staying) {
		r.speaker.Leave()
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if err := r.speaker.Withdraw(ctx); err != nil {
		return fmt.Errorf("withdraw what was announced: %w", err)
	}
	return nil
}

// hops are the next hops of what peers told of, those of a link apart, which their interface says.
func (r *router) hops() []netip.Addr {
	if r == nil {
		return nil
	}
	var out []netip.Addr
	for _, route := range r.status.Routes {
		if hop := route.NextHop.WithZone(""); !hop.IsLinkLocalUnicast() || hop.Is4() {
			out = append(out, hop)
		}
	}
	return out
}

// imported routes for the kernel.
func (r *router) imported(cfg agentconfig.Config, view View, facts Facts) ([]dataplane.Imported, []Problem) {
	if r == nil || view.Own == nil || len(r.status.Routes) == 0 {
		return nil, nil
	}
	own := slices.Concat(brought(view.Own), prefixes(cfg, view.Own), view.Own.PodCIDRs)
	s := surroundings{own: own, connected: facts.Connected, services: r.serviceCIDRs, ways: facts.Ways}
	return importedOf(r.status.Routes, s)
}

// converging is true between the agent's start and the first word of the peers that routes are imported from: what an earlier process
// brought into the kernel stays there meanwhile.
func (r *router) converging() bool {
	if r == nil || r.restarting != nil && !*r.restarting || time.Since(r.born) >= patience {
		return false
	}
	return !r.spoken || slices.ContainsFunc(r.status.Sessions, func(s bgp.Session) bool {
		return s.Peer.Import != "" && s.Peer.Import != bgp.ImportNone && !s.Told
	})
}
