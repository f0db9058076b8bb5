// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package cnirpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Handler answers requests. netns is nil if the plugin sent none; it is closed when Handle returns.
type Handler interface {
	Handle(ctx context.Context, req Request, netns *os.File) (*Result, error)
}

// requestTimeout bounds how long a plugin may take to say what it wants.
const requestTimeout = 10 * time.Second

// Server serves the socket.
type Server struct {
	listener *net.UnixListener
	handler  Handler
	requests sync.WaitGroup
}

// Listen takes the socket's place, away from an agent that was killed. Only root may connect: whoever can send requests
// can have addresses wired into namespaces.
func Listen(socket string, h Handler) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil { //nolint:gosec // the socket itself is closed to others
		return nil, fmt.Errorf("listen for the plugin: %w", err)
	}
	// The new socket is made beside and renamed, so that there is no moment at which a plugin finds none.
	beside := socket + ".new"
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen for the plugin: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: beside, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for the plugin: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(beside, 0o600), os.Rename(beside, socket)); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the plugin: %w", err), l.Close())
	}
	return &Server{listener: l, handler: h}, nil
}

// Serve answers until the context ends, then takes no more requests and finishes those that it has. The socket's file stays, without a
// listener: a plugin is refused, which tells it the same as no file, and an agent that has taken the place in the meantime keeps it.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.listener.Close() })
	defer stop()
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			s.requests.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("listen for the plugin: %w", errors.Join(err, s.listener.Close()))
		}
		s.requests.Go(func() {
			defer conn.Close() //nolint:errcheck // the answer is written, or there is nobody to tell
			s.answer(context.WithoutCancel(ctx), conn)
		})
	}
}

func (s *Server) answer(ctx context.Context, conn *net.UnixConn) {
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	req, netns, err := receive(conn)
	if netns != nil {
		defer netns.Close() //nolint:errcheck // nothing was written
	}
	resp := Response{Version: Version}
	switch {
	case err != nil:
		resp.Error = &Error{Code: CodeDecoding, Msg: "the agent does not understand the plugin", Details: err.Error()}
	case req.Version != Version:
		resp.Error = &Error{Code: CodeTryAgainLater, Msg: fmt.Sprintf("the plugin speaks version %d, the agent %d: one of them is about to be replaced", req.Version, Version)}
	default:
		resp.Result, err = s.handler.Handle(ctx, req, netns)
		resp.Error = toError(err)
	}
	msg, err := encode(resp)
	if err != nil {
		return // a result is never too large
	}
	_ = conn.SetWriteDeadline(time.Now().Add(requestTimeout))
	_, _ = conn.Write(msg) // a plugin that is gone asks again, or its runtime deletes
}

func toError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	default:
		return &Error{Code: CodeInternal, Msg: err.Error()}
	}
}

// receive reads a request and the file that came with it.
func receive(conn *net.UnixConn) (Request, *os.File, error) {
	var req Request
	first, rights := make([]byte, 4096), make([]byte, syscall.CmsgSpace(4*4))
	n, rn, flags, _, err := conn.ReadMsgUnix(first, rights)
	if err != nil {
		return req, nil, err
	}
	files, err := parseRights(rights[:rn])
	if err != nil {
		return req, nil, err
	}
	var netns *os.File
	for i, f := range files {
		if i == 0 {
			netns = f
			continue
		}
		_ = f.Close()
	}
	if len(files) > 1 || flags&syscall.MSG_CTRUNC != 0 {
		return req, netns, errors.New("more than one file came with the request")
	}
	err = decode(io.MultiReader(bytes.NewReader(first[:n]), conn), &req)
	return req, netns, err
}

func parseRights(b []byte) ([]*os.File, error) {
	msgs, err := syscall.ParseSocketControlMessage(b)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var files []*os.File
	for _, m := range msgs {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return nil, fmt.Errorf("control message: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "netns"))
		}
	}
	return files, nil
}
