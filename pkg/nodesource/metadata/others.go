// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package metadata

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// openstackNetwork is an entry of networks in network_data.json.
type openstackNetwork struct {
	ID      string `json:"id"`
	Link    string `json:"link"`
	Type    string `json:"type"`
	Address string `json:"ip_address"`
	Netmask string `json:"netmask"`
}

// fetchOpenStack gives the subnets of the node's ports. Neutron delegates no prefix to a port: unless every node has a subnet of its own,
// other nodes report the same one, and who compares them refuses it.
func fetchOpenStack(ctx context.Context, c *client, mac string) ([]nodesource.Prefix, error) {
	a, err := c.do(ctx, http.MethodGet, "/openstack/latest/network_data.json", nil)
	if err != nil {
		return nil, err
	}
	if err := a.ok("want network_data.json: does the cloud run Nova's metadata service?"); err != nil {
		return nil, err
	}
	var data struct {
		Links []struct {
			ID  string `json:"id"`
			MAC string `json:"ethernet_mac_address"`
		} `json:"links"`
		Networks []openstackNetwork `json:"networks"`
	}
	if err := a.json(&data, "network_data.json"); err != nil {
		return nil, err
	}
	counts := map[string]bool{}
	for _, l := range data.Links {
		counts[l.ID] = is(mac, l.MAC)
	}
	var ps []nodesource.Prefix
	for i, n := range data.Networks {
		if !strings.HasPrefix(n.Type, "ipv6") || n.Address == "" || mac != "" && !counts[n.Link] {
			continue
		}
		p, err := n.prefix()
		if err != nil {
			return nil, fmt.Errorf("%s: networks[%d]: %w", a.url, i, err)
		}
		ps = append(ps, prefixOf(p, OpenStack, a))
	}
	if len(ps) == 0 {
		return nil, none(a.url, "networks has no IPv6 one: want a port in an IPv6 subnet")
	}
	return ps, nil
}

// prefix of the network. Nova writes the length as a netmask, other producers behind the address.
func (n openstackNetwork) prefix() (netip.Prefix, error) {
	if strings.Contains(n.Address, "/") {
		return nodesource.ParseHost(n.Address)
	}
	if bits, err := strconv.Atoi(n.Netmask); err == nil {
		return nodesource.ParseHost(n.Address + "/" + strconv.Itoa(bits))
	}
	mask, err := netip.ParseAddr(n.Netmask)
	if err == nil && mask.Is6() {
		for bits := range mask.BitLen() + 1 {
			if all := netip.PrefixFrom(ones, bits).Masked().Addr(); all == mask {
				return nodesource.ParseHost(fmt.Sprintf("%s/%d", n.Address, bits))
			}
		}
	}
	return netip.Prefix{}, fmt.Errorf("netmask %.64q: want one as in ffff:ffff:ffff:ffff:: (/64)", n.Netmask)
}

var ones = prefix.Last(netip.MustParsePrefix("::/0"))

// fetchHetzner gives the /64 of the server. The server itself is its ::1.
func fetchHetzner(ctx context.Context, c *client, mac string) ([]nodesource.Prefix, error) {
	a, err := c.do(ctx, http.MethodGet, "/hetzner/v1/metadata/network-config", nil)
	if err != nil {
		return nil, err
	}
	if err := a.ok("want the network configuration"); err != nil {
		return nil, err
	}
	var data struct {
		Config []struct {
			MAC     string `json:"mac_address"`
			Subnets []struct {
				Address string `json:"address"`
				IPv6    bool   `json:"ipv6"`
			} `json:"subnets"`
		} `json:"config"`
	}
	if err := yaml.Unmarshal(a.body, &data); err != nil {
		return nil, fmt.Errorf("%s: the answer cannot be read: %w: want the network configuration as YAML", a.url, err)
	}
	var ps []nodesource.Prefix
	for i, n := range data.Config {
		for j, s := range n.Subnets {
			if !s.IPv6 || s.Address == "" || !is(mac, n.MAC) {
				continue
			}
			p, err := nodesource.ParseHost(s.Address)
			if err != nil {
				return nil, fmt.Errorf("%s: config[%d].subnets[%d].address: %w", a.url, i, j, err)
			}
			ps = append(ps, prefixOf(p, Hetzner, a))
		}
	}
	if len(ps) == 0 {
		return nil, none(a.url, "no subnet is IPv6: want a server with an IPv6 network (enable_ipv6)")
	}
	return ps, nil
}

// fetchAzure gives what stands there with a length. Today's API versions name addresses only, so a node there mostly has none.
func fetchAzure(ctx context.Context, c *client, mac string) ([]nodesource.Prefix, error) {
	a, err := c.do(ctx, http.MethodGet, "/metadata/instance/network/interface?api-version=2021-02-01", map[string]string{"Metadata": "true"})
	if err != nil {
		return nil, err
	}
	if err := a.ok("want the list of network interfaces"); err != nil {
		return nil, err
	}
	var interfaces []struct {
		MAC  string `json:"macAddress"`
		IPv6 struct {
			Addresses []struct {
				Private string `json:"privateIpAddress"`
			} `json:"ipAddress"`
		} `json:"ipv6"`
	}
	if err := a.json(&interfaces, "the list of network interfaces"); err != nil {
		return nil, err
	}
	var ps []nodesource.Prefix
	for i, n := range interfaces {
		for j, address := range n.IPv6.Addresses {
			// Azure writes hardware addresses without colons.
			if !strings.Contains(address.Private, "/") || strings.HasSuffix(address.Private, "/128") || !is(strings.ReplaceAll(mac, ":", ""), n.MAC) {
				continue
			}
			p, err := nodesource.ParseHost(address.Private)
			if err != nil {
				return nil, fmt.Errorf("%s: [%d].ipv6.ipAddress[%d]: %w", a.url, i, j, err)
			}
			ps = append(ps, prefixOf(p, Azure, a))
		}
	}
	if len(ps) == 0 {
		return nil, none(a.url, "Azure names single addresses only: want another source, such as Pool, for these nodes")
	}
	return ps, nil
}
