// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package gobgp is a bgp.Speaker with GoBGP embedded. Its gRPC interface is never opened: nothing but this process changes it.
package gobgp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

const (
	defaultHoldTime     = 90 * time.Second
	defaultConnectRetry = 5 * time.Second
	defaultRestartTime  = 120 * time.Second
	// deferral is how long a restarted speaker waits for its peers' tables before it announces (RFC 4724, section 4.1). They
	// keep the old routes meanwhile; a peer that is away must not keep the others waiting.
	deferral = 5 * time.Second
	// limitRetry is the time until a session that importLimit has ended is tried again.
	limitRetry = time.Minute
)

// Options of a Speaker.
type Options struct {
	// Restarting tells that an earlier process on this node has announced the same and its routes are still in the kernel: with
	// graceful restart, peers are told that forwarding was preserved.
	Restarting bool
	// LimitRetry is the time until a session that importLimit has ended is tried again; a minute if zero.
	LimitRetry time.Duration
	// Log gets what GoBGP has to say.
	Log *slog.Logger
}

// Speaker speaks BGP.
type Speaker struct {
	options Options
	changed chan struct{}
	history *history
	born    time.Time

	mu     sync.Mutex
	server *server.BgpServer
	// watching ends with the server.
	watching context.Context
	cancel   context.CancelFunc
	// accepted takes connections for the server.
	accepted chan *net.TCPConn
	has      bgp.Desired
	paths    map[string]*api.Path // by prefix, as announced
	started  bool
	// ceased: this process has ended sessions with Cease, so that peers keep nothing of it any more.
	ceased bool
}

var _ bgp.Speaker = &Speaker{}

// New makes a Speaker that does not speak yet: the first Apply starts it.
func New(options Options) *Speaker {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	options.LimitRetry = cmp.Or(options.LimitRetry, limitRetry)
	s := &Speaker{options: options, changed: make(chan struct{}, 1), born: time.Now(), paths: map[string]*api.Path{}}
	s.history = newHistory(s.wake, func() { go s.rearm() }, func(peer string) { go s.dial(peer) })
	return s
}

// Changed is sent to when a session or an imported route has changed.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

