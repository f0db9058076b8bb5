// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// knownWays remembers how addresses are reached, so that one node that changes costs a question about that node and not about all. It knows
// nothing any more when an interface or an address of this node has changed, and after some time: routes that come and go tell nobody.
type knownWays struct {
	known map[netip.Addr]Way
	// since is when there was nothing known last.
	since time.Time
	// here is what was known under.
	uplink dataplane.Uplink
	addrs  []netip.Addr
}

// forget all.
func (w *knownWays) forget() { w.known = nil }

// older tells whether something may be known for as long as that.
func (w *knownWays) older(d time.Duration) bool { return time.Since(w.since) >= d }

// begin a look at the node as it is now.
func (w *knownWays) begin(uplink dataplane.Uplink, addrs []netip.Addr) {
	if w.known == nil || uplink != w.uplink || !slices.Equal(addrs, w.addrs) {
		w.known, w.since = map[netip.Addr]Way{}, time.Now()
		w.uplink, w.addrs = uplink, slices.Clone(addrs)
	}
}

// to the addresses, by what is known, else by what the host says; what it could not say is asked for again the next time.
func (w *knownWays) to(ctx context.Context, host dataplane.Host, addrs []netip.Addr) map[netip.Addr]Way {
	found := make(map[netip.Addr]Way, len(addrs))
	for _, a := range addrs {
		if _, twice := found[a]; twice {
			continue
		}
		way, known := w.known[a]
		if !known || way.Err != nil {
			way.Device, way.OnLink, way.Err = host.Neighbour(ctx, a)
		}
		found[a] = way
	}
	w.known = found
	return found
}
