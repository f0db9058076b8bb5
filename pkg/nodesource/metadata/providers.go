// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// fetcher asks one provider for the prefixes of the interface with that MAC, or of every one.
type fetcher func(ctx context.Context, c *client, mac string) ([]nodesource.Prefix, error)

const ipv4Endpoint = "http://169.254.169.254"

func fixed(endpoints ...string) func(string) []string {
	return func(string) []string { return endpoints }
}

var providers = map[Provider]struct {
	// endpoints, given the interface to the metadata server.
	endpoints func(string) []string
	fetch     fetcher
}{
	AWS: {fixed(ipv4Endpoint, "http://[fd00:ec2::254]"), fetchAWS},
	GCP: {fixed(ipv4Endpoint, "http://[fd20:ce::254]"), fetchGCP},
	OpenStack: {func(iface string) []string {
		if iface == "" {
			return []string{ipv4Endpoint}
		}
		return []string{ipv4Endpoint, "http://[fe80::a9fe:a9fe%25" + iface + "]"}
	}, fetchOpenStack},
	Hetzner: {fixed(ipv4Endpoint), fetchHetzner},
	Azure:   {fixed(ipv4Endpoint), fetchAzure},
}

// none is ErrNone with what would be right.
func none(where, want string) error {
	return fmt.Errorf("%s: %w: %w", where, nodesource.ErrNone, errors.New(want))
}

func prefixOf(p netip.Prefix, provider Provider, a answer) nodesource.Prefix {
	return nodesource.Prefix{Prefix: p, Origin: fmt.Sprintf("%s metadata at %s", provider, a.host)}
}

const awsTokenPath = "/latest/api/token" //nolint:gosec // a path

// fetchAWS speaks IMDSv2: a token first, and only then a question.
func fetchAWS(ctx context.Context, c *client, mac string) ([]nodesource.Prefix, error) {
	a, err := c.do(ctx, http.MethodPut, awsTokenPath, map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
	if err != nil {
		return nil, fmt.Errorf("no token: %w (outside of the host's network: HttpPutResponseHopLimit of the instance's metadata options must be greater than 1)", err)
	}
	if err := a.ok("want a token: is HttpEndpoint of the instance's metadata options enabled?"); err != nil {
		return nil, err
	}
	header := map[string]string{"X-aws-ec2-metadata-token": strings.TrimSpace(string(a.body))}
	const macs = "/latest/meta-data/network/interfaces/macs/"
	list := []string{mac}
	if mac == "" {
		a, err := c.do(ctx, http.MethodGet, macs, header)
		if err != nil {
			return nil, err
		}
		if err := a.ok("want the list of the interfaces' hardware addresses"); err != nil {
			return nil, err
		}
		list = strings.Fields(string(a.body))
	}
	var ps []nodesource.Prefix
	for _, m := range list {
		m = strings.TrimSuffix(m, "/")
		if len(m) > 64 || strings.ContainsAny(m, "/?#%") {
			return nil, fmt.Errorf("%s: %.64q is no hardware address: want one as in 02:00:5e:10:00:01", macs, m)
		}
		of, err := awsPrefixes(ctx, c, macs+m+"/ipv6-prefix", header)
		if err != nil {
			return nil, err
		}
		ps = append(ps, of...)
	}
	if len(ps) == 0 {
		return nil, none(macs+"<mac>/ipv6-prefix", "want a prefix (/80) assigned to the network interface: Ipv6PrefixCount: 1")
	}
	return ps, nil
}

func awsPrefixes(ctx context.Context, c *client, path string, header map[string]string) ([]nodesource.Prefix, error) {
	a, err := c.do(ctx, http.MethodGet, path, header)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound {
		return nil, nil
	}
	if err := a.ok("want the interface's IPv6 prefixes, a line each"); err != nil {
		return nil, err
	}
	var ps []nodesource.Prefix
	for i, line := range strings.Fields(string(a.body)) {
		p, err := nodesource.Parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", a.url, i+1, err)
		}
		ps = append(ps, prefixOf(p, AWS, a))
	}
	return ps, nil
}

// gcpBits is the length of every IPv6 range that GCP gives to an interface.
const gcpBits = 96

func fetchGCP(ctx context.Context, c *client, mac string) ([]nodesource.Prefix, error) {
	const path = "/computeMetadata/v1/instance/network-interfaces/?recursive=true&alt=json"
	a, err := c.do(ctx, http.MethodGet, path, map[string]string{"Metadata-Flavor": "Google"})
	if err != nil {
		return nil, err
	}
	if err := a.ok("want the list of network interfaces"); err != nil {
		return nil, err
	}
	if a.header.Get("Metadata-Flavor") != "Google" {
		return nil, fmt.Errorf("%s: the answer lacks the header Metadata-Flavor: Google: this is not GCP's metadata server", a.url)
	}
	var interfaces []struct {
		MAC  string   `json:"mac"`
		IPv6 []string `json:"ipv6"`
	}
	if err := a.json(&interfaces, "the list of network interfaces"); err != nil {
		return nil, err
	}
	var ps []nodesource.Prefix
	for i, n := range interfaces {
		if !is(mac, n.MAC) {
			continue
		}
		for j, text := range n.IPv6 {
			if _, err := netip.ParseAddr(text); err == nil {
				text = fmt.Sprintf("%s/%d", text, gcpBits)
			}
			p, err := nodesource.ParseHost(text)
			if err != nil {
				return nil, fmt.Errorf("%s: [%d].ipv6[%d]: %w", a.url, i, j, err)
			}
			ps = append(ps, prefixOf(p, GCP, a))
		}
	}
	if len(ps) == 0 {
		return nil, none(a.url, "no interface has ipv6[]: want a subnet with IPv6 and the interface's stack type IPV4_IPV6 or IPV6_ONLY")
	}
	return ps, nil
}

// is tells whether the interface with that hardware address counts.
func is(wanted, mac string) bool { return wanted == "" || strings.EqualFold(wanted, mac) }
