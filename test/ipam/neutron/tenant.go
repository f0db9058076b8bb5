// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package neutron

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/subnetpools"
)

const domain = "Default"

// admin is the cloud's administrator.
type admin struct {
	identity, network *gophercloud.ServiceClient
	member            string // ID of the role
}

func newAdmin(ctx context.Context, c *Cloud) (*admin, error) {
	provider, err := c.loginAdmin(ctx)
	if err != nil {
		return nil, fmt.Errorf("logging in as the administrator: %w", err)
	}
	a := &admin{}
	if a.identity, err = openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{}); err != nil {
		return nil, err
	}
	if a.network, err = openstack.NewNetworkV2(provider, gophercloud.EndpointOpts{Region: Region}); err != nil {
		return nil, err
	}
	pages, err := roles.List(a.identity, roles.ListOpts{Name: "member"}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	found, err := roles.ExtractRoles(pages)
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("%d roles are called member (%w)", len(found), err)
	}
	a.member = found[0].ID
	return a, nil
}

func (c *Cloud) loginAdmin(ctx context.Context) (*gophercloud.ProviderClient, error) {
	return login(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: c.AuthURL, Username: "admin", Password: "admin", DomainName: domain, TenantName: "admin",
	})
}

func login(ctx context.Context, options gophercloud.AuthOptions) (*gophercloud.ProviderClient, error) {
	options.AllowReauth = true
	return openstack.AuthenticatedClient(ctx, options)
}

// Admin is a client of Neutron for the cloud's administrator, who sees everything.
func (c *Cloud) Admin() *gophercloud.ServiceClient { return c.admin.network }

// AdminSecret is what the administrator's credentials look like in a Secret.
func (c *Cloud) AdminSecret() map[string][]byte {
	return (&Tenant{cloud: c, Name: "admin", User: "admin", Password: "admin"}).Secret()
}

// Tenant is a project with one user, a mere member.
type Tenant struct {
	ID, Name, User, Password string
	// Network is a client of Neutron for the user.
	Network *gophercloud.ServiceClient

	cloud            *Cloud
	userID           string
	identity         *gophercloud.ServiceClient
	applicationCount int
}

// NewTenant makes a project and its user.
func (c *Cloud) NewTenant(t testing.TB) *Tenant {
	t.Helper()
	name := "shoot-" + rand.Text()[:8]
	tenant := &Tenant{cloud: c, Name: name, User: name, Password: "pw-" + rand.Text()}
	project, err := projects.Create(t.Context(), c.admin.identity, projects.CreateOpts{Name: name, DomainID: "default"}).Extract()
	must(t, err)
	user, err := users.Create(t.Context(), c.admin.identity, users.CreateOpts{Name: name, DomainID: "default", Password: tenant.Password}).Extract()
	must(t, err)
	must(t, roles.Assign(t.Context(), c.admin.identity, c.admin.member, roles.AssignOpts{UserID: user.ID, ProjectID: project.ID}).ExtractErr())
	tenant.ID, tenant.userID = project.ID, user.ID
	tenant.login(t)
	return tenant
}

// login makes clients with the user's present password. Keystone dates by the second: a token from the same second in which
// the password was changed is void, so this goes on until one is good.
func (t *Tenant) login(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), readyTimeout)
	defer cancel()
	for {
		provider, err := login(ctx, gophercloud.AuthOptions{
			IdentityEndpoint: t.cloud.AuthURL, Username: t.User, Password: t.Password, DomainName: domain, TenantName: t.Name,
		})
		must(tb, err)
		t.identity, err = openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
		must(tb, err)
		t.Network, err = openstack.NewNetworkV2(provider, gophercloud.EndpointOpts{Region: Region})
		must(tb, err)
		if _, err = applicationcredentials.List(t.identity, t.userID, nil).AllPages(ctx); err == nil {
			return
		}
		must(tb, ctx.Err())
	}
}

// Secret has the user's name and password, in the form that provider openstack of Gardener has them.
func (t *Tenant) Secret() map[string][]byte {
	return map[string][]byte{
		"authURL": []byte(t.cloud.AuthURL), "domainName": []byte(domain), "tenantName": []byte(t.Name),
		"username": []byte(t.User), "password": []byte(t.Password),
	}
}

