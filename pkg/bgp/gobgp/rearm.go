// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"fmt"
	"slices"

	api "github.com/osrg/gobgp/v3/api"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// rearm makes GoBGP tell peers, when it connects to them, that forwarding was preserved, where it would not: a peer that hears nothing of
// that deletes the routes that it has kept (RFC 4724, section 4.2), and packets are lost until it has learnt them again.
//
//   - GoBGP takes the restart of all peers to be over when those that are connected have sent their tables. Those that are not connected
//     yet would hear nothing of it.
//   - After a connection that broke it says nothing, either. A peer whose routes are imported is left alone: they are worth more, and
//     would be lost.
//
// It opens such peers anew, but none that has a connection.
func (s *Speaker) rearm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started || !s.has.GracefulRestart.Enabled {
		return
	}
	ctx := context.Background()
	waiting := map[string]bool{}
	err := s.server.ListPeer(ctx, &api.ListPeerRequest{}, func(peer *api.Peer) {
		idle := peer.State.SessionState == api.PeerState_IDLE || peer.State.SessionState == api.PeerState_ACTIVE
		waiting[peer.Conf.NeighborAddress] = idle && peer.State.AdminState == api.PeerState_UP
	})
	if err != nil {
		s.options.Log.Error("Listing the BGP sessions", "error", err)
		return
	}
	for _, p := range slices.Clone(s.has.Peers) {
		past := s.history.of(p.Address.String())
		late := past.ends == 0 && s.restarting()
		broken := past.broken && (p.Import == "" || p.Import == bgp.ImportNone)
		if !waiting[p.Address.String()] || !late && !broken {
			continue
		}
		if err := s.reopenAsRestarting(ctx, p); err != nil {
			s.options.Log.Error("Opening a BGP session as restarting", "peer", p.String(), "error", err)
		}
	}
}

func (s *Speaker) reopenAsRestarting(ctx context.Context, p bgp.Peer) error {
	if err := s.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: p.Address.String()}); err != nil {
		return err
	}
	if err := s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: peerOf(p, s.has.GracefulRestart, true)}); err != nil {
		// The next Apply tries again.
		s.has.Peers = slices.DeleteFunc(s.has.Peers, func(q bgp.Peer) bool { return q.Address == p.Address })
		s.wake()
		return fmt.Errorf("adding the peer again: %w", err)
	}
	return nil
}
