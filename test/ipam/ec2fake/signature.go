// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ec2fake

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	stamp     = "20060102T150405Z"
	skew      = 15 * time.Minute
)

// authorization is the header of a signed request.
type authorization struct {
	key, date, region, service string
	headers                    []string
	signature                  string
}

func parseAuthorization(header string) (a authorization, ok bool) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return a, false
	}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope := strings.Split(value, "/")
			if len(scope) != 5 || scope[4] != "aws4_request" {
				return a, false
			}
			a.key, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
		case "SignedHeaders":
			a.headers = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	return a, a.key != "" && a.signature != ""
}

// authenticate computes the signature anew.
func (s *Server) authenticate(r *http.Request, body []byte) (*key, *problem) {
	a, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok {
		return nil, &problem{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	}
	// EC2 does not say what is wrong; that it quotes the key is the fake's malice.
	refused := &problem{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials (" + a.key + ")"}
	k, known := s.keys[a.key]
	if !known {
		return nil, refused
	}
	if a.service != "ec2" || a.region != Region {
		return nil, &problem{http.StatusUnauthorized, "AuthFailure", "Credential should be scoped to a valid region and service, not " + a.region + "/" + a.service}
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(stamp, date)
	if err != nil || !strings.HasPrefix(date, a.date) || now().Sub(at).Abs() > skew {
		return nil, badRequest("RequestExpired", "Request has expired.")
	}
	if subtle.ConstantTimeCompare([]byte(k.sign(r, body, a)), []byte(a.signature)) != 1 {
		return nil, refused
	}
	switch {
	case k.session != r.Header.Get("X-Amz-Security-Token"):
		return nil, refused
	case k.expired:
		return nil, badRequest("ExpiredToken", "The security token included in the request is expired")
	}
	return k, nil
}

// sign is Signature Version 4, as the IAM User Guide describes it.
func (k *key) sign(r *http.Request, body []byte, a authorization) string {
	var headers strings.Builder
	for _, name := range a.headers {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get("Content-Length")
			if value == "" {
				value = itoa(len(body))
			}
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := strings.Join([]string{
		r.Method, path, r.URL.Query().Encode(), headers.String(), strings.Join(a.headers, ";"), hash(body),
	}, "\n")
	scope := strings.Join([]string{a.date, a.region, a.service, "aws4_request"}, "/")
	text := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), scope, hash([]byte(canonical))}, "\n")
	signing := []byte("AWS4" + k.secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request"} {
		signing = mac(signing, part)
	}
	return hex.EncodeToString(mac(signing, text))
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// assumeRole opens a session for a web identity.
func (s *Server) assumeRole(form url.Values) (any, *problem) {
	token := form.Get("WebIdentityToken")
	role, known := s.tokens[token]
	switch {
	case !known:
		return nil, badRequest("InvalidIdentityToken", "The web identity token %s could not be validated", token) // malice again
	case role == "":
		return nil, badRequest("ExpiredTokenException", "Token expired: %s", token)
	case role != form.Get("RoleArn"):
		return nil, &problem{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	id := strings.ToUpper(s.id("ASIAFAKE"))
	k := &key{secret: s.id("session-secret-"), session: s.id("session-token-")}
	s.keys[id] = k
	type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string } //nolint:revive // AWS's spelling
	return struct {
		XMLName     xml.Name    `xml:"AssumeRoleWithWebIdentityResponse"`
		Credentials credentials `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}{Credentials: credentials{id, k.secret, k.session, now().Add(time.Hour).Format(time.RFC3339)}}, nil
}
