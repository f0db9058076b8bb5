// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package faultproxy is what lies between a client and an HTTP service when the network misbehaves: a request that never arrives,
// an answer that never comes back although the deed is done, a slow one, and a proxy on the way that answers itself. Tests put
// it before a real service and say which of the requests to come shall suffer.
package faultproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

// Match says which requests are meant.
type Match struct {
	// Method, any if empty.
	Method string
	// Path is matched anywhere in path and query, as a regular expression; any if empty.
	Path string
}

// Fault is what happens to a request. The zero Fault lets it pass.
type Fault struct {
	// Drop closes the connection; the request does not reach the service.
	Drop bool
	// Cut closes the connection after the service has answered; the answer does not reach the client.
	Cut bool
	// Status is answered instead of the service, which does not see the request; with Header and Body.
	Status int
	Header http.Header
	Body   string
	// Delay before anything else.
	Delay time.Duration
	// Before is called when the request has come, After when the service has answered and the client does not know.
	Before, After func()
}

// Request that came.
type Request struct {
	Method, Path, Query string
	// Header as the client sent it.
	Header http.Header
	// At is when it came.
	At time.Time
	// Status that the client got, 0 if none.
	Status int
}

// Proxy before one service.
type Proxy struct {
	// URL where it listens.
	URL string
	// CA is its authority in PEM, if it speaks TLS.
	CA []byte

	target    *url.URL
	transport *http.Transport
	base      context.Context

	mu       sync.Mutex
	queue    []queued
	requests []Request
}

type queued struct {
	method string
	path   *regexp.Regexp
	fault  Fault
}

// New puts a proxy before a service, an http or https URL whose certificate is not verified. It ends with the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	return start(t, target, (*httptest.Server).Start)
}

// NewTLS is New with TLS toward the client, by an authority that nobody else knows.
func NewTLS(t testing.TB, target string) *Proxy {
	t.Helper()
	return start(t, target, (*httptest.Server).StartTLS)
}

func start(t testing.TB, target string, begin func(*httptest.Server)) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{
		target: to, base: ctx,
		transport: &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	server := httptest.NewUnstartedServer(p)
	begin(server)
	p.URL = server.URL
	if cert := server.Certificate(); cert != nil {
		p.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	t.Cleanup(func() {
		cancel()
		server.CloseClientConnections()
		server.Close()
		p.transport.CloseIdleConnections()
	})
	return p
}

// Next lets the next requests that match suffer, one fault each. Faults for the same request are used in the order given.
func (p *Proxy) Next(match Match, faults ...Fault) {
	path := regexp.MustCompile(match.Path)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		p.queue = append(p.queue, queued{method: match.Method, path: path, fault: f})
	}
}

// Pending is the number of faults that no request has met yet.
func (p *Proxy) Pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// Requests returns those that matched, in the order in which they came.
func (p *Proxy) Requests(match Match) []Request {
	path := regexp.MustCompile(match.Path)
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []Request
	for _, r := range p.requests {
		if matches(match.Method, path, r.Method, r.Path, r.Query) {
			found = append(found, r)
		}
	}
	return found
}

func matches(wantMethod string, wantPath *regexp.Regexp, method, path, query string) bool {
	if query != "" {
		path += "?" + query
	}
	return (wantMethod == "" || wantMethod == method) && wantPath.MatchString(path)
}

// begin notes a request and finds its fault.
func (p *Proxy) begin(r *http.Request) (Fault, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), At: time.Now()})
	for i, q := range p.queue {
		if matches(q.method, q.path, r.Method, r.URL.Path, r.URL.RawQuery) {
			p.queue = slices.Delete(p.queue, i, i+1)
			return q.fault, len(p.requests) - 1
		}
	}
	return Fault{}, len(p.requests) - 1
}

func (p *Proxy) answered(index, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[index].Status = status
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, index := p.begin(r)
	if fault.Before != nil {
		fault.Before()
	}
	if !p.pause(r.Context(), fault.Delay) {
		return
	}
	if fault.Drop {
		hangUp(w)
		return
	}
	if fault.Status != 0 {
		for name, values := range fault.Header {
			w.Header()[name] = values
		}
		p.answered(index, fault.Status)
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
		return
	}
	resp, body, err := p.forward(r)
	if fault.After != nil {
		fault.After()
	}
	if err != nil || fault.Cut {
		hangUp(w)
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.Header().Del("Connection")
	p.answered(index, resp.StatusCode)
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(body)
}

func (p *Proxy) pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done(): // the client has given up
	case <-p.base.Done():
	}
	return false
}

// forward asks the service and waits for its whole answer, also if the client gives up meanwhile: the service would not know.
func (p *Proxy) forward(r *http.Request) (*http.Response, []byte, error) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, err
	}
	to := *r.URL
	to.Scheme, to.Host = p.target.Scheme, p.target.Host
	req, err := http.NewRequestWithContext(p.base, r.Method, to.String(), bytes.NewReader(content))
	if err != nil {
		return nil, nil, err
	}
	req.Header = r.Header.Clone()
	req.Header.Del("Connection")
	req.Host = r.Host // links in the answer lead through here
	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// hangUp closes the connection without a word.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, as from a machine that has died
	}
	_ = conn.Close()
}
