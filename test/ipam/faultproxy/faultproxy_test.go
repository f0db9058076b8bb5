// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package faultproxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
)

// counter counts what reaches the service.
func counter(t *testing.T) (*atomic.Int32, string) {
	var reached atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%d %s %s %s", reached.Add(1), r.Method, r.URL, body)
	}))
	t.Cleanup(service.Close)
	return &reached, service.URL
}

func post(url string) (string, int, error) {
	resp, err := http.Post(url, "text/plain", strings.NewReader("hello")) //nolint:noctx // a test
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), resp.StatusCode, err
}

func TestFaults(t *testing.T) {
	g := NewWithT(t)
	reached, service := counter(t)
	p := faultproxy.New(t, service)

	body, status, err := post(p.URL + "/a?b=c")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(200))
	g.Expect(body).To(Equal("1 POST /a?b=c hello"))

	p.Next(faultproxy.Match{Method: "POST", Path: "^/a"}, faultproxy.Fault{Drop: true}, faultproxy.Fault{Cut: true},
		faultproxy.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: "slowly"})
	body, _, err = post(p.URL + "/b")
	g.Expect(err).NotTo(HaveOccurred(), "another path")
	g.Expect(body).To(Equal("2 POST /b hello"))

	_, _, err = post(p.URL + "/a")
	g.Expect(err).To(HaveOccurred())
	g.Expect(reached.Load()).To(BeEquivalentTo(2), "dropped before the service")
	_, _, err = post(p.URL + "/a")
	g.Expect(err).To(HaveOccurred())
	g.Expect(reached.Load()).To(BeEquivalentTo(3), "cut after the service")
	body, status, err = post(p.URL + "/a")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]any{body, status, reached.Load()}).To(Equal([]any{"slowly", 429, int32(3)}))

	g.Expect(p.Pending()).To(BeZero())
	g.Expect(p.Requests(faultproxy.Match{Path: "^/a"})).To(HaveLen(4))
	g.Expect(p.Requests(faultproxy.Match{Path: "^/a$"})[2].Status).To(Equal(429))
}

func TestDelayEndsWithTheClient(t *testing.T) {
	g := NewWithT(t)
	reached, service := counter(t)
	p := faultproxy.New(t, service)
	p.Next(faultproxy.Match{}, faultproxy.Fault{Delay: time.Hour})
	client := http.Client{Timeout: 50 * time.Millisecond}
	_, err := client.Get(p.URL) //nolint:noctx // a test
	g.Expect(err).To(HaveOccurred())
	g.Expect(reached.Load()).To(BeZero())
}

func TestTLS(t *testing.T) {
	g := NewWithT(t)
	_, service := counter(t)
	p := faultproxy.NewTLS(t, service)
	g.Expect(p.URL).To(HavePrefix("https://"))
	g.Expect(string(p.CA)).To(HavePrefix("-----BEGIN CERTIFICATE"))
	_, _, err := post(p.URL)
	g.Expect(err).To(MatchError(ContainSubstring("certificate")))
}
