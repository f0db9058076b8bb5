// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package linkprefix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// prefixRoute is what tells the kernel that a prefix is on the link.
type prefixRoute struct {
	prefix netip.Prefix
	// expires after; 0: never. Less: it has expired and the kernel has not collected it yet.
	expires time.Duration
}

// address of the node.
type address struct {
	addr       netip.Addr
	index      int
	deprecated bool
}

// retries of a dump that others interrupt by changing what it lists.
const retries = 10

func dump[T any](f func() (T, error)) (T, error) {
	var v T
	var err error
	for range retries {
		if v, err = f(); !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, nl.ErrDumpInterrupted) {
			return v, err
		}
	}
	return v, err
}

// tick of the kernel's clock as user space sees it (USER_HZ), the same on every architecture that Kubernetes runs on.
const tick = 10 * time.Millisecond

// routes of the interface's prefixes. The kernel writes 0 for a route that never expires, and for one that does within the tick: what had
// an end when it was last seen is looked at again.
func (s *Source) routes(index int) ([]prefixRoute, error) {
	found, err := prefixRoutes(index)
	if slices.ContainsFunc(found, func(r prefixRoute) bool { return r.expires == 0 && s.ending[r.prefix] }) {
		time.Sleep(2 * tick)
		found, err = prefixRoutes(index)
	}
	clear(s.ending)
	for _, r := range found {
		s.ending[r.prefix] = r.expires > 0
	}
	return found, err
}

// prefixRoutes of an interface: in the main table, without a gateway, made by the kernel, for an address or a router advertisement, or by
// a manager of the network that listens to those itself. The library does not tell when a route expires, so the messages are read here.
func prefixRoutes(index int) ([]prefixRoute, error) {
	return dump(func() ([]prefixRoute, error) {
		request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		message := nl.NewRtMsg()
		message.Family = unix.AF_INET6
		request.AddData(message)
		messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
		if err != nil {
			return nil, err
		}
		var found []prefixRoute
		for _, m := range messages {
			r, ok, err := readRoute(m, index)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, r)
			}
		}
		return found, nil
	})
}

func readRoute(message []byte, index int) (r prefixRoute, ok bool, err error) {
	// The kernel pads to four bytes; the library relies on it.
	if len(message) < unix.SizeofRtMsg || len(message)%4 != 0 {
		return r, false, fmt.Errorf("a route of %d bytes: want at least %d, and a multiple of 4", len(message), unix.SizeofRtMsg)
	}
	head := nl.DeserializeRtMsg(message)
	if head.Type != unix.RTN_UNICAST || head.Table != unix.RT_TABLE_MAIN || head.Flags&unix.RTM_F_CLONED != 0 ||
		head.Protocol != unix.RTPROT_KERNEL && head.Protocol != unix.RTPROT_RA {
		return r, false, nil
	}
	attributes, err := nl.ParseRouteAttr(message[head.Len():])
	if err != nil {
		return r, false, err
	}
	out := -1
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.RTA_OIF:
			if len(a.Value) >= 4 {
				out = int(binary.NativeEndian.Uint32(a.Value))
			}
		case unix.RTA_GATEWAY, unix.RTA_MULTIPATH:
			return r, false, nil
		case unix.RTA_DST:
			if addr, ok := netip.AddrFromSlice(a.Value); ok {
				r.prefix = netip.PrefixFrom(addr, int(head.Dst_len)).Masked()
			}
		case unix.RTA_CACHEINFO:
			// struct rta_cacheinfo: the third of its numbers is when the route expires, in ticks from now.
			if len(a.Value) >= 12 {
				r.expires = time.Duration(int32(binary.NativeEndian.Uint32(a.Value[8:]))) * tick
			}
		}
	}
	return r, out == index && r.prefix.IsValid(), nil
}

// addresses of the node, on whatever interface: a pod cannot have one.
func addresses() ([]address, error) {
	list, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V6) })
	if err != nil {
		return nil, err
	}
	found := make([]address, 0, len(list))
	for _, a := range list {
		if addr, ok := netipx.FromStdIP(a.IP); ok {
			found = append(found, address{addr: addr, index: a.LinkIndex, deprecated: a.Flags&unix.IFA_F_DEPRECATED != 0})
		}
	}
	return found, nil
}

// follow the kernel's changes of routes and addresses until the source is closed.
func (s *Source) follow() error {
	socket, err := subscribe()
	if err != nil {
		return err
	}
	changes := make(chan struct{}, 1)
	s.done.Add(2)
	go func() {
		defer s.done.Done()
		s.listen(socket, changes)
	}()
	go func() {
		defer s.done.Done()
		s.watch(changes)
	}()
	return nil
}

func subscribe() (*nl.NetlinkSocket, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("subscription to the kernel's changes: %w", err)
	}
	return socket, nil
}

// listen to the kernel. A subscription that breaks, as it does when changes come faster than they are read, begins anew.
func (s *Source) listen(socket *nl.NetlinkSocket, changes chan<- struct{}) {
	for s.ctx.Err() == nil {
		closeOnStop := context.AfterFunc(s.ctx, socket.Close)
		for {
			messages, from, err := socket.Receive()
			if err != nil {
				break
			}
			if from.Pid != nl.PidKernel {
				continue // somebody pretends
			}
			for _, m := range messages {
				if concerns(m.Header.Type, m.Data) {
					nodesource.Notify(changes)
				}
			}
		}
		if closeOnStop() {
			socket.Close()
		}
		for s.ctx.Err() == nil {
			fresh, err := subscribe()
			if err == nil {
				socket = fresh
				break
			}
			s.options.Log.Warn("Following the link's prefixes", "error", err)
			s.sleep(time.Second)
		}
		nodesource.Notify(changes) // who knows what was missed
	}
	socket.Close()
}

// concerns tells whether a change may be one of a link's prefix. Every pod that comes and goes makes changes that are not.
func concerns(kind uint16, message []byte) bool {
	switch kind {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, _, err := readRoute(message, 0)
		return err != nil || r.prefix.IsValid() && r.prefix.Bits() < 128 && !r.prefix.Addr().IsLinkLocalUnicast()
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return len(message) < unix.SizeofIfAddrmsg || nl.DeserializeIfAddrmsg(message).Scope == unix.RT_SCOPE_UNIVERSE
	}
	return true
}

// watch looks when the kernel tells of a change, and when a prefix ends: the kernel collects those later.
func (s *Source) watch(changes <-chan struct{}) {
	for {
		var timer <-chan time.Time
		if end := s.nextEnd(); !end.IsZero() {
			timer = time.After(max(time.Second, time.Until(end)+10*tick))
		}
		select {
		case <-s.ctx.Done():
			return
		case <-changes:
		case <-timer:
		}
		s.look()
	}
}

// nextEnd of a prefix that was given; zero: none ends.
func (s *Source) nextEnd() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var end time.Time
	for _, p := range s.last {
		if !p.ValidUntil.IsZero() && (end.IsZero() || p.ValidUntil.Before(end)) {
			end = p.ValidUntil
		}
	}
	return end
}

func (s *Source) sleep(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}
