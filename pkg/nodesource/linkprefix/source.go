// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package linkprefix gives the node the prefix of the link it is on, as a router advertises it (RFC 4861) or an address of the interface
// implies it. Only where no other node is on that link (RFC 8273: a prefix for every host) is it the node's own.
package linkprefix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// Options of a source.
type Options struct {
	// Interface whose link it is.
	Interface string
	// Bits is the length of the part that is given, which holds no address of the node; 0: the whole prefix.
	Bits int
	Log  *slog.Logger
}

// Source is the link of an interface.
type Source struct {
	options Options
	changed chan struct{}
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex
	known bool
	last  []nodesource.Prefix
	err   error
	// parts that were given, by the prefix that they are of: they stay for as long as they are free.
	parts map[netip.Prefix]netip.Prefix
	// ending are the prefixes that had an end when they were last seen.
	ending map[netip.Prefix]bool
}

// New makes a source and begins to follow the kernel's changes.
func New(options Options) (*Source, error) {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Bits < 0 || options.Bits > 126 {
		return nil, fmt.Errorf("part of length %d: want one up to 126", options.Bits)
	}
	if options.Interface == "" {
		return nil, errors.New("no interface: want the name of one, as in eth0")
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Source{
		options: options, changed: make(chan struct{}, 1), ctx: ctx, stop: stop,
		parts: map[netip.Prefix]netip.Prefix{}, ending: map[netip.Prefix]bool{},
	}
	if err := s.follow(); err != nil {
		stop()
		s.done.Wait()
		return nil, err
	}
	return s, nil
}

// Prefixes of the link, as the kernel has them now.
func (s *Source) Prefixes(ctx context.Context) ([]nodesource.Prefix, error) {
	if s.ctx.Err() != nil {
		return nil, nodesource.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = true
	s.last, s.err = s.read()
	return slices.Clone(s.last), s.err
}

// Changed is sent to when the link's prefixes, or what is free in them, changed.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Close ends the subscriptions.
func (s *Source) Close(context.Context) error {
	s.stop()
	s.done.Wait()
	return nil
}

// look whether Prefixes would answer otherwise than it did.
func (s *Source) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ps, err := s.read()
	if s.known && nodesource.Same(ps, s.last) && nodesource.SameError(err, s.err) {
		return
	}
	s.known, s.last, s.err = true, ps, err
	nodesource.Notify(s.changed)
}

// read the kernel and decide.
func (s *Source) read() ([]nodesource.Prefix, error) {
	name := s.options.Interface
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, fmt.Errorf("interface %s: there is none: want one of %s", name, interfaces())
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	routes, err := s.routes(link.Attrs().Index)
	if err != nil {
		return nil, fmt.Errorf("routes of %s: %w", name, err)
	}
	all, err := addresses()
	if err != nil {
		return nil, fmt.Errorf("addresses of %s: %w", name, err)
	}
	return s.decide(link.Attrs().Index, routes, all, time.Now())
}

// decide what the source gives.
func (s *Source) decide(index int, routes []prefixRoute, all []address, now time.Time) ([]nodesource.Prefix, error) {
	own := make([]netip.Addr, 0, len(all))
	for _, a := range all {
		own = append(own, a.addr)
	}
	var ps []nodesource.Prefix
	var errs []error
	for _, r := range routes {
		if (nodesource.Rule{}).Check(r.prefix) != nil || r.prefix.Bits() > 126 || r.expires < 0 {
			continue // link-local, multicast, what an address alone implies, what is over
		}
		p := nodesource.Prefix{Prefix: r.prefix, Origin: "link of " + s.options.Interface, Deprecated: deprecated(index, r.prefix, all)}
		if r.expires > 0 {
			p.ValidUntil = now.Add(r.expires)
		}
		if s.options.Bits > 0 {
			part, err := s.part(r.prefix, own)
			if err != nil {
				errs = append(errs, fmt.Errorf("link of %s: %w", s.options.Interface, err))
				continue
			}
			p.Prefix = part
		}
		ps = append(ps, p)
	}
	if len(ps) > 0 {
		return nodesource.Sort(ps), nil
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", nodesource.ErrNone, err)
	}
	return nil, fmt.Errorf("link of %s: %w: %s", s.options.Interface, nodesource.ErrNone, s.advice())
}

// part of a prefix that is free of the node's addresses: the one given before, if it still is.
func (s *Source) part(of netip.Prefix, own []netip.Addr) (netip.Prefix, error) {
	if given, ok := s.parts[of]; ok && !slices.ContainsFunc(own, given.Contains) {
		return given, nil
	}
	part, err := nodesource.Part(of, own, s.options.Bits)
	if err != nil {
		return netip.Prefix{}, err
	}
	s.parts[of] = part
	return part, nil
}

// deprecated is a prefix in which the interface has addresses, all of them deprecated: routes do not tell.
func deprecated(index int, p netip.Prefix, all []address) bool {
	some := false
	for _, a := range all {
		if a.index != index || !p.Contains(a.addr) {
			continue
		}
		if !a.deprecated {
			return false
		}
		some = true
	}
	return some
}

// advice on why the link may have no prefix.
func (s *Source) advice() string {
	setting := func(name string) string {
		text, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + s.options.Interface + "/" + name) //nolint:gosec // a sysctl
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	switch accept, forwarding := setting("accept_ra"), setting("forwarding"); {
	case accept == "0" || accept == "1" && forwarding == "1":
		return fmt.Sprintf("the kernel heeds no router advertisements: net.ipv6.conf.%s.accept_ra is %s and forwarding is %s: want accept_ra=2, or a manager of the network that listens itself",
			s.options.Interface, accept, forwarding)
	}
	return "want a router that advertises a prefix with the on-link flag, or a global address on the interface"
}

func interfaces() string {
	links, err := net.Interfaces()
	if err != nil {
		return "those that there are"
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	return strings.Join(names, ", ")
}
