// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v3/pkg/server"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// dialTimeout ends before GoBGP makes its own first attempt.
const dialTimeout = 900 * time.Millisecond

// accepted is where GoBGP takes connections from that peers have opened; nil if it has none.
//
// GoBGP waits one to two seconds, a constant of its own, before it first connects to a peer. A node that starts, or whose agent does,
// would be without its routes for so long. So the speaker connects at once and hands the connection over as if the peer had opened it.
// GoBGP has no exported way for that. Where a later version has no such field, all works as slowly as it would without (a test tells).
func accepted(s *server.BgpServer) chan *net.TCPConn {
	field := reflect.ValueOf(s).Elem().FieldByName("acceptCh")
	if !field.IsValid() || field.Type() != reflect.TypeFor[chan *net.TCPConn]() {
		return nil
	}
	conns := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Interface().(*chan *net.TCPConn)
	if *conns == nil { // it listens nowhere
		*conns = make(chan *net.TCPConn, 32)
	}
	return *conns
}

// dial a peer that GoBGP is ready to connect to, once. What fails is left to GoBGP, which tries again and again, and says why.
func (s *Speaker) dial(peer string) {
	s.mu.Lock()
	i := slices.IndexFunc(s.has.Peers, func(p bgp.Peer) bool { return p.Address.String() == peer })
	if !s.started || i < 0 || s.has.Peers[i].Passive || s.accepted == nil {
		s.mu.Unlock()
		return
	}
	p, own, conns, watching := s.has.Peers[i], s.has.ASN, s.accepted, s.watching
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(watching, dialTimeout)
	defer cancel()
	conn, err := dialer(p, own).DialContext(ctx, "tcp", net.JoinHostPort(peer, strconv.Itoa(int(cmp.Or(p.Port, 179)))))
	if err != nil {
		return
	}
	select {
	case conns <- conn.(*net.TCPConn):
	case <-watching.Done():
		_ = conn.Close() // nothing was written
	}
}

// dialer makes a connection as GoBGP would.
func dialer(p bgp.Peer, own uint32) *net.Dialer {
	d := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = prepare(int(fd), p, own) })
		return cmp.Or(err, failed)
	}}
	if p.LocalAddress.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.LocalAddress, 0))
	}
	return d
}

// prepare a socket: the password (RFC 2385), the number of hops to an external peer, the link.
func prepare(fd int, p bgp.Peer, own uint32) error {
	if p.Password != "" {
		key := unix.TCPMD5Sig{Keylen: uint16(len(p.Password))}
		copy(key.Key[:], p.Password)
		if p.Address.Is4() {
			key.Addr.Family = unix.AF_INET
			copy(key.Addr.Data[2:], p.Address.AsSlice()) // behind the port, as in sockaddr_in
		} else {
			key.Addr.Family = unix.AF_INET6
			copy(key.Addr.Data[6:], p.Address.AsSlice()) // behind port and flow, as in sockaddr_in6
		}
		if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &key); err != nil {
			return os.NewSyscallError("setsockopt TCP_MD5SIG", err)
		}
	}
	if p.ASN != own {
		level, option := unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		if p.Address.Is4() {
			level, option = unix.IPPROTO_IP, unix.IP_TTL
		}
		if err := unix.SetsockoptInt(fd, level, option, int(max(p.MultihopTTL, 1))); err != nil {
			return os.NewSyscallError("setsockopt hops", err)
		}
	}
	if p.Address.Zone() == "" {
		return nil
	}
	return os.NewSyscallError("setsockopt SO_BINDTODEVICE", unix.BindToDevice(fd, p.Address.Zone()))
}
