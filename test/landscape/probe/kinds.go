// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// identifiers of echo requests, so that probes beside one another do not take each other's answers.
var identifiers atomic.Uint32

const (
	echoRequest, echoReply = 128, 129
	echoHeader             = 8
)

// Ping sends ICMPv6 echo requests (RFC 4443). Their number is in the data, so that there is no limit of 65,536.
func Ping(host on, to netip.Addr, every time.Duration) (*Probe, error) {
	var conn *net.IPConn

	if err := host.Inside(func() (err error) {
		conn, err = net.ListenIP("ip6:ipv6-icmp", nil)

		return err
	}); err != nil {
		return nil, fmt.Errorf("echo requests from %s: %w", host.Name, err)
	}

	p := start(fmt.Sprintf("echo requests from %s to %s", host.Name, to), every)
	id := uint16(identifiers.Add(1)) // #nosec G115 -- wraps around
	target := &net.IPAddr{IP: to.AsSlice()}

	go func() {
		buffer := make([]byte, 1500)

		for {
			n, from, err := conn.ReadFromIP(buffer)
			if err != nil {
				return
			}

			if n == echoHeader+8 && buffer[0] == echoReply && binary.BigEndian.Uint16(buffer[4:]) == id && from.IP.Equal(target.IP) {
				p.answer(int(binary.BigEndian.Uint64(buffer[echoHeader:])), to.String()) // #nosec G115 -- what was sent
			}
		}
	}()

	return p.run(func(n int) error {
		message := make([]byte, echoHeader+8) // the kernel fills in the checksum
		message[0] = echoRequest
		binary.BigEndian.PutUint16(message[4:], id)
		binary.BigEndian.PutUint64(message[echoHeader:], uint64(n)) // #nosec G115 -- not negative

		_, err := conn.WriteToIP(message, target)

		return err
	}, func() { _ = conn.Close() }), nil
}

// UDP is one flow to agnhost's UDP port, which answers "echo TEXT" with TEXT.
func UDP(host on, to netip.AddrPort, every time.Duration) (*Probe, error) {
	var conn *net.UDPConn

	// not connected: an ICMP error would make the next send fail
	if err := host.Inside(func() (err error) {
		conn, err = net.ListenUDP("udp", nil)

		return err
	}); err != nil {
		return nil, fmt.Errorf("UDP from %s: %w", host.Name, err)
	}

	p := start(fmt.Sprintf("one UDP flow from %s to %s", host.Name, to), every)

	go func() {
		buffer := make([]byte, 1500)

		for {
			n, _, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}

			if number, err := strconv.Atoi(strings.TrimSpace(string(buffer[:n]))); err == nil {
				p.answer(number, to.String())
			}
		}
	}()

	return p.run(func(n int) error {
		_, err := conn.WriteToUDPAddrPort([]byte("echo "+strconv.Itoa(n)), to)

		return err
	}, func() { _ = conn.Close() }), nil
}

// HTTP opens a new connection for every request. The answer is who answered, for example of agnhost's page /hostname.
func HTTP(host on, url string, every time.Duration) *Probe {
	client := Client(host)
	p := start(fmt.Sprintf("new connections from %s to %s", host.Name, url), every)

	return p.run(func(n int) error {
		go func() {
			if who, err := Get(context.Background(), client, url); err == nil {
				p.answer(n, who)
			}
		}()

		return nil
	}, client.CloseIdleConnections)
}

// Client opens a new connection from the host for every request.
func Client(host on) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = host.Inside(func() error {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, address)

				return err
			})

			return conn, err
		},
	}}
}

// Get gives the body of a page.
func Get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}

	response, err := client.Do(request)
	if err != nil {
		return "", err
	}

	defer func() { _ = response.Body.Close() }()

	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, response.Status)
	}

	return strings.TrimSpace(string(body)), err
}
