// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package computefake

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// identity is who may call.
type identity struct {
	keys     map[string]*rsa.PublicKey // by key ID
	tokens   map[string]bool           // false: they were good once
	subjects map[string]bool
	exchange int // how many tokens were given out
	faults   []int
}

// Secret makes a service account with a key, in the form of a Secret of Gardener.
func (s *Server) Secret(project string) map[string][]byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	id := rand.Text()
	s.set(func() { s.identity.keys[id] = &key.PublicKey })
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": project, "client_email": "ipam@" + project + ".iam.gserviceaccount.com", "private_key_id": id,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		panic(err)
	}
	return map[string][]byte{"serviceaccount.json": text}
}

// WorkloadIdentity makes a secret whose token is exchanged.
func (s *Server) WorkloadIdentity(impersonate bool) map[string][]byte {
	config := map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
		"credential_source": map[string]any{"file": "/proc/self/environ"}, // never to be read
	}
	if impersonate {
		config["service_account_impersonation_url"] = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/ipam@p.iam.gserviceaccount.com:generateAccessToken"
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return map[string][]byte{"credentialsConfig": text, "projectID": []byte("p"), "token": []byte(s.NewSubjectToken())}
}

// NewSubjectToken is a token that can be exchanged; all earlier ones can't any more.
func (s *Server) NewSubjectToken() string {
	token := "eyJhbGciOiJSUzI1NiJ9." + rand.Text()
	s.set(func() { s.identity.subjects = map[string]bool{token: true} })
	return token
}

// RevokeKeys lets no key be good for a token any more, and no token for a call.
func (s *Server) RevokeKeys() {
	s.set(func() { s.identity.keys = map[string]*rsa.PublicKey{} })
	s.ExpireTokens()
}

// ExpireTokens lets no token be good any more.
func (s *Server) ExpireTokens() {
	s.set(func() {
		for token := range s.identity.tokens {
			s.identity.tokens[token] = false
		}
	})
}

// Exchanges is how many tokens were given out.
func (s *Server) Exchanges() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity.exchange
}

// FailTokens lets the next exchanges be answered with these HTTP statuses; 0 ends the connection.
func (s *Server) FailTokens(statuses ...int) {
	s.set(func() { s.identity.faults = append(s.identity.faults, statuses...) })
}

// Tokens that were given out.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for token := range s.identity.tokens {
		all = append(all, token)
	}
	return all
}

func (s *Server) issue() string {
	token := "ya29.c." + rand.Text()
	s.identity.tokens[token] = true
	s.identity.exchange++
	return token
}

// serveIdentity answers a request to one of the token endpoints.
func (s *Server) serveIdentity(w http.ResponseWriter, request *http.Request, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := request.URL.Path
	impersonation := strings.HasSuffix(path, ":generateAccessToken")
	if path != "/token" && path != "/v1/token" && !impersonation {
		return false
	}
	if len(s.identity.faults) > 0 {
		status := s.identity.faults[0]
		s.identity.faults = s.identity.faults[1:]
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":"server_error","error_description":%q}`, body) // it repeats what it was sent
		return true
	}
	form, err := url.ParseQuery(string(body))
	good := err == nil
	switch {
	case impersonation:
		good = s.identity.tokens[strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")]
	case path == "/v1/token":
		good = good && form.Get("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange" && s.identity.subjects[form.Get("subject_token")]
	default:
		good = good && form.Get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer" && s.verify(form.Get("assertion"), "https://"+request.Host+path)
	}
	w.Header().Set("Content-Type", "application/json")
	if !good {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q}`, body)
		return true
	}
	answer := map[string]any{
		"access_token": s.issue(), "token_type": "Bearer", "expires_in": 3600, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	}
	if impersonation {
		answer = map[string]any{"accessToken": answer["access_token"], "expireTime": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
	}
	_ = json.NewEncoder(w).Encode(answer)
	return true
}

// verify a signed assertion of RFC 7523.
func (s *Server) verify(assertion, audience string) bool {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return false
	}
	var (
		header struct{ Alg, Kid string }
		claims struct {
			Aud, Scope string
			Exp        int64
		}
	)
	for i, into := range []any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return false
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	key := s.identity.keys[header.Kid]
	if err != nil || key == nil || header.Alg != "RS256" || claims.Exp < time.Now().Unix() || !strings.Contains(claims.Scope, "/auth/compute") {
		return false
	}
	if claims.Aud != audience && claims.Aud != strings.Replace(audience, "https://", "http://", 1) {
		return false
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
}
