// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// longestWait is how long a call waits when the service asks for patience; for longer, the caller comes again.
	longestWait = 10 * time.Second
	// longestPeace that a service is granted, whatever it asks for.
	longestPeace = time.Hour
	// longestAnswer and longestRefusal are the bytes that are read of a good and of a bad answer. A page of subnets has less than a
	// million.
	longestAnswer  = 16 << 20
	longestRefusal = 64 << 10
	// tries of a call that may be repeated.
	tries = 3
)

// patient repeats calls that may be repeated, and holds all calls back while the service asks for that (Retry-After). Calls
// that create something are never repeated: their answer may have been lost after the deed.
type patient struct {
	next  http.RoundTripper
	sleep func(context.Context, time.Duration) error

	mu    sync.Mutex
	until time.Time // the service does not want to be called before
}

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		if err := p.hold(req.Context()); err != nil {
			return nil, err
		}
		resp, err := p.next.RoundTrip(req)
		pause, again := p.judge(req, resp, err, try)
		if !again {
			return limited(resp), err
		}
		if resp != nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be used again
			_ = resp.Body.Close()
		}
		if err := p.sleep(req.Context(), pause); err != nil {
			return nil, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
}

// limited cuts the body of an answer where no answer is that long: it is read whole, into memory.
func limited(resp *http.Response) *http.Response {
	if resp == nil || resp.Body == nil {
		return resp
	}
	longest := int64(longestAnswer)
	if resp.StatusCode >= http.StatusBadRequest {
		longest = longestRefusal
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, longest), resp.Body}
	return resp
}

// rewound is the request with its body rewound.
func rewound(req *http.Request) (*http.Request, error) {
	next := req.Clone(req.Context())
	if req.GetBody == nil {
		return next, nil
	}
	body, err := req.GetBody()
	next.Body = body
	return next, err
}

// judge tells whether to try again, and when. It also notes what the service asks of all callers.
func (p *patient) judge(req *http.Request, resp *http.Response, err error, try int) (time.Duration, bool) {
	pause := 200 * time.Millisecond << (try - 1)
	if err != nil {
		return pause, try < tries && repeatable(req) && req.Context().Err() == nil && !distrusts(err)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		asked := retryAfter(resp.Header, time.Now())
		p.postpone(asked)
		pause = max(pause, asked)
	case http.StatusBadGateway, http.StatusGatewayTimeout:
	default:
		return 0, false
	}
	return pause, try < tries && repeatable(req) && pause <= longestWait
}

// repeatable tells whether a second call of the same kind does no harm: logging in, and everything but creations.
func repeatable(req *http.Request) bool {
	return req.Method != http.MethodPost || strings.HasSuffix(req.URL.Path, "/auth/tokens")
}

// CloseIdleConnections is what http.Client looks for.
func (p *patient) CloseIdleConnections() {
	if next, ok := p.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

func (p *patient) postpone(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(by); until.After(p.until) {
		p.until = until
	}
}

// hold back until the service wants to be called again, or say that this is too long.
func (p *patient) hold(ctx context.Context) error {
	p.mu.Lock()
	left := time.Until(p.until)
	p.mu.Unlock()
	switch {
	case left <= 0:
		return nil
	case left > longestWait:
		return &busy{left: left}
	}
	return p.sleep(ctx, left)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// busy: nothing was sent.
type busy struct{ left time.Duration }

func (b *busy) Error() string {
	return fmt.Sprintf("it asked not to be called for another %s", b.left.Round(time.Second))
}

// retryAfter reads the header of this name: seconds or a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(0, seconds), int(longestPeace.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(now)), longestPeace)
	}
	return 0
}

// isBusy tells whether a call was held back.
func isBusy(err error) bool {
	var b *busy
	return errors.As(err, &b)
}
