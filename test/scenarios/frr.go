// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// FRR is packet once more with FRRouting, whose peers have no addresses of their own: every node has a cable to the router and there is no
// subnet on it, sessions are held between addresses of the link (RFC 5549's next hops, "unnumbered").
func FRR() driver.Scenario {
	s := withRouter(driver.Scenario{
		Name:       "frr",
		Title:      "a cable from every node to FRR, the top-of-rack router, and no subnet on it: unnumbered BGP",
		Networking: rackNetworking,
	}, frr{})
	s.Machine = cabledMachine

	return s
}

// gatewayOnLink is the router's address on every cable.
var gatewayOnLink = netip.MustParsePrefix("fe80::1/64")

// cabledMachine has its address to itself, and the router's address of the link as its gateway.
func cabledMachine(c *driver.Cluster, number int) (driver.Machine, error) {
	m, err := driver.PoolMachine(c, number)
	m.Link = linkOf(driver.NodeName(number))
	m.Gateways = []netip.Addr{gatewayOnLink.Addr()}
	m.Prepare = advertiseRouter

	for i, address := range m.Addresses {
		m.Addresses[i] = netip.PrefixFrom(address.Addr(), address.Addr().BitLen())
	}

	return m, err
}

// advertiseRouter runs radvd on a node: FRR finds its unnumbered peers by their router advertisements. They say that the node is nobody's
// default gateway.
func advertiseRouter(ctx context.Context, node *machine.Node) error {
	file := filepath.Join(node.Dir(), "radvd.conf")
	config := "interface eth0 { AdvSendAdvert on; AdvDefaultLifetime 0; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; };\n"

	return node.Start(ctx, machine.Process{
		Name:    "radvd",
		Command: []string{"radvd", "-n", "-m", "stderr", "-C", file, "-p", filepath.Join(node.Dir(), "radvd-own.pid")},
		Files:   []machine.File{{Path: file, Content: []byte(config)}},
	})
}

// frr is FRRouting's zebra and bgpd.
type frr struct{}

func (frr) name() string { return "FRR" }

// detects at once, because the cable is dead; a machine that has other things to do takes its time.
func (frr) detects() time.Duration { return 3 * time.Second }

const zebra, bgpd = "zebra", "bgpd"

// zebraConfig keeps nexthop objects out of the kernel: FRR 8.4 does not bring a way back into its group there that had lost its carrier.
const zebraConfig = "log stdout notifications\nno zebra nexthop kernel enable\n"

func (frr) config(nodes, services netip.Prefix, peers []string) string {
	var neighbors strings.Builder
	for _, peer := range peers {
		fmt.Fprintf(&neighbors, " neighbor %s interface peer-group nodes\n", peer)
	}

	return fmt.Sprintf(`log stdout notifications
router bgp %[1]d
 bgp router-id 192.0.2.1
 no bgp default ipv4-unicast
 bgp graceful-restart
 neighbor nodes peer-group
 neighbor nodes remote-as %[2]d
 neighbor nodes timers 3 %[3]d
 neighbor nodes timers connect 2
%[4]s address-family ipv6 unicast
  neighbor nodes activate
  neighbor nodes prefix-list from-nodes in
  neighbor nodes prefix-list nothing out
  neighbor nodes maximum-prefix 1000
  maximum-paths 64
 exit-address-family
!
ipv6 prefix-list from-nodes seq 5 permit %[5]s ge %[8]d
ipv6 prefix-list from-nodes seq 10 permit %[6]s le 128
ipv6 prefix-list from-nodes seq 15 permit %[7]s ge 128
ipv6 prefix-list nothing seq 5 deny any
`, torASN, nodesASN, holdTime, neighbors.String(), nodes, services, loadBalancerPool, nodePrefixBits)
}

