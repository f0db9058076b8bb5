// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/aws"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/ec2fake"
)

const role = "arn:aws:iam::123456789012:role/ipam"

func webIdentity(token string) map[string][]byte {
	return map[string][]byte{"token": []byte(token), "roleARN": []byte(role), "config": []byte(`{"roleARN":"ignored"}`)}
}

// Keys that are rotated between two calls are used from the next call on; the old ones may be gone.
func TestF14KeysAreRotated(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.AddKey("AKIANEW", "another+secret")
	s.RemoveKey(accessKeyID)
	s.secret = func() map[string][]byte { return staticSecret("AKIANEW", "another+secret") }
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
}

// They may be rotated between reading them and calling: a refusal makes them be read once more, and only once.
func TestF14KeysAreRotatedInTheMiddle(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.AddKey("AKIANEW", "another+secret")
	s.RemoveKey(accessKeyID)
	reads := 0
	s.secret = func() map[string][]byte {
		if reads++; reads == 1 {
			return staticSecret(accessKeyID, secretAccessKey)
		}
		return staticSecret("AKIANEW", "another+secret")
	}
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.expectOne(g)
}

func TestF14TokenOfTheWorkloadIdentity(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Trust("token-1", role)
	s.secret = func() map[string][]byte { return webIdentity("token-1\n") }
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.expectOne(g)
	g.Expect(s.Calls("AssumeRoleWithWebIdentity")).To(Equal(1), "one session for all calls")

	s.ExpireSessions()
	g.Expect(s.protocol.Reserver.Lookup(t.Context(), reservetest.Owner(1))).To(HaveLen(1))
	g.Expect(s.Calls("AssumeRoleWithWebIdentity")).To(Equal(2), "a session that has ended is opened anew")

	s.Trust("token-1", "")
	s.Trust("token-2", role)
	s.secret = func() map[string][]byte { return webIdentity("token-2") }
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.Calls("AssumeRoleWithWebIdentity")).To(Equal(3), "another token is another session")
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
}

func TestRoleOfTheIdentitysConfiguration(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Trust("token-1", role)
	s.secret = func() map[string][]byte {
		return map[string][]byte{"token": []byte("token-1"), "config": []byte(`{"apiVersion":"aws.provider.extensions.gardener.cloud/v1alpha1","kind":"WorkloadIdentityConfig","roleARN":"` + role + `"}`)}
	}
	g.Expect(s.ensure(t, request(64))).To(Succeed())
}

// Whatever is wrong with the credentials, the message says it and contains none of them.
func TestRefusedCredentials(t *testing.T) {
	const session = "session-token-of-somebody"
	for name, c := range map[string]struct {
		secret map[string][]byte
		setUp  func(*account)
		says   string
		kind   reservation.Kind
	}{
		"none": {
			secret: map[string][]byte{},
			says:   "the secret has no credentials for AWS; want the keys accessKeyID and secretAccessKey, or token and roleARN",
		},
		"no role": {
			secret: map[string][]byte{"token": []byte("token-1")},
			says:   "the secret has a token of a workload identity, but no roleARN",
		},
		"unknown key": {
			secret: staticSecret("AKIAUNKNOWN", secretAccessKey),
			says:   "AWS says AuthFailure: AWS was not able to validate the provided access credentials ([redacted]); renew the credentials in the Secret",
		},
		"wrong secret": {
			secret: staticSecret(accessKeyID, "wrong+secret"),
			says:   "AWS says AuthFailure: AWS was not able to validate the provided access credentials ([redacted])",
		},
		"no permission": {
			secret: staticSecret("AKIAPOOR", "poor+secret"),
			setUp:  func(a *account) { a.AddKey("AKIAPOOR", "poor+secret", "GetIpamPoolAllocations") },
			says:   "is not authorized to perform: ec2:GetIpamPoolAllocations because no identity-based policy allows it; grant the permissions of docs/ipam/aws.md",
		},
		"unknown token": {
			secret: webIdentity("token-unknown"),
			says:   "AWS says InvalidIdentityToken: The web identity token [redacted] could not be validated",
		},
		"expired token": {
			secret: webIdentity("token-old"),
			setUp:  func(a *account) { a.Trust("token-old", "") },
			says:   "AWS says ExpiredTokenException: Token expired: [redacted]",
		},
		"another role": {
			secret: webIdentity("token-other"),
			setUp:  func(a *account) { a.Trust("token-other", role+"2") },
			says:   "AWS says AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity",
		},
		"a signature's mismatch, which quotes the request": {
			secret: staticSecret(accessKeyID, secretAccessKey),
			setUp: func(a *account) {
				for range 2 {
					a.Inject(ec2fake.Fault{Status: 403, Code: "SignatureDoesNotMatch", Message: "The Canonical String should have been POST / x-amz-security-token:" + session})
				}
			},
			says: "AWS says SignatureDoesNotMatch: the request's signature is not that of the access key; check secretAccessKey",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, s := NewWithT(t), newShoot(t)
			if c.setUp != nil {
				c.setUp(s.account)
			}
			s.secret = func() map[string][]byte { return c.secret }
			err := s.ensure(t, request(64))
			g.Expect(err).To(MatchError(ContainSubstring(c.says)))
			g.Expect(reservation.KindOf(err)).To(Equal(reservation.Unauthorized))
			expectNoLeak(g, err, c.secret, session, "qwertyuiop")
			g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
		})
	}
}

