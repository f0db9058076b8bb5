// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

var someone = reservation.Owner{GardenID: "a/garden", ShootUID: "0f8e6f9c-1d1e-4a5b-9d6f-0a1b2c3d4e5f", Range: "nodes-ipv6", Attempt: 2}

func TestMark(t *testing.T) {
	g := NewWithT(t)
	m := mark{owner: someone, seed: "seed-1"}
	g.Expect(m.String()).To(Equal("v1/a%2Fgarden/0f8e6f9c-1d1e-4a5b-9d6f-0a1b2c3d4e5f/nodes-ipv6/2 seed=seed-1"))
	back, ours := parseMark(m.String())
	g.Expect(ours).To(BeTrue())
	g.Expect(back).To(Equal(m))
	for _, foreign := range []string{"", "my subnet", someone.Key(), "v1/a/b/c seed=x", "v2/a/b/c/1 seed=x", "v1/a/b/c/one seed=x"} {
		_, ours := parseMark(foreign)
		g.Expect(ours).To(BeFalse(), foreign)
	}
}

func TestNetworkMark(t *testing.T) {
	g := NewWithT(t)
	const pool = "c63a981b-0d07-4140-ba75-495440cc2614"
	n := networks.Network{Name: networkName(someone, pool), Description: networkMark(someone, pool)}
	g.Expect(ours(n, someone)).To(BeTrue())
	pods, other := someone, someone
	pods.Range, pods.Attempt, other.ShootUID = "pods-ipv6", 7, "another"
	g.Expect(ours(n, pods)).To(BeTrue(), "one network a shoot")
	g.Expect(ours(n, other)).To(BeFalse())
	n.Description += "x"
	g.Expect(ours(n, someone)).To(BeFalse(), "the name must follow from the description")
}

func TestNew(t *testing.T) {
	g := NewWithT(t)
	_, err := New("os", Config{}, []reservation.Pool{{Name: "pool-a"}}, reservation.Home{}, nil)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	r, err := New("os", Config{}, []reservation.Pool{{Name: "pool-a", ID: "a"}}, reservation.Home{Seed: strings.Repeat("s", 200)}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.Name()).To(Equal("os"))
	_, err = r.Allocate(t.Context(), someone, reservation.Request{Bits: 64, Pools: []string{"pool-a"}})
	g.Expect(err).To(MatchError(ContainSubstring("longer than the 255 characters")))
}

func TestAuthOptions(t *testing.T) {
	base := map[string]string{
		"authURL": "https://cloud/v3", "domainName": "d", "tenantName": "t", "username": "u", "password": "p",
	}
	for name, c := range map[string]struct {
		set  map[string]string
		want []string // domain, tenant, user, password, credential's ID, name and secret
		err  string
	}{
		"password":      {nil, []string{"d", "t", "u", "p", "", "", ""}, ""},
		"by ID":         {map[string]string{"applicationCredentialID": "i", "applicationCredentialSecret": "s"}, []string{"", "", "", "", "i", "", "s"}, ""},
		"by name":       {map[string]string{"applicationCredentialName": "n", "applicationCredentialSecret": "s"}, []string{"d", "", "u", "", "", "n", "s"}, ""},
		"no URL":        {map[string]string{"authURL": ""}, nil, "lack authURL"},
		"no password":   {map[string]string{"password": ""}, nil, "lack domainName, tenantName, username and password"},
		"a bare secret": {map[string]string{"applicationCredentialSecret": "s"}, nil, "lack applicationCredentialID"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o, err := authOptions(func(key string) string {
				if value, ok := c.set[key]; ok {
					return value
				}
				return base[key]
			})
			if c.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.err)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect([]string{
				o.DomainName, o.TenantName, o.Username, o.Password,
				o.ApplicationCredentialID, o.ApplicationCredentialName, o.ApplicationCredentialSecret,
			}).To(Equal(c.want))
		})
	}
}

func TestDigest(t *testing.T) {
	g := NewWithT(t)
	a := map[string][]byte{"a": []byte("1"), "b": []byte("2")}
	g.Expect(digestOf(a)).To(Equal(digestOf(map[string][]byte{"b": []byte("2"), "a": []byte("1")})))
	g.Expect(digestOf(a)).NotTo(Equal(digestOf(map[string][]byte{"a": []byte("1\"\n\"b\"=\"2")})))
}

func TestRetryAfter(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"99999999999999": time.Hour, "Fri, 02 Jan 2036 03:04:00 GMT": time.Hour,
	} {
		g.Expect(retryAfter(http.Header{"Retry-After": {value}}, now)).To(Equal(want), value)
	}
}

// script answers requests one after the other and remembers their bodies.
type script struct {
	answers []any // a status or an error
	bodies  []string
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		content, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(content)
	}
	s.bodies = append(s.bodies, body)
	next := s.answers[0]
	s.answers = s.answers[1:]
	if err, failed := next.(error); failed {
		return nil, err
	}
	return &http.Response{StatusCode: next.(int), Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}}, nil
}

// endless is a server's answer that never ends.
type endless struct{ status int }

func (e endless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: e.status, Body: io.NopCloser(e), Header: http.Header{}}, nil
}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestEndlessAnswers(t *testing.T) {
	for status, want := range map[int]int64{200: 16 << 20, 400: 64 << 10, 500: 64 << 10} {
		g := NewWithT(t)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://cloud/subnets", nil)
		g.Expect(err).NotTo(HaveOccurred())
		resp, err := (&patient{next: endless{status}, sleep: sleep}).RoundTrip(req)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(io.Copy(io.Discard, resp.Body)).To(Equal(want), "%d", status)
		g.Expect(resp.Body.Close()).To(Succeed())
	}
}

// What is repeated, and how long the pauses are.
func TestPatience(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for name, c := range map[string]struct {
		method, path string
		answers      []any
		sent         int
		pauses       []time.Duration
	}{
		"good":                 {"GET", "/subnets", []any{200}, 1, nil},
		"read":                 {"GET", "/subnets", []any{reset, 503, 200}, 3, []time.Duration{200 * time.Millisecond, 400 * time.Millisecond}},
		"read, in vain":        {"GET", "/subnets", []any{reset, 502, 504}, 3, []time.Duration{200 * time.Millisecond, 400 * time.Millisecond}},
		"delete":               {"DELETE", "/subnets/1", []any{reset, 404}, 2, []time.Duration{200 * time.Millisecond}},
		"login":                {"POST", "/v3/auth/tokens", []any{429, 201}, 2, []time.Duration{200 * time.Millisecond}},
		"create, reset":        {"POST", "/subnets", []any{reset}, 1, nil},
		"create, throttled":    {"POST", "/subnets", []any{429}, 1, nil},
		"create, unavailable":  {"POST", "/subnets", []any{503}, 1, nil},
		"500 is never retried": {"GET", "/subnets", []any{500}, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			next := &script{answers: c.answers}
			var pauses []time.Duration
			p := &patient{next: next, sleep: func(_ context.Context, d time.Duration) error {
				pauses = append(pauses, d)
				return nil
			}}
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://cloud"+c.path, strings.NewReader("body"))
			g.Expect(err).NotTo(HaveOccurred())
			resp, err := p.RoundTrip(req)
			if err == nil {
				g.Expect(resp.Body.Close()).To(Succeed())
			}
			g.Expect(next.bodies).To(HaveLen(c.sent))
			g.Expect(next.bodies).To(HaveEach("body"))
			g.Expect(pauses).To(Equal(c.pauses))
		})
	}
}
