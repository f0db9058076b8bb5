// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// callTimeout is how long one request may take. Neutron answers a creation only when all its drivers have done their part.
const callTimeout = time.Minute

// account logs in with credentials that may change at any time.
type account struct {
	config      Config
	credentials reservation.Credentials

	turn    chan struct{}     // full while somebody uses what follows: a lock that one can give up waiting for
	digest  [sha256.Size]byte // of the credentials of session
	session *session          // nil: log in
}

func newAccount(config Config, credentials reservation.Credentials) *account {
	return &account{config: config, credentials: credentials, turn: make(chan struct{}, 1)}
}

func (a *account) lock(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return reservation.Errorf(reservation.Retry, "waiting for a login to OpenStack: %w", ctx.Err())
	}
}

func (a *account) unlock() { <-a.turn }

// session is what one login gave.
type session struct {
	network *gophercloud.ServiceClient
	// project that the token is for: everything that is ours lies in it.
	project string
	// admin sees the subnets of all projects.
	admin bool
	// secrets must not appear in an error.
	secrets []string
}

// open reads the credentials and returns the session that they gave before if they are still the same, else logs in.
func (a *account) open(ctx context.Context) (*session, error) {
	secret, err := a.credentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials of OpenStack: %w", err)
	}
	digest := digestOf(secret)
	if err := a.lock(ctx); err != nil {
		return nil, err
	}
	defer a.unlock()
	if a.session != nil && a.digest == digest {
		return a.session, nil
	}
	s, err := a.login(ctx, secret)
	if err != nil {
		return nil, err
	}
	if a.session != nil {
		a.session.network.HTTPClient.CloseIdleConnections()
	}
	a.session, a.digest = s, digest
	return s, nil
}

// forget a session whose token the service has refused.
func (a *account) forget(ctx context.Context, s *session) {
	if a.lock(ctx) != nil {
		return // the next call finds out for itself
	}
	defer a.unlock()
	if a.session == s {
		a.session = nil
	}
	s.network.HTTPClient.CloseIdleConnections()
}

func digestOf(secret map[string][]byte) [sha256.Size]byte {
	var all strings.Builder
	for _, key := range sortedKeys(secret) {
		fmt.Fprintf(&all, "%q=%q\n", key, secret[key])
	}
	return sha256.Sum256([]byte(all.String()))
}

