// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package cnirpc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
)

type handle func(context.Context, cnirpc.Request, *os.File) (*cnirpc.Result, error)

func (h handle) Handle(ctx context.Context, r cnirpc.Request, f *os.File) (*cnirpc.Result, error) {
	return h(ctx, r, f)
}

// serve serves until the test ends, or stop is called, which returns when Serve has.
func serve(t *testing.T, socket string, h handle) (stop func() error) {
	t.Helper()
	s, err := cnirpc.Listen(socket, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	once := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = once() })
	return once
}

func at(t *testing.T) string { return filepath.Join(t.TempDir(), "run", "cni.sock") }

func TestARequestArrivesWithItsFile(t *testing.T) {
	g := NewWithT(t)
	socket := at(t)
	want := cnirpc.Request{
		Command: cnirpc.Add, Network: "ipv6", Attachment: cnirpc.Attachment{ContainerID: "a", Interface: "eth0"}, Pod: "default/a",
		Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")},
	}
	result := cnirpc.Result{HostInterface: "v6p", HostMAC: "02:00:00:00:00:01", PodMAC: "02:00:00:00:00:02", MTU: 1500, Addrs: want.Addrs, Gateways: want.Addrs}
	requests, contents := make(chan cnirpc.Request, 1), make(chan []byte, 1)
	serve(t, socket, func(_ context.Context, r cnirpc.Request, f *os.File) (*cnirpc.Result, error) {
		content, err := io.ReadAll(f)
		requests <- r
		contents <- content
		return &result, err
	})
	path := filepath.Join(t.TempDir(), "file")
	g.Expect(os.WriteFile(path, []byte("netns"), 0o600)).To(Succeed())
	f, err := os.Open(path) //nolint:gosec // the test's own
	g.Expect(err).NotTo(HaveOccurred())
	defer f.Close() //nolint:errcheck // read only
	g.Expect(cnirpc.Call(t.Context(), socket, want, f)).To(Equal(&result))
	want.Version = cnirpc.Version
	g.Expect(<-requests).To(Equal(want))
	g.Expect(string(<-contents)).To(Equal("netns"))
}

func TestErrorsKeepTheirCode(t *testing.T) {
	g := NewWithT(t)
	socket := at(t)
	answers := make(chan error, 1)
	serve(t, socket, func(context.Context, cnirpc.Request, *os.File) (*cnirpc.Result, error) { return nil, <-answers })
	call := func() error {
		_, err := cnirpc.Call(t.Context(), socket, cnirpc.Request{Command: cnirpc.Del}, nil)
		return err
	}
	answers <- nil
	g.Expect(call()).To(Succeed())
	later := fmt.Errorf("wrapped: %w", &cnirpc.Error{Code: cnirpc.CodeTryAgainLater, Msg: "later", Details: "soon"})
	answers <- later
	g.Expect(call()).To(Equal(&cnirpc.Error{Code: 11, Msg: "later", Details: "soon"}))
	answers <- later
	g.Expect(call()).To(MatchError("later: soon"))
	answers <- errors.New("oops")
	g.Expect(call()).To(Equal(&cnirpc.Error{Code: 999, Msg: "oops"}))
}

func TestALargeRequest(t *testing.T) {
	g := NewWithT(t)
	socket := at(t)
	got := make(chan int, 1)
	serve(t, socket, func(_ context.Context, r cnirpc.Request, _ *os.File) (*cnirpc.Result, error) {
		got <- len(r.Valid)
		return nil, nil
	})
	req := cnirpc.Request{Command: cnirpc.GC}
	for i := range 10000 {
		req.Valid = append(req.Valid, cnirpc.Attachment{ContainerID: fmt.Sprint(strings.Repeat("x", 60), i), Interface: "eth0"})
	}
	_, err := cnirpc.Call(t.Context(), socket, req, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(<-got).To(Equal(10000))
}

func TestWithoutAgent(t *testing.T) {
	g := NewWithT(t)
	socket := at(t)
	call := func() error { _, err := cnirpc.Call(t.Context(), socket, cnirpc.Request{}, nil); return err }
	g.Expect(call()).To(MatchError(cnirpc.ErrNoAgent), "never started")
	stop := serve(t, socket, func(context.Context, cnirpc.Request, *os.File) (*cnirpc.Result, error) { return nil, nil })
	g.Expect(call()).To(Succeed())
	g.Expect(stop()).To(Succeed())
	g.Expect(call()).To(MatchError(cnirpc.ErrNoAgent), "stopped")
	// The next one takes the place of the socket that was left.
	serve(t, socket, func(context.Context, cnirpc.Request, *os.File) (*cnirpc.Result, error) { return nil, nil })
	g.Expect(call()).To(Succeed())
	info, err := os.Stat(socket)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)), "root only")
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	g := NewWithT(t)
	socket := at(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	stop := serve(t, socket, func(ctx context.Context, r cnirpc.Request, _ *os.File) (*cnirpc.Result, error) {
		if r.Command == cnirpc.Status {
			return nil, nil
		}
		close(began)
		<-goOn
		return &cnirpc.Result{MTU: 1500}, ctx.Err()
	})
	answers := make(chan error, 1)
	go func() {
		r, err := cnirpc.Call(context.Background(), socket, cnirpc.Request{Command: cnirpc.Del}, nil)
		if err == nil && r.MTU != 1500 {
			err = fmt.Errorf("answer %v", r)
		}
		answers <- err
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	g.Eventually(func() error {
		_, err := cnirpc.Call(t.Context(), socket, cnirpc.Request{Command: cnirpc.Status}, nil)
		return err
	}).Should(MatchError(cnirpc.ErrNoAgent))
	g.Consistently(stopped, "50ms").ShouldNot(Receive())
	close(goOn)
	g.Expect(<-answers).To(Succeed())
	g.Expect(<-stopped).To(Succeed())
}

func TestTheCallerGivesUp(t *testing.T) {
	g := NewWithT(t)
	socket, goOn := at(t), make(chan struct{})
	serve(t, socket, func(context.Context, cnirpc.Request, *os.File) (*cnirpc.Result, error) { <-goOn; return nil, nil })
	defer close(goOn)
	ctx, cancel := context.WithCancelCause(t.Context())
	patience := errors.New("out of patience")
	go cancel(patience)
	_, err := cnirpc.Call(ctx, socket, cnirpc.Request{}, nil)
	g.Expect(err).To(Or(MatchError(patience), MatchError(context.Canceled)))
}

// TestForeignTalk sends what no plugin of ours sends.
func TestForeignTalk(t *testing.T) {
	socket := at(t)
	serve(t, socket, func(context.Context, cnirpc.Request, *os.File) (*cnirpc.Result, error) {
		t.Error("the handler must not see it")
		return nil, nil
	})
	frame := func(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }
	for name, c := range map[string]struct{ talk, want string }{
		"no JSON":         {frame("hello"), `"code":6,`},
		"another version": {frame(`{"version":2,"command":"ADD"}`), `"code":11,"msg":"the plugin speaks version 2, the agent 1`},
		"too long":        {"\xff\xff\xff\xff", "at most 4194304 are allowed"},
		"cut off":         {frame("hello")[:6], "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			conn, err := net.Dial("unix", socket)
			g.Expect(err).NotTo(HaveOccurred())
			defer conn.Close() //nolint:errcheck // a test
			_, err = conn.Write([]byte(c.talk))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(conn.(*net.UnixConn).CloseWrite()).To(Succeed())
			answer, err := io.ReadAll(conn)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(answer)).To(ContainSubstring(c.want))
		})
	}
}
