// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package metadata_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/metadata"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/sourcetest"
)

// The paths of the providers' answers.
const (
	awsMACs       = "GET /latest/meta-data/network/interfaces/macs/"
	awsToken      = "PUT /latest/api/token"
	gcpPath       = "GET /computeMetadata/v1/instance/network-interfaces/"
	openstackPath = "GET /openstack/latest/network_data.json"
	hetznerPath   = "GET /hetzner/v1/metadata/network-config"
	azurePath     = "GET /metadata/instance/network/interface"
)

// serve answers by method and path; what is not there is 404.
func serve(t *testing.T, answers map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/computeMetadata/") && r.Header.Get("Metadata-Flavor") == "Google" {
			w.Header().Set("Metadata-Flavor", "Google")
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func open(t *testing.T, o metadata.Options) *metadata.Source {
	t.Helper()
	o.Backoff = time.Millisecond
	s, err := metadata.New(o)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func texts(ps []nodesource.Prefix) string {
	var all []string
	for _, p := range ps {
		all = append(all, p.Prefix.String())
	}
	return strings.Join(all, ",")
}

func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		name     string
		provider metadata.Provider
		mac      string
		answers  map[string]string
		want     string
		err      string
	}{
		{
			name: "two interfaces", provider: metadata.AWS,
			answers: map[string]string{
				awsToken: "t", awsMACs: "02:00:5e:10:00:01/\n02:00:5e:10:00:02/",
				awsMACs + "02:00:5e:10:00:01/ipv6-prefix": "2600:1f18:1:2:3::/80\n2600:1f18:1:2:4::/80\n",
				awsMACs + "02:00:5e:10:00:02/ipv6-prefix": "2600:1f18:1:1:3::/80",
			},
			want: "2600:1f18:1:1:3::/80,2600:1f18:1:2:3::/80,2600:1f18:1:2:4::/80",
		},
		{
			name: "of one interface", provider: metadata.AWS, mac: "02:00:5E:10:00:02",
			answers: map[string]string{awsToken: "t", awsMACs + "02:00:5e:10:00:02/ipv6-prefix": "2600:1f18:1:1:3::/80"},
			want:    "2600:1f18:1:1:3::/80",
		},
		{
			name: "none", provider: metadata.AWS, answers: map[string]string{awsToken: "t", awsMACs: "02:00:5e:10:00:01/"},
			err: "aws metadata: /latest/meta-data/network/interfaces/macs/<mac>/ipv6-prefix: the node has no prefix there: want a prefix (/80) assigned to the network interface: Ipv6PrefixCount: 1",
		},
		{
			name: "an address", provider: metadata.AWS, mac: "02:00:5e:10:00:01",
			answers: map[string]string{awsToken: "t", awsMACs + "02:00:5e:10:00:01/ipv6-prefix": "2600:1f18:1:2:3::/80\n2600:1f18::1"},
			err:     `/latest/meta-data/network/interfaces/macs/02:00:5e:10:00:01/ipv6-prefix: line 2: prefix "2600:1f18::1": the length is missing`,
		},
		{
			name: "a path for a MAC", provider: metadata.AWS, answers: map[string]string{awsToken: "t", awsMACs: "../../user-data"},
			err: `"../../user-data" is no hardware address: want one as in 02:00:5e:10:00:01`,
		},
		{name: "IMDS is off", provider: metadata.AWS, err: "/latest/api/token answered 404 Not Found: want a token: is HttpEndpoint"},
		{
			name: "with length", provider: metadata.GCP, want: "2600:1900:4000:1:0:1::/96",
			answers: map[string]string{gcpPath: `[{"mac":"42:01:0a:80:00:02","ip":"10.128.0.2","ipv6":["2600:1900:4000:1:0:1:0:0/96"],"ipv6s":["2600:1900:4000:1:0:1::"]}]`},
		},
		{
			name: "without length", provider: metadata.GCP, want: "2600:1900:4000:1:0:1::/96",
			answers: map[string]string{gcpPath: `[{"mac":"42:01:0a:80:00:02","ipv6":["2600:1900:4000:1:0:1:0:0"]}]`},
		},
		{name: "IPv4 only", provider: metadata.GCP, answers: map[string]string{gcpPath: `[{"ip":"10.128.0.2"}]`}, err: "no interface has ipv6[]: want a subnet with IPv6"},
		{name: "a page", provider: metadata.GCP, answers: map[string]string{gcpPath: `<html>`}, err: "the answer cannot be read: invalid character '<' looking for beginning of value: want the list of network interfaces as JSON"},
		{
			name: "nonsense", provider: metadata.GCP, answers: map[string]string{gcpPath: `[{},{"ipv6":["fe80::1/96"]}]`},
			err: `[1].ipv6[0]: prefix "fe80::1/96" cannot be a node's`,
		},
		{
			name: "netmask", provider: metadata.OpenStack, want: "2001:db8:1::/64,2001:db8:2::/64,2001:db8:3::/80",
			answers: map[string]string{openstackPath: `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01"}],"networks":[
				{"id":"network0","type":"ipv4_dhcp","link":"tap1"},
				{"id":"network1","type":"ipv6_slaac","link":"tap1","ip_address":"2001:db8:1::3257:9652","netmask":"ffff:ffff:ffff:ffff::"},
				{"id":"network2","type":"ipv6","link":"tap2","ip_address":"2001:db8:2::5/64"},
				{"id":"network3","type":"ipv6_dhcpv6-stateful","link":"tap2","ip_address":"2001:db8:3::5","netmask":"80"}],"services":[]}`},
		},
		{
			name: "of one link", provider: metadata.OpenStack, mac: "fa:16:3e:00:00:01", want: "2001:db8:1::/64",
			answers: map[string]string{openstackPath: `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01"},{"id":"tap2","ethernet_mac_address":"fa:16:3e:00:00:02"}],
				"networks":[{"type":"ipv6","link":"tap1","ip_address":"2001:db8:1::5/64"},{"type":"ipv6","link":"tap2","ip_address":"2001:db8:2::5/64"}]}`},
		},
		{
			name: "a mask with holes", provider: metadata.OpenStack,
			answers: map[string]string{openstackPath: `{"networks":[{"type":"ipv6","ip_address":"2001:db8::5","netmask":"ffff:0:ffff::"}]}`},
			err:     `networks[0]: netmask "ffff:0:ffff::": want one as in ffff:ffff:ffff:ffff:: (/64)`,
		},
		{
			name: "a server", provider: metadata.Hetzner, want: "2a01:4f8:c17:1234::/64",
			answers: map[string]string{hetznerPath: "config:\n- mac_address: 96:00:00:00:00:01\n  name: eth0\n  subnets:\n  - ipv4: true\n    type: dhcp\n" +
				"  - address: 2a01:4f8:c17:1234::1/64\n    gateway: fe80::1\n    ipv6: true\n    type: static\n  type: physical\nversion: 1\n"},
		},
		{name: "IPv4 only", provider: metadata.Hetzner, answers: map[string]string{hetznerPath: "config: []"}, err: "no subnet is IPv6: want a server with an IPv6 network"},
		{name: "no YAML", provider: metadata.Hetzner, answers: map[string]string{hetznerPath: "\t{"}, err: "want the network configuration as YAML"},
		{
			name: "addresses only", provider: metadata.Azure,
			answers: map[string]string{azurePath: `[{"ipv4":{"ipAddress":[{"privateIpAddress":"10.0.0.4"}]},"ipv6":{"ipAddress":[{"privateIpAddress":"fd00:1::4"}]},"macAddress":"000D3A328570"}]`},
			err:     "the node has no prefix there: Azure names single addresses only: want another source, such as Pool, for these nodes",
		},
		{
			name: "a prefix", provider: metadata.Azure, mac: "00:0d:3a:32:85:70", want: "fd00:1:0:0:1::/80",
			answers: map[string]string{azurePath: `[{"ipv6":{"ipAddress":[{"privateIpAddress":"fd00:1::4/128"},{"privateIpAddress":"fd00:1:0:0:1::/80"}]},"macAddress":"000D3A328570"},
				{"ipv6":{"ipAddress":[{"privateIpAddress":"fd00:2:0:0:1::/80"}]},"macAddress":"000D3A328571"}]`},
		},
	} {
		t.Run(string(tc.provider)+"/"+tc.name, func(t *testing.T) {
			g := NewWithT(t)
			ps, err := open(t, metadata.Options{Provider: tc.provider, MAC: tc.mac, Endpoints: []string{serve(t, tc.answers)}}).Prefixes(t.Context())
			if tc.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(tc.err)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(texts(ps)).To(Equal(tc.want))
			g.Expect(ps[0].Origin).To(Equal(string(tc.provider) + " metadata at 127.0.0.1"))
		})
	}
}