func (s *Speaker) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Apply makes the speaker's state the desired one.
func (s *Speaker) Apply(ctx context.Context, desired bgp.Desired) error {
	if err := errors.Join(desired.Validate(), ambiguous(desired.ASN, desired.Peers)); err != nil {
		return fmt.Errorf("refusing the BGP configuration: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	changes := bgp.Compare(s.has, desired)
	if changes.Restart || !s.started {
		changes.Restart = true
		if err := s.canListen(ctx, desired); err != nil {
			return fmt.Errorf("listening for BGP peers: %w", err)
		}
		if err := s.restart(ctx, desired); err != nil {
			return fmt.Errorf("starting the BGP speaker of AS %d: %w", desired.ASN, err)
		}
	}
	return s.change(ctx, desired, changes)
}

// canListen tries it, before anything that runs is given up for it.
func (s *Speaker) canListen(ctx context.Context, desired bgp.Desired) error {
	if desired.ListenPort == 0 {
		return nil
	}
	addresses := desired.ListenAddresses
	if len(addresses) == 0 {
		addresses = []netip.Addr{netip.IPv6Unspecified()}
	}
	var errs []error
	for _, a := range addresses {
		own := len(s.has.ListenAddresses) == 0 || len(desired.ListenAddresses) == 0 || slices.Contains(s.has.ListenAddresses, a)
		if s.started && s.has.ListenPort == desired.ListenPort && own {
			continue // the socket there is our own
		}
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", netip.AddrPortFrom(a, desired.ListenPort).String())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}

// restart begins anew. GoBGP's goroutine of an earlier beginning stays behind: it has no end, and a node changes its number hardly ever.
func (s *Speaker) restart(ctx context.Context, desired bgp.Desired) error {
	if s.started {
		s.stop(ctx)
	}
	s.server = server.NewBgpServer(server.LoggerOption(&logger{log: s.options.Log, history: s.history}))
	_ = accepted(s.server) // before the server reads it
	go s.server.Serve()
	s.watching, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.begin(ctx, s.watching, desired); err != nil {
		s.stop(ctx)
		return err
	}
	s.started, s.accepted = true, accepted(s.server)
	s.has = bgp.Desired{
		ASN: desired.ASN, RouterID: desired.RouterID, ListenPort: desired.ListenPort,
		ListenAddresses: slices.Clone(desired.ListenAddresses), GracefulRestart: desired.GracefulRestart,
	}
	return nil
}

func (s *Speaker) begin(ctx, watching context.Context, desired bgp.Desired) error {
	if err := s.server.StartBgp(ctx, &api.StartBgpRequest{Global: globalOf(desired)}); err != nil {
		return err
	}
	if err := s.server.SetPolicies(ctx, policiesOf(desired.ASN, nil)); err != nil {
		return fmt.Errorf("setting the policies: %w", err)
	}
	for _, a := range assignments() {
		if err := s.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: a}); err != nil {
			return fmt.Errorf("putting the policies into force: %w", err)
		}
	}
	return s.watch(watching)
}

// stop ends all sessions with Cease. A peer that does not read holds it up no longer than the context lasts.
func (s *Speaker) stop(ctx context.Context) {
	s.cancel()
	done := make(chan error, 1)
	go func(server *server.BgpServer) {
		done <- server.StopBgp(context.WithoutCancel(ctx), &api.StopBgpRequest{})
	}(s.server)
	select {
	case err := <-done:
		if err != nil {
			s.options.Log.Error("Stopping the BGP speaker", "error", err)
		}
	case <-ctx.Done():
		s.options.Log.Error("Stopping the BGP speaker", "error", ctx.Err())
	}
	for _, p := range s.has.Peers {
		s.history.forget(p.Address.String())
	}
	s.ceased = s.ceased || s.started
	s.started, s.has, s.paths = false, bgp.Desired{}, map[string]*api.Path{}
}

// change announces first, opens and closes sessions then, and withdraws last. What fails stays undone in s.has, so that the next
// Apply tries again.
func (s *Speaker) change(ctx context.Context, desired bgp.Desired, changes bgp.Changes) error {
	var errs []error
	for _, a := range changes.Advertise {
		if err := s.advertise(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("announcing %s: %w", a.Prefix, err))
		}
	}
	if len(changes.AddPeers)+len(changes.ReplacePeers)+len(changes.UpdatePeers)+len(changes.RemovePeers) > 0 {
		if err := s.server.SetPolicies(ctx, policiesOf(desired.ASN, desired.Peers)); err != nil {
			return errors.Join(append(errs, fmt.Errorf("setting the policies: %w", err))...)
		}
	}
	for _, p := range changes.UpdatePeers {
		if err := s.updatePeer(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("changing what %s is told and taken from: %w", p, err))
		}
	}
	for _, p := range slices.Concat(changes.RemovePeers, changes.ReplacePeers) {
		if err := s.removePeer(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("ending the session with %s: %w", p, err))
		}
	}
	for _, p := range slices.Concat(changes.AddPeers, changes.ReplacePeers) {
		if err := s.addPeer(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("opening a session with %s: %w", p, err))
		}
	}
	for _, a := range changes.Withdraw {
		if err := s.withdraw(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("withdrawing %s: %w", a.Prefix, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Speaker) advertise(ctx context.Context, a bgp.Advertisement) error {
	path, err := pathOf(a)
	if err != nil {
		return err
	}
	if _, err := s.server.AddPath(ctx, &api.AddPathRequest{TableType: api.TableType_GLOBAL, Path: path}); err != nil {
		return err
	}
	s.paths[a.Prefix.String()] = path
	s.forget(a)
	s.has.Advertisements = append(s.has.Advertisements, a)
	return nil
}

func (s *Speaker) withdraw(ctx context.Context, a bgp.Advertisement) error {
	path := s.paths[a.Prefix.String()]
	if path == nil {
		return nil
	}
	if err := s.server.DeletePath(ctx, &api.DeletePathRequest{TableType: api.TableType_GLOBAL, Path: path}); err != nil {
		return err
	}
	delete(s.paths, a.Prefix.String())
	s.forget(a)
	return nil
}

func (s *Speaker) forget(a bgp.Advertisement) {
	s.has.Advertisements = slices.DeleteFunc(s.has.Advertisements, func(b bgp.Advertisement) bool { return b.Prefix == a.Prefix })
}

func (s *Speaker) addPeer(ctx context.Context, p bgp.Peer) error {
	if p.Password != "" && p.Address.Zone() != "" {
		return errors.New("GoBGP cannot protect a session with a peer of the link by a password: name an address of another scope")
	}
	s.history.begin(p.Address.String())
	peer := peerOf(p, s.has.GracefulRestart, s.restarting())
	if err := s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: peer}); err != nil {
		s.history.forget(p.Address.String())
		return err
	}
	s.has.Peers = append(s.has.Peers, p)
	if err := s.history.of(p.Address.String()).unprotected; err != nil {
		// GoBGP only warns, and would let the peer in without its password.
		return errors.Join(fmt.Errorf("the socket that listens takes no password: %w (Go listens with MPTCP, which knows none: the program "+
			"needs GODEBUG multipathtcp=0)", err), s.removePeer(ctx, p))
	}
	return nil
}