func sortedKeys(secret map[string][]byte) []string {
	keys := make([]string, 0, len(secret))
	for key := range secret {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (a *account) login(ctx context.Context, secret map[string][]byte) (*session, error) {
	get := func(key string) string { return strings.TrimSpace(string(secret[key])) }
	options, err := authOptions(get)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(get("caCert"), get("insecure") == "true")
	if err != nil {
		return nil, err
	}
	s := &session{secrets: []string{get("password"), get("applicationCredentialSecret")}}
	fail := func(err error) error {
		return refusal{what: "logging in to Keystone", repeatable: true, login: true, secrets: s.secrets}.explain(err)
	}
	provider, err := openstack.NewClient(options.IdentityEndpoint)
	if err != nil {
		return nil, reservation.Errorf(reservation.Invalid, "the credentials' authURL is not a URL")
	}
	// A redirect is not followed: it would take the token to another place.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	provider.HTTPClient = http.Client{Transport: transport, Timeout: callTimeout, CheckRedirect: stay}
	provider.UserAgent.Prepend("gardener-extension-networking-ipv6")
	if err := openstack.Authenticate(ctx, provider, options); err != nil {
		return nil, fail(err)
	}
	s.secrets = append(s.secrets, provider.Token())
	if err := s.readToken(provider); err != nil {
		return nil, err
	}
	s.network, err = a.networkService(provider, get("region"))
	return s, err
}

// authOptions are the login of the secret: with an application credential if it has one, else with a password.
func authOptions(get func(string) string) (gophercloud.AuthOptions, error) {
	options := gophercloud.AuthOptions{IdentityEndpoint: get("authURL"), DomainName: get("domainName")}
	missing := func(what string) (gophercloud.AuthOptions, error) {
		return options, reservation.Errorf(reservation.Invalid, "the credentials of OpenStack lack %s", what)
	}
	id, name := get("applicationCredentialID"), get("applicationCredentialName")
	switch {
	case options.IdentityEndpoint == "":
		return missing("authURL")
	case get("applicationCredentialSecret") != "" && id != "":
		// The credential knows its project; anything else beside it is an error for Keystone.
		options.DomainName, options.ApplicationCredentialID, options.ApplicationCredentialSecret = "", id, get("applicationCredentialSecret")
	case get("applicationCredentialSecret") != "":
		options.ApplicationCredentialName, options.Username = name, get("username")
		options.ApplicationCredentialSecret = get("applicationCredentialSecret")
		if name == "" || options.Username == "" || options.DomainName == "" {
			return missing("applicationCredentialID, or applicationCredentialName with username and domainName")
		}
	default:
		options.Username, options.Password, options.TenantName = get("username"), get("password"), get("tenantName")
		if options.Username == "" || options.Password == "" || options.TenantName == "" || options.DomainName == "" {
			return missing("domainName, tenantName, username and password, or an application credential with its secret")
		}
	}
	return options, nil
}

// readToken learns whose the token is and what it allows.
func (s *session) readToken(provider *gophercloud.ProviderClient) error {
	result, ok := provider.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return reservation.Errorf(reservation.Invalid, "the credentials' authURL leads to an identity service that is not Keystone v3")
	}
	project, err := result.ExtractProject()
	if err != nil || project == nil {
		return reservation.Errorf(reservation.Invalid, "the credentials of OpenStack are not for a project")
	}
	s.project = project.ID
	roles, err := result.ExtractRoles()
	if err != nil {
		return reservation.Errorf(reservation.Retry, "Keystone gave a token without roles")
	}
	s.admin = slices.ContainsFunc(roles, func(r tokens.Role) bool { return r.Name == "admin" })
	return nil
}

func (a *account) networkService(provider *gophercloud.ProviderClient, region string) (*gophercloud.ServiceClient, error) {
	if a.config.Endpoint != "" {
		endpoint := gophercloud.NormalizeURL(a.config.Endpoint)
		return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: endpoint, ResourceBase: endpoint + "v2.0/", Type: "network"}, nil
	}
	if a.config.Region != "" {
		region = a.config.Region
	}
	client, err := openstack.NewNetworkV2(provider, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		return nil, reservation.Errorf(reservation.Invalid, "Keystone's catalogue has no network service in region %q", region)
	}
	return client, nil
}

// newTransport trusts the authorities of the system, and those of the bundle.
func newTransport(bundle string, insecure bool) (http.RoundTripper, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure} // #nosec G402 -- the account's owner chose it
	if bundle != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM([]byte(bundle)) {
			return nil, reservation.Errorf(reservation.Invalid, "the credentials' caCert has no certificate in PEM")
		}
		base.TLSClientConfig.RootCAs = roots
	}
	return &patient{next: base, sleep: sleep}, nil
}

// secondLook is the pause before another login when a token was refused. Keystone dates tokens and revocations by the second:
// a token that was issued in the same second as a revocation is refused although it is new.
const secondLook = time.Second

// call makes one call of the service. If it refuses the token, the credentials are read once more and the call is repeated:
// tokens expire, are revoked, and credentials are replaced. Nothing has happened at the service then.
func (r *Reserver) call(ctx context.Context, c refusal, f func(*session) error) error {
	for attempt := 1; ; attempt++ {
		s, err := r.account.open(ctx)
		if err != nil {
			return err
		}
		err = f(s)
		if err == nil {
			return nil
		}
		c.secrets = s.secrets
		err = c.explain(err)
		var fault *fault
		if !errors.As(err, &fault) || fault.status != http.StatusUnauthorized {
			return err
		}
		r.account.forget(ctx, s)
		if attempt == 2 || sleep(ctx, secondLook) != nil {
			return err
		}
	}
}
