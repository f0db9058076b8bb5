// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package capture records the packets that pass a host of the landscape, on all of its interfaces: packet(7), as tcpdump uses it.
package capture

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

const (
	// buffer of the socket: what comes while this process does something else.
	buffer = 16 << 20
	// snap is how much of a packet is looked at: all headers that matter.
	snap = 256
)

// Capture is under way.
type Capture struct {
	fd   int
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	packets []Packet
	err     error
}

// Start records until Stop. A packet that passes several interfaces, of a bridge and its port for example, is there once for each.
func Start(host *machine.Host) (*Capture, error) {
	c := &Capture{stop: make(chan struct{})}
	names := map[int]string{}

	if err := host.Inside(func() (err error) {
		// ETH_P_ALL in network byte order
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL))); err != nil {
			return err
		}

		timeout := unix.NsecToTimeval((50 * time.Millisecond).Nanoseconds())

		return errors.Join(
			interfaces(names),
			unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
			unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		)
	}); err != nil {
		return nil, fmt.Errorf("capture on %s: %w", host.Name, err)
	}

	c.done.Add(1)

	go func() {
		defer c.done.Done()
		c.record(names)
	}()

	return c, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (c *Capture) record(names map[int]string) {
	data, flags := make([]byte, snap), 0

	for {
		select {
		case <-c.stop: // what has arrived is read to its end, or on a busy machine an answer would seem not to have come
			flags = unix.MSG_DONTWAIT
		default:
		}

		n, from, err := unix.Recvfrom(c.fd, data, flags)
		if errors.Is(err, unix.EAGAIN) && flags == unix.MSG_DONTWAIT {
			return
		}

		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}

		if err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()

			return
		}

		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}

		packet, ok := parse(htons(link.Protocol), data[:n])
		if !ok {
			continue
		}

		packet.Interface, packet.Out = names[link.Ifindex], link.Pkttype == unix.PACKET_OUTGOING

		c.mu.Lock()
		c.packets = append(c.packets, packet)
		c.mu.Unlock()
	}
}

// Stop gives what was recorded. It fails if packets were missed: then nothing can be said of what was not seen.
func (c *Capture) Stop() ([]Packet, error) {
	// answers to the last packets are under way
	time.Sleep(100 * time.Millisecond)
	close(c.stop)
	c.done.Wait()

	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	err = errors.Join(c.err, err, unix.Close(c.fd))

	if err == nil && stats.Drops > 0 {
		err = fmt.Errorf("%d of %d packets were missed", stats.Drops, stats.Packets)
	}

	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}

	return c.packets, nil
}
