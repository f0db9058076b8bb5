// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// forward passes TCP connections from the machine on into a network namespace.
func forward(args []string) error {
	o, err := parse("forward", args)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := serve(client, o); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
}

func serve(client net.Conn, o options) error {
	defer func() { _ = client.Close() }()
	target, err := dialWithin(o.net, o.to)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{client, target}, {target, client}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			// the other direction may go on
			if half, ok := pair[0].(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
	return nil
}

// dialWithin connects from inside of a network namespace: a socket stays in the one it was made in.
func dialWithin(netns, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := setns(netns, unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		conn, err := net.DialTimeout("tcp", address, 10*time.Second)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
