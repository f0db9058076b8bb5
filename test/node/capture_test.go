// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// capture collects the frames that pass an interface, in both directions, until the test ends.
type capture struct {
	mu     sync.Mutex
	frames [][]byte
}

func (s *space) capture(t testing.TB, device string) *capture {
	t.Helper()
	fd := -1
	err := s.within(func() (err error) {
		i, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20); err != nil {
			return err
		}
		// A read that ends now and then lets the goroutine see the test's end.
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000}); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index})
	})
	if err != nil {
		t.Fatalf("capture on %s of %s: %v", device, s.name, err)
	}
	c := &capture{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped; _ = unix.Close(fd) })
	go func() {
		defer close(stopped)
		buf := make([]byte, 1<<16)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				continue // nothing came
			}
			c.mu.Lock()
			c.frames = append(c.frames, bytes.Clone(buf[:n]))
			c.mu.Unlock()
		}
	}()
	return c
}

// with returns the frames that hold the text.
func (c *capture) with(text string) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out [][]byte
	for _, f := range c.frames {
		if bytes.Contains(f, []byte(text)) {
			out = append(out, f)
		}
	}
	return out
}

// kind of a frame: "vxlan over IPv6", "native IPv4", "fragment of IPv4" and so on.
func kind(frame []byte) string {
	if len(frame) < 14+40 {
		return "short"
	}
	packet := frame[14:]
	family, proto, payload := "IPv6", packet[6], packet[40:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IPV6:
		if proto == unix.IPPROTO_FRAGMENT {
			return "fragment of IPv6"
		}
	case unix.ETH_P_IP:
		family, proto, payload = "IPv4", packet[9], packet[int(packet[0]&0xf)*4:]
		if binary.BigEndian.Uint16(packet[6:])&0x3fff != 0 {
			return "fragment of IPv4"
		}
	default:
		return "other"
	}
	if proto == unix.IPPROTO_UDP && len(payload) > 8 && binary.BigEndian.Uint16(payload[2:]) == 4789 {
		return "vxlan over " + family
	}
	return "native " + family
}
