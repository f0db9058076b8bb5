// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/gcp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/computefake"
)

func TestF14TokenExpired(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	g.Expect(r.ensure(t)).To(Succeed())
	g.Expect(r.Exchanges()).To(Equal(1), "a token is used as long as the credentials are the same")

	r.ExpireTokens()
	g.Expect(r.reserver.Lookup(t.Context(), reservetest.Owner(1))).To(HaveLen(1))
	g.Expect(r.Exchanges()).To(Equal(2))
}

// The key was replaced in the secret, and the former one does not work any more.
func TestF14KeyRotated(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	g.Expect(r.ensure(t)).To(Succeed())
	r.RevokeKeys()
	_, err := r.reserver.Lookup(t.Context(), reservetest.Owner(1))
	g.Expect(kind(err)).To(Equal(reservation.Unauthorized))
	g.Expect(err).To(MatchError("reading " + r.record.ID + ": the credentials: oauth2.googleapis.com refused them with HTTP 400 (invalid_grant); renew the secret"))

	r.secret = r.Secret("my-project")
	g.Expect(r.reserver.Lookup(t.Context(), reservetest.Owner(1))).To(HaveLen(1))
}

// The key is replaced while a call is under way that makes something: it is made once.
func TestF14TokenExpiredWhileAllocating(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Inject(computefake.Fault{Method: "addresses.insert", Status: 401, Reason: "authError", Message: "Invalid Credentials"})
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
	g.Expect(r.Exchanges()).To(Equal(2))
	g.Expect(r.reads.Load()).To(BeNumerically(">", 5), "the secret is read for every call")
}

func TestF14WorkloadIdentity(t *testing.T) {
	for _, impersonate := range []bool{false, true} {
		g := NewWithT(t)
		r := newRun(t, west)
		r.secret = r.WorkloadIdentity(impersonate)
		g.Expect(r.ensure(t)).To(Succeed())
		r.holds(t, first)
		before := r.Exchanges()

		r.secret["token"] = []byte(r.NewSubjectToken())
		g.Expect(r.reserver.Lookup(t.Context(), reservetest.Owner(1))).To(HaveLen(1))
		g.Expect(r.Exchanges()).To(BeNumerically(">", before), "another token is another account")

		r.NewSubjectToken() // the one in the secret is of no use any more
		r.ExpireTokens()
		_, err := r.reserver.Lookup(t.Context(), reservetest.Owner(1))
		g.Expect(kind(err)).To(Equal(reservation.Unauthorized))
		g.Expect(err).To(MatchError(HaveSuffix("the credentials: sts.googleapis.com refused them with HTTP 400 (invalid_grant); renew the secret")))
	}
}

// A key in a secret that a shoot's owner has written leads nowhere but to Google.
func TestCredentialsAreCheckedFirst(t *testing.T) {
	w := newWorld(t)
	account := func(change map[string]any) map[string][]byte {
		return changed(t, w.Secret("my-project"), "serviceaccount.json", change)
	}
	external := func(change map[string]any) map[string][]byte {
		return changed(t, w.WorkloadIdentity(true), "credentialsConfig", change)
	}
	noToken := external(nil)
	delete(noToken, "token")
	const sts = "the credentials: credentialsConfig: token_url must be https://sts.googleapis.com/v1/token"
	const uri = "the credentials: serviceaccount.json: token_uri must be https://oauth2.googleapis.com/token"
	const impersonation = "the credentials: credentialsConfig: service_account_impersonation_url must be " +
		"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/<email>:generateAccessToken"
	for _, c := range []struct {
		secret map[string][]byte
		want   string
	}{
		{nil, `the credentials: the secret has neither the key "serviceaccount.json" nor "credentialsConfig"`},
		{map[string][]byte{"serviceaccount.json": []byte("hunter22")}, "the credentials: serviceaccount.json is no JSON of an account"},
		{account(map[string]any{"type": "authorized_user"}), "the credentials: serviceaccount.json: type must be service_account or external_account"},
		{account(map[string]any{"private_key": ""}), "the credentials: serviceaccount.json: client_email and private_key are required"},
		{account(map[string]any{"private_key": "hunter22"}), "the credentials: private_key is no key"},
		{account(map[string]any{"universe_domain": "example.com"}), "the credentials: serviceaccount.json: universe_domain must be googleapis.com"},
		{account(map[string]any{"token_uri": "https://example.com/token"}), uri},
		{account(map[string]any{"token_uri": "http://oauth2.googleapis.com/token"}), uri},
		{account(map[string]any{"token_uri": "https://oauth2.googleapis.com@example.com/token"}), uri},
		{account(map[string]any{"token_uri": "https://oauth2.googleapis.com.example.com/token"}), uri},
		{external(map[string]any{"token_url": "https://example.com/token"}), sts},
		{external(map[string]any{"service_account_impersonation_url": "https://example.com/v1/projects/-/serviceAccounts/x:generateAccessToken"}), impersonation},
		{external(map[string]any{"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/x:signJwt"}), impersonation},
		{external(map[string]any{"audience": ""}), "the credentials: credentialsConfig: audience and subject_token_type are required"},
		{noToken, `the credentials: the secret has no key "token"`},
	} {
		g := NewWithT(t)
		w.secret = c.secret
		_, err := w.reserver(t, "seed-a", west).Lookup(t.Context(), reservetest.Owner(1))
		g.Expect(kind(err)).To(Equal(reservation.Unauthorized), c.want)
		g.Expect(err).To(MatchError(HaveSuffix(": " + c.want)))
	}
	NewWithT(t).Expect(w.Exchanges()).To(BeZero())
}

