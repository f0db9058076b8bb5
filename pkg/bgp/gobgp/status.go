// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// watch follows the tables until the context ends. What this node announces itself changes nothing for anybody. Sessions are followed by
// the history, but for their being shut by the limit of imports.
func (s *Speaker) watch(ctx context.Context) error {
	return s.server.WatchEvent(ctx, &api.WatchEventRequest{
		Peer: &api.WatchEventRequest_Peer{},
		Table: &api.WatchEventRequest_Table{Filters: []*api.WatchEventRequest_Table_Filter{
			{Type: api.WatchEventRequest_Table_Filter_BEST},
			{Type: api.WatchEventRequest_Table_Filter_POST_POLICY}, // one that is as good as the best
			{Type: api.WatchEventRequest_Table_Filter_EOR},
		}},
	}, func(event *api.WatchEventResponse) {
		if peer := event.GetPeer(); peer != nil && peer.Type == api.WatchEventResponse_PeerEvent_STATE && peer.Peer.State.AdminState == api.PeerState_PFX_CT {
			s.wake()
			s.reopen(ctx)
		}
		if table := event.GetTable(); table != nil && slices.ContainsFunc(table.Paths, s.matters) {
			s.wake()
		}
	})
}

// matters: what a peer says that nothing is taken from is of no interest, as much as it may be.
func (s *Speaker) matters(path *api.Path) bool {
	peer, err := netip.ParseAddr(path.NeighborIp)
	if err != nil || !isForeign(path) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.has.Peers, func(p bgp.Peer) bool {
		return p.Address.WithZone("") == peer.WithZone("") && p.Import != "" && p.Import != bgp.ImportNone
	})
}

// reopen, after a while, the sessions that the limit of imports has shut: GoBGP would leave them so for ever, and the node's pods without
// a route.
func (s *Speaker) reopen(ctx context.Context) {
	server := s.server
	time.AfterFunc(s.options.LimitRetry, func() {
		if ctx.Err() != nil {
			return
		}
		var shut []string
		err := server.ListPeer(ctx, &api.ListPeerRequest{}, func(peer *api.Peer) {
			if peer.State.AdminState == api.PeerState_PFX_CT {
				shut = append(shut, peer.Conf.NeighborAddress)
			}
		})
		for _, address := range shut {
			err = errors.Join(err, server.EnablePeer(ctx, &api.EnablePeerRequest{Address: address}))
		}
		if err != nil {
			s.options.Log.Error("Opening sessions again after the limit of imports", "error", err)
		}
	})
}

// isForeign: told by a peer.
func isForeign(path *api.Path) bool { return path.NeighborIp != "" && path.NeighborIp != "<nil>" }

// Status tells what became of the desired state.
func (s *Speaker) Status(ctx context.Context) (bgp.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status bgp.Status
	if !s.started {
		return status, nil
	}
	err := s.server.ListPeer(ctx, &api.ListPeerRequest{}, func(peer *api.Peer) {
		status.Sessions = append(status.Sessions, s.sessionOf(peer))
	})
	if err != nil {
		return status, fmt.Errorf("listing the sessions: %w", err)
	}
	slices.SortFunc(status.Sessions, func(a, b bgp.Session) int { return a.Peer.Address.Compare(b.Peer.Address) })
	for _, family := range []*api.Family{ipv6Unicast, ipv4Unicast} {
		routes, err := s.routes(ctx, family)
		if err != nil {
			return status, err
		}
		status.Routes = append(status.Routes, routes...)
	}
	return status, nil
}

func (s *Speaker) sessionOf(peer *api.Peer) bgp.Session {
	past := s.history.of(peer.Conf.NeighborAddress)
	session := bgp.Session{State: bgp.Connecting, Since: past.since, Flaps: past.ends, Reason: past.reason}
	for _, p := range s.has.Peers {
		if p.Address.String() == peer.Conf.NeighborAddress {
			session.Peer = p
		}
	}
	switch {
	case peer.State.AdminState == api.PeerState_PFX_CT:
		session.State, session.Reason = bgp.Idle, "the peer told of more routes than importLimit allows; the session is tried again after a while"
	case peer.State.SessionState == api.PeerState_ESTABLISHED:
		session.State = bgp.Established
	case peer.State.SessionState == api.PeerState_IDLE:
		session.State = bgp.Idle
	}
	told := true
	for _, family := range peer.AfiSafis {
		if family.State != nil {
			session.Received += family.State.Received
			session.Accepted += family.State.Accepted
		}
		told = told && family.MpGracefulRestart.GetState().GetEndOfRibReceived()
	}
	if session.State == bgp.Established {
		session.Told = told || time.Since(session.Since) >= deferral
		session.Advertised = s.advertisedTo(session.Peer, peer.State.RemoteCap)
	}
	return session
}

