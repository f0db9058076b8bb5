// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// The keys of Gardener's secrets for AWS. A workload identity has a token that rotates and the role it stands for; Gardener's
// provider copies the role out of the identity's configuration.
const (
	keyAccessKeyID     = "accessKeyID"
	keySecretAccessKey = "secretAccessKey"
	keyToken           = "token"
	keyRoleARN         = "roleARN"
	keyConfig          = "config"
)

const (
	sessionName = "gardener-extension-networking-ipv6"
	maxAttempts = 4
	// callTimeout of each attempt. A page of a thousand allocations takes a second or two; who waits keeps others waiting.
	callTimeout = 15 * time.Second
)

// session keeps the client that was made from certain credentials.
type session struct {
	mu     sync.Mutex
	secret map[string][]byte
	client *ec2.Client
	redact *strings.Replacer
}

// open returns a client for the credentials as they are now. It is the same as before only while they are; fresh makes a new
// one all the same, for example because the session of a role was revoked. changed tells whether it is another one than before.
func (r *Reserver) open(ctx context.Context, fresh bool) (client *ec2.Client, redact *strings.Replacer, changed bool, err error) {
	secret, err := r.credentials(ctx)
	if err != nil {
		return nil, nil, false, fmt.Errorf("reading the credentials of backend %s: %w", r.name, err)
	}
	relevant := map[string][]byte{}
	for _, key := range []string{keyAccessKeyID, keySecretAccessKey, keyToken, keyRoleARN, keyConfig} {
		if value := bytes.TrimSpace(secret[key]); len(value) > 0 {
			relevant[key] = bytes.Clone(value)
		}
	}
	s := &r.opened
	s.mu.Lock()
	defer s.mu.Unlock()
	equal := s.client != nil && maps.EqualFunc(s.secret, relevant, bytes.Equal)
	if equal && !fresh {
		return s.client, s.redact, false, nil
	}
	provider, err := r.provider(relevant)
	if err != nil {
		return nil, nil, false, err
	}
	_, web := relevant[keyToken]
	s.secret, s.redact = relevant, redactor(relevant)
	s.client = ec2.New(ec2.Options{
		Region: r.config.Region, Credentials: provider, BaseEndpoint: optional(r.config.Endpoint),
		HTTPClient: r.httpClient(), Retryer: r.retryer(),
	})
	return s.client, s.redact, !equal || web, nil
}

// provider turns a secret into credentials.
func (r *Reserver) provider(secret map[string][]byte) (aws.CredentialsProvider, error) {
	id, key, token := string(secret[keyAccessKeyID]), string(secret[keySecretAccessKey]), secret[keyToken]
	if len(token) == 0 {
		if id == "" || key == "" {
			return nil, reservation.Errorf(reservation.Unauthorized,
				"the secret has no credentials for AWS; want the keys %s and %s, or %s and %s", keyAccessKeyID, keySecretAccessKey, keyToken, keyRoleARN)
		}
		return credentials.NewStaticCredentialsProvider(id, key, ""), nil
	}
	role := roleOf(secret)
	if role == "" {
		return nil, reservation.Errorf(reservation.Unauthorized,
			"the secret has a %s of a workload identity, but no %s; want for example arn:aws:iam::<account>:role/<name>", keyToken, keyRoleARN)
	}
	client := sts.New(sts.Options{
		Region: r.config.Region, BaseEndpoint: optional(r.config.TokenEndpoint), Credentials: aws.AnonymousCredentials{},
		HTTPClient: r.httpClient(), Retryer: r.retryer(),
	})
	return aws.NewCredentialsCache(
		stscreds.NewWebIdentityRoleProvider(client, role, identityToken(token), func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = sessionName
		}),
		func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = time.Minute },
	), nil
}

// roleOf a workload identity: the key that Gardener's provider adds, else what the identity's configuration says.
func roleOf(secret map[string][]byte) string {
	if role := string(secret[keyRoleARN]); role != "" {
		return role
	}
	var config struct {
		RoleARN string `json:"roleARN"`
	}
	if json.Unmarshal(secret[keyConfig], &config) != nil {
		return ""
	}
	return config.RoleARN
}

// identityToken is a token as the SDK wants it.
type identityToken []byte

// GetIdentityToken returns the token.
func (t identityToken) GetIdentityToken() ([]byte, error) { return t, nil }

func (r *Reserver) httpClient() *http.Client {
	return &http.Client{
		Transport: r.config.Transport, Timeout: callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a signature is for one host
	}
}

// retryer repeats what was throttled, what a server could not answer and what got lost on the way. All our calls bear that: they
// read, or say themselves what they are about, by a client token or by the ID of an allocation.
func (r *Reserver) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = maxAttempts, r.config.MaxBackoff
	})
}

// redactor removes what must not be read in messages.
func redactor(secret map[string][]byte) *strings.Replacer {
	var pairs []string
	for _, key := range []string{keyAccessKeyID, keySecretAccessKey, keyToken} {
		if value := string(secret[key]); value != "" {
			pairs = append(pairs, value, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// call does one thing with EC2. If the credentials are refused they are read once more: they may have been rotated just now.
func (r *Reserver) call(ctx context.Context, how effect, what string, do func(context.Context, *ec2.Client) error) error {
	client, redact, _, err := r.open(ctx, false)
	if err != nil {
		return err
	}
	err = classify(do(ctx, client), how, what, redact)
	if reservation.KindOf(err) != reservation.Unauthorized {
		return err
	}
	client, redact, changed, again := r.open(ctx, true)
	if again != nil {
		return again
	}
	if !changed {
		return err
	}
	return classify(do(ctx, client), how, what, redact)
}