// ApplicationCredential makes one for the user, allowed to do what the rules say, or everything that he is if there are none.
// Its secret is in the form of that provider: by ID, or by the name.
func (t *Tenant) ApplicationCredential(tb testing.TB, byName bool, rules ...applicationcredentials.AccessRule) (id string, secret map[string][]byte) {
	tb.Helper()
	t.applicationCount++
	name := fmt.Sprintf("gardener-%d", t.applicationCount)
	made, err := applicationcredentials.Create(tb.Context(), t.identity, t.userID, applicationcredentials.CreateOpts{Name: name, AccessRules: rules}).Extract()
	must(tb, err)
	secret = map[string][]byte{
		"authURL": []byte(t.cloud.AuthURL), "domainName": []byte(domain), "tenantName": []byte(t.Name),
		"applicationCredentialSecret": []byte(made.Secret),
	}
	if byName {
		secret["applicationCredentialName"], secret["username"] = []byte(name), []byte(t.User)
	} else {
		secret["applicationCredentialID"] = []byte(made.ID)
	}
	return made.ID, secret
}

// DeleteApplicationCredential ends the validity of it and of all tokens that were got with it.
func (t *Tenant) DeleteApplicationCredential(tb testing.TB, id string) {
	tb.Helper()
	must(tb, applicationcredentials.Delete(tb.Context(), t.identity, t.userID, id).ExtractErr())
	t.cloud.settle(tb)
}

// SetPassword gives the user another password; all his tokens lose their validity.
func (t *Tenant) SetPassword(tb testing.TB, password string) {
	tb.Helper()
	_, err := users.Update(tb.Context(), t.cloud.admin.identity, t.userID, users.UpdateOpts{Password: password}).Extract()
	must(tb, err)
	t.Password = password
	t.cloud.settle(tb)
	t.login(tb)
}

// RevokeToken ends the validity of a token.
func (c *Cloud) RevokeToken(tb testing.TB, token string) {
	tb.Helper()
	must(tb, tokens.Revoke(tb.Context(), c.admin.identity, token).Err)
	c.settle(tb)
}

// settle waits until Neutron has forgotten what it knew of tokens before: until it refuses one that it came to know last and that
// was revoked since.
func (c *Cloud) settle(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), readyTimeout)
	defer cancel()
	provider, err := c.loginAdmin(ctx)
	must(tb, err)
	provider.ReauthFunc = nil
	network, err := openstack.NewNetworkV2(provider, gophercloud.EndpointOpts{Region: Region})
	must(tb, err)
	look := func() error { return subnetpools.Get(ctx, network, "none").Err }
	if err := look(); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		tb.Fatalf("Neutron does not take a new token: %v", err)
	}
	must(tb, tokens.Revoke(ctx, c.admin.identity, provider.Token()).Err)
	for !gophercloud.ResponseCodeIs(look(), http.StatusUnauthorized) {
		must(tb, ctx.Err())
	}
}

// SetQuota limits what the project may have.
func (t *Tenant) SetQuota(tb testing.TB, limits quotas.UpdateOpts) {
	tb.Helper()
	_, err := quotas.Update(tb.Context(), t.cloud.admin.network, t.ID, limits).Extract()
	must(tb, err)
}

// PoolOptions of a subnet pool.
type PoolOptions struct {
	// MinBits and MaxBits of one subnet; those of the prefix, and 128, if zero.
	MinBits, MaxBits int
	// Quota of one project in subnets of /64; none if zero.
	Quota int
	// Name; a random one if empty.
	Name string
}

// NewPool makes a subnet pool of the project's own.
func (t *Tenant) NewPool(tb testing.TB, whole netip.Prefix, options PoolOptions) string {
	tb.Helper()
	return newPool(tb, t.Network, whole, options, false)
}

// NewSharedPool makes a subnet pool that belongs to the cloud's administrator and serves every project.
func (c *Cloud) NewSharedPool(tb testing.TB, whole netip.Prefix, options PoolOptions) string {
	tb.Helper()
	return newPool(tb, c.admin.network, whole, options, true)
}

func newPool(tb testing.TB, client *gophercloud.ServiceClient, whole netip.Prefix, options PoolOptions, shared bool) string {
	tb.Helper()
	if options.Name == "" {
		options.Name = "pool-" + rand.Text()[:8]
	}
	create := subnetpools.CreateOpts{
		Name: options.Name, Prefixes: []string{whole.String()}, DefaultQuota: options.Quota, Shared: shared,
		MinPrefixLen: max(options.MinBits, whole.Bits()), MaxPrefixLen: options.MaxBits,
	}
	pool, err := subnetpools.Create(tb.Context(), client, create).Extract()
	must(tb, err)
	return pool.ID
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