func (f frr) start(ctx context.Context, r *rack) error {
	var peers []string

	for number := 1; number <= r.Scenario.Nodes; number++ {
		name := driver.NodeName(number)
		peers = append(peers, bridgeOf(name))

		if err := cable(ctx, r, number); err != nil {
			return fmt.Errorf("cable of node %s: %w", name, err)
		}
	}

	// FRR wants its user in the group of those who may ask it; the landscape's directory is root's alone
	for _, daemon := range []struct{ name, socket, config string }{
		{zebra, "zserv.api", zebraConfig}, {bgpd, bgpd + ".vty", f.config(r.nodesRange, r.services, peers)},
	} {
		dir := r.host().Dir()
		file := filepath.Join(dir, daemon.name+".conf")

		if err := r.host().Start(ctx, machine.Process{
			Name: daemon.name,
			Command: []string{
				"/usr/lib/frr/" + daemon.name, "-u", "root", "-g", "frrvty", "-f", file, "-z", filepath.Join(dir, "zserv.api"),
				"-i", filepath.Join(dir, daemon.name+"-own.pid"), "--vty_socket", dir, "-P", "0",
			},
			Files: []machine.File{{Path: file, Content: []byte(daemon.config)}},
		}); err != nil {
			return err
		}

		if err := driver.Await(ctx, "FRR's "+daemon.name, soon, func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, daemon.socket))

			return err
		}); err != nil {
			return err
		}
	}

	return nil
}

// cable makes the link between the router and a node, and tells the router that the node's address is there.
func cable(ctx context.Context, r *rack, number int) error {
	name := driver.NodeName(number)

	if err := r.Machines().StartLink(ctx, linkOf(name)); err != nil {
		return err
	}

	// the router has one address of the link on every cable, instead of one made of its MAC
	if err := r.host().Inside(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/"+bridgeOf(name)+"/addr_gen_mode", []byte("1"), 0o600)
	}); err != nil {
		return err
	}

	if err := r.Machines().SetGateway(ctx, linkOf(name), gatewayOnLink); err != nil {
		return err
	}

	m, err := cabledMachine(r.Cluster, number)
	if err != nil {
		return err
	}

	_, err = r.host().Run(ctx, "ip", "-6", "route", "replace", m.Addresses[0].String(), "dev", bridgeOf(name))

	return err
}

func (frr) stop(ctx context.Context, host *machine.Host) error {
	var err error

	for _, daemon := range []string{bgpd, zebra} {
		pid, _ := os.ReadFile(filepath.Join(host.Dir(), daemon+"-own.pid")) // #nosec G304 -- our own directory
		err = errors.Join(err, host.Stop(ctx, daemon))

		// it has lost the right to remove its directory when it ends
		if number := strings.TrimSpace(string(pid)); number != "" {
			err = errors.Join(err, os.RemoveAll("/var/tmp/frr/"+daemon+"."+number))
		}
	}

	links, listErr := bridges(ctx, host)
	for _, link := range links {
		_, deleteErr := host.Run(ctx, "ip", "link", "delete", link)
		err = errors.Join(err, deleteErr)
	}

	return errors.Join(err, listErr)
}

// bridges are the router's ends of the nodes' cables.
func bridges(ctx context.Context, host *machine.Host) ([]string, error) {
	out, err := host.Run(ctx, "ip", "-json", "link", "show", "type", "bridge")
	if err != nil {
		return nil, err
	}

	var links []struct {
		Name string `json:"ifname"`
	}
	if err := json.Unmarshal([]byte(out), &links); err != nil {
		return nil, fmt.Errorf("links of the router: %w", err)
	}

	var found []string

	for _, link := range links {
		if strings.HasPrefix(link.Name, bridgeOf("")) {
			found = append(found, link.Name)
		}
	}

	return found, nil
}

func (frr) sessions(ctx context.Context, host *machine.Host) ([]session, error) {
	out, err := host.Run(ctx, "vtysh", "--vty_socket", host.Dir(), "-d", bgpd, "-c", "show bgp ipv6 unicast summary json")
	if err != nil {
		return nil, err
	}

	return frrSessions(out)
}

// frrSessions reads `show bgp ipv6 unicast summary json`. Unnumbered peers bear the names of their interfaces.
func frrSessions(out string) ([]session, error) {
	var summary struct {
		Peers map[string]struct {
			State    string `json:"state"`
			Prefixes int    `json:"pfxRcd"`
		} `json:"peers"`
	}

	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		return nil, fmt.Errorf("FRR's sessions: %q: %w", out, err)
	}

	var found []session

	for name, peer := range summary.Peers {
		if peer.State != "Established" {
			continue
		}

		s := session{Interface: name, Prefixes: peer.Prefixes}
		if address, err := netip.ParseAddr(name); err == nil {
			s.Peer, s.Interface = address, ""
		}

		found = append(found, s)
	}

	return found, nil
}