func TestOptions(t *testing.T) {
	_, err := metadata.New(metadata.Options{Provider: "ibm"})
	NewWithT(t).Expect(err).To(MatchError(`metadata provider "ibm": want one of ["aws" "gcp" "openstack" "hetzner" "azure"]`))
	_, err = metadata.New(metadata.Options{Provider: metadata.AWS, Endpoints: []string{"169.254.169.254"}})
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("want something like http://169.254.169.254")))
}

// Another server than GCP's, on the same address, does not answer for it.
func TestFlavor(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }))
	defer server.Close()
	_, err := open(t, metadata.Options{Provider: metadata.GCP, Endpoints: []string{server.URL}}).Prefixes(t.Context())
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("lacks the header Metadata-Flavor: Google")))
}

// A token is a secret, and a redirection a way to steal it.
func TestRedirectionsAndSecrets(t *testing.T) {
	g := NewWithT(t)
	const token = "AQAEAsecret=="
	var elsewhere atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer thief.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.WriteString(w, token)
			return
		}
		http.Redirect(w, r, thief.URL, http.StatusFound)
	}))
	defer server.Close()
	var log bytes.Buffer
	_, err := open(t, metadata.Options{Provider: metadata.AWS, Endpoints: []string{server.URL}, Log: slog.New(slog.NewTextHandler(&log, nil))}).Prefixes(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("answered 302 Found")))
	g.Expect(elsewhere.Load()).To(BeZero())
	g.Expect(err.Error() + log.String()).NotTo(ContainSubstring(token))
}

// What fails for a while is asked again; what is wrong is not.
func TestRetries(t *testing.T) {
	for _, tc := range []struct{ status, want int }{{500, 3}, {503, 3}, {429, 3}, {400, 1}, {403, 1}, {404, 1}} {
		t.Run(fmt.Sprint(tc.status), func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.WriteHeader(tc.status)
			}))
			defer server.Close()
			_, err := open(t, metadata.Options{Provider: metadata.Hetzner, Endpoints: []string{server.URL}}).Prefixes(t.Context())
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(fmt.Sprintf("/hetzner/v1/metadata/network-config answered %d", tc.status))))
			NewWithT(t).Expect(int(asked.Load())).To(Equal(tc.want))
		})
	}
}

func TestConformance(t *testing.T) {
	var now atomic.Value
	now.Store("2001:db8:1:2:3::/80")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.WriteString(w, "token")
			return
		}
		_, _ = io.WriteString(w, now.Load().(string))
	}))
	defer server.Close()
	source := open(t, metadata.Options{Provider: metadata.AWS, MAC: "02:00:5e:10:00:01", Endpoints: []string{server.URL}, Interval: 20 * time.Millisecond})
	sourcetest.Run(t, source, func() { now.Store("2001:db8:1:2:4::/80") })
}