// expectNoLeak looks for credentials in an error and in everything that it wraps.
func expectNoLeak(g Gomega, err error, secret map[string][]byte, more ...string) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		for key, value := range secret {
			if key != "roleARN" && key != "config" {
				g.Expect(strings.Contains(e.Error(), strings.TrimSpace(string(value)))).To(BeFalse(), "%s in %q", key, e)
			}
		}
		for _, m := range more {
			g.Expect(e.Error()).NotTo(ContainSubstring(m))
		}
	}
}

// Errors of every kind, from every method, are free of credentials.
func TestNoErrorContainsACredential(t *testing.T) {
	for _, message := range []string{"", "your key " + accessKeyID + " and its secret " + secretAccessKey + " are known to us"} {
		for _, code := range []string{"AuthFailure", "UnauthorizedOperation", "InvalidParameterValue", "InternalError", "ResourceLimitExceeded", "Whatever"} {
			a := newAccount(t)
			r := a.reserver(t, garden)
			held := reservation.Allocation{Owner: reservetest.Owner(1), ID: a.pool + "/ipam-pool-alloc-1", Prefix: netip.MustParsePrefix("2600:1f00::/64")}
			for name, do := range map[string]func() error{
				"Lookup":   func() error { _, err := r.Lookup(t.Context(), held.Owner); return err },
				"List":     func() error { _, err := r.List(t.Context(), "garden-a"); return err },
				"Allocate": func() error { _, err := r.Allocate(t.Context(), held.Owner, request(64)); return err },
				"Claim":    func() error { return r.Claim(t.Context(), held) },
				"Release":  func() error { return r.Release(t.Context(), held) },
				"Usage":    func() error { _, err := r.Usage(t.Context()); return err },
			} {
				g := NewWithT(t)
				for range 2 * attempts {
					a.Inject(ec2fake.Fault{Status: 400, Code: code, Message: message})
				}
				err := do()
				g.Expect(err).To(HaveOccurred(), name)
				expectNoLeak(g, err, a.secret())
				a.Forget()
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	g := NewWithT(t)
	a := newAccount(t)
	config := a.config()
	config.Endpoint = "http://127.0.0.1:1"
	r, err := aws.New("vpc-ipam", config, []reservation.Pool{poolOf("main", a.pool)}, garden, func(context.Context) (map[string][]byte, error) { return a.secret(), nil })
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.Lookup(t.Context(), reservetest.Owner(1))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError(ContainSubstring("no answer from AWS: dial tcp 127.0.0.1:1: connect: connection refused")))
	expectNoLeak(g, err, a.secret())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.reserver(t, garden).Allocate(ended, reservetest.Owner(1), request(64))
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Ambiguous))
}

// If the secret cannot be read no call is made.
func TestSecretCannotBeRead(t *testing.T) {
	g, a := NewWithT(t), newAccount(t)
	r, err := aws.New("vpc-ipam", a.config(), []reservation.Pool{poolOf("main", a.pool)}, garden,
		func(context.Context) (map[string][]byte, error) { return nil, errors.New("the API server is away") })
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).To(MatchError("reading the credentials of backend vpc-ipam: the API server is away"))
	g.Expect(a.Calls("AllocateIpamPoolCidr")).To(BeZero())
}
