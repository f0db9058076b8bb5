// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
	"golang.org/x/oauth2/jwt"
	"google.golang.org/api/compute/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Keys of the secret, as the provider extension for GCP has them.
const (
	keyServiceAccount = "serviceaccount.json"
	keyConfig         = "credentialsConfig" // workload identity, without a secret in it
	keyToken          = "token"             // workload identity: what is exchanged for an access token
)

// trustedHosts are the origins that credentials are sent to. The secret comes from the shoot's owner, and so do the URLs in it: none but
// Google's own are called.
var trustedHosts = []string{
	"https://oauth2.googleapis.com", "https://accounts.google.com", "https://www.googleapis.com",
	"https://sts.googleapis.com", "https://iamcredentials.googleapis.com",
}

// account is what a secret says.
type account struct {
	Type           string `json:"type"`
	UniverseDomain string `json:"universe_domain"`
	// service_account
	Email        string `json:"client_email"`
	PrivateKey   string `json:"private_key"`
	PrivateKeyID string `json:"private_key_id"`
	TokenURI     string `json:"token_uri"`
	// external_account. What it says of a credential_source is never read: that could name any file of ours.
	Audience         string `json:"audience"`
	SubjectTokenType string `json:"subject_token_type"`
	TokenURL         string `json:"token_url"`
	ImpersonationURL string `json:"service_account_impersonation_url"`

	subject string // the token
	raw     []byte
}

var impersonation = regexp.MustCompile(`^/v1/projects/-/serviceAccounts/[^/]+:generateAccessToken$`)

// parseAccount reads a secret; errors name fields, never what is in them.
func parseAccount(secret map[string][]byte, trusted []string) (account, error) {
	var a account
	refuse := func(format string, args ...any) (account, error) {
		return account{}, reservation.Errorf(reservation.Unauthorized, "the credentials: "+format, args...)
	}
	key := keyServiceAccount
	if len(secret[key]) == 0 {
		key = keyConfig
	}
	a.raw = secret[key]
	if len(a.raw) == 0 {
		return refuse("the secret has neither the key %q nor %q", keyServiceAccount, keyConfig)
	}
	if err := json.Unmarshal(a.raw, &a); err != nil {
		return refuse("%s is no JSON of an account", key) // the error would repeat parts of it
	}
	if a.UniverseDomain != "" && a.UniverseDomain != "googleapis.com" {
		return refuse("%s: universe_domain must be googleapis.com", key)
	}
	switch a.Type {
	case "service_account":
		if a.Email == "" || a.PrivateKey == "" {
			return refuse("%s: client_email and private_key are required", key)
		}
		if a.TokenURI == "" {
			a.TokenURI = "https://oauth2.googleapis.com/token" //nolint:gosec // a URL
		}
		if !slices.Contains(trusted, origin(a.TokenURI)) {
			return refuse("%s: token_uri must be https://oauth2.googleapis.com/token", key)
		}
	case "external_account":
		a.subject = strings.TrimSpace(string(secret[keyToken]))
		switch u, err := url.Parse(a.ImpersonationURL); {
		case a.subject == "":
			return refuse("the secret has no key %q", keyToken)
		case a.Audience == "" || a.SubjectTokenType == "":
			return refuse("%s: audience and subject_token_type are required", key)
		case !slices.Contains(trusted, origin(a.TokenURL)):
			return refuse("%s: token_url must be https://sts.googleapis.com/v1/token", key)
		case a.ImpersonationURL != "" && (err != nil || !slices.Contains(trusted, origin(a.ImpersonationURL)) || !impersonation.MatchString(u.Path)):
			return refuse("%s: service_account_impersonation_url must be "+
				"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/<email>:generateAccessToken", key)
		}
	default:
		return refuse("%s: type must be service_account or external_account", key)
	}
	return a, nil
}

// origin is scheme and host of a URL, empty if it has any.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (a account) fingerprint() string {
	return fmt.Sprintf("%x", sha256.Sum256(append(slices.Clone(a.raw), a.subject...)))
}

// secrets are the parts of the credentials that must not be seen.
func (a account) secrets() []string {
	secrets := []string{a.PrivateKey, a.subject}
	for line := range strings.Lines(a.PrivateKey) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			secrets = append(secrets, line)
		}
	}
	return secrets
}

// SubjectToken implements externalaccount.SubjectTokenSupplier.
func (a account) SubjectToken(context.Context, externalaccount.SupplierOptions) (string, error) {
	return a.subject, nil
}

// exchange gets an access token.
func (a account) exchange(ctx context.Context, base http.RoundTripper) (*oauth2.Token, error) {
	witness := &witness{base: base}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: witness, CheckRedirect: noRedirect})
	source, err := a.source(ctx)
	if err != nil { // it says which field, but may quote it
		return nil, reservation.Errorf(reservation.Unauthorized, "the credentials: they are not of a form that can be used")
	}
	token, err := source.Token()
	switch {
	case err == nil && token.AccessToken != "":
		return token, nil
	case witness.status == 0 && ctx.Err() != nil:
		return nil, reservation.Errorf(reservation.Retry, "getting an access token: %w", ctx.Err())
	case witness.status == 0 && witness.called:
		return nil, reservation.Errorf(reservation.Retry, "getting an access token: no answer from %s", witness.host)
	case witness.status == 0:
		return nil, reservation.Errorf(reservation.Unauthorized, "the credentials: private_key is no key")
	case witness.status >= http.StatusInternalServerError || witness.status == http.StatusTooManyRequests || witness.status < http.StatusBadRequest:
		return nil, reservation.Errorf(reservation.Retry, "getting an access token: %s answered HTTP %d", witness.host, witness.status)
	}
	return nil, reservation.Errorf(reservation.Unauthorized, "the credentials: %s refused them with HTTP %d%s; renew the secret",
		witness.host, witness.status, witness.code)
}

func (a account) source(ctx context.Context) (oauth2.TokenSource, error) {
	scopes := []string{compute.ComputeScope}
	if a.Type == "service_account" {
		c := jwt.Config{Email: a.Email, PrivateKey: []byte(a.PrivateKey), PrivateKeyID: a.PrivateKeyID, Scopes: scopes, TokenURL: a.TokenURI}
		return c.TokenSource(ctx), nil
	}
	if a.ImpersonationURL != "" {
		scopes = []string{compute.CloudPlatformScope} // else the first token may not ask for the second
	}
	return externalaccount.NewTokenSource(ctx, externalaccount.Config{
		Audience: a.Audience, SubjectTokenType: a.SubjectTokenType, TokenURL: a.TokenURL, Scopes: scopes,
		ServiceAccountImpersonationURL: a.ImpersonationURL, SubjectTokenSupplier: a,
	})
}

// witness remembers what the latest answer was: of the libraries' errors some hold the whole of it, and some only that.
type witness struct {
	base   http.RoundTripper
	called bool
	host   string
	status int
	code   string // " (invalid_grant)"
}

var errorCode = regexp.MustCompile(`"(?:error|status)"\s*:\s*"([A-Za-z_]{3,40})"`)

func (w *witness) RoundTrip(request *http.Request) (*http.Response, error) {
	w.called, w.host, w.status, w.code = true, request.URL.Host, 0, ""
	response, err := w.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	w.status = response.StatusCode
	if w.status < http.StatusBadRequest {
		return response, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	if found := errorCode.FindSubmatch(body); found != nil {
		w.code = fmt.Sprintf(" (%s)", found[1])
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