func changed(t *testing.T, secret map[string][]byte, key string, change map[string]any) map[string][]byte {
	t.Helper()
	fields := map[string]any{}
	NewWithT(t).Expect(json.Unmarshal(secret[key], &fields)).To(Succeed())
	for name, value := range change {
		fields[name] = value
	}
	text, err := json.Marshal(fields)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	secret[key] = text
	return secret
}

func TestCredentialsThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	gone := errors.New("secrets \"cloudprovider\" not found")
	r, err := gcp.New("gcp", gcp.Config{Transport: w.Transport()},
		[]reservation.Pool{{Name: "p", ID: west, Family: prefix.IPv6, MinBits: 96, MaxBits: 96}}, reservation.Home{},
		func(context.Context) (map[string][]byte, error) { return nil, gone })
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.Allocate(t.Context(), reservetest.Owner(1), request("p"))
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError(gone))
	g.Expect(err).To(MatchError(`reading the subnetwork of pool p (` + west + `): reading the credentials: secrets "cloudprovider" not found`))
	g.Expect(w.Calls("subnetworks.get")).To(BeZero(), "without credentials nothing is asked")
}

func TestTokenEndpointFails(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   reservation.Kind
		want   string
	}{
		{0, reservation.Retry, "getting an access token: no answer from oauth2.googleapis.com"},
		{503, reservation.Retry, "getting an access token: oauth2.googleapis.com answered HTTP 503"},
		{429, reservation.Retry, "getting an access token: oauth2.googleapis.com answered HTTP 429"},
		{403, reservation.Unauthorized, "the credentials: oauth2.googleapis.com refused them with HTTP 403 (server_error); renew the secret"},
	} {
		g := NewWithT(t)
		r := newRun(t, west)
		r.FailTokens(c.status)
		err := r.ensure(t)
		g.Expect(kind(err)).To(Equal(c.kind))
		g.Expect(err).To(MatchError(HaveSuffix(": " + c.want)))
		g.Expect(r.ensure(t)).To(Succeed())
		r.holds(t, first)
	}
}

func TestPermissions(t *testing.T) {
	for _, c := range []struct{ method, permission, what string }{
		{"subnetworks.get", "subnetworks.get", "reading the subnetwork of pool pool-0 (" + west + ")"},
		{"addresses.insert", "addresses.create", "reserving a /96 in pool pool-0 (" + west + ")"},
		{"regionOperations.wait", "regionOperations.get", "reserving a /96 in pool pool-0 (" + west + ")"},
	} {
		g := NewWithT(t)
		r := newRun(t, west)
		r.Deny(c.method)
		err := r.ensure(t)
		g.Expect(kind(err)).To(Equal(reservation.Unauthorized))
		g.Expect(err).To(MatchError("asking gcp: " + c.what + ": forbidden: Required 'compute." + c.permission + "' permission for 'projects/my-project'; " +
			"grant the permissions of docs/ipam/gcp.md, and check the project and that the Compute Engine API is enabled"))
		r.Grant(c.method)
		g.Expect(r.ensure(t)).To(Succeed())
		r.holds(t, first)
	}
}

