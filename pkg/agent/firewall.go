// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// lastTold is what a firewall was told last. It is told again only of something else, or after some time, as others flush rules: each time
// costs a process, and whatever happens in the cluster has every node look at what it shall be.
type lastTold struct {
	want  any // nil before the first time; a pointer, which may be nil
	since time.Time
}

// again tells whether that is not certainly so already.
func (t *lastTold) again(want any, resync time.Duration) bool {
	return t.want == nil || time.Since(t.since) >= resync || !reflect.DeepEqual(t.want, want)
}

func (t *lastTold) done(want any) { t.want, t.since = want, time.Now() }

// masquerade IPv4 pods. Without their range, as a Node that was made anew has none for a moment, those that run still leave under the
// node's address.
func (a *Agent) masquerade(ctx context.Context, d Decision) []Problem {
	unknown := d.Keep || d.Masquerade == nil && a.Config.MasqueradeIPv4
	if a.Masquerader == nil || unknown || !slices.Contains(a.Config.IPFamilies, agentconfig.IPv4) || !a.masqueraded.again(d.Masquerade, a.Resync) {
		return nil
	}
	if err := a.Masquerader.Masquerade(ctx, d.Masquerade); err != nil {
		a.masqueraded = lastTold{}
		return []Problem{{Reason: ReasonMasquerade, Message: err.Error()}}
	}
	a.masqueraded.done(d.Masquerade)
	return nil
}

// guard comes before the tunnels. While it fails no new pod starts, so that a node whose tunnels nothing guards has nobody to protect; what
// an earlier agent put into the kernel still guards pods that run.
func (a *Agent) guard(ctx context.Context, d Decision) []Problem {
	// Where there are no tunnels, what an earlier agent left is removed once: nobody else makes it.
	unguarded := d.Guarded == nil && (a.Guard == nil || a.guarded.want == d.Guarded)
	if d.Keep || unguarded || !a.guarded.again(d.Guarded, a.Resync) {
		return nil
	}
	if a.Guard == nil {
		return []Problem{{Reason: ReasonGuard, Message: "the agent was built with nothing that guards tunnels", Blocking: true}}
	}
	if err := a.Guard.Guard(ctx, d.Guarded); err != nil {
		a.guarded = lastTold{}
		return []Problem{{Reason: ReasonGuard, Message: err.Error(), Blocking: d.Guarded != nil}}
	}
	a.guarded.done(d.Guarded)
	return nil
}
