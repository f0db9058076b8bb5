// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package cnirpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrNoAgent means that nobody listens on the socket: no agent has been started yet, or it is away for a moment.
var ErrNoAgent = errors.New("no agent listens")

// Call sends a request to the agent behind the socket, with the pod's network namespace unless that is nil, and waits for the answer.
// An error that the agent answers is returned as *Error.
func Call(ctx context.Context, socket string, req Request, netns *os.File) (*Result, error) {
	req.Version = Version
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("%s: %w", socket, ErrNoAgent)
		}
		return nil, fmt.Errorf("reach the agent: %w", err)
	}
	conn := c.(*net.UnixConn)
	defer conn.Close() //nolint:errcheck // all is read by then
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := send(conn, req, netns); err != nil {
		return nil, fmt.Errorf("ask the agent: %w", cause(ctx, err))
	}
	var resp Response
	if err := decode(conn, &resp); err != nil {
		return nil, fmt.Errorf("hear the agent: %w", cause(ctx, err))
	}
	if resp.Error != nil {
		return nil, resp.Error
	}
	return resp.Result, nil
}

// cause replaces the deadline that the context's end brought about by the context's reason.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func send(conn *net.UnixConn, req Request, netns *os.File) error {
	msg, err := encode(req)
	if err != nil {
		return err
	}
	var rights []byte
	if netns != nil {
		rights = syscall.UnixRights(int(netns.Fd()))
	}
	// The file is attached to the first byte that the kernel takes; a long message may need more writes.
	n, _, err := conn.WriteMsgUnix(msg, rights, nil)
	if err != nil || n == len(msg) {
		return err // nothing more: not even an empty write, as the agent may have answered and closed by now
	}
	_, err = conn.Write(msg[n:])
	return err
}