// restarting tells whether peers may still keep the routes of an earlier process.
func (s *Speaker) restarting() bool {
	return s.options.Restarting && !s.ceased && time.Since(s.born) < cmp.Or(s.has.GracefulRestart.Time, defaultRestartTime)
}

// updatePeer lets the session stay: the policies have changed, and everything goes through them again.
func (s *Speaker) updatePeer(ctx context.Context, p bgp.Peer) error {
	err := s.server.ResetPeer(ctx, &api.ResetPeerRequest{Address: p.Address.String(), Soft: true, Direction: api.ResetPeerRequest_BOTH})
	if err != nil {
		return err
	}
	s.has.Peers = append(slices.DeleteFunc(s.has.Peers, func(q bgp.Peer) bool { return q.Address == p.Address }), p)
	s.wake() // less may be taken from it, or more
	return nil
}

func (s *Speaker) removePeer(ctx context.Context, p bgp.Peer) error {
	address := p.Address.String()
	same := func(q bgp.Peer) bool { return q.Address == p.Address }
	if i := slices.IndexFunc(s.has.Peers, same); i >= 0 && s.has.ListenPort != 0 && s.has.Peers[i].Password != "" {
		// Else GoBGP leaves the old password with the socket that listens.
		open := s.has.Peers[i]
		open.Password = ""
		if _, err := s.server.UpdatePeer(ctx, &api.UpdatePeerRequest{Peer: peerOf(open, s.has.GracefulRestart, false)}); err != nil {
			return fmt.Errorf("taking back the password: %w", err)
		}
	}
	if err := s.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: address}); err != nil {
		return err
	}
	s.has.Peers = slices.DeleteFunc(s.has.Peers, same)
	s.history.forget(address)
	return nil
}

// Withdraw takes back all that is announced, then ends the sessions.
func (s *Speaker) Withdraw(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return nil
	}
	var errs []error
	for _, a := range slices.Clone(s.has.Advertisements) {
		errs = append(errs, s.withdraw(ctx, a))
	}
	s.stop(ctx)
	return errors.Join(errs...)
}

// Leave ends the watching and nothing else. The sessions end with the process, without a Cease, which would end graceful restart
// (RFC 4724, section 4): GoBGP has no other way to stop.
func (s *Speaker) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		s.cancel()
	}
}