// advertisedTo a peer is all that this node announces in the families that both ends carry: no policy keeps anything back. GoBGP's own
// count includes the marks at the end of tables.
func (s *Speaker) advertisedTo(p bgp.Peer, capabilities []*anypb.Any) uint64 {
	carried := map[bgp.Family]bool{}
	for _, capability := range capabilities {
		message, err := capability.UnmarshalNew()
		if c, ok := message.(*api.MultiProtocolCapability); err == nil && ok && c.Family != nil && c.Family.Safi == api.Family_SAFI_UNICAST {
			carried[bgp.IPv4Unicast] = carried[bgp.IPv4Unicast] || c.Family.Afi == api.Family_AFI_IP
			carried[bgp.IPv6Unicast] = carried[bgp.IPv6Unicast] || c.Family.Afi == api.Family_AFI_IP6
		}
	}
	if len(carried) == 0 {
		carried[bgp.IPv4Unicast] = true // RFC 4760: whoever names no family carries IPv4
	}
	var n uint64
	for _, a := range s.has.Advertisements {
		if f := bgp.FamilyOf(a.Prefix); carried[f] && slices.Contains(p.Families, f) {
			n++
		}
	}
	return n
}

// routes that peers have told of and the policy let in: of each prefix the best, and those that are as good. GoBGP's watch does not tell
// of those that were there before, so the table is read.
func (s *Speaker) routes(ctx context.Context, family *api.Family) ([]bgp.Route, error) {
	var (
		routes []bgp.Route
		broken error
	)
	err := s.server.ListPath(ctx, &api.ListPathRequest{TableType: api.TableType_GLOBAL, Family: family}, func(d *api.Destination) {
		best := slices.IndexFunc(d.Paths, func(path *api.Path) bool { return path.Best })
		if best < 0 || !isForeign(d.Paths[best]) {
			return
		}
		merit := s.meritOf(d.Paths[best])
		for _, path := range d.Paths {
			if !isForeign(path) || s.meritOf(path) != merit {
				continue
			}
			route, err := routeOf(d.Prefix, path)
			if err != nil {
				broken = err
				continue
			}
			route.Peer = s.withZone(route.Peer)
			routes = append(routes, route)
		}
	})
	if err := cmp.Or(err, broken); err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	slices.SortFunc(routes, func(a, b bgp.Route) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), a.Peer.Compare(b.Peer))
	})
	return routes, nil
}

// merit is what decides between two routes to a prefix before their peers' router IDs do (RFC 4271, section 9.1.2.2). Those that are alike
// share the packets.
type merit struct {
	internal                                       bool
	localPreference, length, origin, discriminator uint32
}

func (s *Speaker) meritOf(path *api.Path) merit {
	m := merit{internal: path.SourceAsn == s.has.ASN, localPreference: 100}
	for _, attribute := range path.Pattrs {
		message, err := attribute.UnmarshalNew()
		if err != nil {
			continue
		}
		switch a := message.(type) {
		case *api.LocalPrefAttribute:
			m.localPreference = a.LocalPref
		case *api.OriginAttribute:
			m.origin = a.Origin
		case *api.MultiExitDiscAttribute:
			m.discriminator = a.Med
		case *api.AsPathAttribute:
			for _, segment := range a.Segments {
				switch segment.Type {
				case api.AsSegment_AS_SET:
					m.length++ // counts as one (RFC 4271, section 9.1.2.2 a)
				case api.AsSegment_AS_SEQUENCE:
					m.length += uint32(len(segment.Numbers))
				}
			}
		}
	}
	return m
}

// withZone is the peer's address with its interface, which GoBGP's tables lack. Of two peers of different links that have one address
// nobody can tell which it was.
func (s *Speaker) withZone(peer netip.Addr) netip.Addr {
	same := func(p bgp.Peer) bool { return p.Address.WithZone("") == peer }
	i := slices.IndexFunc(s.has.Peers, same)
	if i < 0 || slices.ContainsFunc(s.has.Peers[i+1:], same) {
		return peer
	}
	return s.has.Peers[i].Address
}

func routeOf(text string, path *api.Path) (bgp.Route, error) {
	var route bgp.Route
	var err error
	if route.Prefix, err = netip.ParsePrefix(text); err != nil {
		return route, err
	}
	if route.Peer, err = netip.ParseAddr(path.NeighborIp); err != nil {
		return route, err
	}
	for _, attribute := range path.Pattrs {
		message, err := attribute.UnmarshalNew()
		if err != nil {
			return route, fmt.Errorf("%s: %w", text, err)
		}
		hop := ""
		switch a := message.(type) {
		case *api.NextHopAttribute:
			hop = a.NextHop
		case *api.MpReachNLRIAttribute:
			// A router of which the link knows the link-local address only says "::", and that address behind it (RFC 2545).
			unspecified := func(hop string) bool { return hop == netip.IPv6Unspecified().String() }
			if hops := slices.DeleteFunc(slices.Clone(a.NextHops), unspecified); len(hops) > 0 {
				hop = hops[0]
			} else {
				hop = route.Peer.String()
			}
		}
		if hop != "" {
			if route.NextHop, err = netip.ParseAddr(hop); err != nil {
				return route, fmt.Errorf("%s: %w", text, err)
			}
		}
	}
	return route, nil
}
