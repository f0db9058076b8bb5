// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// place is where an end of a conversation is: a node or a pod.
type place struct {
	*space
	addr netip.Addr
}

// The pumps use bare blocking sockets on threads that are bound to a core each: package net's poller would be in the figures, and a
// thread that moves to its peer's core, too.
const (
	clientCore = 0
	serverCore = 1
)

// conversation is a connected pair of sockets.
type conversation struct{ client, server int }

func (c conversation) close() { _, _ = unix.Close(c.client), unix.Close(c.server) }

// connect connects a client's socket of the kind (unix.SOCK_STREAM, unix.SOCK_DGRAM) with a server's.
func connect(kind int, client, server place) (c conversation, err error) {
	c.client, c.server = -1, -1
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	listener := -1
	defer func() { _ = unix.Close(listener) }()
	var at unix.Sockaddr
	err = server.within(func() error {
		if listener, at, err = bound(kind, server.addr); err != nil || kind != unix.SOCK_STREAM {
			return err
		}
		return unix.Listen(listener, 1)
	})
	if err != nil {
		return c, fmt.Errorf("listen on %s: %w", server.addr, err)
	}
	err = client.within(func() error {
		var from unix.Sockaddr
		if c.client, from, err = bound(kind, client.addr); err == nil {
			err = unix.Connect(c.client, at)
		}
		if err == nil && kind != unix.SOCK_STREAM {
			c.server, listener = listener, -1
			err = unix.Connect(c.server, from)
		}
		return err
	})
	if err == nil && kind == unix.SOCK_STREAM {
		c.server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	for _, s := range []int{c.client, c.server} {
		err = errors.Join(err, patience(kind, s))
	}
	if err != nil {
		return c, fmt.Errorf("connect %s with %s: %w", client.addr, server.addr, err)
	}
	return c, nil
}

func bound(kind int, a netip.Addr) (socket int, at unix.Sockaddr, err error) {
	s, err := unix.Socket(unix.AF_INET6, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	if err := unix.Bind(s, &unix.SockaddrInet6{Addr: a.As16()}); err != nil {
		return s, nil, err
	}
	at, err = unix.Getsockname(s)
	return s, at, err
}

// patience bounds each call on a socket, so that what does not work ends the benchmark instead of holding it up.
func patience(kind, s int) error {
	if s < 0 {
		return nil
	}
	limit := unix.Timeval{Sec: 5}
	err := errors.Join(unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit), unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit))
	if kind == unix.SOCK_STREAM {
		err = errors.Join(err, unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	return err
}

// read and write go on after a signal, which the Go runtime sends its threads: a socket with a time limit is not resumed by the kernel.
func read(s int, b []byte) (int, error) { return again(unix.Read, s, b) }

func write(s int, b []byte) (int, error) { return again(unix.Write, s, b) }

func again(call func(int, []byte) (int, error), s int, b []byte) (n int, err error) {
	for {
		if n, err = call(s, b); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// realTime lets a thread go before all of the machine's other work: it is not the ordinary scheduler that is measured.
var realTime = unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}

// onCore runs f on a real-time thread bound to a core, if there are so many.
func onCore(core int, f func() error) error {
	return onThread(func() error {
		if core < runtime.NumCPU() {
			var set unix.CPUSet
			set.Set(core)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				return err
			}
		}
		attr := realTime
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			return fmt.Errorf("real time: %w", err)
		}
		return f()
	})
}

// warmUp is how long a stream runs before it is measured: until its window is open.
const warmUp = 40 * time.Millisecond

// throughput is how many bits a second one TCP stream carries from client to server. The server's thread looks at the clock itself.
func throughput(client, server place, lasting time.Duration) (float64, error) {
	c, err := connect(unix.SOCK_STREAM, client, server)
	if err != nil {
		return 0, err
	}
	defer c.close()
	sent := make(chan error, 1)
	go func() {
		sent <- onCore(clientCore, func() error {
			buffer := make([]byte, 128<<10)
			for {
				if _, err := write(c.client, buffer); errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
					return nil // the server has seen enough
				} else if err != nil {
					return err
				}
			}
		})
	}()
	bits := 0.0
	err = onCore(serverCore, func() error {
		defer unix.Shutdown(c.server, unix.SHUT_RDWR) //nolint:errcheck // the client's error tells
		buffer := make([]byte, 256<<10)
		opened, begin, received := time.Now(), time.Time{}, 0
		for {
			n, err := read(c.server, buffer)
			if err != nil || n == 0 {
				return errors.Join(err, errors.New("the stream ended early"))
			}
			now := time.Now()
			switch {
			case now.Sub(opened) < warmUp:
			case begin.IsZero():
				begin = now
			default:
				received += n
			}
			if took := now.Sub(begin); !begin.IsZero() && took > lasting {
				bits = float64(received) * 8 / took.Seconds()
				return nil
			}
		}
	})
	return bits, errors.Join(err, <-sent)
}

// roundTrips are how long the client waits for the echo of one byte, again and again.
func roundTrips(kind int, client, server place, lasting time.Duration) (series, error) {
	c, err := connect(kind, client, server)
	if err != nil {
		return nil, err
	}
	ends := make(chan error, 1)
	go func() {
		ends <- onCore(serverCore, func() error {
			buffer := make([]byte, 1)
			for {
				n, err := read(c.server, buffer)
				if err != nil || n == 0 { // a datagram without a byte says goodbye, as a stream's end does
					return err
				}
				if _, err := write(c.server, buffer); err != nil {
					return err
				}
			}
		})
	}()
	var took series
	err = onCore(clientCore, func() error {
		buffer := make([]byte, 1)
		for begin := time.Now(); time.Since(begin) < lasting; {
			sent := time.Now()
			if _, err := write(c.client, buffer); err != nil {
				return err
			}
			if _, err := read(c.client, buffer); err != nil {
				return err
			}
			took = append(took, time.Since(sent))
		}
		if kind == unix.SOCK_DGRAM {
			err := unix.Send(c.client, nil, 0)
			return err
		}
		return unix.Shutdown(c.client, unix.SHUT_WR)
	})
	if err == nil {
		err = <-ends
	}
	c.close()
	return took, err
}
