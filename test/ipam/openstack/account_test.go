// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/openstack"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/faultproxy"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// A token is revoked, a password changed, an application credential replaced: the next call reads the credentials again.
func TestF14(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	r := w.reserver(t, seed)
	logins := func() int { return len(w.identity.Requests(login)) }
	works := func() {
		t.Helper()
		g.Expect(r.Lookup(t.Context(), owner(1))).To(BeEmpty())
	}
	works()
	works()
	g.Expect(logins()).To(Equal(1), "a login is used as long as it is good")

	all := w.network.Requests(faultproxy.Match{})
	cloud.RevokeToken(t, all[len(all)-1].Header.Get("X-Auth-Token"))
	a, err := r.Allocate(t.Context(), owner(1), request(64)) // a creation is safe to repeat when the token was refused
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(logins()).To(Equal(2))
	g.Expect(r.Release(t.Context(), a)).To(Succeed())

	w.tenant.SetPassword(t, "another-password")
	_, err = r.Lookup(t.Context(), owner(1))
	w.expectKind(t, err, reservation.Unauthorized, "logging in to Keystone", "401")
	w.use(w.tenant.Secret())
	works()

	for _, byName := range []bool{false, true} {
		id, secret := w.tenant.ApplicationCredential(t, byName)
		w.use(secret)
		works()
		_, next := w.tenant.ApplicationCredential(t, byName)
		w.tenant.DeleteApplicationCredential(t, id)
		_, err = r.Lookup(t.Context(), owner(1))
		w.expectKind(t, err, reservation.Unauthorized)
		w.use(next)
		works()
	}
	w.network.Next(listSubnets, faultproxy.Fault{Status: http.StatusForbidden})
	_, err = r.Lookup(t.Context(), owner(1))
	w.expectKind(t, err, reservation.Unauthorized, "403")
}

// The credentials are replaced while a call is under way with the old ones.
func TestF14Meanwhile(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	id, old := w.tenant.ApplicationCredential(t, false)
	_, next := w.tenant.ApplicationCredential(t, false)
	w.use(old)
	w.network.Next(createSubnet, faultproxy.Fault{Before: func() {
		w.tenant.DeleteApplicationCredential(t, id)
		w.use(next)
	}})
	j := &journal{}
	g.Expect(j.once(t, w.reserver(t, seed), owner(1), request(64))).To(Succeed())
	w.expectOnly(t, j, owner(1))
}

// Credentials that are wrong, or none.
func TestWrongCredentials(t *testing.T) {
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	with := func(key, value string) map[string][]byte {
		secret := maps.Clone(w.tenant.Secret())
		secret[key] = []byte(value)
		return secret
	}
	for name, c := range map[string]struct {
		secret map[string][]byte
		kind   reservation.Kind
		part   string
	}{
		"password":   {with("password", "not-the-password"), reservation.Unauthorized, "HTTP 401"},
		"user":       {with("username", "nobody"), reservation.Unauthorized, "HTTP 401"},
		"project":    {with("tenantName", "nowhere"), reservation.Unauthorized, "HTTP 401"},
		"no project": {with("tenantName", ""), reservation.Invalid, "lack domainName, tenantName, username and password"},
		"no name":    {with("applicationCredentialSecret", "not-the-secret"), reservation.Invalid, "lack applicationCredentialID"},
		"no such":    {maps.Clone(with("applicationCredentialSecret", "not-the-secret")), reservation.Unauthorized, "HTTP 40"},
		"bundle":     {with("caCert", "no certificate"), reservation.Invalid, "caCert"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no such" {
				c.secret["applicationCredentialID"] = []byte("0123456789abcdef0123456789abcdef")
			}
			w.use(c.secret)
			_, err := w.reserver(t, seed).Allocate(t.Context(), owner(1), request(64))
			w.expectKind(t, err, c.kind, c.part)
		})
	}
	t.Run("no authURL", func(t *testing.T) {
		g := NewWithT(t)
		for _, c := range []reservation.Credentials{
			func(context.Context) (map[string][]byte, error) { return nil, nil },
			func(context.Context) (map[string][]byte, error) { return nil, errors.New("no such secret") },
		} {
			r, err := openstack.New("os", openstack.Config{}, w.pools, reservation.Home{}, c)
			g.Expect(err).NotTo(HaveOccurred())
			_, err = r.Lookup(t.Context(), owner(1))
			g.Expect(err).To(MatchError(Or(ContainSubstring("lack authURL"), ContainSubstring("no such secret"))))
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		w.use(w.tenant.Secret())
		w.secret["authURL"] = []byte("http://127.0.0.1:1/v3")
		_, err := w.reserver(t, seed).Allocate(t.Context(), owner(1), request(64))
		w.expectKind(t, err, reservation.Retry, "logging in to Keystone", "connection refused")
	})
}

// The endpoint is found in Keystone's catalogue, by region.
func TestCatalogue(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	for region, ok := range map[string]bool{"": true, neutron.Region: true, "RegionTwo": false} {
		r, err := openstack.New("os", openstack.Config{Region: region}, w.pools, reservation.Home{GardenID: garden, Seed: seed}, w.credentials)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = r.Lookup(t.Context(), owner(1))
		if ok {
			g.Expect(err).NotTo(HaveOccurred())
			continue
		}
		w.expectKind(t, err, reservation.Invalid, `no network service in region "RegionTwo"`)
	}
	g.Expect(w.network.Requests(faultproxy.Match{})).To(BeEmpty(), "none went to the configured endpoint")
}

// TLS by an authority that the system does not know. The links of Neutron to further pages begin with http: they must not be
// followed there.
func TestCABundle(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, "2001:db8::/48", neutron.PoolOptions{})
	w.identity, w.network, w.pageSize = faultproxy.NewTLS(t, cloud.AuthURL), faultproxy.NewTLS(t, cloud.NetworkURL), 1
	secret := w.tenant.Secret()
	w.use(secret)
	_, err := w.reserver(t, seed).Allocate(t.Context(), owner(1), request(64))
	w.expectKind(t, err, reservation.Invalid, "certificate is not trusted", "caCert")
	g.Expect(w.identity.Requests(faultproxy.Match{})).To(BeEmpty())

	secret["caCert"] = append(append([]byte{}, w.identity.CA...), w.network.CA...)
	w.use(secret)
	r := w.reserver(t, seed)
	for range 2 {
		_, err = r.Allocate(t.Context(), owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(r.Lookup(t.Context(), owner(1))).To(HaveLen(2))
	g.Expect(w.network.Requests(secondPage)).NotTo(BeEmpty())

	delete(secret, "caCert")
	secret["insecure"] = []byte("true")
	w.use(secret)
	g.Expect(w.reserver(t, seed).Lookup(t.Context(), owner(1))).To(HaveLen(2))
}
