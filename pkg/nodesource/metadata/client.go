// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// maxBody of an answer in bytes. The largest real ones, of machines with many interfaces, have some ten thousand.
const maxBody = 256 << 10

// answer of a metadata server.
type answer struct {
	// url that was asked, for error messages.
	url string
	// host that answered.
	host   string
	status int
	header http.Header
	body   []byte
}

// notOK is an answer that is not 200.
type notOK struct {
	answer
	want string
}

func (e *notOK) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.url, e.status, http.StatusText(e.status), e.want)
}

// ok is an error unless the answer is 200, with what would be right.
func (a answer) ok(want string) error {
	if a.status == http.StatusOK {
		return nil
	}
	return &notOK{a, want}
}

// json of the answer.
func (a answer) json(into any, what string) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("%s: the answer cannot be read: %w: want %s as JSON", a.url, err, what)
	}
	return nil
}

// unreachable means that no endpoint gave an answer.
type unreachable struct{ error }

func (e unreachable) Unwrap() error { return e.error }

// temporary tells whether it makes sense to ask again.
func temporary(err error) bool {
	var status *notOK
	if errors.As(err, &status) {
		return status.status >= 500 || status.status == http.StatusTooManyRequests || status.status == http.StatusUnauthorized
	}
	return errors.As(err, new(unreachable))
}

// client of a metadata server that may be at several endpoints.
type client struct {
	http      http.Client
	endpoints []string

	mu sync.Mutex
	// good is the endpoint that answered last.
	good int
}

func newClient(o Options, endpoints []string) *client {
	return &client{
		endpoints: endpoints,
		http: http.Client{
			Timeout: o.Timeout,
			Transport: &http.Transport{
				// Metadata is for this node alone: no proxy may see it, and none can answer for it.
				Proxy:             nil,
				DialContext:       (&net.Dialer{Timeout: o.Timeout}).DialContext,
				DisableKeepAlives: true, // it is asked once a minute
			},
			// A metadata server redirects nobody.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// do asks the endpoints in turn, the one that answered last time first. Any answer is one, whatever its status.
func (c *client) do(ctx context.Context, method, path string, header map[string]string) (answer, error) {
	c.mu.Lock()
	first := c.good
	c.mu.Unlock()
	var errs []error
	for i := range c.endpoints {
		index := (first + i) % len(c.endpoints)
		a, err := c.one(ctx, method, c.endpoints[index], path, header)
		if err == nil {
			c.mu.Lock()
			c.good = index
			c.mu.Unlock()
			return a, nil
		}
		if !errors.As(err, new(unreachable)) {
			return answer{}, err
		}
		errs = append(errs, err)
	}
	return answer{}, unreachable{errors.Join(errs...)}
}

func (c *client) one(ctx context.Context, method, endpoint, path string, header map[string]string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, endpoint+path, nil)
	if err != nil {
		return answer{}, err
	}
	for k, v := range header {
		request.Header.Set(k, v)
	}
	response, err := c.http.Do(request) //nolint:gosec // the endpoints are the provider's or the operator's
	if err != nil {
		return answer{}, unreachable{err}
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{url: endpoint + path, host: host(endpoint), status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1)); err != nil {
		return answer{}, unreachable{fmt.Errorf("%s: %w", a.url, err)}
	}
	if len(a.body) > maxBody {
		return answer{}, fmt.Errorf("%s: the answer has more than %d bytes: this is no metadata server's", a.url, maxBody)
	}
	return a, nil
}

func host(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	return u.Hostname()
}