// What a service, a token endpoint or a proxy repeats of a key or a token is in no error, whatever one unwraps of it, and in no log.
func TestNoCredentialInErrorsOrLogs(t *testing.T) {
	g := NewWithT(t)
	var logs bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(&logs)
	var said []string
	hear := func(err error) {
		g.Expect(err).To(HaveOccurred())
		said = append(said, everything(err)...)
	}
	var hidden []string
	for _, identity := range []func(*world) map[string][]byte{
		func(w *world) map[string][]byte { return w.Secret("my-project") },
		func(w *world) map[string][]byte { return w.WorkloadIdentity(false) },
		func(w *world) map[string][]byte { return w.WorkloadIdentity(true) },
	} {
		r := newRun(t, west)
		r.secret = identity(r.world)
		r.FailTokens(400, 503, 0)
		for range 3 {
			hear(r.ensure(t))
		}
		for _, status := range []int{400, 401, 403, 404, 409, 412, 418, 429, 500, 502, 503} {
			for _, reason := range []string{"", "forbidden", "quotaExceeded"} {
				for _, method := range []string{"subnetworks.get", "addresses.get"} {
					fault := computefake.Fault{Method: method, Status: status, Reason: reason, Message: "Bearer $TOKEN is not welcome"}
					r.Inject(fault, fault)
					_ = r.ensure(t) // 404 of a look is no error
				}
				r.Inject(computefake.Fault{Method: "addresses.insert", Status: status, Reason: reason, Message: "$TOKEN"}, computefake.Fault{
					Method: "addresses.insert", Status: status, Reason: reason, Message: "$TOKEN"})
				_, err := r.reserver.Allocate(t.Context(), reservetest.Owner(7), request("pool-0"))
				if err != nil {
					hear(err)
				}
			}
		}
		r.ExpireTokens()
		r.RevokeKeys()
		r.NewSubjectToken()
		_, err := r.reserver.List(t.Context(), "garden-a")
		hear(err)
		hidden = append(hidden, r.Tokens()...)
		hidden = append(hidden, string(r.secret["token"]))
		var key struct {
			PrivateKey string `json:"private_key"`
		}
		g.Expect(json.Unmarshal(append([]byte{}, firstOf(r.secret)...), &key)).To(Succeed())
		hidden = append(hidden, strings.Split(key.PrivateKey, "\n")...)
	}
	g.Expect(len(said)).To(BeNumerically(">", 100))
	everythingSaid := strings.Join(said, "\n") + logs.String()
	g.Expect(everythingSaid).To(ContainSubstring("[redacted]"))
	checked := 0
	for _, secret := range hidden {
		if len(secret) < 8 || strings.HasPrefix(secret, "-----") {
			continue
		}
		checked++
		g.Expect(strings.Contains(everythingSaid, secret)).To(BeFalse(), "a secret of %d characters", len(secret))
	}
	g.Expect(checked).To(BeNumerically(">", 20))
	g.Expect(everythingSaid).NotTo(MatchRegexp(`ya29\.|eyJ|BEGIN PRIVATE`))
}

func firstOf(secret map[string][]byte) []byte {
	if key := secret["serviceaccount.json"]; key != nil {
		return key
	}
	return secret["credentialsConfig"]
}

// everything that an error and what it wraps can be made to say.
func everything(err error) []string {
	if err == nil {
		return nil
	}
	said := []string{fmt.Sprintf("%v %+v %#v", err, err, err)}
	switch e := err.(type) { //nolint:errorlint // each layer for itself
	case interface{ Unwrap() error }:
		said = append(said, everything(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			said = append(said, everything(inner)...)
		}
	}
	return said
}

// A redirect would carry the token to wherever it leads.
func TestRedirectsAreNotFollowed(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	var called bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer elsewhere.Close()
	g.Expect(r.ensure(t)).To(Succeed())
	r.reserver = r.configured(t, gcp.Config{Endpoint: r.URL, Transport: http.DefaultTransport}, "seed-a", west)
	r.secret = changed(t, r.Secret("my-project"), "serviceaccount.json", map[string]any{"token_uri": r.URL + "/token"})
	r.Inject(computefake.Fault{Method: "addresses.get", Status: 307, Message: elsewhere.URL})
	_, err := r.reserver.Lookup(t.Context(), reservetest.Owner(1))
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	g.Expect(called).To(BeFalse())
}

// An endpoint of the operator's is used as it is, and trusted with the exchange.
func TestEndpoint(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.secret = changed(t, w.secret, "serviceaccount.json", map[string]any{"token_uri": w.URL + "/token"})
	r := w.configured(t, gcp.Config{Endpoint: w.URL, Transport: http.DefaultTransport}, "seed-a", west)
	_, err := r.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lines(w)).To(HaveLen(1))

	_, err = gcp.New("gcp", gcp.Config{Endpoint: "compute.example.com"}, nil, reservation.Home{}, nil)
	g.Expect(err).To(MatchError(`backend gcp: endpoint "compute.example.com" is no URL of the form https://<host>/compute/v1/`))
}
