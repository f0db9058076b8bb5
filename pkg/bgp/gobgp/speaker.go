// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package gobgp is a bgp.Speaker with GoBGP embedded. Its gRPC interface is never opened: nothing but this process changes it.
package gobgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
)

// Options of a Speaker.
type Options struct {
	// Restarting tells that an earlier process on this node has announced the same and its routes are still in the kernel: with
	// graceful restart, peers are told that forwarding was preserved.
	Restarting bool
	// Log gets what GoBGP has to say.
	Log *slog.Logger
}

// Speaker speaks BGP.
type Speaker struct {
	options Options
	changed chan struct{}

	mu      sync.Mutex
	server  *server.BgpServer
	cancel  context.CancelFunc
	has     bgp.Desired
	paths   map[string]*api.Path // by prefix, as announced
	flaps   map[string]*flap
	started bool
}

var _ bgp.Speaker = &Speaker{}

// New makes a Speaker that does not speak yet: the first Apply starts it.
func New(options Options) *Speaker {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	return &Speaker{options: options, changed: make(chan struct{}, 1), paths: map[string]*api.Path{}, flaps: map[string]*flap{}}
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
	if err := desired.Validate(); err != nil {
		return fmt.Errorf("refusing the BGP configuration: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	changes := bgp.Compare(s.has, desired)
	if changes.Restart || !s.started {
		changes.Restart = true
		if err := s.restart(ctx, desired); err != nil {
			return fmt.Errorf("starting the BGP speaker of AS %d: %w", desired.ASN, err)
		}
	}
	return s.change(ctx, desired, changes)
}

func (s *Speaker) restart(ctx context.Context, desired bgp.Desired) error {
	if s.started {
		s.stop(ctx)
	}
	s.server = server.NewBgpServer(server.LoggerOption(&logger{log: s.options.Log}))
	go s.server.Serve()
	if err := s.server.StartBgp(ctx, &api.StartBgpRequest{Global: globalOf(desired)}); err != nil {
		s.server.Stop()
		return err
	}
	if err := s.server.SetPolicies(ctx, policiesOf(nil)); err != nil {
		return fmt.Errorf("setting the policies: %w", err)
	}
	for _, a := range assignments() {
		if err := s.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: a}); err != nil {
			return fmt.Errorf("putting the policies into force: %w", err)
		}
	}
	s.started = true
	s.has = bgp.Desired{
		ASN: desired.ASN, RouterID: desired.RouterID, ListenPort: desired.ListenPort,
		ListenAddresses: slices.Clone(desired.ListenAddresses), GracefulRestart: desired.GracefulRestart,
	}
	var watching context.Context
	watching, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s.watch(watching)
}

// stop ends all sessions with Cease.
func (s *Speaker) stop(ctx context.Context) {
	s.cancel()
	if err := s.server.StopBgp(ctx, &api.StopBgpRequest{}); err != nil {
		s.options.Log.Error("Stopping the BGP speaker", "error", err)
	}
	s.server.Stop()
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
	if len(changes.AddPeers)+len(changes.ReplacePeers)+len(changes.RemovePeers) > 0 {
		if err := s.server.SetPolicies(ctx, policiesOf(desired.Peers)); err != nil {
			return errors.Join(append(errs, fmt.Errorf("setting the policies: %w", err))...)
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
	peer := peerOf(p, s.has.GracefulRestart, s.options.Restarting)
	if err := s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: peer}); err != nil {
		return err
	}
	s.has.Peers = append(s.has.Peers, p)
	s.flaps[p.Address.String()] = &flap{since: time.Now()}
	return nil
}

func (s *Speaker) removePeer(ctx context.Context, p bgp.Peer) error {
	if err := s.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: p.Address.String()}); err != nil {
		return err
	}
	s.has.Peers = slices.DeleteFunc(s.has.Peers, func(q bgp.Peer) bool { return q.Address == p.Address })
	delete(s.flaps, p.Address.String())
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
