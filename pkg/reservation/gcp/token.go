// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// authorized puts a token on every request. It reads the credentials for each; a token is kept as long as they are the same, byte
// by byte, and it has some life left. If the service refuses a token, both are read and fetched anew, once.
type authorized struct {
	base        http.RoundTripper
	credentials reservation.Credentials
	// trusted are the origins that a key or a token may be sent to.
	trusted []string

	mu    sync.Mutex
	key   string
	token *oauth2.Token
}

// margin is the life that a token must have left to be used.
const margin = time.Minute

// RoundTrip implements http.RoundTripper. A request that was refused for its token was not acted upon, so sending it again is safe,
// whatever it asks.
func (a *authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.send(request)
	if err != nil || response.StatusCode != http.StatusUnauthorized || request.GetBody == nil && request.Body != nil {
		return response, err
	}
	drain(response)
	a.forget()
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return nil, err
		}
	}
	return a.send(again)
}

func (a *authorized) send(request *http.Request) (*http.Response, error) {
	account, token, err := a.fetch(request.Context())
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	authorized := request.Clone(request.Context())
	authorized.Header.Set("Authorization", "Bearer "+token.AccessToken)
	response, err := a.base.RoundTrip(authorized)
	secrets := append(account.secrets(), token.AccessToken)
	if err != nil {
		return nil, redactError(err, secrets)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return redactBody(response, secrets), nil
	}
	return response, nil
}

// fetch returns the account of the present credentials and a token for it.
func (a *authorized) fetch(ctx context.Context) (account, *oauth2.Token, error) {
	if a.credentials == nil {
		return account{}, nil, reservation.Errorf(reservation.Unauthorized, "there are no credentials")
	}
	secret, err := a.credentials(ctx)
	if err != nil {
		return account{}, nil, reservation.Errorf(reservation.KindOf(err), "reading the credentials: %w", err)
	}
	account, err := parseAccount(secret, a.trusted)
	if err != nil {
		return account, nil, err
	}
	key := account.fingerprint()
	a.mu.Lock()
	kept := a.token
	if a.key != key || kept != nil && !kept.Expiry.IsZero() && time.Until(kept.Expiry) < margin {
		kept = nil
	}
	a.mu.Unlock()
	if kept != nil {
		return account, kept, nil
	}
	token, err := account.exchange(ctx, a.base)
	if err != nil {
		return account, nil, err
	}
	a.mu.Lock()
	a.key, a.token = key, token
	a.mu.Unlock()
	return account, token, nil
}

func (a *authorized) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = nil
}

const redacted = "[redacted]"

// bodyLimit is more than the service ever says of an error, in bytes.
const bodyLimit = 64 << 10

func redact(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= 8 {
			text = strings.ReplaceAll(text, secret, redacted)
		}
	}
	return text
}

// redactBody takes out what an error answer repeats of the credentials.
func redactBody(response *http.Response, secrets []string) *http.Response {
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	_ = response.Body.Close()
	if err != nil {
		body = nil // the status says enough
	}
	clean := redact(string(body), secrets)
	response.Body = io.NopCloser(bytes.NewBufferString(clean))
	response.ContentLength = int64(len(clean))
	response.Header.Del("Content-Length")
	return response
}

// redactError keeps an error as it is if it tells nothing.
func redactError(err error, secrets []string) error {
	if text := err.Error(); redact(text, secrets) != text {
		return reservation.Errorf(reservation.Ambiguous, "%s", redact(text, secrets))
	}
	return err
}

func drain(response *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, bodyLimit))
	_ = response.Body.Close()
}
